"""StockKeeper: keeps this host's stock file at what the database says; one process at a time does it."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from recommender.errors import StoreBusyError
from recommender.storage.database import Database
from recommender.storage.shelves import count_minutes
from recommender.storage.statements import fetch, read_counter
from recommender.storage.stock_file import Room, StockFile

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
WAIT_SECONDS = 2.0
MOST_CHANGES = 100_000
"""With more changes than this at once the file is made anew."""
MOST_ON_HAND = float(np.finfo(np.float32).max)
"""The file holds no more and no less; SQL may."""
SLACK = 1.25
"""Room of a new file beside what it must hold."""
LEAST_ROOM = 64

_CHANGES = """
SELECT store_id, item_id, on_hand, as_of FROM inventory
WHERE change_sequence > ? AND change_sequence <= ? ORDER BY store_id LIMIT ?"""
_NEXT_STORE = "SELECT min(store_id) FROM inventory WHERE store_id > ?"
_OF_STORE = "SELECT item_id, on_hand, as_of FROM inventory WHERE store_id = ?"
_CHANGED = "changed:inventory"

Row = tuple[Any, ...]


class StockKeeper:
    """Follows the stock of a database in a file, while no other process of the host does.

    Args:
        database: the truth.
        path: of the file; its lock stands beside it.
        origin: names the database.
        clock: the present, seconds since 1970-01-01 UTC.
    """

    def __init__(self, database: Database, path: Path, origin: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._path = path
        self._origin = origin
        self._clock = clock
        self._lock: int | None = None
        self._file: StockFile | None = None
        self._items: dict[str, int] = {}
        self._stores: dict[str, int] = {}
        self._turn = threading.Lock()
        self._kept = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stock-keeper", daemon=True)

    def start(self) -> None:
        """Keep the file in the background, as soon as no other process does; one that exists is current at return.

        If that takes longer than WAIT_SECONDS, stock is read from SQL meanwhile.
        """
        self._thread.start()
        if self._path.exists():
            self._kept.wait(WAIT_SECONDS)

    def stop(self) -> None:
        """End keeping; another process may go on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._release()

    def keep(self) -> bool:
        """Bring the file up to date once; False if another process does.

        Raises: StoreBusyError if the database is away; OSError if the file cannot be written.
        """
        with self._turn:
            return self._hold() and self._keep()

    def _keep(self, anew: bool = False) -> bool:
        with self._database.read(snapshot=True) as connection:
            sequence = read_counter(connection, _CHANGED)
            if self._file is None and not anew:
                self._file = self._open()
            if self._file is None or not self._follow(connection, self._file, sequence):
                self._file = None  # where the new one fails, the old one is opened again, with its own places
                self._file = self._make(connection, sequence)
        self._file.follow(sequence, self._clock())
        return True

    def rebuild(self) -> bool:
        """Make the file anew; False if another process keeps it: that one would not notice."""
        with self._turn:
            if not self._hold():
                return False
            self._file = None
            return self._keep(anew=True)

    def _run(self) -> None:
        failing = False
        while True:
            try:
                self.keep()
                self._kept.set()
                failing = False
            except (StoreBusyError, OSError) as error:
                if not failing:
                    logger.warning("stock_file_not_kept reason=%s", error)
                failing = True
            except Exception:
                # Whatever it is, another process, or a new file, may do better.
                logger.exception("stock_file_not_kept")
                with self._turn:
                    self._file = None
                    self._release()
            if self._stop.wait(POLL_SECONDS):
                return

    def _hold(self) -> bool:
        """Take the lock, which ends with the process; tell whether we have it."""
        if self._lock is not None:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock = handle
        return True

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self) -> StockFile | None:
        """Open the file as it was left, None if there is none that fits."""
        try:
            file = StockFile(self._path, writable=True)
        except (FileNotFoundError, ValueError):
            return None
        if not file.fits(self._origin):
            return None
        self._items = {name: column for column, name in enumerate(file.item_ids(), 1)}
        self._stores = {name: row for row, name in enumerate(file.store_ids())}
        return file

    def _follow(self, connection: Connection, file: StockFile, sequence: int) -> bool:
        """Write what changed; False if the file must be made anew."""
        if file.sequence == sequence:
            return True
        if file.sequence > sequence:  # another database, or one restored from a backup
            return False
        rows = fetch(connection, _CHANGES, (file.sequence, sequence, MOST_CHANGES + 1))
        if len(rows) > MOST_CHANGES:
            return False
        items = dict.fromkeys(row[1] for row in rows)
        stores = dict.fromkeys(row[0] for row in rows)
        if not self._make_room(file, items, stores):
            return False
        start = 0
        for end in range(1, len(rows) + 1):
            if end == len(rows) or rows[end][0] != rows[start][0]:
                self._put(file, rows[start][0], [row[1:] for row in rows[start:end]])
                start = end
        return True

    def _make_room(self, file: StockFile, items: Iterable[str], stores: Iterable[str]) -> bool:
        """Give new items and stores their places; False if the file is too small."""
        new_items = [name for name in items if name not in self._items]
        new_stores = [name for name in stores if name not in self._stores]
        room = file.room
        if len(self._items) + len(new_items) > room.items or len(self._stores) + len(new_stores) > room.stores:
            return False
        file.add_items(new_items)
        self._items |= {name: column for column, name in enumerate(new_items, len(self._items) + 1)}
        file.add_stores(new_stores)
        self._stores |= {name: row for row, name in enumerate(new_stores, len(self._stores))}
        return True

    def _make(self, connection: Connection, sequence: int) -> StockFile:
        """Write a new file with all stock, and put it in the place of the old one."""
        started = time.monotonic()
        stores = _store_ids(connection)
        items = [row[0] for row in fetch(connection, "SELECT DISTINCT item_id FROM items")]
        part = self._path.with_suffix(".part")
        room = Room(_roomy(len(items)), _roomy(len(stores)))
        file = StockFile.create(part, room, self._origin)
        self._items, self._stores = {}, {}
        self._make_room(file, items, stores)
        for store_id in stores:
            if self._stop.is_set():
                raise InterruptedError("stopped while the stock file was made")
            rows = fetch(connection, _OF_STORE, (store_id,))
            if not self._make_room(file, dict.fromkeys(row[0] for row in rows), ()):
                file = self._larger(part, file, rows)
            self._put(file, store_id, rows)
        file.follow(sequence, self._clock())
        os.replace(part, self._path)
        seconds = time.monotonic() - started
        logger.info("stock_file_made stores=%d items=%d seconds=%.1f", len(stores), len(self._items), seconds)
        return StockFile(self._path, writable=True)

    def _larger(self, part: Path, file: StockFile, rows: list[Row]) -> StockFile:
        """Return a copy of a file under way with room for the items of some rows, which the catalogue lacks."""
        new = sum(row[0] not in self._items for row in rows)
        wider = part.with_suffix(".wider")
        larger = StockFile.create(wider, Room(_roomy(len(self._items) + new), file.room.stores), self._origin)
        larger.add_items(file.item_ids())
        larger.add_stores(file.store_ids())
        columns = np.arange(file.item_count + 1)
        for store_id, row in self._stores.items():
            shelf = file.shelf(store_id, columns)
            if shelf is not None:
                larger.put(row, columns, shelf.on_hand, shelf.as_of)
        os.replace(wider, part)
        self._make_room(larger, dict.fromkeys(row[0] for row in rows), ())
        return larger

    def _put(self, file: StockFile, store_id: str, rows: list[Row]) -> None:
        """Write (item_id, on_hand, as_of) rows of one store."""
        item_ids, on_hand, as_of = zip(*rows, strict=True)
        columns = np.fromiter(map(self._items.__getitem__, item_ids), np.int64, len(rows))
        counted = np.array(on_hand, np.float64).clip(-MOST_ON_HAND, MOST_ON_HAND).astype(np.float32)
        file.put(self._stores[store_id], columns, counted, count_minutes(as_of))


def _store_ids(connection: Connection) -> list[str]:
    """Return the stores that have stock rows, ascending, one index look-up each."""
    found: list[str] = []
    while (name := fetch(connection, _NEXT_STORE, (found[-1] if found else "",))[0][0]) is not None:
        found.append(name)
    return found


def _roomy(count: int) -> int:
    return max(LEAST_ROOM, int(count * SLACK))

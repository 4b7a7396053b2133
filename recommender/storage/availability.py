"""Availability: what each store has, from the stock file of this host or, without one, from SQL."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recommender.catalog import BoolVector, Catalog
from recommender.filters import Packed
from recommender.standing import Standing
from recommender.storage.shelves import StoreCache
from recommender.storage.stock_file import Shelf, StockFile

WHOLE = 1 << 24
"""Below it float32 holds every whole number."""
STORES_KEPT = 256
"""Stores whose answer stays in memory, one bit per item."""


class Stock(Protocol):
    """Where stock is read."""

    def token(self, store_id: str) -> object | None:
        """Return what changes with the stock of a store; None if the store has no rows."""
        ...

    def shelf(self, store_id: str) -> Shelf | None:
        """Return the stock of a store, aligned with the catalogue."""
        ...

    def on_hand(self, store_id: str, rows: npt.NDArray[np.int32]) -> list[float | None]:
        """Return the count of some items in a store, None where there is none."""
        ...


class SqlStock:
    """Stock as read from SQL when it is asked for.

    Args:
        shelves: of the stores that were asked for.
    """

    def __init__(self, shelves: StoreCache[Shelf]) -> None:
        self.shelves = shelves

    def token(self, store_id: str) -> object | None:
        """Return the shelf itself: a change makes a new one."""
        return self.shelves.get(store_id)

    def shelf(self, store_id: str) -> Shelf | None:
        """As Stock.shelf. Raises: StoreBusyError if it must be read and the database is away."""
        return self.shelves.get(store_id)

    def on_hand(self, store_id: str, rows: npt.NDArray[np.int32]) -> list[float | None]:
        """As Stock.on_hand."""
        shelf = self.shelves.get(store_id)
        return [None] * len(rows) if shelf is None else _counts(shelf.on_hand[rows], shelf.as_of[rows])


class FileStock:
    """Stock as the stock file has it.

    Args:
        file: open for reading.
        catalog: whose rows shelves are aligned with.
    """

    def __init__(self, file: StockFile, catalog: Catalog) -> None:
        self.file = file
        self.catalog = catalog
        self.item_count = file.item_count
        rows, known = catalog.rows(file.item_ids()[: self.item_count])
        self._columns = np.zeros(len(catalog), np.int64)
        self._columns[rows] = np.flatnonzero(known) + 1

    def is_of(self, file: StockFile, catalog: Catalog) -> bool:
        """Tell whether this is made from a file, and a catalogue whose items have their rows still."""
        same_rows = self.catalog.items is catalog.items and self.catalog.extra_ids is catalog.extra_ids
        return self.file is file and same_rows and self.item_count == file.item_count

    def token(self, store_id: str) -> object | None:
        """Return the version of a store's row in this file, with how many items are looked for in it."""
        version = self.file.version(store_id)
        return None if version is None else (self.file.inode, version, self.item_count)

    def shelf(self, store_id: str) -> Shelf | None:
        """As Stock.shelf."""
        return self.file.shelf(store_id, self._columns)

    def on_hand(self, store_id: str, rows: npt.NDArray[np.int32]) -> list[float | None]:
        """As Stock.on_hand."""
        shelf = self.file.shelf(store_id, self._columns[rows])
        return [None] * len(rows) if shelf is None else _counts(shelf.on_hand, shelf.as_of)


class Availability:
    """What stores have, as far as their stock is trusted; safe to share between threads.

    Args:
        stock: where it is read.
        standing: how far it is trusted.
        kept: most stores remembered.
    """

    def __init__(self, stock: Stock, standing: Standing, kept: int = STORES_KEPT) -> None:
        self.stock = stock
        self.standing = standing
        self._kept = kept
        self._known: OrderedDict[str, tuple[object, int, Packed]] = OrderedDict()
        self._lock = threading.Lock()

    def followed_by(self, stock: Stock, standing: Standing, same_rows: bool) -> Availability:
        """Return the availability of stock and trust as they are now; itself, or what it remembers, if that holds.

        Args:
            same_rows: whether the items have their rows still.
        """
        plain = all(one.above is None and one.max_age is None for one in (standing, self.standing))
        trusted = plain or self.standing is standing
        if trusted and same_rows and self.stock is stock:
            return self
        following = Availability(stock, standing, self._kept)
        if trusted and same_rows:
            with self._lock:
                following._known = self._known.copy()
        return following

    def of(self, store_id: str, minute: int) -> BoolVector | None:
        """Tell what a store has, bool, (n_items,); None if nothing is known of it.

        Raises: StoreBusyError if it must be read and the database is away.
        """
        token = self.stock.token(store_id)
        if token is None:
            return None
        with self._lock:
            known = self._known.get(store_id)
            if known is not None and known[0] == token and (self.standing.max_age is None or known[1] == minute):
                self._known.move_to_end(store_id)
            else:
                known = None
        if known is not None:
            return known[2].mask()
        shelf = self.stock.shelf(store_id)
        if shelf is None:
            return None
        found = self.standing.available(shelf.on_hand, shelf.as_of, minute)
        found.setflags(write=False)
        packed = Packed.of(found)
        with self._lock:
            self._known[store_id] = (token, minute, packed)
            if len(self._known) > self._kept:
                self._known.popitem(last=False)
        return found


def _counts(on_hand: npt.NDArray[np.float32], as_of: npt.NDArray[np.int32]) -> list[float | None]:
    """Return counts as they were written: the shortest number that is the same in float32."""
    pairs = zip(on_hand.tolist(), as_of.tolist(), strict=True)
    return [_shortest(count) if minute else None for count, minute in pairs]


def _shortest(count: float) -> float:
    """Return the shortest number that is the same in float32; whole ones that float32 tells apart are that already."""
    return count if count.is_integer() and abs(count) < WHOLE else float(str(np.float32(count)))

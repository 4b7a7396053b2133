"""StockFile: the stock of all stores in one memory-mapped file of this host, written by one process, read by all.

Behind a header stand the ids of items and stores in the order in which they came, then a row per store with a cell per
item. Column 0 is nobody's and always empty. The database is the truth: a file that does not fit is made anew.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from recommender.ids import MAX_ID_BYTES

FloatVector = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
MinuteVector = npt.NDArray[np.int32]

FORMAT = 1
_MAGIC = 0x4D57_5354_4F43_4B31
_FIELDS = ("magic", "format", "origin", "boot", "item_room", "store_room", "items", "stores", "sequence", "beat")
_HEADER_BYTES = 4096
_ITEM_IDS, _STORE_IDS, _VERSION, _FILLED, _ON_HAND, _AS_OF = range(6)
"""The sections in their order."""
_PAGE = 4096
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The stock of one store.

    on_hand: float32, (n_items,), 0 where there is no count.  as_of: int32, minute of each count, 0 where none.
    """

    on_hand: FloatVector
    as_of: MinuteVector


@dataclass(frozen=True, slots=True)
class Room:
    """How many items and stores a file can hold."""

    items: int
    stores: int


class StockFile:
    """An open stock file. One process may write at a time; readers see each cell as it was before or after a write.

    Args:
        path: of the file.
        writable: whether this process is the one that writes.
    Raises: FileNotFoundError; ValueError if it is no whole stock file of this format.
    """

    def __init__(self, path: Path, writable: bool = False) -> None:
        self._mode: Literal["r", "r+"] = "r+" if writable else "r"
        self._path = path
        with path.open("rb") as file:
            found = np.frombuffer(file.read(8 * len(_FIELDS)), np.int64)
            self.inode = os.fstat(file.fileno()).st_ino
            size = os.fstat(file.fileno()).st_size
        if len(found) != len(_FIELDS) or (found[0], found[1]) != (_MAGIC, FORMAT):
            raise ValueError("not a stock file of this format")
        self.room = Room(int(found[4]), int(found[5]))
        sections, end = _layout(self.room)
        if size != end:
            raise ValueError("the stock file is cut off")
        self._header = self._map(0, np.int64, (len(_FIELDS),))
        self._item_ids, self._store_ids, self._version, self._filled, self._on_hand, self._as_of = (
            self._map(offset, kind, shape) for offset, kind, shape in sections
        )
        self._stores: dict[str, int] = {}
        self._places = [(offset, int(np.prod(shape[1:])) * np.dtype(kind).itemsize) for offset, kind, shape in sections]
        self._handle = -1
        if writable:
            self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._handle)
            for place in (_VERSION, _FILLED):
                self._reserve(place, 0, self.room.stores)

    @classmethod
    def create(cls, path: Path, room: Room, origin: str) -> StockFile:
        """Make an empty file, sparse on the disk, and open it for writing; replaces nothing until it is renamed.

        Args:
            path: of the new file.
            room: what it can hold.
            origin: names the database that it follows.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            start = np.zeros(len(_FIELDS), np.int64)
            start[:6] = (_MAGIC, FORMAT, _number(origin), _number(_boot()), room.items, room.stores)
            file.write(start.tobytes())
            file.truncate(_layout(room)[1])
        return cls(path, writable=True)

    def fits(self, origin: str) -> bool:
        """Tell whether the file follows this database and was written since the machine started.

        After a power failure the pages of a file need not be of one moment.
        """
        return self._get("origin") == _number(origin) and self._get("boot") == _number(_boot())

    @property
    def sequence(self) -> int:
        """The change sequence up to which the file follows the database."""
        return self._get("sequence")

    @property
    def beat_seconds(self) -> float:
        """When the file was last known to be current, in seconds since 1970-01-01 UTC."""
        return self._get("beat") / 1000

    @property
    def item_count(self) -> int:
        """Number of items that have a column."""
        return self._get("items")

    @property
    def store_count(self) -> int:
        """Number of stores that have a row."""
        return self._get("stores")

    def item_ids(self, start: int = 0) -> list[str]:
        """Return the ids of the items from one on; item i has the column i + 1."""
        return [key.decode() for key in self._item_ids[start : self.item_count].tolist()]

    def store_ids(self, start: int = 0) -> list[str]:
        """Return the ids of the stores from one on."""
        return [key.decode() for key in self._store_ids[start : self.store_count].tolist()]

    def version(self, store_id: str) -> int | None:
        """Return a number that grows with every change of a store's stock; None if the store has no rows."""
        row = self._row(store_id)
        return None if row is None or not self._filled[row] else int(self._version[row])

    def shelf(self, store_id: str, columns: IntVector) -> Shelf | None:
        """Return the stock of a store in some columns, None if the store has no rows.

        Args:
            columns: int64, (n,), 0 for items without a column.
        """
        row = self._row(store_id)
        if row is None or not self._filled[row]:
            return None
        return Shelf(self._on_hand[row].take(columns), self._as_of[row].take(columns))

    def add_items(self, item_ids: Sequence[str]) -> None:
        """Give new items their columns; there must be room. Raises: OSError if the disk is full."""
        self._append(self._item_ids, "items", item_ids)

    def add_stores(self, store_ids: Sequence[str]) -> None:
        """Give new stores their rows; there must be room. Raises: OSError if the disk is full."""
        self._append(self._store_ids, "stores", store_ids)

    def put(self, row: int, columns: IntVector, on_hand: FloatVector, as_of: MinuteVector) -> None:
        """Write what one store has.

        Args:
            row: of the store.
            columns: int64, (n,), of the items.
            on_hand, as_of: (n,).
        Raises: OSError if the disk is full.
        """
        if not self._filled[row]:
            for place in (_ON_HAND, _AS_OF):
                self._reserve(place, row, 1)
        self._as_of[row, columns] = as_of
        self._on_hand[row, columns] = on_hand
        self._filled[row] = 1
        self._version[row] += 1

    def follow(self, sequence: int, now_seconds: float) -> None:
        """Note up to which change the file follows the database, and that it is current now."""
        self._header[_FIELDS.index("sequence")] = sequence
        self._header[_FIELDS.index("beat")] = int(now_seconds * 1000)

    def _map(self, offset: int, kind: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        mapped: npt.NDArray[Any] = np.memmap(self._path, kind, self._mode, offset, shape).view(np.ndarray)
        return mapped

    def _row(self, store_id: str) -> int | None:
        if len(self._stores) < self.store_count:
            self._stores = {name: row for row, name in enumerate(self.store_ids())}
        return self._stores.get(store_id)

    def _reserve(self, place: int, start: int, count: int) -> None:
        """Have the disk hold some entries of a section: writing to a page that it has no room for ends the process."""
        offset, size = self._places[place]
        if count:
            os.posix_fallocate(self._handle, offset + start * size, count * size)

    def _append(self, ids: npt.NDArray[Any], field: str, new: Sequence[str]) -> None:
        count = self._get(field)
        self._reserve(_ITEM_IDS if field == "items" else _STORE_IDS, count, len(new))
        ids[count : count + len(new)] = [name.encode() for name in new]
        # Readers take an id for written only once it is counted.
        self._header[_FIELDS.index(field)] = count + len(new)

    def _get(self, field: str) -> int:
        return int(self._header[_FIELDS.index(field)])


def _layout(room: Room) -> tuple[list[tuple[int, Any, tuple[int, ...]]], int]:
    """Return offset, type and shape of each section, and the size of the whole file."""
    cells = (room.stores, room.items + 1)
    key = np.dtype(f"S{MAX_ID_BYTES}")
    kinds: list[tuple[Any, tuple[int, ...]]] = [
        (key, (room.items,)),
        (key, (room.stores,)),
        (np.dtype(np.int64), (room.stores,)),
        (np.dtype(np.uint8), (room.stores,)),
        (np.dtype(np.float32), cells),
        (np.dtype(np.int32), cells),
    ]
    sections, offset = [], _HEADER_BYTES
    for kind, shape in kinds:
        sections.append((offset, kind, shape))
        offset += -(-int(np.prod(shape)) * kind.itemsize // _PAGE) * _PAGE
    return sections, offset


def _number(text: str) -> int:
    return zlib.crc32(text.encode())


def _boot() -> str:
    try:
        return _BOOT_ID.read_text()
    except OSError:
        return ""

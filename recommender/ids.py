"""IdIndex: external id <-> row number, as a sorted array that workers can share through a memory map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.errors import InputError

MAX_ID_BYTES = 128
"""Longest external id, in UTF-8 bytes."""

RowVector = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class IdIndex:
    """Ids in ascending UTF-8 order; the row of an id is its position, so ordering by row is ordering by id.

    `keys` is a bytes array of shape (n,), dtype "S<width>", sorted and without repeats.
    """

    keys: npt.NDArray[np.bytes_]

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdIndex:
        """Index distinct ids.

        Raises: InputError if an id is empty, longer than MAX_ID_BYTES or holds a NUL character.
        """
        encoded = sorted({check_id(value).encode() for value in ids})
        width = max((len(key) for key in encoded), default=1)
        return cls(np.array(encoded, dtype=f"S{width}"))

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, value: str) -> bool:
        return self.row(value) is not None

    def row(self, value: str) -> int | None:
        """Return the row of one id, or None if it is unknown."""
        key = _encode(value)
        if not key or len(key) > self.keys.dtype.itemsize:
            return None
        at = int(self.keys.searchsorted(np.bytes_(key)))
        return at if at < len(self.keys) and self.keys[at] == key else None

    def rows(self, values: Sequence[str]) -> tuple[RowVector, npt.NDArray[np.bool_]]:
        """Look up many ids.

        Returns: rows, int32, (k,), of the k known ids in the order given; known, bool, (len(values),).
        """
        if len(self.keys) == 0 or len(values) == 0:
            return np.empty(0, np.int32), np.zeros(len(values), bool)
        # Keys of another width would be copied for the comparison, so what is too long becomes empty: unknown.
        width = self.keys.dtype.itemsize
        keys = (_encode(value) for value in values)
        encoded = np.array([key if len(key) <= width else b"" for key in keys], self.keys.dtype)
        at = np.minimum(np.searchsorted(self.keys, encoded), len(self.keys) - 1)
        known = np.asarray(self.keys[at] == encoded) & (encoded != b"")
        return at[known].astype(np.int32), known

    def id(self, row: int) -> str:
        """Return the id at one row."""
        return bytes(self.keys[row]).decode()

    def ids(self, rows: npt.NDArray[np.integer]) -> list[str]:
        """Return the ids at many rows."""
        return [bytes(key).decode() for key in self.keys[rows]]


def check_id(value: str) -> str:
    """Return the id if it can be an external id.

    Raises: InputError otherwise.
    """
    if not 0 < len(_encode(value)) <= MAX_ID_BYTES:
        raise InputError(
            "An id cannot be used.",
            field="id",
            value=value,
            accepted=f"1 to {MAX_ID_BYTES} bytes of UTF-8 without NUL",
        )
    return value


def _encode(value: str) -> bytes:
    """Return the UTF-8 bytes of an id, or none of a text that cannot be one."""
    try:
        return b"" if "\0" in value else value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can carry
        return b""

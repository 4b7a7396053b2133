"""Scratch: scores of a campaign's members in files, written some members at a time, mapped into memory to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

KINDS: dict[str, str] = {"profit": "<f4", "cost": "<i8", "error": "<f4", "expected": "<f4", "redemption": "<f4"}
"""Matrices by name, and their types."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores of n members and k offers, all (n, k).

    profit: cents net of the contact, NaN = not eligible.  cost: thousandths of a cent, as plan_cost() makes it.
    error: standard error of the profit.  expected: expected cost, cents.  redemption: chance.
    """

    profit: npt.NDArray[np.float32]
    cost: npt.NDArray[np.int64]
    error: npt.NDArray[np.float32]
    expected: npt.NDArray[np.float32]
    redemption: npt.NDArray[np.float32]


class Scratch:
    """Scores of some groups of members, of k offers each, in a folder that somebody else removes."""

    def __init__(self, folder: Path, offers: int) -> None:
        self._folder = folder
        self._offers = offers
        self._files: dict[tuple[str, str], IO[bytes]] = {}
        self._rows: dict[str, int] = {}

    def add(self, group: str, part: Scored) -> None:
        """Write the scores of some more members of a group."""
        for name, kind in KINDS.items():
            file = self._files.get((group, name))
            if file is None:
                file = self._files[group, name] = self._path(group, name).open("wb")
            file.write(np.ascontiguousarray(getattr(part, name), kind).data)
        self._rows[group] = self._rows.get(group, 0) + len(part.profit)

    def read(self, group: str) -> Scored:
        """Return all scores of a group, mapped; nothing is written any more."""
        for file in self._files.values():
            file.close()
        shape = (self._rows.get(group, 0), self._offers)
        parts: dict[str, Any] = {
            name: np.memmap(self._path(group, name), kind, "r", shape=shape) if all(shape) else np.empty(shape, kind)
            for name, kind in KINDS.items()
        }
        return Scored(**parts)

    def _path(self, group: str, name: str) -> Path:
        return self._folder / f"{group}.{name}"

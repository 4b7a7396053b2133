"""Prepared: what ranks best for each member, found at training, so that serving only applies the rules of now.

It answers for members about whom nothing new is known; everybody else is ranked anew.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recommender.query import Ready, Scenario

Array = npt.NDArray[np.generic]
RowVector = npt.NDArray[np.int32]

SCENARIOS = (Scenario.HOME, Scenario.BUY_AGAIN, Scenario.DISCOVER)
"""Placements that are prepared: those about a member and nothing else."""
WIDTH = 60
"""Candidates kept per member and placement."""
MOST_WANTED = 30
"""Longest slate made of them: rules need some to choose from."""
_PREFIX = "prepared."
_ARRAYS = ("person", "check", "peers", "row", "score", "source", "company", "partner")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The best candidates of members, before all rules but the placement's own.

    person: int32, (n,), rising: the lowest subject row of each member.
    check: uint32, (n,), of all the member's subject rows: a member whose links changed since is another.
    peers: uint16, (n,), how many similar members were asked for each member.
    row: int32, (n, len(SCENARIOS), WIDTH), by falling worth; -1 after the last.
    score: float32, likewise.  source: uint8, likewise: position of the retriever in `names`.
    company: uint16, likewise: how many of the similar members have the item.
    partner: int32, likewise: the item of the history that speaks most for it; -1 where none does.
    names: of all retrievers.
    """

    person: RowVector
    check: npt.NDArray[np.uint32]
    peers: npt.NDArray[np.uint16]
    row: npt.NDArray[np.int32]
    score: npt.NDArray[np.float32]
    source: npt.NDArray[np.uint8]
    company: npt.NDArray[np.uint16]
    partner: RowVector
    names: tuple[str, ...]

    def of(self, scenario: Scenario, subjects: Sequence[int]) -> Ready | None:
        """Return what is prepared for a member, None if nothing is.

        Args:
            scenario: the placement.
            subjects: the rows of the member's subjects, rising.
        """
        if scenario not in SCENARIOS or not subjects or not len(self.person):
            return None
        # Of the same type: the whole array would be copied for a wider number.
        at = int(np.searchsorted(self.person, np.int32(subjects[0])))
        if at == len(self.person) or self.person[at] != subjects[0] or self.check[at] != check_of(subjects):
            return None
        number = SCENARIOS.index(scenario)
        row = self.row[at, number]
        part = (at, number, slice(0, int(np.count_nonzero(row >= 0))))
        source, company = self.source[part].astype(np.int64), self.company[part].astype(np.int64)
        company_of = company, int(self.peers[at])
        return Ready(self.row[part], self.score[part], source, self.names, company_of, self.partner[part])

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of a bundle from which from_arrays() makes the same."""
        return {f"{_PREFIX}{name}": getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], names: tuple[str, ...]) -> Self | None:
        """Make it from a bundle's arrays, None if the bundle has nothing prepared, or not all that belongs to it.

        Args:
            arrays: of the bundle.
            names: of its retrievers, in order.
        """
        if any(f"{_PREFIX}{name}" not in arrays for name in _ARRAYS):
            return None
        person, check, peers, row, score, source, company, partner = (arrays[f"{_PREFIX}{name}"] for name in _ARRAYS)
        return cls(
            person.astype(np.int32, copy=False),
            check.astype(np.uint32, copy=False),
            peers.astype(np.uint16, copy=False),
            row.astype(np.int32, copy=False),
            score.astype(np.float32, copy=False),
            source.astype(np.uint8, copy=False),
            company.astype(np.uint16, copy=False),
            partner.astype(np.int32, copy=False),
            names,
        )


def check_of(subjects: Sequence[int]) -> int:
    """Return a number that tells sets of subjects apart.

    Args:
        subjects: their rows, rising.
    """
    return zlib.crc32(np.array(subjects, np.int32).tobytes())

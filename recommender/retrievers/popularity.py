"""Popularity: what many members buy, overall, in the member's store, and lately more than before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Candidates
from recommender.query import Batch
from recommender.retrievers.base import State

RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
BoolVector = npt.NDArray[np.bool_]

PLACES_KEPT = 10_000
"""Most places of items remembered for the lists of one retriever."""


@dataclass(frozen=True, slots=True)
class RankedLists:
    """Prepared lists: list i is indptr[i]:indptr[i + 1], best first.

    indptr: int64, (n_lists + 1,).  row: int32, (n,).  score: float32, (n,), falling within a list.
    _places: places that were asked for, by list and row, 0 = in no place: the same few are, again and again.
    """

    indptr: IntVector
    row: RowVector
    score: FloatVector
    _places: dict[tuple[int, int], int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def take(self, which: Sequence[int | None], allowed: Sequence[BoolVector | None], count: int) -> Candidates:
        """Return the first allowed items of list which[i] for query i, or nothing where which[i] is None."""
        heads = [self._head(number, mask, count) for number, mask in zip(which, allowed, strict=True)]
        indptr = np.concatenate(([0], np.cumsum([len(head) for head in heads]))).astype(np.int64)
        at = np.concatenate(heads)
        return Candidates(indptr, self.row[at], self.score[at])

    def _head(self, number: int | None, mask: BoolVector | None, count: int) -> IntVector:
        """Return the positions of the first `count` allowed items of one list."""
        if number is None:
            return np.empty(0, np.int64)
        start, stop = int(self.indptr[number]), int(self.indptr[number + 1])
        if mask is None:
            return np.arange(start, min(stop, start + count))
        near = min(stop, start + 4 * count)
        found = start + np.flatnonzero(mask[self.row[start:near]])[:count]
        if len(found) < count and near < stop:
            found = start + np.flatnonzero(mask[self.row[start:stop]])[:count]
        return found

    def place(self, number: int, row: int) -> int | None:
        """Return the place of an item in a list, 1 = first; None if it is not in it."""
        key = (number, row)
        place = self._places.get(key)
        if place is None:
            found = np.flatnonzero(self.row[int(self.indptr[number]) : int(self.indptr[number + 1])] == row)
            place = int(found[0]) + 1 if len(found) else 0
            if len(self._places) >= PLACES_KEPT:
                self._places.clear()
            self._places[key] = place
        return place or None

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays by name."""
        return {"indptr": self.indptr, "row": self.row, "score": self.score}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the lists from the arrays of a state."""
        arrays = state.arrays
        return cls(
            arrays["indptr"].astype(np.int64, copy=False),
            arrays["row"].astype(np.int32, copy=False),
            arrays["score"].astype(np.float32, copy=False),
        )


@dataclass(frozen=True, slots=True)
class PopularityRetriever:
    """Buyers per item, decayed by age; `lists` holds one list, of every item, so that a slate can always be filled."""

    name: ClassVar[str] = "popularity"
    lists: RankedLists

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return the same head of the list for every query."""
        return self.lists.take([0] * len(batch), batch.allowed, count)

    def order(self) -> RowVector:
        """Return every item, most popular first."""
        return self.lists.row

    def state(self) -> State:
        """Return the fitted state."""
        return State(self.lists.arrays())

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(RankedLists.from_state(state))


@dataclass(frozen=True, slots=True)
class StorePopularityRetriever:
    """Buyers per item within a store, shrunk towards all stores; one list per store row."""

    name: ClassVar[str] = "store_popularity"
    lists: RankedLists

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return the head of the store's list for queries that name a store."""
        which = [int(row) if known else None for row, known in zip(batch.store_row, batch.has_store, strict=True)]
        return self.lists.take(which, batch.allowed, count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(self.lists.arrays())

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(RankedLists.from_state(state))


@dataclass(frozen=True, slots=True)
class TrendingRetriever:
    """Items bought by more members lately than their own past lets expect."""

    name: ClassVar[str] = "trending"
    lists: RankedLists

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return the same head of the list for every query."""
        return self.lists.take([0] * len(batch), batch.allowed, count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(self.lists.arrays())

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(RankedLists.from_state(state))

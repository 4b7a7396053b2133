"""Occasion: items that stand out on this weekday, or at this time of the year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Candidates
from recommender.history import MINUTES_PER_DAY
from recommender.query import Batch
from recommender.retrievers.base import State
from recommender.retrievers.popularity import RankedLists

IntVector = npt.NDArray[np.int64]

DAYS_PER_WEEK = 7
FIRST_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""
SEASON_DAYS = 14
SEASONS = 27
"""Parts of a year of SEASON_DAYS, the last one shorter."""


@dataclass(frozen=True, slots=True)
class OccasionRetriever:
    """Scores items by how far their sales on the present weekday and in the present season exceed their usual.

    lists: one per season and weekday, in this order.
    day_offset_minutes: what to add to a minute to make local days begin at multiples of a day.
    """

    name: ClassVar[str] = "occasion"
    lists: RankedLists
    day_offset_minutes: int

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return the head of the list of the present occasion."""
        which = self.occasions(batch.as_of[batch.history_of])
        return self.lists.take(which.tolist(), batch.allowed, count)

    def occasions(self, minute: npt.NDArray[np.int32]) -> IntVector:
        """Return the number of the list of each minute, int64, (n,)."""
        day = (minute.astype(np.int64) + self.day_offset_minutes) // MINUTES_PER_DAY
        return season_of(day) * DAYS_PER_WEEK + weekday_of(day)

    def state(self) -> State:
        """Return the fitted state."""
        return State(self.lists.arrays(), {"day_offset_minutes": self.day_offset_minutes})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(RankedLists.from_state(state), int(state.number("day_offset_minutes")))


def weekday_of(day: IntVector) -> IntVector:
    """Return the weekday of days since 1970-01-01, Monday = 0."""
    return (day + FIRST_WEEKDAY) % DAYS_PER_WEEK


def season_of(day: IntVector) -> IntVector:
    """Return the part of the year in which days since 1970-01-01 lie, from 0 to SEASONS - 1."""
    date = day.astype("datetime64[D]")
    days: IntVector = (date - date.astype("datetime64[Y]")).astype(np.int64)
    season: IntVector = days // SEASON_DAYS
    return season

"""Diversity and calibration: how a slate spreads over categories, and over what was bought before and what was not.

Both only reorder what the ranker has ordered, each by one number; 0 leaves the ranker's order as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE
from recommender.query import Query, Scenario
from recommender.retrievers.base import Json, State, as_number, as_table

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]

HEAD = 200
"""Candidates of a slate that are reordered, the best."""


@dataclass(frozen=True, slots=True)
class Diversity:
    """Category-aware reordering: an item is worth less for every better one of its category or section.

    The worth of the candidate at rank r is (1 - strength) ** (n + m / 2) / log2(r + 2), with n better candidates of
    the same category and m of the same section. Choosing the worthiest candidate again and again, each choice
    devaluing its category, gives the same order.

    strength: by scenario, in [0, 1); scenarios that are not named keep the ranker's order.
    kinds: int32, (2, n_items), category and section of each item; 0 = none.
    Source: Carbonell and Goldstein (1998), maximal marginal relevance, with categories as the similarity.
    """

    strength: Mapping[Scenario, float]
    kinds: RowVector

    def order(self, scenario: Scenario, row: RowVector, chosen: float | None = None) -> IntVector:
        """Return the order in which candidates are shown.

        Args:
            scenario: the placement.
            row: int32, (n,), the candidates, best first.
            chosen: a strength in place of the scenario's; None leaves that.
        Returns: int64, (n,), positions; the worthiest first.
        """
        strength = self.strength.get(scenario, 0.0) if chosen is None else chosen
        if strength <= 0 or not len(row) or not self.kinds.shape[1]:
            return np.arange(len(row))
        head = row[:HEAD]
        category, section = (earlier_alike(kind[head]) for kind in self.kinds)
        worth = (1 - strength) ** (category + section / 2) / np.log2(np.arange(len(head)) + 2)
        return np.concatenate((np.argsort(-worth, kind="stable"), np.arange(len(head), len(row))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Keeps the share of items a member never bought near the member's own, at every position of `home`.

    strength: in [0, 1], the part of both shares that a slate must hold; 0 leaves the ranker's order.
    novel_share: everybody's share of novel items among those bought in a period.
    prior: items that this is worth beside a member's own; > 0.
    period_days: the recent period in which a member's own share is counted; > 0.
    Source: Steck (2018), "Calibrated recommendations", with two classes and a bound in place of a penalty.
    """

    strength: float
    novel_share: float
    prior: float
    period_days: float

    def share(self, history: Histories, as_of: int) -> float:
        """Return the share of novel items among what a member bought lately, leaning on everybody's.

        Args:
            history: one segment.
            as_of: the present, minutes since 1970-01-01 UTC.
        """
        bought = history.kind == PURCHASE_CODE
        row, minute = history.item_row[bought], history.minute[bought]
        recent = minute >= as_of - self.period_days * MINUTES_PER_DAY
        if recent.all():  # without a past everything would look novel
            return self.novel_share
        items = np.unique(row[recent])
        novel = len(items) - len(np.intersect1d(items, row[~recent]))
        return (novel + self.prior * self.novel_share) / (len(items) + self.prior)

    def order(self, novel: BoolVector, share: float, count: int) -> IntVector:
        """Return the order in which candidates are shown.

        Args:
            novel: bool, (n,), of the candidates in the order given, best first: never bought by the member.
            share: the member's share of novel items, from share().
            count: items of the slate; what follows keeps its order.
        Returns: int64, (n,), positions. Every head of k items holds at least the whole part of
            strength * share * k novel ones, and of strength * (1 - share) * k others, while there are any.
        """
        if self.strength <= 0:
            return np.arange(len(novel))
        fresh, known = np.flatnonzero(novel), np.flatnonzero(~novel)
        shown: list[int] = []
        f = k = 0
        while len(shown) < min(count, len(novel)):
            size = len(shown) + 1
            want_fresh = f < len(fresh) and f < int(self.strength * share * size + 1e-9)
            want_known = k < len(known) and k < int(self.strength * (1 - share) * size + 1e-9)
            better = k >= len(known) or (f < len(fresh) and fresh[f] < known[k])
            if want_fresh or (better and not want_known):
                shown.append(int(fresh[f]))
                f += 1
            else:
                shown.append(int(known[k]))
                k += 1
        rest = np.sort(np.concatenate((fresh[f:], known[k:])))
        return np.concatenate((np.array(shown, np.int64), rest))


@dataclass(frozen=True, slots=True)
class Spread:
    """How the slates of a bundle spread: diversity, then calibration."""

    diversity: Diversity
    calibration: Calibration

    def order(self, query: Query, row: RowVector) -> IntVector:
        """Return the order in which a query's candidates are shown.

        Args:
            query: for whom and where.
            row: int32, (n,), the candidates, best first.
        Returns: int64, (n,), positions.
        """
        if query.arrangement.plain:
            return np.arange(len(row))
        order = self.diversity.order(query.scenario, row, query.arrangement.diversity)
        calibration, repeat_share, history = self.calibration, query.arrangement.repeat_share, query.history
        fitted = calibration.strength > 0 and query.scenario is Scenario.HOME
        if not (fitted or repeat_share is not None) or not query.personal:
            return order
        bought = history.item_row[history.kind == PURCHASE_CODE]
        if not len(bought):
            return order
        novel = ~np.isin(row[order], bought)
        if repeat_share is not None:
            return order[replace(calibration, strength=1.0).order(novel, 1.0 - repeat_share, query.count)]
        return order[calibration.order(novel, calibration.share(history, query.as_of), query.count)]

    def state(self) -> State:
        """Return what from_state() needs to make the same spread."""
        strength: dict[str, Json] = {str(name): value for name, value in self.diversity.strength.items()}
        part = self.calibration
        calibration: dict[str, Json] = {entry.name: getattr(part, entry.name) for entry in fields(part)}
        return State({"kinds": self.diversity.kinds}, {"diversity": strength, "calibration": calibration})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the spread from its state."""
        strength = as_table(state.settings["diversity"])
        return cls(
            Diversity(
                {Scenario(name): as_number(value) for name, value in strength.items()},
                state.arrays["kinds"].astype(np.int32, copy=False),
            ),
            Calibration(**{name: as_number(value) for name, value in as_table(state.settings["calibration"]).items()}),
        )


NO_SPREAD = Spread(Diversity({}, np.zeros((2, 0), np.int32)), Calibration(0.0, 0.5, 1.0, 28.0))
"""Leaves every order as the ranker makes it."""


def earlier_alike(kind: RowVector) -> IntVector:
    """Return how many earlier entries have the same number, int64, (n,); 0 is alike to nothing."""
    order = np.argsort(kind, kind="stable")
    ordered = kind[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    place = np.arange(len(kind)) - np.repeat(starts, np.diff(np.append(starts, len(kind))))
    earlier = np.empty(len(kind), np.int64)
    earlier[order] = place
    earlier[kind == 0] = 0
    return earlier


def falling(score: FloatVector) -> FloatVector:
    """Return scores that do not rise: after reordering, an item is at most what stands before it."""
    return np.minimum.accumulate(score)

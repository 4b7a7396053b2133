"""Newcomers: items that came after the models, placed by the items they are like and by what just happened to them.

Each newcomer has a few donors: items of the models of its category, nearer ones of its brand and price, and those that
the retailer says it replaces or can stand in for. Where a donor ranks high for a customer, so does the newcomer, a
little lower: so it follows the customer's taste in every scenario without a model of its own. Lately popular ones
need no donor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.candidates import Slate
from recommender.diversity import falling
from recommender.likeness import Likeness
from recommender.query import CONTEXT_SCENARIOS, Query, Scenario

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

NAME = "newcomers"
"""What slates name as the source of these items."""
MOST_AT_ONCE = 100
"""How many more newcomers than items asked for are looked at: boosts may put others first."""
STRIDE = 5
"""At most one place of so many is a newcomer's: nobody has proved that they sell."""
NEWEST = 1.05
"""What a newcomer is worth beside the best item that the models call new, where new items are asked for."""
BUZZ, TREND = 0.7, 1.4
"""What a newcomer that everybody wants is worth beside the best item, and where trends are asked for."""


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Items newer than the models, for queries.

    buzz: float32, (n_new,), in [0, 1): how much has lately happened to each.
    """

    likeness: Likeness
    buzz: FloatVector

    def find(
        self, query: Query, row: RowVector, score: FloatVector, allowed: BoolVector | None
    ) -> tuple[RowVector, FloatVector]:
        """Return the newcomers that a query may hold, best first, with scores on the scale of its candidates.

        Args:
            query: the question.
            row, score: its candidates before the rules, aligned: also what is sold out says what a customer likes.
            allowed: bool, (all items,), None for all.
        """
        top = np.float32(score.max(initial=0.0)) or np.float32(1)
        if query.scenario in (Scenario.DISCOVER, Scenario.NEW) and query.personal:
            # What was bought is no candidate here, yet it says best what the customer likes.
            known = np.unique(query.history.item_row).astype(np.int32)
            row = np.concatenate((row, known))
            score = np.concatenate((score, np.full(len(known), top, np.float32)))
        value = self._inherited(row, score)
        if query.scenario is Scenario.BUY_AGAIN:
            value[~np.isin(np.arange(len(value)) + self.likeness.first, list(self.likeness.replaces))] = 0
        elif query.scenario not in CONTEXT_SCENARIOS:
            worth = TREND if query.scenario is Scenario.TRENDING else BUZZ
            value = np.maximum(value, np.float32(worth * top) * self.buzz)
        if query.scenario is Scenario.NEW:
            value += np.float32(NEWEST) * top
        rows = self.likeness.first + np.flatnonzero(value > 0)
        if allowed is not None:
            rows = rows[allowed[rows]]
        found = value[rows - self.likeness.first]
        order = np.lexsort((rows, -found))[: MOST_AT_ONCE + query.count]
        return rows[order].astype(np.int32), found[order]

    def join(self, query: Query, slate: Slate, row: RowVector, score: FloatVector, allowed: BoolVector | None) -> Slate:
        """Return a slate with the newcomers that belong into it; the other arguments as for find()."""
        found, value = self.find(query, row, score, allowed)
        if not len(found):
            return slate
        value = query.arrangement.boosted(found, value)
        order = self.order(query, slate.score, found, value)
        rows, scores = np.concatenate((slate.row, found)), np.concatenate((slate.score, value))
        names = (*slate.source, *[NAME] * len(found))
        return replace(
            slate,
            row=rows[order],
            score=falling(scores[order]),
            source=tuple(names[place] for place in order.tolist()),
        )

    def _inherited(self, row: RowVector, score: FloatVector) -> FloatVector:
        """Return the score that each newcomer has from its best donor, 0 for none."""
        donors = self.likeness.donors
        value = np.zeros(donors.shape[1], np.float32)
        starts = donors.indptr[row]
        sizes = donors.indptr[row + 1] - starts
        ends = np.cumsum(sizes)
        if not len(ends) or ends[-1] == 0:
            return value
        entries = np.arange(int(ends[-1])) + np.repeat(starts - (ends - sizes), sizes)
        np.maximum.at(value, donors.indices[entries], donors.data[entries] * np.repeat(score, sizes))
        return value

    def order(self, query: Query, score: FloatVector, found: RowVector, value: FloatVector) -> npt.NDArray[np.int64]:
        """Return the order of a slate with newcomers: positions in (slate, newcomers), at most as many as asked for.

        Those that replace an item stand where it would; of the others one in STRIDE, wherever new items are asked
        for any number, and all that fit where the slate is short.

        Args:
            query: the question.
            score: of the slate without newcomers, falling.
            found, value: the newcomers, best first.
        """
        freely = query.scenario is Scenario.NEW
        worth = np.concatenate((score, value))
        is_guest = [False] * len(score)
        is_guest += [not freely and row not in self.likeness.replaces for row in found.tolist()]
        by_worth = np.argsort(-worth, kind="stable").tolist()
        keen = [place for place in by_worth if not is_guest[place]]
        guests = [place for place in by_worth if is_guest[place]]
        shown: list[int] = []
        let_in = 0
        for place in keen:
            if let_in < len(guests) and let_in < (len(shown) + 1) // STRIDE and worth[guests[let_in]] > worth[place]:
                shown.append(guests[let_in])
                let_in += 1
            shown.append(place)
        return np.array([*shown, *guests[let_in:]][: query.count], np.int64)

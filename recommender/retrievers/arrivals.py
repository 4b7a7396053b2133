"""Arrivals: items that are new, matched to the categories, brands and price levels a member buys and browses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Candidates, keep_best, only_allowed
from recommender.interactions import Weights
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to

RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float32]

PRICE_SHARE = 0.25
"""What a member's share of a price level is worth beside their share of a category or brand."""


@dataclass(frozen=True, slots=True)
class ArrivalRetriever:
    """Scores new items by the member's share of their category and brand, and less so of their price level.

    category_row, brand_row, level_row: int32, (n_items,), content of every item; 0 means none. A price level is
        cheap, middle or dear among the items of the category.
    arrival_row: int32, (n_arrivals,), rows of the new items, rising.
    arrival_score: float32, (n_arrivals,), in (0, 1]: what an arrival is worth to a member of unknown taste.
    arrival_minute: int32, (n_arrivals,), when each came into the range; empty in bundles that do not say.
    """

    name: ClassVar[str] = "arrivals"
    weights: Weights
    browse_weight: float
    category_row: RowVector
    brand_row: RowVector
    level_row: RowVector
    arrival_row: RowVector
    arrival_score: FloatVector
    arrival_minute: RowVector

    def since(self, row: int) -> int | None:
        """Return the minute at which a new item came into the range, None if it is not known or not new."""
        at = int(np.searchsorted(self.arrival_row, row))
        known = at < len(self.arrival_minute) and self.arrival_row[at] == row
        return int(self.arrival_minute[at]) if known else None

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return new items, those of the member's categories, brands and price levels first."""
        pairs = batch.pairs(self.weights)
        weight = pairs.purchased + np.float32(self.browse_weight) * pairs.browsed
        n_new = len(self.arrival_row)
        n_histories = len(batch.histories)
        score = np.repeat(self.arrival_score[None, :], n_histories, axis=0)
        for content, worth in ((self.category_row, 1), (self.brand_row, 1), (self.level_row, PRICE_SHARE)):
            score += np.float32(worth) * self._taste(content, pairs.query, pairs.item_row, weight, n_histories)
        score = score[batch.history_of]
        query = np.repeat(np.arange(len(batch)), n_new)
        row = np.tile(self.arrival_row, len(batch))
        kept = only_allowed(query, row, batch.allowed)
        return keep_best(query[kept], row[kept], score.ravel()[kept], len(batch), count)

    def _taste(
        self,
        content: RowVector,
        history: npt.NDArray[np.int64],
        item_row: RowVector,
        weight: FloatVector,
        n_histories: int,
    ) -> npt.NDArray[np.float32]:
        """Return the member's share of each arrival's category (or brand), float32, (n_histories, n_arrivals)."""
        n_values = int(content.max(initial=0)) + 1
        cells = history * n_values + content[item_row]
        share = np.bincount(cells, weight, n_histories * n_values).reshape(n_histories, n_values)
        share[:, 0] = 0
        total = np.maximum(share.sum(axis=1, keepdims=True), 1e-9)
        return np.asarray((share / total)[:, content[self.arrival_row]], np.float32)

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            {
                "category_row": self.category_row,
                "brand_row": self.brand_row,
                "level_row": self.level_row,
                "arrival_row": self.arrival_row,
                "arrival_score": self.arrival_score,
                "arrival_minute": self.arrival_minute,
            },
            {"weights": weights_to(self.weights), "browse_weight": self.browse_weight},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state; older bundles know no price levels and no days."""
        category_row = state.arrays["category_row"].astype(np.int32, copy=False)
        return cls(
            state.weights(),
            state.number("browse_weight"),
            category_row,
            state.arrays["brand_row"].astype(np.int32, copy=False),
            state.arrays.get("level_row", np.zeros_like(category_row)).astype(np.int32, copy=False),
            state.arrays["arrival_row"].astype(np.int32, copy=False),
            state.arrays["arrival_score"].astype(np.float32, copy=False),
            state.arrays.get("arrival_minute", np.empty(0, np.int32)).astype(np.int32, copy=False),
        )

"""Repeat: what the member bought before, by decayed frequency and by when it is due again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Candidates, keep_best, only_allowed
from recommender.history import MINUTES_PER_DAY
from recommender.interactions import Pairs, Weights
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to

FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RepeatRetriever:
    """Scores bought items by decayed purchase frequency times how due they are.

    weights: the decay of purchases.
    product_row: int32, (n_items,), the same for all packs of a product: they share one buying rhythm.
    item_interval_days: float32, (n_items,), each product's usual days between two purchases by one member.
    due_edges: float32, (k,), rising bounds of the due ratio (days since the last purchase / interval).
    due_lift: float32, (k + 1,), how much likelier than average a purchase is within each range of the ratio.
    prior_gaps: how many gaps of the member's own the item's usual interval is worth.
    """

    name: ClassVar[str] = "repeat"
    weights: Weights
    product_row: RowVector
    item_interval_days: FloatVector
    due_edges: FloatVector
    due_lift: FloatVector
    prior_gaps: float

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return bought items, likeliest to be bought again first."""
        pairs = batch.pairs(self.weights)
        rhythm = share_rhythm(pairs, self.product_row)
        ratio = due_ratio(rhythm, batch.as_of, self.item_interval_days, self.prior_gaps)
        score = pairs.purchased * self.due_lift[np.searchsorted(self.due_edges, ratio)]
        query, at = batch.spread(pairs.indptr)
        row, score = pairs.item_row[at], score[at]
        kept = (score > 0) & only_allowed(query, row, batch.allowed)
        return keep_best(query[kept], row[kept], score[kept], len(batch), count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            {
                "product_row": self.product_row,
                "item_interval_days": self.item_interval_days,
                "due_edges": self.due_edges,
                "due_lift": self.due_lift,
            },
            {"weights": weights_to(self.weights), "prior_gaps": self.prior_gaps},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(
            state.weights(),
            state.arrays["product_row"].astype(np.int32, copy=False),
            state.arrays["item_interval_days"].astype(np.float32, copy=False),
            state.arrays["due_edges"].astype(np.float32, copy=False),
            state.arrays["due_lift"].astype(np.float32, copy=False),
            state.number("prior_gaps"),
        )


def share_rhythm(pairs: Pairs, product_row: RowVector) -> Pairs:
    """Return pairs whose purchase count, first and last purchase are those of all packs of the product.

    Args:
        pairs: (n,) pairs.
        product_row: int32, (n_items,), the same for all packs of a product.
    """
    product = product_row[pairs.item_row]
    if np.array_equal(product, pairs.item_row):
        return pairs
    key = pairs.query * (int(product.max()) + 1) + product
    _, group = np.unique(key, return_inverse=True)
    n_groups = int(group.max()) + 1
    bought = pairs.bought > 0
    first = np.full(n_groups, np.iinfo(np.int32).max, np.int32)
    last = np.full(n_groups, np.iinfo(np.int32).min, np.int32)
    np.minimum.at(first, group[bought], pairs.first[bought])
    np.maximum.at(last, group[bought], pairs.last[bought])
    count = np.bincount(group, pairs.bought, n_groups).astype(np.float32)
    return replace(
        pairs,
        bought=np.where(bought, count[group], pairs.bought),
        first=np.where(bought, first[group], pairs.first),
        last=np.where(bought, last[group], pairs.last),
    )


def due_ratio(
    pairs: Pairs, as_of: npt.NDArray[np.int32], item_interval_days: FloatVector, prior_gaps: float
) -> FloatVector:
    """Return the days since the last purchase over the expected days between purchases.

    The interval is the member's own mean gap, shrunk towards the item's usual one by `prior_gaps`.

    Args:
        pairs: (n,) pairs; those never bought get a ratio that means nothing.
        as_of: int32, (n_queries,), minutes.
        item_interval_days: float32, (n_items,), > 0.
        prior_gaps: > 0.
    Returns: float32, (n,), >= 0.
    """
    gaps = np.maximum(pairs.bought - 1, 0)
    own_days = (pairs.last - pairs.first).astype(np.float32) / MINUTES_PER_DAY
    interval = (own_days + prior_gaps * item_interval_days[pairs.item_row]) / (gaps + prior_gaps)
    since = (as_of[pairs.query] - pairs.last).astype(np.float32) / MINUTES_PER_DAY
    return (since / np.maximum(interval, 1.0)).astype(np.float32)

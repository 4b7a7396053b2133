"""Browsed: what the member viewed, favoured or put into a basket lately, bought before or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from recommender.candidates import Candidates, keep_best, only_allowed
from recommender.interactions import Weights
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to


@dataclass(frozen=True, slots=True)
class BrowsedRetriever:
    """Scores items by the decayed weight of the member's own browsing."""

    name: ClassVar[str] = "browsed"
    weights: Weights

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return browsed items, strongest interest first."""
        pairs = batch.pairs(self.weights)
        query, at = batch.spread(pairs.indptr)
        row, score = pairs.item_row[at], pairs.browsed[at]
        kept = (score > 0) & only_allowed(query, row, batch.allowed)
        return keep_best(query[kept], row[kept], score[kept], len(batch), count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(settings={"weights": weights_to(self.weights)})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(state.weights())

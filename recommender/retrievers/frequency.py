"""Frequency: what the member bought before, by decayed frequency alone; the strongest plain signal in groceries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from recommender.candidates import Candidates, keep_best, only_allowed
from recommender.interactions import Weights
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to


@dataclass(frozen=True, slots=True)
class FrequencyRetriever:
    """Scores bought items by the decayed weight of the member's own purchases."""

    name: ClassVar[str] = "frequency"
    weights: Weights

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return bought items, those bought most and last first."""
        pairs = batch.pairs(self.weights)
        query, at = batch.spread(pairs.indptr)
        row, score = pairs.item_row[at], pairs.purchased[at]
        kept = (score > 0) & only_allowed(query, row, batch.allowed)
        return keep_best(query[kept], row[kept], score[kept], len(batch), count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(settings={"weights": weights_to(self.weights)})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(state.weights())

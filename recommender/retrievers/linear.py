"""Linear: items that others' whole histories predict from what is in this one (a linear item-item model)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import scipy.sparse as sp

from recommender.candidates import Candidates
from recommender.interactions import Weights, heaviest, matrix_of
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to
from recommender.retrievers.neighbors import best_of, damped, matrix_arrays, matrix_from, score_items


@dataclass(frozen=True, slots=True)
class LinearRetriever:
    """Scores items by the summed coefficients of what the member bought or browsed.

    Unlike similarities, coefficients are learned together: an item that explains what others also explain counts
    once, and an item that speaks against another has a negative coefficient.

    history_items: the heaviest items of a history that count.
    coefficients: float32 CSR, (n_items, n_items), row i holds what item i says of others, itself left out.
    """

    name: ClassVar[str] = "linear"
    weights: Weights
    browse_weight: float
    history_items: int
    coefficients: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return the items that the whole history predicts; what it speaks against is left out."""
        history = matrix_of(batch.pairs(self.weights), self.coefficients.shape[0], self.browse_weight)
        history = damped(heaviest(history, self.history_items))
        return best_of(score_items(history, self.coefficients), batch, count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            matrix_arrays(self.coefficients),
            {
                "weights": weights_to(self.weights),
                "browse_weight": self.browse_weight,
                "history_items": self.history_items,
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(
            state.weights(), state.number("browse_weight"), int(state.number("history_items")), matrix_from(state)
        )

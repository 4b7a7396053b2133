"""Together: what is bought in the same order as a basket's items, or as what the member bought lately."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp

from recommender.candidates import Candidates, either
from recommender.interactions import Weights, heaviest, matrix_of
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to
from recommender.retrievers.neighbors import best_of, damped, matrix_arrays, matrix_from, score_items
from recommender.retrievers.similar import near_context


@dataclass(frozen=True, slots=True)
class TogetherRetriever:
    """Scores items by how much more often than by chance they share an order with the items asked about.

    Those are the items of the request's context; without one, what the member bought lately.

    weights: fade purchases quickly, so that the last orders count.
    history_items: the heaviest items of a history that count.
    affinity: float32 CSR, (n_items, n_items), row i holds what is bought with item i, itself left out.
    """

    name: ClassVar[str] = "together"
    weights: Weights
    history_items: int
    affinity: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return what goes with the context, or with the last orders."""
        return partners(batch, self.affinity, self._recent, count)

    def _recent(self, batch: Batch) -> sp.csr_matrix:
        """Return the damped weights of what was bought lately, float32 CSR, (n_histories, n_items)."""
        history = matrix_of(batch.pairs(self.weights), self.affinity.shape[0], browse_weight=0)
        return damped(heaviest(history, self.history_items))

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            matrix_arrays(self.affinity), {"weights": weights_to(self.weights), "history_items": self.history_items}
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(state.weights(), int(state.number("history_items")), matrix_from(state))


def partners(batch: Batch, matrix: sp.csr_matrix, history: Callable[[Batch], sp.csr_matrix], count: int) -> Candidates:
    """Return the best partners of the context's items; of the history's for queries without a context.

    Args:
        batch: the queries.
        matrix: float32 CSR, (n_items, n_items), partners by item.
        history: gives the weights of what each history asks for, float32 CSR, (n_histories, n_items).
        count: most candidates per query; > 0.
    """
    has_context = np.array([len(context) > 0 for context in batch.contexts], bool)
    if has_context.all():
        return near_context(matrix, batch, count)
    own = best_of(score_items(history(batch), matrix), batch, count)
    return either(has_context, near_context(matrix, batch, count), own) if has_context.any() else own

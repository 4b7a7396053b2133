"""Converted: what members buy who looked at the same items (from views and baskets to purchases)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import scipy.sparse as sp

from recommender.candidates import Candidates
from recommender.interactions import Weights, heaviest, matrix_of
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to
from recommender.retrievers.neighbors import damped, matrix_arrays, matrix_from
from recommender.retrievers.together import partners


@dataclass(frozen=True, slots=True)
class ConvertedRetriever:
    """Scores items by how much more often than by chance they are bought by those who browsed the items asked about.

    Those are the items of the request's context; without one, what the member browsed lately. The browsed items
    themselves are the `browsed` retriever's business, unless another of them speaks for them.

    weights: only browsing weighs.
    history_items: the heaviest items of a history that count.
    purchases: float32 CSR, (n_items, n_items), row i holds what those buy who browse item i, itself left out.
    """

    name: ClassVar[str] = "converted"
    weights: Weights
    history_items: int
    purchases: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return what is bought after such browsing."""
        return partners(batch, self.purchases, self._browsed, count)

    def _browsed(self, batch: Batch) -> sp.csr_matrix:
        """Return the damped weights of what was browsed lately, float32 CSR, (n_histories, n_items)."""
        return damped(heaviest(matrix_of(batch.pairs(self.weights), self.purchases.shape[0]), self.history_items))

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            matrix_arrays(self.purchases), {"weights": weights_to(self.weights), "history_items": self.history_items}
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(state.weights(), int(state.number("history_items")), matrix_from(state))

"""Substitutes: what to take in place of the item that a request is about, such as one that is sold out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import scipy.sparse as sp

from recommender.candidates import Candidates
from recommender.query import Batch
from recommender.retrievers.base import State
from recommender.retrievers.neighbors import matrix_arrays, matrix_from
from recommender.retrievers.similar import near_context


@dataclass(frozen=True, slots=True)
class SubstituteRetriever:
    """Scores items of the same kind: named by the retailer, another pack, or near in category, brand and price.

    likeness: float32 CSR, (n_items, n_items), row i holds what can stand in for item i, itself left out.
    """

    name: ClassVar[str] = "substitutes"
    likeness: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return what can best stand in for the items that each query is about."""
        return near_context(self.likeness, batch, count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(matrix_arrays(self.likeness))

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(matrix_from(state))

"""Sections: what sells in the categories, and of the brands there, that a member buys and browses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.candidates import Candidates
from recommender.interactions import Pairs, Weights, heaviest
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to
from recommender.retrievers.neighbors import best_of, damped, matrix_arrays, matrix_from, score_items

RowMatrix = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SectionRetriever:
    """Scores items by the member's weight in each of their sections times what the item sells there.

    history_sections: the heaviest sections of a history that count.
    section_row: int32, (n_items, k), the sections of each item; the last section, which sells nothing, means none.
    sales: float32 CSR, (n_sections, n_items), the best sellers of each section.
    """

    name: ClassVar[str] = "sections"
    weights: Weights
    browse_weight: float
    history_sections: int
    section_row: RowMatrix
    sales: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return what sells best in the member's sections."""
        sections = heaviest(self._affinity(batch.pairs(self.weights)), self.history_sections)
        return best_of(score_items(damped(sections), self.sales), batch, count)

    def _affinity(self, pairs: Pairs) -> sp.csr_matrix:
        """Return the weight of each history in each section, float32 CSR, (n_histories, n_sections)."""
        weight = pairs.purchased + np.float32(self.browse_weight) * pairs.browsed
        kinds = self.section_row.shape[1]
        cells = (np.repeat(weight, kinds), self.section_row[pairs.item_row].ravel(), pairs.indptr * kinds)
        matrix = sp.csr_matrix(cells, shape=(len(pairs.indptr) - 1, self.sales.shape[0]))
        matrix.sum_duplicates()
        return matrix

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            {"section_row": self.section_row, **matrix_arrays(self.sales)},
            {
                "weights": weights_to(self.weights),
                "browse_weight": self.browse_weight,
                "history_sections": self.history_sections,
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(
            state.weights(),
            state.number("browse_weight"),
            int(state.number("history_sections")),
            state.arrays["section_row"].astype(np.int32, copy=False),
            matrix_from(state),
        )

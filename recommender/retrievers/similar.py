"""Similar: items like the ones a request is about, whatever is known of the customer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp

from recommender.candidates import Candidates, head, keep_best
from recommender.query import Batch
from recommender.retrievers.base import State
from recommender.retrievers.neighbors import matrix_arrays, matrix_from, score_items


@dataclass(frozen=True, slots=True)
class SimilarRetriever:
    """Scores items by their likeness to the context: viewed and bought by the same members, and of like content.

    likeness: float32 CSR, (n_items, n_items), row i holds the items most like item i, itself left out.
    """

    name: ClassVar[str] = "similar"
    likeness: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return the items most like those that each query is about; nothing where it is about none."""
        return near_context(self.likeness, batch, count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(matrix_arrays(self.likeness))

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(matrix_from(state))


def near_context(matrix: sp.csr_matrix, batch: Batch, count: int) -> Candidates:
    """Return for each query the allowed items with the highest scores, summed over the items it is about.

    Args:
        matrix: float32 CSR, (n_items, n_items), scores by the item of the context.
        batch: the queries.
        count: most candidates per query; > 0.
    """
    context = batch.context_matrix(matrix.shape[0])
    if context is None:
        return Candidates(np.zeros(len(batch) + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    scores = score_items(context, matrix)
    rows, values, sizes = [], [], []
    for i, mask in enumerate(batch.allowed):
        part = slice(int(scores.indptr[i]), int(scores.indptr[i + 1]))
        row, score = scores.row[part], scores.score[part]
        kept = score > 0 if mask is None else (score > 0) & mask[row]
        row, score = row[kept], score[kept]
        best = head(score, row, count)
        rows.append(row[best])
        values.append(score[best])
        sizes.append(len(best))
    query = np.repeat(np.arange(len(sizes)), sizes)
    return keep_best(query, np.concatenate(rows).astype(np.int32), np.concatenate(values), len(sizes), count)

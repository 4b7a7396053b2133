"""Neighbors: items like those in the history (item-item), each item with a short list of its nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.candidates import Candidates, head, keep_best
from recommender.interactions import Weights, heaviest, matrix_of
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to


@dataclass(frozen=True, slots=True)
class ItemNeighborRetriever:
    """Scores items by the summed similarity to what the member bought or browsed, its weights damped.

    history_items: the heaviest items of a history that are asked for their neighbours.
    similarity: float32 CSR, (n_items, n_items), row i holds the nearest items of item i, itself left out.
    """

    name: ClassVar[str] = "item_neighbors"
    weights: Weights
    browse_weight: float
    history_items: int
    similarity: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return the items nearest to the whole history."""
        history = matrix_of(batch.pairs(self.weights), self.similarity.shape[0], self.browse_weight)
        history = damped(heaviest(history, self.history_items))
        return best_of(score_items(history, self.similarity), batch, count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            matrix_arrays(self.similarity),
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


def damped(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return the square roots of interaction weights: the tenth purchase of an item says less than the second."""
    return sp.csr_matrix((np.sqrt(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


@dataclass(frozen=True, slots=True)
class ItemScores:
    """Scores of items per history: history i owns indptr[i]:indptr[i + 1].  row: int32.  score: float32."""

    indptr: npt.NDArray[np.integer]
    row: npt.NDArray[np.int32]
    score: npt.NDArray[np.float32]


def score_items(weights: sp.csr_matrix, matrix: sp.csr_matrix) -> ItemScores:
    """Return the product of weights and a matrix of scores; items without any score are left out.

    Args:
        weights: float32 CSR, (n_histories, n).
        matrix: float32 CSR, (n, n_items).
    """
    if weights.shape[0] > 1:
        product = weights @ matrix
        return ItemScores(product.indptr, product.indices, product.data.astype(np.float32, copy=False))
    # The batch of one that serving asks: the same sums in the same order, without SciPy's checks.
    entries, sizes = entries_of(matrix, weights.indices)
    total = np.zeros(matrix.shape[1], np.float32)
    np.add.at(total, matrix.indices[entries], np.repeat(weights.data, sizes) * matrix.data[entries])
    row = np.flatnonzero(total != 0).astype(np.int32)
    return ItemScores(np.array([0, len(row)]), row, total[row])


def entries_of(
    matrix: sp.csr_matrix, rows: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    """Return the places of all entries of some rows, one row after the other, and how many each row has."""
    starts = matrix.indptr[rows]
    sizes = matrix.indptr[rows + 1] - starts
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes), sizes


def best_of(scores: ItemScores, batch: Batch, count: int) -> Candidates:
    """Return for each query the best allowed items of its history's scores; zeros and below do not count.

    Args:
        scores: of the items, per history.
        batch: the queries.
        count: most candidates per query; > 0.
    """
    rows, values, sizes = [], [], []
    bounds = scores.indptr
    for number, mask in zip(batch.history_of, batch.allowed, strict=True):
        part = slice(int(bounds[number]), int(bounds[number + 1]))
        row, score = scores.row[part], scores.score[part]
        if mask is not None:
            kept = mask[row]
            row, score = row[kept], score[kept]
        best = head(score, row, count)
        best = best[score[best] > 0]
        rows.append(row[best])
        values.append(score[best])
        sizes.append(len(best))
    query = np.repeat(np.arange(len(sizes)), sizes)
    return keep_best(query, np.concatenate(rows).astype(np.int32), np.concatenate(values), len(sizes), count)


def matrix_arrays(matrix: sp.csr_matrix) -> dict[str, npt.NDArray[np.generic]]:
    """Return a square CSR matrix as arrays for a bundle."""
    return {
        "indptr": matrix.indptr.astype(np.int64),
        "indices": matrix.indices.astype(np.int32),
        "data": matrix.data.astype(np.float32),
        "shape": np.array(matrix.shape, np.int64),
    }


def matrix_from(state: State) -> sp.csr_matrix:
    """Return the matrix that matrix_arrays() wrote, over the memory maps themselves."""
    arrays = state.arrays
    rows, columns = (int(size) for size in arrays["shape"])
    return sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(rows, columns), copy=False)

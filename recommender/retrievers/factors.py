"""Factors: matrix factorisation; a member's vector is solved from the history at hand, items held fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Candidates, head, keep_best
from recommender.interactions import Weights
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to

FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class FactorRetriever:
    """Scores items by the inner product of member and item factors.

    item_factors: float32, (n_known, k), of the items with enough history to have factors.
    item_row: int32, (n_known,), their rows, rising.
    position: int32, (n_items,), place of an item among the known ones, or n_known for the others.
    gram: float32, (k, k), item_factors' own product, kept so that it is not computed per request.
    """

    name: ClassVar[str] = "factors"
    weights: Weights
    browse_weight: float
    alpha: float
    regularization: float
    item_factors: FloatMatrix
    item_row: RowVector
    position: RowVector
    gram: FloatMatrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return items whose factors point where the member's do."""
        pairs = batch.pairs(self.weights)
        weight = pairs.purchased + np.float32(self.browse_weight) * pairs.browsed
        place = self.position[pairs.item_row]
        usable = (place < len(self.item_row)) & (weight > 0)
        query, place, weight = pairs.query[usable], place[usable], weight[usable]
        bounds = np.searchsorted(query, np.arange(len(batch) + 1))
        found: list[tuple[int, RowVector, FloatVector]] = []
        for i in range(len(batch)):
            own = slice(int(bounds[i]), int(bounds[i + 1]))
            if own.stop > own.start:
                member = fold_in(
                    self.item_factors, place[own], np.float32(self.alpha) * weight[own], self.gram, self.regularization
                )
                score = self.item_factors @ member
                mask = batch.allowed[i]
                if mask is not None:
                    score = np.where(mask[self.item_row], score, np.float32(0))
                best = head(score, self.item_row, count)
                best = best[score[best] > 0]
                found.append((i, self.item_row[best], score[best]))
        return _join(found, len(batch), count)

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            {"item_factors": self.item_factors, "item_row": self.item_row, "position": self.position},
            {
                "weights": weights_to(self.weights),
                "browse_weight": self.browse_weight,
                "alpha": self.alpha,
                "regularization": self.regularization,
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        item_factors = state.arrays["item_factors"].astype(np.float32, copy=False)
        return cls(
            state.weights(),
            state.number("browse_weight"),
            state.number("alpha"),
            state.number("regularization"),
            item_factors,
            state.arrays["item_row"].astype(np.int32, copy=False),
            state.arrays["position"].astype(np.int32, copy=False),
            item_factors.T @ item_factors,
        )


def fold_in(
    item_factors: FloatMatrix,
    rows: RowVector,
    confidence: FloatVector,
    gram: FloatMatrix,
    regularization: float,
) -> FloatVector:
    """Solve one member's factors from their history, items held fixed.

    Args:
        item_factors: float32, (n_items, k).
        rows: int32, (n,), distinct item rows in the history; n >= 1.
        confidence: float32, (n,), alpha * weight exactly as in the fit; > 0, unitless.
        gram: float32, (k, k), item_factors.T @ item_factors.
        regularization: L2 weight, the value used in the fit; > 0.
    Returns: float32, (k,).
    Source: Hu, Koren and Volinsky (2008), equation 4; `confidence` stands for their 1 + alpha r, as in `implicit`.
    """
    known = item_factors[rows]
    left = gram + (known.T * (confidence - 1)) @ known
    left[np.diag_indices_from(left)] += regularization
    return np.linalg.solve(left, known.T @ confidence).astype(np.float32)


def _join(found: list[tuple[int, RowVector, FloatVector]], n_queries: int, count: int) -> Candidates:
    if not found:
        return Candidates(np.zeros(n_queries + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    query = np.concatenate([np.full(len(rows), i, np.int64) for i, rows, _ in found])
    row = np.concatenate([rows for _, rows, _ in found])
    score = np.concatenate([scores for _, _, scores in found])
    return keep_best(query, row, score, n_queries, count)

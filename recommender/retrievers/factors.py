"""Factors: matrix factorisation; a member's vector is solved from the history at hand, items held fixed."""

from __future__ import annotations

from collections.abc import Iterator
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

BLOCK = 64
SPARE = 16


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
        history, place, weight = pairs.query[usable], place[usable], weight[usable]
        known, starts = np.unique(history, return_index=True)
        if len(known) == 0:
            return Candidates(np.zeros(len(batch) + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
        stops = np.append(starts[1:], len(history))
        members = np.stack([self._member(place[i:j], weight[i:j]) for i, j in zip(starts, stops, strict=True)])
        found: list[tuple[int, RowVector, FloatVector]] = []
        for number, member, scores in zip(known, members, self._all_scores(members), strict=True):
            for query in np.flatnonzero(batch.history_of == number):
                row, score = self._best(member, scores, batch.allowed[query], count)
                found.append((int(query), row, score))
        sizes = [len(row) for _, row, _ in found]
        query_of = np.repeat([query for query, _, _ in found], sizes)
        row = np.concatenate([row for _, row, _ in found])
        score = np.concatenate([score for _, _, score in found])
        return keep_best(query_of, row, score, len(batch), count)

    def _member(self, place: RowVector, weight: FloatVector) -> FloatVector:
        confidence = np.float32(self.alpha) * np.sqrt(weight)
        return fold_in(self.item_factors, place, confidence, self.gram, self.regularization)

    def _all_scores(self, members: FloatMatrix) -> Iterator[FloatVector]:
        """Yield each member's scores of all known items, computed in blocks."""
        for start in range(0, len(members), BLOCK):
            yield from members[start : start + BLOCK] @ self.item_factors.T

    def _best(
        self, member: FloatVector, scores: FloatVector, allowed: npt.NDArray[np.bool_] | None, count: int
    ) -> tuple[RowVector, FloatVector]:
        """Return the rows and scores of the best allowed items of one member, in no order.

        The last digits of a product of matrices depend on their shapes, so a block's scores only choose who
        is looked at, with SPARE places beyond the cut; those are scored again one by one.
        """
        if allowed is not None:
            scores = np.where(allowed[self.item_row], scores, np.float32(-np.inf))
        best = np.sort(head(scores, self.item_row, count + SPARE))
        exact = np.einsum("ij,j->i", self.item_factors[best], member)
        kept = (exact > 0) & np.isfinite(scores[best])
        return self.item_row[best[kept]], exact[kept]

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
        confidence: float32, (n,), alpha * sqrt(weight) exactly as in the fit; > 0, unitless.
        gram: float32, (k, k), item_factors.T @ item_factors.
        regularization: L2 weight, the value used in the fit; > 0.
    Returns: float32, (k,).
    Source: Hu, Koren and Volinsky (2008), equation 4; `confidence` stands for their 1 + alpha r, as in `implicit`.
    """
    known = item_factors[rows]
    left = gram + (known.T * (confidence - 1)) @ known
    left.flat[:: len(left) + 1] += regularization
    return np.linalg.solve(left, known.T @ confidence).astype(np.float32)

"""Peers: what members with a similar recent history buy (time-aware member neighbours)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.candidates import Candidates, head
from recommender.interactions import Weights, heaviest, matrix_of
from recommender.query import Batch
from recommender.retrievers.base import State, weights_to
from recommender.retrievers.neighbors import best_of, matrix_arrays, matrix_from, score_items

FloatMatrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PeerRetriever:
    """Scores items by their share in the histories of the nearest members of a pool.

    Members are compared by the cosine of projected histories, so that the cost does not grow with the catalogue.

    history_items: the heaviest items of a history that count.
    projection: float32, (n_items, k), a direction per item.
    pool: float32, (n_pool, k), projected histories of length 1.
    purchases: float32 CSR, (n_pool, n_items), the pool's decayed purchases, each row scaled to length 1.
    n_peers: how many nearest members count.
    sharpness: exponent of the similarity in a peer's vote.
    """

    name: ClassVar[str] = "peers"
    weights: Weights
    browse_weight: float
    history_items: int
    n_peers: int
    sharpness: float
    projection: FloatMatrix
    pool: FloatMatrix
    purchases: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return what the nearest members buy."""
        history = matrix_of(batch.pairs(self.weights), self.projection.shape[0], self.browse_weight)
        history = heaviest(history, self.history_items)
        votes = self._votes(project(history, self.projection))
        return best_of(score_items(votes, self.purchases), batch, count)

    def _votes(self, members: FloatMatrix) -> sp.csr_matrix:
        """Return the weight of each pool member for each query as CSR, (n_queries, n_pool)."""
        indptr, indices, data = [0], [], []
        everyone = np.arange(len(self.pool), dtype=np.int32)
        for member in members:
            similarity = self.pool @ member
            # A member meets their own older self in the pool: that is the repeat retriever's business.
            similarity[similarity > 1 - 1e-5] = 0
            nearest = np.sort(head(similarity, everyone, self.n_peers))
            nearest = nearest[similarity[nearest] > 0]
            indices.append(nearest)
            data.append(similarity[nearest] ** np.float32(self.sharpness))
            indptr.append(indptr[-1] + len(nearest))
        shape = (len(members), len(self.pool))
        return sp.csr_matrix((np.concatenate(data), np.concatenate(indices), np.array(indptr)), shape=shape)

    def state(self) -> State:
        """Return the fitted state."""
        return State(
            {"projection": self.projection, "pool": self.pool, **matrix_arrays(self.purchases)},
            {
                "weights": weights_to(self.weights),
                "browse_weight": self.browse_weight,
                "history_items": self.history_items,
                "n_peers": self.n_peers,
                "sharpness": self.sharpness,
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        return cls(
            state.weights(),
            state.number("browse_weight"),
            int(state.number("history_items")),
            int(state.number("n_peers")),
            state.number("sharpness"),
            state.arrays["projection"].astype(np.float32, copy=False),
            state.arrays["pool"].astype(np.float32, copy=False),
            matrix_from(state),
        )


def project(history: sp.csr_matrix, projection: FloatMatrix) -> FloatMatrix:
    """Project histories and scale them to length 1; an empty history stays zero.

    Args:
        history: float32 CSR, (n, n_items).
        projection: float32, (n_items, k).
    Returns: float32, (n, k).
    """
    members: FloatMatrix = np.array(history @ projection, np.float32)
    length = np.linalg.norm(members, axis=1, keepdims=True)
    members[length[:, 0] > 0] /= length[length[:, 0] > 0]
    return members

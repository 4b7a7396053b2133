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
from recommender.retrievers.neighbors import ItemScores, best_of, damped, matrix_arrays, matrix_from, score_items

FloatVector = npt.NDArray[np.float32]

OWN_LENGTH, PEER_LENGTH = 1.5, 0.5
"""By which powers of the two lengths the product of histories is divided: 1 and 1 would be the cosine. This way
a peer with a long history is not held against them."""
SAME = 1 - 1e-5
"""A cosine above it is of the member's own older self: that is the repeat retriever's business."""


@dataclass(frozen=True, slots=True)
class PeerRetriever:
    """Scores items by their share in the histories of the nearest members of a pool.

    history_items: the heaviest items of a history that count.
    n_peers: how many nearest members count.
    sharpness: exponent of the similarity in a peer's vote.
    rarity: float32, (n_items,), how much an item tells when histories are compared.
    pool: float32 CSR, (n_items, n_pool), damped histories times rarity, turned so that an item finds its members.
    length: float32, (n_pool,), of the pool's histories; > 0.
    purchases: float32 CSR, (n_pool, n_items), the pool's damped histories, each row scaled to length 1.
    """

    name: ClassVar[str] = "peers"
    weights: Weights
    browse_weight: float
    history_items: int
    n_peers: int
    sharpness: float
    rarity: FloatVector
    pool: sp.csr_matrix
    length: FloatVector
    purchases: sp.csr_matrix

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return what the nearest members buy."""
        history = matrix_of(batch.pairs(self.weights), self.pool.shape[0], self.browse_weight)
        history = telling(damped(heaviest(history, self.history_items)), self.rarity)
        return best_of(score_items(self._votes(history), self.purchases), batch, count)

    def company(self, batch: Batch) -> tuple[sp.csr_matrix, npt.NDArray[np.int64]]:
        """Count the peers of each history that bought or viewed items.

        Returns: float32 CSR, (n_histories, n_items), how many of them; and int64, (n_histories,), how many there are.
        """
        history = matrix_of(batch.pairs(self.weights), self.pool.shape[0], self.browse_weight)
        history = telling(damped(heaviest(history, self.history_items)), self.rarity)
        votes = self._votes(history)
        asked = np.unique(votes.indices)
        theirs = self.purchases[asked]
        each = sp.csr_matrix((np.ones(len(theirs.data), np.float32), theirs.indices, theirs.indptr), theirs.shape)
        place = np.searchsorted(asked, votes.indices)
        one = sp.csr_matrix((np.ones(len(place), np.float32), place, votes.indptr), (votes.shape[0], len(asked)))
        return sp.csr_matrix(one @ each), np.diff(votes.indptr).astype(np.int64)

    def _votes(self, history: sp.csr_matrix) -> sp.csr_matrix:
        """Return the weight of each pool member for each history as CSR, (n_histories, n_pool)."""
        products = score_items(history, self.pool)
        own = lengths(history)
        nearest = [self._nearest(products, i, own[i]) for i in range(history.shape[0])]
        indptr = np.cumsum([0, *(len(rows) for rows, _ in nearest)])
        cells = (np.concatenate([vote for _, vote in nearest]), np.concatenate([rows for rows, _ in nearest]), indptr)
        return sp.csr_matrix(cells, shape=(history.shape[0], len(self.length)))

    def _nearest(self, products: ItemScores, number: int, own: np.float32) -> tuple[npt.NDArray[np.int32], FloatVector]:
        """Return the pool members nearest to one history, rising, and the weight of their votes."""
        part = slice(int(products.indptr[number]), int(products.indptr[number + 1]))
        rows, product = products.row[part].astype(np.int32, copy=False), products.score[part]
        length = self.length[rows]
        near = product / (own ** np.float32(OWN_LENGTH) * length ** np.float32(PEER_LENGTH))
        others = (near > 0) & (product <= np.float32(SAME) * own * length)
        rows, near = rows[others], near[others]
        best = head(near, rows, self.n_peers)
        best = best[np.argsort(rows[best])]
        return rows[best], near[best] ** np.float32(self.sharpness)

    def state(self) -> State:
        """Return the fitted state."""
        pool = {f"pool_{name}": array for name, array in matrix_arrays(self.pool).items()}
        return State(
            {"rarity": self.rarity, "length": self.length, **pool, **matrix_arrays(self.purchases)},
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
        pool = {name.removeprefix("pool_"): array for name, array in state.arrays.items() if name.startswith("pool_")}
        return cls(
            state.weights(),
            state.number("browse_weight"),
            int(state.number("history_items")),
            int(state.number("n_peers")),
            state.number("sharpness"),
            state.arrays["rarity"].astype(np.float32, copy=False),
            matrix_from(State(pool)),
            state.arrays["length"].astype(np.float32, copy=False),
            matrix_from(state),
        )


def telling(history: sp.csr_matrix, rarity: FloatVector) -> sp.csr_matrix:
    """Return histories whose items count as much as they tell.

    Args:
        history: float32 CSR, (n, n_items).
        rarity: float32, (n_items,).
    """
    return sp.csr_matrix((history.data * rarity[history.indices], history.indices, history.indptr), shape=history.shape)


def lengths(matrix: sp.csr_matrix) -> FloatVector:
    """Return the Euclidean length of each row, float32, (n,); the same to the last bit in any batch."""
    squares, bounds = matrix.data * matrix.data, matrix.indptr
    filled = np.flatnonzero(np.diff(bounds))
    total = np.zeros(matrix.shape[0], np.float32)
    if len(filled):
        total[filled] = np.add.reduceat(squares, bounds[filled])
    return np.sqrt(total)

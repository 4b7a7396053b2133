"""Fit the pool of peers: the members with the richest recent histories, laid out to be compared."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recommender.interactions import Weights, heaviest
from recommender.retrievers.neighbors import damped
from recommender.retrievers.peers import PeerRetriever, lengths, telling

RARITY = 0.5
"""Exponent of an item's inverse document frequency in comparing histories."""
PEER_ITEMS = 150
"""The heaviest items of a peer's history that are voted for."""
FEWEST, MOST = 100, 1000
"""Bounds of how many peers are asked: few voices are chance, and a slate must not cost more in a larger shop."""


def fit_peers(
    matrix: sp.csr_matrix,
    votes: sp.csr_matrix,
    weights: Weights,
    browse_weight: float,
    *,
    history_items: int,
    pool_size: int,
    peer_share: float,
    sharpness: float,
) -> PeerRetriever:
    """Keep a pool of the members with the richest recent history.

    Args:
        matrix: float32 CSR, (n_members, n_items), weights by which members are compared.
        votes: float32 CSR, (n_members, n_items), weights of what peers vote for, which may fade faster.
        weights, browse_weight: how the matrix was weighed; kept for scoring.
        history_items: the heaviest items of a history that count, in the pool and in scoring.
        pool_size: members kept; > 0.
        peer_share: part of the pool that is asked per slate, within FEWEST and MOST.
        sharpness: exponent of the similarity in a peer's vote.
    """
    members = np.maximum(matrix.getnnz(axis=0), 1)
    rarity = (np.log1p(matrix.shape[0] / members) ** RARITY).astype(np.float32)
    richness = np.asarray(matrix.sum(axis=1)).ravel()
    chosen = np.sort(np.lexsort((np.arange(len(richness)), -richness))[:pool_size])
    chosen = chosen[richness[chosen] > 0]
    bought = damped(heaviest(votes[chosen], PEER_ITEMS))
    scale = 1 / np.maximum(lengths(bought), np.float32(1e-9))
    scaled = (bought.data * np.repeat(scale, np.diff(bought.indptr)), bought.indices, bought.indptr)
    compared = telling(damped(heaviest(matrix[chosen], history_items)), rarity)
    pool = compared.T.tocsr()
    pool.sort_indices()
    return PeerRetriever(
        weights,
        browse_weight,
        history_items,
        round(min(max(peer_share * len(chosen), FEWEST), MOST)),
        sharpness,
        rarity,
        pool,
        lengths(compared),
        sp.csr_matrix(scaled, shape=bought.shape),
    )

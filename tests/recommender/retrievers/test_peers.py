"""Peers: what members with a similar history buy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.peers import PeerRetriever, project
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import answer, ask, plain_weights

WEIGHTS = plain_weights(purchase_half_life=10, browse_half_life=5)


def peers(
    projection: np.ndarray, purchases: np.ndarray, n_peers: int = 10, sharpness: float = 2, history_items: int = 100
) -> PeerRetriever:
    """Members of the pool buy `purchases`, and are compared by them."""
    bought = sp.csr_matrix(np.asarray(purchases, np.float32))
    return PeerRetriever(
        WEIGHTS,
        0.5,
        history_items,
        n_peers,
        sharpness,
        np.asarray(projection, np.float32),
        project(bought, np.asarray(projection, np.float32)),
        bought,
    )


class TestContract(RetrieverContract):
    def retriever(self) -> PeerRetriever:
        rng = np.random.default_rng(8)
        bought = np.where(rng.random((45, N_ITEMS)) < 0.15, rng.random((45, N_ITEMS)), 0)
        return peers(rng.normal(0, 1, (N_ITEMS, 12)), bought, n_peers=9, sharpness=3, history_items=6)


POOL = np.array([[0.6, 0.8, 0, 0], [0, 0, 1, 0], [0.8, 0, 0, 0.6]])


def test_votes_by_hand() -> None:
    # Cosines of a history of item 0 with the pool: 0.6, 0, 0.8; squared, 0.36 and 0.64.
    # Item 0: 0.36 * 0.6 + 0.64 * 0.8 = 0.728. Item 1: 0.36 * 0.8 = 0.288. Item 3: 0.64 * 0.6 = 0.384.
    found = answer(peers(np.eye(4), POOL), ask((0, 10)))
    assert found == pytest.approx({0: 0.728, 3: 0.384, 1: 0.288})
    assert list(found) == [0, 3, 1]


def test_only_the_nearest_vote() -> None:
    assert answer(peers(np.eye(4), POOL, n_peers=1), ask((0, 10))) == pytest.approx({0: 0.512, 3: 0.384})


def test_equally_near_members_are_taken_by_their_place() -> None:
    assert list(answer(peers(np.eye(4), np.eye(4)[[1, 1, 2]] + np.eye(4)[0], n_peers=2), ask((0, 10)))) == [0, 1]


def test_members_do_not_meet_themselves() -> None:
    # The second member of the pool bought item 2 and nothing else, like the one who asks.
    assert answer(peers(np.eye(4), POOL), ask((2, 10))) == {}


def test_the_pool_may_be_empty() -> None:
    assert answer(peers(np.eye(4), np.empty((0, 4))), ask((2, 10))) == {}


def test_projected_histories_have_length_one_or_none() -> None:
    matrix = sp.csr_matrix(np.array([[3, 4], [0, 0]], np.float32))
    assert project(matrix, np.eye(2, dtype=np.float32)).tolist() == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))

"""Peers: what members with a similar history buy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.peers import PeerRetriever, lengths, telling
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import answer, ask, batch, plain_weights

WEIGHTS = plain_weights(purchase_half_life=10, browse_half_life=5)


def peers(
    purchases: np.ndarray, n_peers: int = 10, sharpness: float = 2, history_items: int = 100, rarity: float = 1
) -> PeerRetriever:
    """Members of the pool buy `purchases`, and are compared by them."""
    bought = sp.csr_matrix(np.asarray(purchases, np.float32))
    rare = np.full(bought.shape[1], rarity, np.float32)
    compared = telling(bought, rare)
    return PeerRetriever(
        WEIGHTS, 0.5, history_items, n_peers, sharpness, rare, compared.T.tocsr(), lengths(compared), bought
    )


class TestContract(RetrieverContract):
    def retriever(self) -> PeerRetriever:
        rng = np.random.default_rng(8)
        bought = np.where(rng.random((45, N_ITEMS)) < 0.15, rng.random((45, N_ITEMS)), 0)
        return peers(bought, n_peers=9, sharpness=3, history_items=6, rarity=0.7)


POOL = np.array([[0.6, 0.8, 0, 0], [0, 0, 1, 0], [0.8, 0, 0, 0.6]])


def test_votes_by_hand() -> None:
    # Products of a history of one item 0 just now with the pool: 0.6, 0, 0.8; squared, 0.36 and 0.64.
    # Item 0: 0.36 * 0.6 + 0.64 * 0.8 = 0.728. Item 1: 0.36 * 0.8 = 0.288. Item 3: 0.64 * 0.6 = 0.384.
    found = answer(peers(POOL), ask((0, 0)))
    assert found == pytest.approx({0: 0.728, 3: 0.384, 1: 0.288})
    assert list(found) == [0, 3, 1]


def test_own_length_divides_more_than_a_peers() -> None:
    # The history weighs 1/4, damped 1/2, and so is 1/2 long. The peer (1, 3) is sqrt(10) long. The product 1/2 is
    # divided by (1/2) ** 1.5 and by sqrt(10) ** 0.5: 1.189; not squared here.
    found = answer(peers(np.array([[1.0, 3.0]]), sharpness=1), ask((0, 20)))
    near = 0.5 / (0.5**1.5 * 10**0.25)
    assert found == pytest.approx({0: near, 1: 3 * near})


def test_only_the_nearest_vote() -> None:
    assert answer(peers(POOL, n_peers=1), ask((0, 0))) == pytest.approx({0: 0.512, 3: 0.384})


def test_equally_near_members_are_taken_by_their_place() -> None:
    assert list(answer(peers(np.eye(4)[[1, 1, 2]] + np.eye(4)[0], n_peers=2), ask((0, 10)))) == [0, 1]


def test_rare_items_tell_more() -> None:
    rare = np.array([2, 1, 1], np.float32)
    assert telling(sp.csr_matrix(np.array([[1, 0, 3]], np.float32)), rare).toarray().tolist() == [[2, 0, 3]]


def test_members_do_not_meet_themselves() -> None:
    # The second member of the pool bought item 2 and nothing else, like the one who asks.
    assert answer(peers(POOL), ask((2, 10))) == {}


def test_the_pool_may_be_empty() -> None:
    assert answer(peers(np.empty((0, 4))), ask((2, 10))) == {}


def test_lengths() -> None:
    matrix = sp.csr_matrix(np.array([[3, 4], [0, 0], [1, 0], [0, 0]], np.float32))
    assert lengths(matrix).tolist() == [5, 0, 1, 0]
    assert lengths(sp.csr_matrix((0, 2), dtype=np.float32)).tolist() == []


def test_how_many_peers_have_an_item() -> None:
    # Two of the pool are near a history of item 0; one of them has item 1, none item 2.
    counts, of = peers(POOL).company(batch(ask((0, 0)), ask()))
    assert counts.toarray()[:, :3].tolist() == [[2, 1, 0], [0, 0, 0]]
    assert of.tolist() == [2, 0]

"""The fitted pool of peers, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.peers import PeerRetriever
from tests.learning import answer, ask, plain_weights
from training.fit import peers as fitting
from training.fit.peers import fit_peers


def matrix_of(*rows: list[float]) -> sp.csr_matrix:
    return sp.csr_matrix(np.array(rows, np.float32))


def peers(matrix: sp.csr_matrix, **changes: float) -> PeerRetriever:
    options = {"pool_size": 10, "peer_share": 0.5, "sharpness": 2, "history_items": 50} | changes
    return fit_peers(matrix, matrix, plain_weights(), 0.5, **options)  # type: ignore[arg-type]


def test_peers_share_the_taste_of_the_checkerboard() -> None:
    part = peers(matrix_of(*([float((i + j) % 2 == 0) for j in range(6)] for i in range(8))))
    assert set(answer(part, ask((0, 1)), 3)) == {0, 2, 4}
    assert set(answer(part, ask((1, 1), (3, 1)), 3)) == {1, 3, 5}


def test_the_pool_holds_the_richest_members_with_purchases_of_length_one() -> None:
    matrix = matrix_of([1, 0, 0, 0], [9, 16, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0], [0, 0, 1, 1])
    part = peers(matrix, pool_size=3)
    # Sums 1, 25, 2, 0, 2: members 1, 2 and 4, in their own order; damped they are (3, 4), (sqrt(2)) and (1, 1).
    half = 0.5**0.5
    assert part.purchases.toarray() == pytest.approx(np.array([[0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, half, half]]))
    assert peers(matrix, pool_size=100).purchases.shape == (4, 4)  # the empty member is nobody's peer


def test_histories_are_compared_by_what_tells() -> None:
    # Of three members all bought item 0 and one bought item 1: log(1 + 3 / 3) and log(1 + 3 / 1), damped as well.
    part = peers(matrix_of([1, 4], [1, 0], [1, 0]))
    common, rare = np.log(2) ** 0.5, np.log(4) ** 0.5
    assert part.rarity == pytest.approx([common, rare])
    assert part.pool.toarray() == pytest.approx(np.array([[common, common, common], [2 * rare, 0, 0]]))
    assert part.length == pytest.approx([(common**2 + 4 * rare**2) ** 0.5, common, common])
    assert part.pool.dtype == part.rarity.dtype == part.length.dtype == np.float32


def test_peers_vote_for_what_they_bought_lately() -> None:
    long_ago, lately = matrix_of([1, 1, 0], [1, 1, 1]), matrix_of([0.01, 1, 0], [0, 0, 1])
    options = {"pool_size": 9, "peer_share": 0.5, "sharpness": 1, "history_items": 50}
    part = fit_peers(long_ago, lately, plain_weights(), 0.5, **options)
    assert part.purchases.toarray()[1].tolist() == [0, 0, 1]
    assert part.purchases.toarray()[0] == pytest.approx([0.1 / 1.01**0.5, 1 / 1.01**0.5, 0])
    assert part.pool.toarray()[0, 1] > 0, "histories are still compared as a whole"


def test_long_histories_count_by_their_heaviest_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "PEER_ITEMS", 1)
    part = peers(matrix_of([3, 2, 1], [0, 1, 1]), history_items=2)
    assert part.pool.toarray()[2].tolist() == [0, pytest.approx(part.rarity[2])]
    assert part.purchases.toarray() == pytest.approx(np.array([[1, 0, 0], [0, 1, 0]]))
    assert part.history_items == 2


def test_no_members_no_peers() -> None:
    part = peers(sp.csr_matrix((0, 4), dtype=np.float32))
    assert answer(part, ask((1, 1))) == {}


@pytest.mark.parametrize(("share", "asked"), [(0.01, 2), (0.25, 5), (0.9, 10)])
def test_a_share_of_the_pool_is_asked_within_bounds(share: float, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "FEWEST", 2)
    monkeypatch.setattr(fitting, "MOST", 10)
    assert peers(matrix_of(*([1.0, 1.0] for _ in range(20))), pool_size=20, peer_share=share).n_peers == asked

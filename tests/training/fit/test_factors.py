"""Fitted factors: a checkerboard has an obvious answer."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.factors import FactorRetriever
from tests.learning import answer, ask, plain_weights
from training.fit.factors import fit_factors, noise_level

WEIGHTS = plain_weights()


def checkerboard(n_members: int = 20, n_items: int = 10) -> sp.csr_matrix:
    """Member i bought every item j of its colour, (i + j) even, but one: the next after i."""
    whole = np.array(
        [[float((i + j) % 2 == 0 and j != (i + 2) % n_items) for j in range(n_items)] for i in range(n_members)]
    )
    return sp.csr_matrix(whole.astype(np.float32))


def fit(matrix: sp.csr_matrix, warm: FactorRetriever | None = None, **changes: int) -> FactorRetriever | None:
    options = {"factors": 2, "iterations": 10, "min_members": 1, "seed": 7, "threads": 1} | changes
    return fit_factors(matrix, WEIGHTS, 0.5, alpha=5.0, regularization=0.0025, warm=warm, **options)  # type: ignore[arg-type]


def fitted(matrix: sp.csr_matrix, warm: FactorRetriever | None = None, **changes: int) -> FactorRetriever:
    part = fit(matrix, warm, **changes)
    assert part is not None
    return part


def test_items_of_ones_own_colour_are_found_first() -> None:
    part = fitted(checkerboard())
    for colour in (0, 1):
        own = {colour, colour + 2, colour + 4, colour + 6, colour + 8}
        bought = sorted(own)[:3]
        found = answer(part, ask(*((row, 1) for row in bought)), 5)
        assert set(found) == own


def test_the_missing_square_is_the_best_new_item() -> None:
    part = fitted(checkerboard())
    # Member 0 lacks item 2 of the even ones.
    found = answer(part, ask(*((row, 1) for row in (0, 4, 6, 8))))
    assert next(row for row in found if row not in (0, 4, 6, 8)) == 2


def test_items_with_few_members_have_no_factors() -> None:
    matrix = checkerboard().tolil()
    matrix[:, 3] = 0
    matrix[1, 3] = matrix[3, 3] = 1
    part = fitted(sp.csr_matrix(matrix), min_members=3)
    assert part.item_row.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert part.position.tolist() == [0, 1, 2, 9, 3, 4, 5, 6, 7, 8]
    assert part.item_factors.shape == (9, 2)
    assert answer(part, ask((3, 1))) == {}


@pytest.mark.parametrize("matrix", [sp.csr_matrix((0, 4), dtype=np.float32), sp.csr_matrix((5, 4), dtype=np.float32)])
def test_without_items_there_is_no_retriever(matrix: sp.csr_matrix) -> None:
    assert fit(matrix) is None


def test_the_same_seed_gives_the_same_factors() -> None:
    first, again = fitted(checkerboard()), fitted(checkerboard())
    assert first.item_factors.tobytes() == again.item_factors.tobytes()
    assert fitted(checkerboard(), seed=8).item_factors.tobytes() != first.item_factors.tobytes()
    assert fitted(checkerboard(), threads=2).item_factors.tobytes() == first.item_factors.tobytes()


def test_a_warm_start_goes_on_from_what_was_learned() -> None:
    matrix = checkerboard()
    first = fitted(matrix, iterations=30)
    on = fitted(matrix, warm=first, iterations=1)
    cold = fitted(matrix, iterations=1, seed=8)

    def drift(part: FactorRetriever) -> float:
        return float(np.abs(part.item_factors - first.item_factors).max())

    assert drift(on) < 0.1 * drift(cold)


def test_a_warm_start_knows_nothing_of_newer_items() -> None:
    matrix = checkerboard()
    earlier = matrix.tolil()
    earlier[:, 9] = 0
    first = fitted(sp.csr_matrix(earlier))
    assert 9 not in first.item_row
    on = fitted(matrix, warm=first, iterations=5)
    assert on.item_row.tolist() == list(range(10))
    assert set(answer(on, ask((1, 1), (3, 1), (5, 1)), 5)) == {1, 3, 5, 7, 9}


def test_what_it_was_weighed_with_is_kept_for_folding_in() -> None:
    matrix = checkerboard() * np.float32(4)
    part = fitted(matrix)
    assert (part.weights, part.browse_weight, part.alpha) == (WEIGHTS, 0.5, 5.0)
    # Each weight of 4 is damped to 2, a confidence of 10; there are 20 members and ten items.
    assert part.regularization == pytest.approx(0.0025 * 10 * ((matrix.nnz / 20) ** 0.5 + (matrix.nnz / 10) ** 0.5))
    assert part.gram == pytest.approx(part.item_factors.T @ part.item_factors)


def test_the_level_of_noise_is_the_largest_singular_value_of_noise() -> None:
    noise = np.random.default_rng(7).normal(0, 2, (400, 100)).astype(np.float32)
    assert noise_level(sp.csr_matrix(noise)) == pytest.approx(np.linalg.norm(noise, 2), rel=0.05)

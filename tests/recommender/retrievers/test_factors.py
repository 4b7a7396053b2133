"""Factors: a member's vector solved from the history, items held fixed."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.retrievers.factors import FactorRetriever, fold_in
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import VIEW, answer, ask, batch, lists_of, mask_of, plain_weights

WEIGHTS = plain_weights(purchase_half_life=10, browse_half_life=5)


def factors(item_factors: np.ndarray, item_row: list[int], n_items: int, **changes: float) -> FactorRetriever:
    settings = {"browse_weight": 0.5, "alpha": 8.0, "regularization": 1.0} | changes
    position = np.full(n_items, len(item_row), np.int32)
    position[item_row] = np.arange(len(item_row))
    matrix = np.asarray(item_factors, np.float32)
    return FactorRetriever(
        WEIGHTS,
        settings["browse_weight"],
        settings["alpha"],
        settings["regularization"],
        matrix,
        np.array(item_row, np.int32),
        position,
        matrix.T @ matrix,
    )


CHECKERBOARD = factors(np.array([[1, 0], [0, 1], [1, 0], [0, 1]]), [0, 1, 3, 4], 5)
"""Items 0 and 3 go together, and 1 and 4; item 2 is unknown."""


class TestContract(RetrieverContract):
    def retriever(self) -> FactorRetriever:
        rng = np.random.default_rng(4)
        rows = np.sort(rng.permutation(N_ITEMS)[:50])
        return factors(rng.normal(0, 0.4, (50, 6)), rows.tolist(), N_ITEMS, alpha=2.0)


class TestManyMembersContract(RetrieverContract):
    """More members in a batch than are scored in one block."""

    def retriever(self) -> FactorRetriever:
        rng = np.random.default_rng(5)
        return factors(rng.normal(0, 0.4, (N_ITEMS, 16)), list(range(N_ITEMS)), N_ITEMS, regularization=3.0)


def test_the_other_half_of_the_checkerboard_is_not_found() -> None:
    assert list(answer(CHECKERBOARD, ask((0, 10)))) == [0, 3]
    assert list(answer(CHECKERBOARD, ask((4, 10)))) == [1, 4]


def test_scores_by_hand() -> None:
    # Item 0, bought 20 days ago: weight 1/4, confidence 8 / 2 = 4. The product of the factors is diag(2, 2):
    # left diag(2 + (4 - 1) + 1, 2 + 1) = diag(6, 3), right (4, 0): the member is (2/3, 0).
    assert answer(CHECKERBOARD, ask((0, 20))) == pytest.approx({0: 2 / 3, 3: 2 / 3})
    # Viewed 15 days ago: weight 0.5 * 1/8, confidence 2: left diag(2 + 1 + 1, 3), right (2, 0): 1/2.
    assert answer(CHECKERBOARD, ask((3, 15, VIEW))) == pytest.approx({0: 0.5, 3: 0.5})


def test_a_confidence_below_one_counts_less() -> None:
    # Confidence 8 / 16 = 1/2 after 80 days: left 2 - 1/2 + 1, right 1/2: 1/5.
    assert answer(CHECKERBOARD, ask((0, 80))) == pytest.approx({0: 0.2, 3: 0.2})


def test_unknown_items_say_nothing() -> None:
    assert answer(CHECKERBOARD, ask((2, 1))) == {}
    assert answer(CHECKERBOARD, ask((2, 1), (0, 20))) == pytest.approx({0: 2 / 3, 3: 2 / 3})


def test_masks_and_people_without_history_in_one_batch() -> None:
    asked = batch(ask(), ask((0, 1)), ask((2, 1)), ask((1, 1)), allowed=[None, mask_of(5, 3, 4), None, None])
    assert lists_of(CHECKERBOARD.retrieve(asked, 5)) == [[], [3], [], [1, 4]]


def test_fold_in_solves_equation_4() -> None:
    rng = np.random.default_rng(6)
    items = rng.normal(0, 1, (7, 3)).astype(np.float32)
    rows, confidence = np.array([1, 4], np.int32), np.array([3.0, 0.5], np.float32)
    member = fold_in(items, rows, confidence, items.T @ items, 0.7)
    # (Y'CY + reg I) x = Y'Cp, with C = 1 for items that are not in the history, p = 1 for those that are.
    weight, wanted = np.ones(7), np.zeros(7)
    weight[rows], wanted[rows] = confidence, 1
    left = items.T @ (weight[:, None] * items) + 0.7 * np.eye(3)
    assert member == pytest.approx(np.linalg.solve(left, items.T @ (weight * wanted)), rel=1e-4)

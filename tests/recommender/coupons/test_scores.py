"""Scores of offers: one row per member, one column per offer."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from recommender.coupons.scores import OfferScores
from recommender.errors import InputError
from recommender.ids import IdIndex


def scores(shape: tuple[int, int], assumed: int) -> OfferScores:
    part = np.zeros(shape, np.float32)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return OfferScores(IdIndex.of(["a", "b"]), ("o1",), at, part, part, part, part, part, np.zeros(assumed, bool))


def test_a_matrix_has_a_row_per_member_and_a_column_per_offer() -> None:
    assert scores((2, 1), 1).expected_profit_cents.shape == (2, 1)
    with pytest.raises(InputError, match="one row per member") as caught:
        scores((1, 2), 1)
    assert caught.value.field == "expected_profit_cents"
    with pytest.raises(InputError) as caught:
        scores((2, 1), 2)
    assert caught.value.field == "assumed"

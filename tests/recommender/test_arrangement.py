"""Arrangement: pins at their positions, boosts on scores."""

from __future__ import annotations

import numpy as np

from recommender.arrangement import PINNED, Arrangement, put_pins
from recommender.candidates import Slate
from tests.learning import mask_of


def slate(*rows: int) -> Slate:
    score = np.linspace(1, 0.5, len(rows), dtype=np.float32)
    return Slate(np.array(rows, np.int32), score, ("repeat",) * len(rows), "personal", {"out_of_stock": 1, PINNED: 2})


def test_pins_stand_at_their_positions() -> None:
    found = put_pins(slate(4, 5, 6), ((1, 9), (4, 8)), 5)
    assert found.row.tolist() == [9, 4, 5, 8, 6]
    assert found.source == (PINNED, "repeat", "repeat", PINNED, "repeat")
    assert found.score.tolist() == [1.0, 1.0, 0.75, 0.75, 0.5]
    assert found.dropped == {"out_of_stock": 1}


def test_a_short_slate_ends_with_its_pins() -> None:
    assert put_pins(slate(4), ((3, 9), (7, 8)), 10).row.tolist() == [4, 9, 8]
    alone = put_pins(slate(), ((2, 9),), 10)
    assert (alone.row.tolist(), alone.score.tolist()) == ([9], [1.0])


def test_a_slate_without_pins_is_left_alone() -> None:
    one = slate(1, 2)
    assert put_pins(one, (), 2) is one


def test_boosts_multiply() -> None:
    arrangement = Arrangement(boosts=((mask_of(4, 1, 2), 2.0), (mask_of(4, 2), 0.25)))
    score = arrangement.boosted(np.array([0, 1, 2], np.int32), np.ones(3, np.float32))
    assert score.tolist() == [1.0, 2.0, 0.5]
    assert score.dtype == np.float32

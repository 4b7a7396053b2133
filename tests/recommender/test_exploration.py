"""Exploration: recorded chances are those with which it really happens, and a retry gets the same answer."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest

from recommender.arrangement import PINNED, Arrangement
from recommender.candidates import Slate
from recommender.exploration import Exploration, draw_exploration
from recommender.query import Mask, Query, Scenario
from tests.toy_shop import toy_recommender

DAY = date(2026, 3, 1)


def ranked(size: int, pinned: tuple[int, ...] = ()) -> Slate:
    """Return a slate of rows 100, 101, ... ; some positions (from 0) pinned."""
    source = tuple(PINNED if place in pinned else "repeat" for place in range(size))
    return Slate(
        np.arange(100, 100 + size, dtype=np.int32),
        np.linspace(1, 0.1, size).astype(np.float32),
        source,
        "personal",
        {"out_of_stock": 2},
    )


def asked(count: int, *masks: Mask) -> Query:
    return Query(Scenario.HOME, count, 1000, masks=masks)


@pytest.mark.parametrize(
    ("size", "count", "pinned"), [(8, 4, ()), (8, 4, (1,)), (5, 4, (0,)), (4, 4, ()), (3, 4, (2,))]
)
def test_recorded_chances_are_the_real_ones(size: int, count: int, pinned: tuple[int, ...]) -> None:
    share, customers = 0.4, 40_000
    slate, seen, told = ranked(size, pinned), Counter[tuple[int, int]](), {}
    for number in range(customers):
        drawn = draw_exploration(share, f"member:{number}", "home", DAY)
        assert drawn is not None
        shown, chances = drawn.apply(slate, asked(count))
        assert len(set(shown.row.tolist())) == len(shown.row) == min(size, count)
        for position, (row, chance) in enumerate(zip(shown.row.tolist(), chances, strict=True)):
            seen[position, row] += 1
            assert told.setdefault((position, row), chance) == chance
    for place, chance in told.items():
        assert chance > 0
        error = np.sqrt(chance * (1 - chance) / customers)
        assert seen[place] / customers == pytest.approx(chance, abs=4.5 * error)
    by_position = [sum(chance for (at, _), chance in told.items() if at == position) for position in range(count)]
    assert by_position[: min(size, count)] == pytest.approx([1.0] * min(size, count))
    assert all(told[at, 100 + at] == 1.0 for at in pinned)


def test_pins_beyond_the_slate_do_not_hold_items_back() -> None:
    query = Query(Scenario.HOME, 3, 1000, arrangement=Arrangement(pins=((2, 7), (5, 0))))
    longer = Exploration(0.2, 0.9, 3).query(query)
    assert (longer.count, longer.arrangement.pins) == (6, ((2, 7),))


def test_a_slate_as_ranked_is_the_head() -> None:
    calm, wild = Exploration(0.1, 0.5, 1), Exploration(0.1, 0.05, 1)
    shown, chances = calm.apply(ranked(8), asked(4))
    assert shown.row.tolist() == [100, 101, 102, 103]
    assert chances == pytest.approx((0.9 + 0.1 / 8,) * 4)
    assert shown.strategy == "personal"
    moved, _ = wild.apply(ranked(8), asked(4))
    assert moved.strategy == "personal+explored"
    assert moved.dropped == {"out_of_stock": 2}
    assert [float(score) for score in moved.score] == [float(ranked(8).score[row - 100]) for row in moved.row]


def test_a_retry_gets_the_same_and_another_day_or_placement_its_own() -> None:
    draws = [draw_exploration(0.5, f"member:{number}", "home", DAY) for number in range(400)]
    assert draws == [draw_exploration(0.5, f"member:{number}", "home", DAY) for number in range(400)]
    tomorrow = [draw_exploration(0.5, f"member:{n}", "home", DAY + timedelta(days=1)) for n in range(400)]
    elsewhere = [draw_exploration(0.5, f"member:{n}", "discover", DAY) for n in range(400)]
    for others in (tomorrow, elsewhere):
        same = sum(a.shuffled == b.shuffled for a, b in zip(draws, others, strict=True) if a and b)
        assert 140 < same < 260, "as many as chance would have"


def test_nobody_and_nothing_are_not_explored() -> None:
    assert draw_exploration(0.0, "member:1", "home", DAY) is None
    assert draw_exploration(0.5, None, "home", DAY) is None


def test_what_is_kept_back_is_not_brought_forward() -> None:
    allowed = np.ones(108, bool)
    allowed[[102, 106, 107]] = False
    buried = asked(4, Mask("buried", allowed, yields=True))
    found = set()
    for number in range(300):
        drawn = draw_exploration(1.0, f"member:{number}", "home", DAY)
        assert drawn is not None
        shown, chances = drawn.apply(ranked(8), buried)
        found |= set(shown.row.tolist())
        assert chances == pytest.approx((1 / 6,) * 4)
    assert found == {100, 101, 102, 103, 104, 105}, "102 is in the slate as ranked: nothing else was left"


def test_the_pool_is_what_the_recommender_ranks() -> None:
    recommender = toy_recommender([float(20 - row) for row in range(20)])
    query = Query(Scenario.HOME, 5, 1000)
    drawn = Exploration(0.2, 0.9, 3)
    (longer,) = recommender.recommend([drawn.query(query)])
    (plain,) = recommender.recommend([query])
    assert len(longer.row) == 10
    assert drawn.apply(longer, query)[0].row.tolist() == plain.row.tolist()

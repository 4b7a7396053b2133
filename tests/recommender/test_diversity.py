"""Diversity and calibration: what is moved, and what stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.diversity import HEAD, NO_SPREAD, Calibration, Diversity, Spread, earlier_alike, falling
from recommender.query import Scenario
from tests.learning import AS_OF, CHEAP, VIEW, ask, history

KINDS = np.array([[1, 1, 1, 2, 3, 0, 0], [1, 1, 1, 1, 2, 0, 0]], np.int32)
"""Three items of one category, another of its section, one elsewhere, two of which nothing is known."""
HOME = Scenario.HOME


def shown(strength: float, *rows: int) -> list[int]:
    row = np.array(rows, np.int32)
    return row[Diversity({HOME: strength}, KINDS).order(HOME, row)].tolist()


def test_earlier_items_alike() -> None:
    assert earlier_alike(np.array([3, 5, 3, 0, 3, 0, 5], np.int32)).tolist() == [0, 0, 1, 0, 2, 0, 1]
    assert earlier_alike(np.array([], np.int32)).tolist() == []


def test_an_item_falls_behind_others_for_those_of_its_kind_before_it() -> None:
    # 1 / log2(r + 2): 1, 0.631, 0.5, 0.431, 0.387. At 1/2: item 1 of category and section counts 0.631 * 2 ** -1.5
    # = 0.223, item 2 counts 0.5 * 2 ** -3 = 0.063, item 3 of the section 0.431 * 2 ** -1.5 = 0.152, item 4 0.387.
    assert shown(0.5, 0, 1, 2, 3, 4) == [0, 4, 1, 3, 2]
    assert shown(0.0, 0, 1, 2, 3, 4) == [0, 1, 2, 3, 4]


def test_items_without_category_are_not_alike() -> None:
    assert shown(0.9, 5, 6, 0, 1) == [5, 6, 0, 1]


def test_other_scenarios_and_what_lies_deep_keep_their_order() -> None:
    row = np.array([0, 1, 2, 3, 4], np.int32)
    part = Diversity({HOME: 0.5}, KINDS)
    assert part.order(Scenario.NEW, row).tolist() == [0, 1, 2, 3, 4]
    many = np.tile(row, HEAD)
    assert part.order(HOME, many)[HEAD:].tolist() == list(range(HEAD, len(many)))
    assert part.order(HOME, row[:0]).tolist() == []


@CHEAP
@given(st.lists(st.integers(0, 6), unique=True), st.sampled_from([0.1, 0.5, 0.9]))
def test_choosing_the_worthiest_again_and_again_gives_the_same_order(rows: list[int], strength: float) -> None:
    part = Diversity({HOME: strength}, np.stack((KINDS[0], np.zeros(7, np.int32))))
    left, chosen = list(enumerate(rows)), []
    while left:
        taken = [KINDS[0][row] for _, row in chosen]

        def worth(entry: tuple[int, int], taken: list[int] = taken) -> float:
            kind = KINDS[0][entry[1]]
            return (1 - strength) ** (taken.count(kind) if kind else 0) / np.log2(entry[0] + 2)

        best = max(left, key=worth)
        chosen.append(best)
        left.remove(best)
    row = np.array(rows, np.int32)
    assert row[part.order(HOME, row)].tolist() == [entry[1] for entry in chosen]


def calibration(strength: float = 1.0, novel_share: float = 0.5, prior: float = 2.0) -> Calibration:
    return Calibration(strength, novel_share, prior, 28)


def test_the_share_of_novel_items_is_the_members_own() -> None:
    # Lately i1, i2, i3 and i4; i1 had been bought before, i2 only viewed: 3 of 4 are novel. (3 + 2 * 0.5) / (4 + 2).
    past = history((1, 60), (2, 50, VIEW), (1, 20), (2, 10), (3, 9), (4, 8), (4, 3))
    assert calibration().share(past, AS_OF) == pytest.approx(4 / 6)
    assert calibration().share(history((1, 60)), AS_OF) == pytest.approx(0.5)


def test_without_a_past_the_share_is_everybodys() -> None:
    assert calibration(novel_share=0.3).share(history((1, 5), (2, 3)), AS_OF) == 0.3
    assert calibration(novel_share=0.3).share(history(), AS_OF) == 0.3


def order(novel: list[int], share: float, count: int, strength: float = 1.0) -> list[int]:
    return calibration(strength).order(np.array(novel, bool), share, count).tolist()


def test_novel_items_are_brought_up_to_their_share() -> None:
    known_first = [0, 0, 0, 0, 1, 1, 1, 1]
    assert order(known_first, 0.5, 4) == [0, 4, 1, 5, 2, 3, 6, 7]
    assert order(known_first, 0.25, 4) == [0, 1, 2, 4, 3, 5, 6, 7]
    assert order(known_first, 0.5, 4, strength=0.5) == [0, 1, 2, 4, 3, 5, 6, 7]
    assert order(known_first, 0.5, 4, strength=0) == list(range(8))


def test_known_items_have_their_share_too() -> None:
    assert order([1, 1, 1, 1, 0, 0], 0.5, 4) == [0, 4, 1, 5, 2, 3]
    assert order([1, 1, 1, 1], 0.5, 4) == [0, 1, 2, 3]
    assert order([0, 0, 0], 1.0, 5) == [0, 1, 2]


@CHEAP
@given(st.lists(st.booleans(), max_size=20), st.floats(0, 1), st.integers(1, 25), st.floats(0, 1))
def test_every_head_holds_its_shares(novel: list[bool], share: float, count: int, strength: float) -> None:
    found = np.array(novel, bool)[order([int(one) for one in novel], share, count, strength)]
    assert sorted(order([int(one) for one in novel], share, count, strength)) == list(range(len(novel)))
    for size in range(1, min(count, len(novel)) + 1):
        fresh = int(found[:size].sum())
        assert fresh >= min(int(strength * share * size), sum(novel)) or size - fresh >= int(
            strength * (1 - share) * size
        )


SPREAD = Spread(Diversity({HOME: 0.5}, KINDS), calibration())
ROWS = np.array([0, 1, 2, 3, 4, 5], np.int32)


def test_home_is_spread_over_categories_and_then_calibrated() -> None:
    # Lately only 5, which had been bought before; everybody's share is 1 and is worth two items: 2 / 3 are novel.
    past = ask((0, 60), (5, 60), (5, 3))
    spread = Spread(NO_SPREAD.diversity, calibration(novel_share=1.0))
    rows = np.array([0, 5, 1, 2, 3, 4], np.int32)
    assert rows[spread.order(past, rows)].tolist() == [0, 1, 2, 5, 3, 4]
    plain = SPREAD.diversity.order(HOME, ROWS).tolist()
    assert plain == [0, 4, 5, 1, 3, 2]
    assert SPREAD.order(replace(past, scenario=Scenario.DISCOVER), ROWS).tolist() == [0, 1, 2, 3, 4, 5]
    for query in (ask(), replace(past, personal=False), ask((0, 60, VIEW))):
        assert SPREAD.order(query, ROWS).tolist() == plain
    assert NO_SPREAD.order(past, ROWS).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_spread_survives_its_state() -> None:
    again = Spread.from_state(SPREAD.state())
    assert again.diversity.strength == SPREAD.diversity.strength
    assert again.diversity.kinds.tolist() == KINDS.tolist()
    assert again.calibration == SPREAD.calibration


def test_scores_never_rise() -> None:
    assert falling(np.array([3, 1, 2, 0.5], np.float32)).tolist() == [3, 1, 1, 0.5]

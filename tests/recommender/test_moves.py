"""What marketers move in a slate: pins, boosts, what is buried or kept back, variety and the share of repeats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.arrangement import PINNED, Arrangement
from recommender.candidates import Slate
from recommender.diversity import NO_SPREAD, Diversity, Spread
from recommender.pipeline import Recommender
from recommender.query import Mask, Query, Scenario
from tests.learning import ask, mask_of
from tests.toy_shop import toy_recommender

SHOP = toy_recommender(popular=[8, 7, 6, 5, 4, 3, 2, 1], new={6: 0.2, 7: 0.1})
"""Eight items, the first ones the most popular."""
N = 8


def asked(query: Query, **changes: object) -> Query:
    return replace(query, arrangement=Arrangement(**changes))  # type: ignore[arg-type]


def shown(query: Query, recommender: Recommender = SHOP) -> list[int]:
    return slate(query, recommender).row.tolist()


def slate(query: Query, recommender: Recommender = SHOP) -> Slate:
    (found,) = recommender.recommend([query])
    assert (np.diff(found.score) <= 0).all()
    return found


def test_pins_take_their_positions_from_a_full_slate() -> None:
    found = slate(asked(ask(count=4), pins=((1, 7), (3, 0))))
    assert found.row.tolist() == [7, 1, 0, 2]
    assert found.source == (PINNED, "popularity", PINNED, "popularity")
    assert found.dropped == {}


def test_a_slate_may_be_nothing_but_pins() -> None:
    assert shown(asked(ask(count=2), pins=((1, 7), (2, 6)))) == [7, 6]


def test_pins_that_rules_or_the_scenario_forbid_are_left_out() -> None:
    sold_out = Mask("out_of_stock", mask_of(N + 1, 0, 1, 2, 3, 8))
    query = asked(ask(count=3, masks=(sold_out,)), pins=((1, 7), (2, 3), (4, 1)))
    assert shown(query) == [0, 3, 1]
    bought = ask((1, 3), (2, 3), count=3)
    assert shown(asked(replace(bought, scenario=Scenario.DISCOVER), pins=((1, 2), (2, 7)))) == [0, 7, 3]
    again = replace(bought, scenario=Scenario.BUY_AGAIN, masks=(sold_out,), count=2)
    assert shown(asked(again, pins=((1, 2), (2, 8)))) == [2, 1]


def test_an_item_newer_than_the_models_can_be_pinned() -> None:
    everything = Mask("not_sellable", np.ones(N + 1, bool))
    assert shown(asked(ask(count=3, masks=(everything,)), pins=((2, 8),))) == [0, 8, 1]
    assert shown(asked(ask(scenario=Scenario.NEW, count=3, masks=(everything,)), pins=((3, 8),))) == [6, 7, 8]


def test_boosts_reorder() -> None:
    # 8/8 of 1/8 against 6/8 of 1/8, doubled; and 7/8, halved, falls behind 5/8 and 4/8.
    boosts = ((mask_of(N, 2), 2.0), (mask_of(N, 1), 0.5))
    assert shown(asked(ask(count=5), boosts=boosts)) == [2, 0, 3, 4, 1]


@pytest.mark.parametrize("rule", ["buried", "cool_down"])
def test_what_gives_way_is_shown_where_nothing_else_is_left(rule: str) -> None:
    masks = (Mask("out_of_stock", mask_of(N, 0, 1, 2, 3, 4)), Mask(rule, mask_of(N, 1, 2, 5), yields=True))
    assert shown(ask(count=2, masks=masks)) == [1, 2]
    found = slate(ask(count=4, masks=masks))
    assert found.row.tolist() == [1, 2, 0, 3]
    assert found.dropped == {"out_of_stock": 3, rule: 3}
    assert shown(ask(count=8, masks=masks)) == [1, 2, 0, 3, 4]
    assert shown(asked(ask(count=2, masks=masks), pins=((1, 3),))) == [1, 2]


def test_a_chosen_diversity_counts_in_place_of_the_fitted_one() -> None:
    kinds = np.array([[1, 1, 1, 2, 2, 3, 3, 0]] * 2, np.int32)
    varied = replace(SHOP, spread=replace(NO_SPREAD, diversity=Diversity({Scenario.HOME: 0.0}, kinds)))
    assert shown(ask(count=3), varied) == [0, 1, 2]
    assert shown(asked(ask(count=3), diversity=0.9), varied) == [0, 3, 5]
    fitted = replace(SHOP, spread=Spread(Diversity({Scenario.HOME: 0.9}, kinds), NO_SPREAD.calibration))
    assert shown(asked(ask(count=3), diversity=0.0), fitted) == [0, 1, 2]
    assert shown(asked(ask(count=3), diversity=0.9)) == [0, 1, 2]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 3)])
def test_a_share_of_the_slate_is_held_for_repeats(share: float, expected: int) -> None:
    bought = ask((5, 3), (6, 3), (7, 3), count=4)
    rows = shown(asked(bought, repeat_share=share))
    assert len(rows) == 4
    assert len({5, 6, 7} & set(rows)) == expected
    assert shown(asked(replace(bought, personal=False), repeat_share=share)) == [0, 1, 2, 3]

"""Explanations: what became of an item, step by step, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.explanation import Explanation, Outcome, Sighting, explain_item
from recommender.pipeline import Recommender
from recommender.query import Mask, Query, Scenario
from tests.learning import ask, mask_of
from tests.toy_shop import toy_recommender


def shop(depth: int = 100) -> Recommender:
    return toy_recommender(popular=[8, 4, 2, 1, 1, 0], near={(1, 4): 0.5}, depth=depth)


def explained(row: int | None, query: Query, recommender: Recommender | None = None) -> Explanation:
    return explain_item(recommender or shop(), query, row)


def sighting(found: Explanation, name: str) -> Sighting:
    return next(part for part in found.sightings if part.retriever == name)


BOUGHT = ask((1, 10), count=2)
"""Item 1 was bought a half-life ago: item 1 scores 1 + 0.125 / 2, item 4 0.25 + 0.125 / 8, item 0 0.125."""


def test_what_is_shown_is_told_with_ranks_and_shares() -> None:
    found = explained(1, BOUGHT)
    assert found.outcome is Outcome.SHOWN
    assert (found.position, found.rank, found.candidates, found.source) == (1, 1, 6, "repeat")
    assert found.score == pytest.approx(1.0625)
    assert sighting(found, "repeat") == Sighting("repeat", 1, 0.5, 100, True, 1.0)
    assert sighting(found, "popularity") == Sighting("popularity", 2, 4.0, 100, True, 0.0625)
    assert sighting(found, "item_neighbors") == Sighting("item_neighbors", None, None, 100, True, 0.0)
    assert sum(part.adds for part in found.sightings) == pytest.approx(found.score)
    assert not found.moved
    assert [str(reason.code) for reason in found.reasons] == ["bought_before"]


def test_what_the_scenario_does_not_heed_is_said_so() -> None:
    # Of home's weights none is of trends; nothing is new here either.
    assert not sighting(explained(1, BOUGHT), "trending").heeded


def test_below_the_cut() -> None:
    found = explained(0, BOUGHT)
    assert found.outcome is Outcome.BELOW_THE_CUT
    assert (found.position, found.without_moves, found.rank) == (None, 3, 3)
    assert found.reasons


def test_the_rules_that_drop_an_item_are_named_in_their_order() -> None:
    masks = (Mask("excluded", mask_of(6, 0, 1, 2, 3, 4, 5)), Mask("not_listed", mask_of(6, 1, 0)))
    masks += (Mask("out_of_stock", mask_of(6, 0)),)
    query = replace(BOUGHT, masks=masks)
    found = explained(4, query)
    assert (found.outcome, found.rule, found.rules) == (Outcome.DROPPED, "not_listed", ("not_listed", "out_of_stock"))
    assert (found.rank, found.without_moves) == (2, None)
    # With items 1 and 4 gone, item 0 moves up.
    assert explained(0, query).position == 1
    assert explained(0, query).without_moves == 1
    assert explained(0, query).rank == 3


def test_a_placement_can_be_about_other_items() -> None:
    assert explained(1, ask((1, 10), count=2, scenario=Scenario.DISCOVER)).outcome is Outcome.NOT_OF_SCENARIO
    assert explained(4, ask((1, 10), count=1, scenario=Scenario.BUY_AGAIN)).outcome is Outcome.NOT_OF_SCENARIO


def test_what_no_retriever_found_is_looked_for_further_down() -> None:
    found = explained(3, BOUGHT, shop(depth=2))
    assert found.outcome is Outcome.NOT_FOUND
    assert (found.rank, found.score, found.source, found.reasons) == (None, None, None, ())
    assert sighting(found, "popularity") == Sighting("popularity", 4, 1.0, 2, True, 0.0)


def test_items_beyond_the_models() -> None:
    query = replace(BOUGHT, masks=(Mask("not_sellable", mask_of(8, *range(8))),))
    assert explained(7, query).outcome is Outcome.NEWER_THAN_MODELS
    assert explained(None, query).outcome is Outcome.UNKNOWN_ITEM
    # Nothing else is left: the newer item fills the slate.
    filled = replace(BOUGHT, masks=(Mask("not_sellable", mask_of(8, 7)),))
    found = explained(7, filled)
    assert (found.outcome, found.position, found.rank) == (Outcome.SHOWN, 1, None)
    assert [str(reason.code) for reason in found.reasons] == ["popular"]


def test_a_place_that_the_score_does_not_explain_was_moved() -> None:
    found = explained(1, BOUGHT)
    assert replace(found, position=2).moved
    assert not replace(found, position=None).moved


def test_the_slate_of_a_deeper_search_is_not_taken_for_moved() -> None:
    # Of each list's first two, rules leave item 4 only, worth 0.0625; further down a trend is found that is worth more.
    weights = {scenario: {"trending": 1.0, "popularity": 0.125} for scenario in Scenario}
    recommender = toy_recommender([8, 4, 2, 1, 7, 0], weights=weights, trending={0: 9, 1: 8, 3: 6}, depth=2)
    query = ask(count=2, masks=(Mask("out_of_stock", mask_of(6, 3, 4)),))
    found = explained(4, query, recommender)
    assert (found.outcome, found.position, found.without_moves) == (Outcome.SHOWN, 2, 2)
    assert not found.moved

"""The recommender: from queries to slates, by hand and by property."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates import Slate
from recommender.diversity import NO_SPREAD, Diversity, Spread
from recommender.errors import BundleError
from recommender.events import EventKind
from recommender.pipeline import Recommender
from recommender.query import Mask, Query, Scenario
from tests.learning import CHEAP, VIEW, Entry, ask, mask_of
from tests.toy_shop import toy_recommender

SHOP = toy_recommender(
    popular=[8, 4, 2, 1, 1, 0],
    near={(1, 4): 0.5, (1, 3): 0.25},
    stores=[{5: 1.0, 4: 0.5}],
    trending={3: 2.0},
    new={5: 0.1},
)
"""Six items; popular in the order 0, 1, 2, 3, 4, 5."""


def slate_of(query: Query, recommender: Recommender = SHOP) -> Slate:
    return recommender.recommend([query])[0]


def rows_of(query: Query, recommender: Recommender = SHOP) -> list[int]:
    return [int(row) for row in slate_of(query, recommender).row]


def allow(name: str, n_items: int, *rows: int) -> Mask:
    return Mask(name, mask_of(n_items, *rows))


def test_strangers_get_what_is_popular() -> None:
    slate = slate_of(ask(count=3))
    assert slate.row.tolist() == [0, 1, 2]
    # The blend weighs popularity 1/8, relative to the most popular item: 8/8, 4/8, 2/8.
    assert slate.score.tolist() == pytest.approx([0.125, 0.0625, 0.03125])
    assert slate.source == ("popularity",) * 3
    assert (slate.strategy, slate.dropped) == ("popular", {})


def test_a_blended_slate_by_hand() -> None:
    # Item 1, bought 10 days ago (1/2), repeats: 1 * 1. It is popular, too: 1/8 * 4/8. Together 1.0625.
    # Item 4 is its neighbour (0.5, the nearest): 1/4 * 1, and popular: 1/8 * 1/8. Together 0.265625.
    # Item 3, the next neighbour: 1/4 * 1/2 + 1/8 * 1/8 = 0.140625. Item 0 is popular: 1/8.
    # Item 2 was viewed 5 days ago: 1/2 * 1, and popular: 1/8 * 2/8. Together 0.53125.
    slate = slate_of(ask((1, 10), (2, 5, VIEW), count=5))
    assert slate.row.tolist() == [1, 2, 4, 3, 0]
    assert slate.score.tolist() == pytest.approx([1.0625, 0.53125, 0.265625, 0.140625, 0.125])
    assert slate.source == ("repeat", "browsed", "item_neighbors", "item_neighbors", "popularity")
    assert slate.strategy == "personal"


def test_a_slate_is_as_long_as_wanted_or_possible() -> None:
    assert len(slate_of(ask(count=6)).row) == 6
    slate = slate_of(ask(count=50))
    assert (len(slate.row), slate.strategy) == (6, "popular")


def test_masks_are_applied_before_the_cut_and_counted() -> None:
    masks = (allow("out_of_stock", 6, 1, 3, 4, 5), allow("excluded", 6, 0, 1, 2, 4, 5))
    slate = slate_of(ask(count=3, masks=masks))
    assert slate.row.tolist() == [1, 4, 5]
    assert slate.dropped == {"out_of_stock": 2, "excluded": 1}
    assert slate.strategy == "popular"


def test_nothing_allowed_makes_an_empty_slate() -> None:
    slate = slate_of(ask((1, 1), masks=(allow("not_sellable", 6),)))
    assert slate.row.tolist() == []
    assert slate.score.tolist() == []
    assert (slate.strategy, slate.dropped) == ("personal", {"not_sellable": 6})


def test_allowed_items_far_down_the_lists_are_found() -> None:
    shop = toy_recommender(popular=list(range(60, 0, -1)), depth=3)
    slate = slate_of(ask(count=3, masks=(allow("out_of_stock", 60, 50, 40, 57, 58, 59),)), shop)
    assert slate.row.tolist() == [40, 50, 57]
    assert (slate.strategy, slate.dropped) == ("popular", {"out_of_stock": 3})


def test_more_than_the_retrievers_list_is_filled_and_says_so() -> None:
    shop = toy_recommender(popular=list(range(60, 0, -1)), depth=3)
    slate = slate_of(ask(count=8), shop)
    assert slate.row.tolist() == list(range(8))
    assert slate.strategy == "popular+filled"
    assert slate.source == ("popularity",) * 8


def test_items_newer_than_the_models_fill_up_by_id() -> None:
    slate = slate_of(ask((1, 10), count=4, masks=(allow("not_sellable", 9, 1, 7, 8, 6, 5),)))
    assert slate.row.tolist() == [1, 5, 6, 7]
    assert slate.strategy == "personal+filled"
    assert slate.score.tolist() == sorted(slate.score.tolist(), reverse=True)
    assert slate.source[2:] == ("popularity", "popularity")


def test_a_slate_of_new_items_only_is_not_personal() -> None:
    slate = slate_of(ask((1, 10), count=2, masks=(allow("not_sellable", 9, 7, 8),)))
    assert (slate.row.tolist(), slate.strategy) == ([7, 8], "popular+filled")


def test_buy_again_shows_what_was_bought_and_fills_up_by_name() -> None:
    again = Scenario.BUY_AGAIN
    slate = slate_of(ask((5, 10), (3, 20), (1, 1, VIEW), scenario=again, count=2))
    assert (slate.row.tolist(), slate.strategy) == ([5, 3], "personal")
    slate = slate_of(ask((5, 10), (3, 20), (1, 1, VIEW), scenario=again, count=4))
    assert (slate.row.tolist(), slate.strategy) == ([5, 3, 0, 1], "personal+filled")
    assert slate.source == ("repeat", "repeat", "popularity", "popularity")


def test_buy_again_of_who_bought_nothing_is_popular() -> None:
    slate = slate_of(ask(scenario=Scenario.BUY_AGAIN, count=2))
    assert (slate.row.tolist(), slate.strategy) == ([0, 1], "popular")


def test_discover_never_shows_what_was_bought() -> None:
    discover = Scenario.DISCOVER
    assert rows_of(ask((0, 10), (1, 300), scenario=discover)) == [4, 3, 2, 5]
    assert rows_of(ask((0, 10), (1, 300), (2, 1, VIEW), scenario=discover)) == [2, 4, 3, 5]


def test_discover_fills_up_with_what_was_only_viewed() -> None:
    shop = toy_recommender(popular=list(range(30, 0, -1)), depth=2)
    long_ago: list[Entry] = [(row, 5000.0, VIEW) for row in range(30)]
    slate = slate_of(ask((0, 1), (7, 2), *long_ago, scenario=Scenario.DISCOVER, count=28), shop)
    assert sorted(slate.row.tolist()) == [row for row in range(30) if row not in (0, 7)]


def test_who_opted_out_is_answered_like_a_stranger() -> None:
    for scenario in Scenario:
        slate = slate_of(ask((4, 1), (5, 2), scenario=scenario, personal=False, count=3))
        stranger = slate_of(ask(scenario=scenario, count=3))
        assert slate.row.tolist() == stranger.row.tolist()
        assert slate.strategy == stranger.strategy
        assert slate.strategy.startswith("popular")


def test_trending_weighs_trends() -> None:
    weights = {key: {"trending": 1.0, "store_popularity": 0.5, "popularity": 0.125} for key in Scenario}
    shop = toy_recommender(popular=[8, 4, 2, 1], trending={3: 2.0, 1: 1.0}, stores=[{2: 1.0}], weights=weights)
    # Item 3: 1 + 1/64. Item 1: 1/2 + 1/16. Item 2, in store 0: 1/2 + 1/32. Item 0: 1/8.
    assert rows_of(ask(scenario=Scenario.TRENDING, store_row=0), shop) == [3, 1, 2, 0]
    assert rows_of(ask(scenario=Scenario.TRENDING), shop) == [3, 1, 0, 2]


def test_new_shows_what_arrived_and_before_others_what_the_models_do_not_know() -> None:
    weights = {key: {"arrivals": 1.0, "popularity": 0.125} for key in Scenario}
    shop = toy_recommender(popular=[8, 4, 2, 1, 1, 0], new={5: 0.1, 3: 0.05}, weights=weights)
    slate = slate_of(ask((1, 10), scenario=Scenario.NEW, count=2), shop)
    assert (slate.row.tolist(), slate.strategy) == ([5, 3], "personal")
    assert rows_of(ask((5, 3), (0, 9), scenario=Scenario.NEW, count=9), shop) == [3, 1, 2, 4]
    later = (allow("not_sellable", 8, *range(8)),)
    slate = slate_of(ask(scenario=Scenario.NEW, count=6, masks=later), shop)
    assert (slate.row.tolist(), slate.strategy) == ([5, 3, 6, 7, 0, 1], "popular+filled")
    assert rows_of(ask(scenario=Scenario.NEW, count=2), toy_recommender(popular=[8, 4, 2])) == [0, 1]


def test_what_a_request_is_about_names_the_strategy_and_is_not_shown() -> None:
    slate = slate_of(ask((1, 10), scenario=Scenario.BASKET, context=[0, 1], count=6))
    assert (sorted(slate.row.tolist()), slate.strategy) == ([2, 3, 4, 5], "context")
    shop = toy_recommender(popular=list(range(30, 0, -1)), depth=2)
    slate = slate_of(ask(scenario=Scenario.BASKET, context=[3, 4], count=30), shop)
    assert (sorted(slate.row.tolist()), slate.strategy) == ([0, 1, 2, *range(5, 30)], "context+filled")


def test_slates_are_spread_and_their_scores_never_rise() -> None:
    kinds = np.array([[1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 0, 0]], np.int32)
    spread = Spread(Diversity({Scenario.HOME: 0.9}, kinds), NO_SPREAD.calibration)
    slate = slate_of(ask(count=4), replace(SHOP, spread=spread))
    # One of each category, then the rest: by popularity 0, 2, 4 and then 1.
    assert slate.row.tolist() == [0, 2, 4, 1]
    assert slate.score.tolist() == pytest.approx([0.125, 0.03125, 0.015625, 0.015625])
    masks = (allow("out_of_stock", 6, 1, 3, 4, 5),)
    assert rows_of(ask(count=3, masks=masks), replace(SHOP, spread=spread)) == [1, 3, 4]
    assert rows_of(ask(count=4, scenario=Scenario.DISCOVER), replace(SHOP, spread=spread)) == [0, 1, 2, 3]


def test_ties_go_to_the_lower_id() -> None:
    assert rows_of(ask(), toy_recommender(popular=[1, 1, 1, 1])) == [0, 1, 2, 3]


def test_no_queries_no_slates() -> None:
    assert SHOP.recommend([]) == []


def test_find_shows_candidates_before_the_rules() -> None:
    query = ask((1, 10), scenario=Scenario.DISCOVER, masks=(allow("out_of_stock", 6, 3),))
    found = SHOP.find([query, ask()])
    assert found.pool.row.tolist() == [0, 2, 3, 4, 5, *range(6)]
    assert found.pool.retrievers[0] == "repeat"
    assert len(found.ranked.score) == 11


def test_only_retrievers_that_count_in_a_placement_are_asked() -> None:
    weights = {scenario: {"repeat": 1.0} for scenario in Scenario} | {Scenario.DISCOVER: {"item_neighbors": 1.0}}
    shop = toy_recommender(popular=[8, 4, 2, 1, 1, 0], near={(1, 4): 0.5}, weights=weights)
    # Item 4 is a neighbour of item 1: where neighbours do not count, it comes like all others, by popularity.
    home, discover = ask((1, 10), count=6), ask((1, 10), count=5, scenario=Scenario.DISCOVER)
    for slates in (shop.recommend([home, discover]), shop.recommend([discover, home])[::-1]):
        assert slates[0].row.tolist() == [1, 0, 2, 3, 4, 5]
        assert set(slates[0].source[1:]) == {"popularity"}
        assert slates[1].row.tolist() == [4, 0, 2, 3, 5]
        assert slates[1].source[0] == "item_neighbors"
    assert set(shop.find([home]).pool.retrievers) == {part.name for part in shop.retrievers}


def test_parts_make_the_same_recommender(tmp_path: Path) -> None:
    arrays, description = SHOP.parts()
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=False)
    loaded = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    again = Recommender.from_parts(loaded, json.loads(json.dumps(description, sort_keys=True)))
    assert [part.name for part in again.retrievers] == [part.name for part in SHOP.retrievers]
    assert again.items.ids(np.arange(6)) == SHOP.items.ids(np.arange(6))
    assert (again.channels, again.depth, again.ranker) == (SHOP.channels, SHOP.depth, SHOP.ranker)
    assert again.parts()[1] == description
    queries = [
        ask((1, 10), (2, 5, VIEW), scenario=scenario, store_row=store) for scenario in Scenario for store in (0, None)
    ]
    for left, right in zip(SHOP.recommend(queries), again.recommend(queries), strict=True):
        assert equal(left, right)


@pytest.mark.parametrize("missing", ["channels", "depth", "retrievers", "ranker", "day_offset_minutes"])
def test_a_description_that_lacks_a_part_is_refused(missing: str) -> None:
    arrays, description = SHOP.parts()
    del description[missing]
    with pytest.raises(BundleError, match=missing):
        Recommender.from_parts(arrays, description)


@pytest.mark.parametrize("missing", ["items.keys", "popularity.row", "item_neighbors.indptr"])
def test_missing_arrays_are_named(missing: str) -> None:
    arrays, description = SHOP.parts()
    del arrays[missing]
    with pytest.raises(BundleError, match=missing.split(".")[-1]):
        Recommender.from_parts(arrays, description)


def test_an_unknown_retriever_is_named() -> None:
    arrays, description = SHOP.parts()
    with pytest.raises(BundleError, match="oracle"):
        Recommender.from_parts(arrays, {**description, "retrievers": [{"name": "oracle", "settings": {}}]})


# Properties: whatever the shop and whoever asks.


@dataclass(frozen=True)
class World:
    """A shop and the queries put to it; `extra` items came after the models."""

    shop: Recommender
    queries: list[Query]
    extra: int
    deep: bool


KINDS = (EventKind.PURCHASE, EventKind.PURCHASE, EventKind.VIEW, EventKind.BASKET_ADD)
LEVELS = st.sampled_from([0.0, 0.1, 0.5, 1.0])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    n_items = draw(st.integers(1, 9))
    extra = draw(st.integers(0, 3))
    deep = draw(st.booleans())
    row = st.integers(0, n_items - 1)
    some = st.dictionaries(row, st.sampled_from([0.25, 0.5, 1.0]), max_size=4)
    names = ("repeat", "browsed", "item_neighbors", "popularity", "store_popularity", "trending", "arrivals")
    weights = {scenario: {name: draw(LEVELS) for name in names} for scenario in Scenario}
    shop = toy_recommender(
        popular=draw(st.lists(st.integers(0, 3), min_size=n_items, max_size=n_items)),
        weights=weights,
        near=draw(st.dictionaries(st.tuples(row, row), st.sampled_from([0.25, 0.5]), max_size=5)),
        stores=[draw(some), draw(some)],
        trending=draw(some),
        new=draw(some),
        depth=100 if deep else draw(st.integers(1, 3)),
    )
    entry = st.tuples(row, st.sampled_from([0.5, 3.0, 40.0, 9000.0]), st.sampled_from(KINDS))
    mask = st.lists(st.booleans(), min_size=n_items + extra, max_size=n_items + extra)
    queries = [
        ask(
            *draw(st.lists(entry, max_size=6)),
            scenario=draw(st.sampled_from(list(Scenario))),
            count=draw(st.integers(1, 14)),
            store_row=draw(st.sampled_from([None, 0, 1])),
            personal=draw(st.integers(0, 4)) > 0,
            masks=tuple(
                Mask(f"rule {number}", np.array(draw(mask), bool)) for number in range(draw(st.integers(0, 2)))
            ),
            context=draw(st.lists(row, max_size=2, unique=True)),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    return World(shop, queries, extra, deep)


def allowed_rows(query: Query, world: World) -> set[int]:
    """Return the rows that every mask allows."""
    rows = set(range(len(world.shop.items) + (world.extra if query.masks else 0)))
    for mask in query.masks:
        rows &= set(np.flatnonzero(mask.allowed).tolist())
    return rows - set(query.context.row.tolist())


def bought_rows(query: Query) -> set[int]:
    history = query.history
    return set(history.item_row[history.kind == list(EventKind).index(EventKind.PURCHASE)].tolist())


def equal(left: Slate, right: Slate) -> bool:
    return (
        np.array_equal(left.row, right.row)
        and np.array_equal(left.score, right.score)
        and (left.source, left.strategy, left.dropped) == (right.source, right.strategy, right.dropped)
    )


@CHEAP
@given(worlds())
def test_slates_are_full_distinct_and_hold_allowed_items_only(world: World) -> None:
    for query, slate in zip(world.queries, world.shop.recommend(world.queries), strict=True):
        allowed = allowed_rows(query, world)
        if query.scenario in (Scenario.DISCOVER, Scenario.NEW) and query.personal:
            allowed -= bought_rows(query)
        shown = slate.row.tolist()
        assert len(shown) == len(set(shown)) == min(query.count, len(allowed))
        assert set(shown) <= allowed


@CHEAP
@given(worlds())
def test_slates_keep_their_form(world: World) -> None:
    names = {part.name for part in world.shop.retrievers}
    for query, slate in zip(world.queries, world.shop.recommend(world.queries), strict=True):
        assert slate.row.dtype == np.int32
        assert slate.score.dtype == np.float32
        assert len(slate.row) == len(slate.score) == len(slate.source)
        assert np.isfinite(slate.score).all()
        assert (np.diff(slate.score) <= 0).all()
        assert set(slate.source) <= names
        assert slate.dropped.keys() <= {mask.rule for mask in query.masks}
        assert all(number > 0 for number in slate.dropped.values())


@CHEAP
@given(worlds())
def test_what_fills_a_slate_up_is_named(world: World) -> None:
    for query, slate in zip(world.queries, world.shop.recommend(world.queries), strict=True):
        known = query.personal and len(query.history.item_row) > 0
        made_of = "context" if len(query.context) else "personal" if known else "popular"
        path, _, filled = slate.strategy.partition("+")
        assert path in ({made_of, "popular"} if filled else {made_of})
        assert filled in ("", "filled")
        shown, about = set(slate.row.tolist()), set(range(len(world.shop.items)))
        bought = bought_rows(query)
        if query.scenario is Scenario.BUY_AGAIN and query.personal and bought:
            about = bought
        if query.scenario is Scenario.NEW:
            about = set(world.shop.retrievers[-1].state().arrays["arrival_row"].tolist()) or about
        if not shown <= about:
            assert filled
        elif world.deep:
            assert not filled


@CHEAP
@given(worlds())
def test_buy_again_shows_all_that_was_bought_before_anything_else(world: World) -> None:
    for query, slate in zip(world.queries, world.shop.recommend(world.queries), strict=True):
        wanted = bought_rows(query) & allowed_rows(query, world)
        if world.deep and query.scenario is Scenario.BUY_AGAIN and query.personal:
            first = slate.row.tolist()[: len(wanted)]
            assert set(first) <= wanted
            assert len(first) == min(query.count, len(wanted))


@CHEAP
@given(worlds())
def test_the_same_question_has_the_same_answer_in_every_batch(world: World) -> None:
    slates = world.shop.recommend(world.queries)
    backwards = world.shop.recommend(world.queries[::-1])[::-1]
    for query, slate, other in zip(world.queries, slates, backwards, strict=True):
        assert equal(slate, other)
        assert equal(slate, slate_of(query, world.shop))


@CHEAP
@given(worlds())
def test_queries_are_left_as_they_are(world: World) -> None:
    for query in world.queries:
        for array in (query.history.item_row, query.history.minute, *(mask.allowed for mask in query.masks)):
            array.setflags(write=False)
    world.shop.recommend(world.queries)

"""Features of candidates: each worked out by hand, and the same whatever else is in the batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recommender.candidates import Pool
from recommender.errors import BundleError
from recommender.events import EventKind
from recommender.features import GROUPS, ITEM_FEATURES, FeatureSource, find
from recommender.query import Query
from recommender.retrievers.base import State
from tests.learning import ask, batch, plain_weights, random_queries

NAN = np.nan
N_ITEMS = 6


def source(retrievers: tuple[str, ...] = ("repeat", "popularity")) -> FeatureSource:
    """Six items: 0 and 1 of category 1, 2 and 3 of category 2, the others of none; store 0 sells 3 twice as much."""
    item = np.full((N_ITEMS, len(ITEM_FEATURES)), NAN, np.float32)
    item[:, ITEM_FEATURES.index("item_buyers")] = np.arange(N_ITEMS)
    item[:4, ITEM_FEATURES.index("item_price")] = [1.0, 3.0, 2.0, 4.0]
    content = np.zeros((len(GROUPS), N_ITEMS), np.int32)
    content[GROUPS.index("category")] = [1, 1, 2, 2, 0, 0]
    return FeatureSource(
        recall=plain_weights(10.0, 5.0),
        fresh=plain_weights(2.0, 1.0),
        prior_gaps=1.0,
        retrievers=retrievers,
        online=np.array([False, True]),
        item=item,
        content=content,
        interval_days=np.full(N_ITEMS, 10.0, np.float32),
        shelf_key=np.array([3], np.int64),
        shelf_lift=np.array([2.0], np.float32),
    )


def pool_for(*rows: list[int]) -> Pool:
    """Every query finds its rows, by `repeat` the earlier the better, by `popularity` only the first."""
    row = np.concatenate([np.array(part, np.int32) for part in rows])
    scores = np.full((len(row), 2), NAN, np.float32)
    scores[:, 0] = np.concatenate([1.0 / (1 + np.arange(len(part))) for part in rows])
    indptr = np.cumsum([0, *(len(part) for part in rows)])
    scores[indptr[:-1], 1] = 5.0
    ranks = np.where(np.isnan(scores), NAN, np.concatenate([np.arange(len(part)) for part in rows])[:, None])
    return Pool(indptr.astype(np.int64), row, scores, ranks.astype(np.float32), ("repeat", "popularity"))


def features(query: Query, *rows: int) -> dict[str, list[float]]:
    """Return each feature by name, a value per row."""
    made = source()
    matrix = made.build(pool_for(list(rows)), batch(query))
    assert matrix.dtype == np.float32
    return dict(zip(made.names, matrix.T.tolist(), strict=True))


def test_ranks_are_places_in_each_retrievers_list() -> None:
    found = features(ask(), 0, 3)
    assert found["rank_repeat"] == [0, 1]
    assert found["rank_popularity"] == pytest.approx([0, NAN], nan_ok=True)


def test_what_was_bought_before() -> None:
    # Bought 20 and 10 days ago: half-life 10 days gives 1/4 + 1/2; one gap of 10 days and one of prior make 10 days.
    found = features(ask((0, 20.0), (0, 10.0), (2, 30.0)), 0, 3)
    assert found["pair_times"] == pytest.approx([2, NAN], nan_ok=True)
    assert found["pair_recall"][0] == pytest.approx(0.75, rel=1e-3)
    assert found["pair_share"][0] == pytest.approx(0.75 / 0.875, rel=1e-3)
    assert found["pair_days_since"][0] == pytest.approx(10)
    assert found["pair_days_known"][0] == pytest.approx(20)
    assert found["pair_due_ratio"][0] == pytest.approx(1.0)
    assert found["pair_rate"][0] == pytest.approx(0.1)


def test_views_since_the_last_purchase() -> None:
    query = ask((0, 9.0, EventKind.VIEW), (0, 8.0), (0, 3.0, EventKind.VIEW), (0, 1.0, EventKind.BASKET_ADD))
    found = features(query, 0)
    assert found["pair_views_since"] == [2]
    assert found["pair_days_since_event"] == [1]


def test_taste_for_a_category() -> None:
    # Item 0 weighs 1/2, item 2 1/4: category 1 has two thirds. Items without a category are told nothing.
    found = features(ask((0, 10.0), (2, 20.0)), 1, 3, 4)
    assert found["category_share"] == pytest.approx([2 / 3, 1 / 3, NAN], nan_ok=True, rel=1e-3)
    assert found["category_items"] == pytest.approx([1, 1, NAN], nan_ok=True)
    assert found["category_days_since"] == pytest.approx([10, 20, NAN], nan_ok=True)
    assert np.isnan(found["brand_share"]).all()


def test_a_category_never_bought_has_no_share() -> None:
    found = features(ask((0, 10.0)), 3)
    assert found["category_share"] == [0]
    assert np.isnan(found["category_days_since"]).all()


def test_the_member() -> None:
    # Two shopping days, three entries of which one is of an item bought before.
    found = features(ask((0, 20.0), (0, 10.0), (1, 10.0), (5, 1.0, EventKind.VIEW)), 3)
    assert found["member_days"] == [2]
    assert found["member_days_since"] == [10]
    assert found["member_gap_days"] == [10]
    assert found["member_basket"] == [1.5]
    assert found["member_repeat_share"] == pytest.approx([1 / 3])
    assert found["member_browsed_share"] == [0.25]
    assert found["member_price"] == [2]
    assert found["price_match"] == [2]


def test_what_a_store_sells() -> None:
    assert features(ask(store_row=0), 2, 3)["store_lift"] == [0, 2]
    assert np.isnan(features(ask(), 2, 3)["store_lift"]).all()


def test_a_stranger_is_described_without_numbers_that_mean_nothing() -> None:
    found = features(ask(), 0)
    assert found["member_days"] == [0]
    for name in ("member_days_since", "member_price", "pair_times", "price_match"):
        assert np.isnan(found[name]).all(), name
    assert found["item_buyers"] == [0]


def test_features_do_not_depend_on_the_batch() -> None:
    queries = random_queries(np.random.default_rng(3), 12, N_ITEMS, 1)
    rows = [[0, 1, 3], [2], [0, 1, 2, 3, 4, 5]] * 4
    together = source().build(pool_for(*rows), batch(*queries))
    alone = [source().build(pool_for(part), batch(query)) for part, query in zip(rows, queries, strict=True)]
    assert np.array_equal(together, np.concatenate(alone), equal_nan=True)


def test_only_some_candidates() -> None:
    pool, asked = pool_for([0, 1, 3]), batch(ask((0, 3.0)))
    kept = np.array([True, False, True])
    assert np.array_equal(source().build(pool, asked, kept), source().build(pool, asked)[kept], equal_nan=True)


def test_the_same_source_from_its_state(tmp_path: Path) -> None:
    state = source().state()
    loaded = FeatureSource.from_state(State(state.arrays, json.loads(json.dumps(dict(state.settings)))))
    pool, asked = pool_for([0, 1, 3]), batch(ask((0, 3.0)))
    assert np.array_equal(loaded.build(pool, asked), source().build(pool, asked), equal_nan=True)


def test_features_of_another_version_are_refused() -> None:
    state = source().state()
    with pytest.raises(BundleError, match="Train again"):
        FeatureSource.from_state(State(state.arrays, {**state.settings, "names": ["blend"]}))


def test_find_tells_what_is_there() -> None:
    at, known = find(np.array([3, 7], np.int64), np.array([7, 5, 9, 3], np.int64))
    assert known.tolist() == [True, False, False, True]
    assert at[known].tolist() == [1, 0]

"""The tuned blend: never below the best retriever alone, and sensible where nothing was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from recommender.candidates import Pool
from recommender.pipeline import Recommender
from recommender.query import Query, Scenario
from recommender.ranking import Blend
from tests.learning import ask, batch
from tests.training.datasets import minute_of
from tests.training.fit.market import SETTINGS, market
from training.evaluate import panel_for
from training.fit.blend import CUT, LEAST, fit_blend, side_by_side, tune
from training.fit.recommender import START_WEIGHTS, fit_recommender
from training.metrics import Ragged, hit_matrix, ndcg
from training.pools import PanelPools, retrieve_pools
from training.split import time_windows
from training.windows import Subset

NAN = np.nan


def pool_of(names: tuple[str, ...], *people: Mapping[int, Sequence[float]]) -> Pool:
    """Lay people's candidates out, given as scores by retriever per item row."""
    rows = [row for person in people for row in sorted(person)]
    scores = [person[row] for person in people for row in sorted(person)]
    table = np.array(scores, np.float32).reshape(-1, len(names))
    indptr = np.cumsum([0, *(len(person) for person in people)]).astype(np.int64)
    return Pool(indptr, np.array(rows, np.int32), table, np.zeros_like(table), names)


def reached(pools: list[Pool], truth: Ragged, weights: dict[str, float]) -> float:
    """Return the mean NDCG of the order in which a blend with these weights serves."""
    blend, orders = Blend({Scenario.HOME: weights}), []
    for pool in pools:
        score = blend.rank(pool, batch(ask()), [Scenario.HOME] * (len(pool.indptr) - 1)).score
        order = np.lexsort((pool.row, -score, pool.query))
        orders.append(np.split(pool.row[order], pool.indptr[1:-1]))
    lists = Ragged.of([row for order in orders for row in order])
    return float(np.nanmean(ndcg(hit_matrix(lists, truth, CUT), truth.sizes, CUT)))


def random_pools(seed: int, names: tuple[str, ...]) -> tuple[list[Pool], Ragged]:
    """Draw candidates with few distinct scores, so that ties abound, and what was bought of them or others."""
    rng = np.random.default_rng(seed)
    people: list[dict[int, Sequence[float]]] = []
    for _ in range(24):
        rows = rng.permutation(40)[: int(rng.integers(0, 40))]
        scores = rng.choice([NAN, NAN, 0.25, 0.5, 1.0], (len(rows), len(names)))
        people.append({int(row): tuple(part) for row, part in zip(rows, scores.tolist(), strict=True)})
    truth = Ragged.of([np.sort(rng.permutation(40)[: int(rng.integers(0, 5))]) for _ in people])
    return [pool_of(names, *people[:9]), pool_of(names, *people[9:])], truth


def test_the_retriever_that_is_right_leads() -> None:
    people = [{row: (float(row == i), float(row != i)) for row in range(4)} for i in range(4)]
    weights = tune([pool_of(("right", "wrong"), *people)], Ragged.of([[i] for i in range(4)]), {"wrong": 1.0})
    assert weights == {"right": 1.0, "wrong": 0.0}


def test_two_retrievers_that_are_half_right_are_both_heard() -> None:
    # Either lifts one of the two items bought and one that was not; only together both bought items lead.
    person = {0: (1.0, 0.0), 1: (0.0, 1.0), 2: (0.75, 0.75), 3: (0.75, 0.75)}
    pools = [pool_of(("a", "b"), *[person] * 3)]
    truth = Ragged.of([[2, 3]] * 3)
    weights = tune(pools, truth, {"a": 1.0})
    assert min(weights.values()) > 0
    assert reached(pools, truth, weights) == 1
    assert reached(pools, truth, {"a": 1.0}) < 1


@pytest.mark.parametrize("seed", range(12))
def test_tuning_is_never_below_the_start_nor_the_best_retriever_alone(seed: int) -> None:
    names = ("a", "b", "c")
    pools, truth = random_pools(seed, names)
    start = {"a": 1.0, "b": 0.5, "c": 0.15}
    value = reached(pools, truth, tune(pools, truth, start))
    for other in (start, *({name: 1.0} for name in names)):
        assert value >= reached(pools, truth, other) - 1e-6


def test_tuning_repeats() -> None:
    pools, truth = random_pools(3, ("a", "b"))
    assert tune(pools, truth, {"a": 1.0}) == tune(pools, truth, {"a": 1.0})


def test_the_largest_weight_is_one_and_popularity_keeps_some() -> None:
    people = [{row: (float(row == i), float(row != i)) for row in range(4)} for i in range(4)]
    weights = tune([pool_of(("repeat", "popularity"), *people)], Ragged.of([[i] for i in range(4)]), {"repeat": 0.3})
    assert weights == {"repeat": 1.0, "popularity": LEAST["popularity"]}


def test_people_who_bought_nothing_do_not_count() -> None:
    pools, truth = random_pools(5, ("a", "b"))
    with_others = [*pools, pool_of(("a", "b"), {1: (1.0, 0.5), 2: (0.5, 1.0)}, {})]
    more = Ragged(np.concatenate((truth.indptr, truth.indptr[-1:], truth.indptr[-1:])), truth.row)
    assert tune(with_others, more, {"a": 1.0}) == tune(pools, truth, {"a": 1.0})


def test_who_found_nothing_was_not_judged() -> None:
    people = [{row: (float(row == 3 - i), NAN) for row in range(4)} for i in range(4)]
    truth = Ragged.of([[3 - i] for i in range(4)])
    assert tune([pool_of(("found", "silent"), *people)], truth, {"silent": 0.5}) == {"found": 1.0, "silent": 0.5}


def test_nobody_found_anything() -> None:
    start = {"a": 1.0, "b": 0.25}
    assert tune([pool_of(("a", "b"), {}, {})], Ragged.of([[1], [2]]), start) == start


@pytest.fixture(scope="module")
def pools() -> PanelPools:
    """What a recommender fitted before the last two weeks finds for those who bought in them."""
    dataset = market()
    window = time_windows(dataset, 14, ["validation"])[0]
    panel = panel_for(dataset, window, SETTINGS, 0)
    return retrieve_pools(recommender_before_the_window(), panel, tuple(Scenario), CUT)


def recommender_before_the_window() -> Recommender:
    dataset = market()
    window = time_windows(dataset, 14, ["validation"])[0]
    assert window.fit_minute <= minute_of(70)
    return fit_recommender(window.cut(dataset), window.fit_minute, SETTINGS)


def served(recommender: Recommender, queries: list[Query], truth: Ragged) -> float:
    """Return the mean NDCG of the slates themselves."""
    lists = Ragged.of([slate.row for slate in recommender.recommend(queries)])
    return float(np.nanmean(ndcg(hit_matrix(lists, truth, CUT), truth.sizes, CUT)))


def test_every_scenario_has_weights_and_those_of_trending_stay(pools: PanelPools) -> None:
    told: list[str] = []
    blend = fit_blend([pools], told.append)
    assert blend.weights.keys() == set(Scenario)
    assert blend.weights[Scenario.TRENDING] == START_WEIGHTS[Scenario.TRENDING]
    assert told == ["home", "buy_again", "discover"]
    for scenario in (Scenario.HOME, Scenario.BUY_AGAIN, Scenario.DISCOVER):
        assert max(blend.weights[scenario].values()) == 1


def test_served_slates_are_not_below_those_of_any_retriever_alone(pools: PanelPools) -> None:
    recommender = recommender_before_the_window()
    tuned = replace(recommender, ranker=fit_blend([pools]))
    for scenario, subset in ((Scenario.HOME, Subset.ALL), (Scenario.DISCOVER, Subset.NOVEL)):
        truth = pools.panel.truth.of(subset)
        queries = [query for part in pools.panel.queries({scenario: CUT}) for query in part]

        best = served(tuned, queries, truth)
        for part in recommender.retrievers:
            alone = Blend({scenario: {part.name: 1.0, "popularity": LEAST["popularity"]}})
            assert best >= served(replace(recommender, ranker=alone), queries, truth) - 1e-3, part.name


def test_strangers_are_answered_in_the_order_of_popularity_however_tuning_ends(pools: PanelPools) -> None:
    recommender = recommender_before_the_window()
    harsh = {"repeat": 1.0} | LEAST
    ranked = replace(recommender, ranker=Blend(dict.fromkeys(Scenario, harsh)))
    stranger = next(iter(pools.panel.queries({Scenario.HOME: 5})))[0]
    stranger = replace(stranger, personal=False, store_row=None)
    assert ranked.recommend([stranger])[0].row.tolist() == recommender.popularity.order()[:5].tolist()


def test_weights_are_tuned_on_several_windows_together() -> None:
    # Alone each window prefers its own retriever; the second has twice the people. A window may lack a retriever.
    first = pool_of(("a", "b"), *[{0: (1.0, 0.0), 1: (0.0, 1.0)}] * 2)
    second = pool_of(("b", "a"), *[{0: (0.0, 1.0), 1: (1.0, 0.0)}] * 4)
    third = pool_of(("b",), {1: (1.0,), 2: (0.5,)})
    truth = side_by_side([Ragged.of([[0]] * 2), Ragged.of([[1]] * 4), Ragged.of([[1]])])
    assert tune([first, second, third], truth, {"a": 0.5, "b": 0.5})["b"] == 1.0
    assert tune([first], Ragged.of([[0]] * 2), {"a": 0.5, "b": 0.5})["a"] == 1.0

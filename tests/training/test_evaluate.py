"""Evaluation of real models on a small shop, and panels by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.query import Scenario
from tests.training.datasets import Line, dataset_of, minute_of
from tests.training.shops import NOW, SETTINGS
from training.baselines import BASELINES
from training.dataset import Dataset
from training.evaluate import BOUGHT, MEMBERWISE, MEMBERWISE_HOME, candidate_lists, evaluate, panel_for, replay
from training.fit.blend import TUNED
from training.fit.recommender import fit_recommender
from training.gate import judge
from training.groups import FEW, NOBODY, item_groups
from training.panel import most_recent, panel_of, select
from training.place import Place
from training.pools import retrieve_pools
from training.split import later_window, split_dataset
from training.train import Trained
from training.unify import read_dataset
from training.windows import Protocol, Split, Subset

LINES: list[Line] = [
    ("ann", "milk", 1, "purchase", "north"),
    ("ann", "milk", 2, "purchase", "south"),
    ("ann", "tea", 2, "purchase", "south"),
    ("ann", "salt", 3, "view"),
    ("ann", "bread", 8),
    ("bob", "tea", 4),
    ("bob", "tea", 8),
    ("cyd", "tea", 8),
]


@pytest.fixture(scope="module")
def real(shop: tuple[Place, Trained]) -> tuple[Dataset, Split]:
    place, _ = shop
    dataset = read_dataset(place.database, place.settings, None, NOW)
    return dataset, split_dataset(dataset)


def test_a_panel_knows_what_serving_would_know() -> None:
    dataset = dataset_of(LINES)
    window = later_window(dataset, minute_of(7))
    panel = panel_of(dataset, window, members=0, history_entries=2, half_life_days=90, seed=1)
    assert dataset.people.ids(panel.truth.person_row) == ["member:ann", "member:bob", "member:cyd"]
    assert np.diff(panel.histories.indptr).tolist() == [2, 1, 0]
    assert dataset.items.ids(panel.histories.of(0).item_row) == ["tea", "salt"]
    assert dataset.items.ids(panel.past.bought.row[:2]) == ["milk", "tea"]
    assert panel.has_store.tolist() == [True, False, False]
    assert dataset.stores.id(int(panel.store_row[0])) == "south"
    assert panel.groups["store"] == ("south", "none", "none")
    assert panel.groups["history"] == ("1-4 days", "1-4 days", "0 days")
    assert panel.groups["channel"] == ("pos", "pos", "none")


def test_popularity_is_recent_unless_everybody_has_a_time_of_their_own() -> None:
    lines: list[Line] = [
        ("ann", "old", 0.0),
        *(
            (person, item, day)
            for person in ("bob", "cyd")
            for item, day in (("new", 40.0), ("tea", 60.0), ("tea", 61.0))
        ),
    ]
    dataset = dataset_of(lines)
    by_time = later_window(dataset, minute_of(60))
    by_person = split_dataset(dataset, Protocol.LAST_ORDER).test
    counts = [
        panel_of(dataset, window, members=0, history_entries=9, half_life_days=90, seed=1).popularity.tolist()
        for window in (by_time, by_person)
    ]
    assert dataset.items.ids(np.arange(3)) == ["new", "old", "tea"]
    assert counts == [[2, 0, 0], [2, 1, 2]]


def test_queries_are_asked_as_of_the_cut() -> None:
    dataset = dataset_of(LINES)
    window = later_window(dataset, minute_of(7))
    panel = panel_of(dataset, window, members=2, history_entries=9, half_life_days=90, seed=1)
    (queries,) = panel.queries({Scenario.HOME: 5})
    assert len(queries) == 2
    assert {query.as_of for query in queries} == {minute_of(7)}


def test_most_recent_keeps_the_end_of_each_history() -> None:
    dataset = dataset_of(LINES)
    histories = dataset.histories(int(np.iinfo(np.int32).max))
    short = most_recent(histories, 2)
    assert np.diff(short.indptr).tolist() == [2, 2, 1]
    assert short.of(0).minute.tolist() == [minute_of(3), minute_of(8)]
    swapped = select(short, np.array([1, 0]))
    assert swapped.of(1).minute.tolist() == short.of(0).minute.tolist()


def test_every_method_and_subset_is_measured(real: tuple[Dataset, Split]) -> None:
    dataset, split = real
    fitted = fit_recommender(split.test.cut(dataset), split.test.fit_minute, SETTINGS)
    steps: list[int] = []
    found = evaluate(fitted, dataset, split.test, SETTINGS, steps.append)
    assert sum(steps) == 3 * found.asked
    assert found.members == len(split.test.truth.person_row)
    keys = {(row.method, row.subset) for row in found.measures}
    assert keys == {(m, s) for m in (MEMBERWISE, *BASELINES) for s in ("all", "repeat", "novel")} | {
        (MEMBERWISE_HOME, "repeat"),
        (MEMBERWISE_HOME, "novel"),
    }
    for row in found.measures:
        interval = row.interval
        assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    own, popular = (found.interval(name, Subset.ALL, "ndcg@10").mean for name in (MEMBERWISE, "popularity"))
    assert own > popular
    row = next(
        row
        for row in found.differences
        if (row.method, row.baseline, row.subset, row.measure) == (MEMBERWISE, "popularity", "all", "ndcg@10")
    )
    assert row.interval.mean == pytest.approx(own - popular)
    in_groups = sum(row.interval.members for row in found.groups if (row.group, row.method) == ("store", MEMBERWISE))
    assert in_groups == found.asked


def test_lists_are_described_whether_bought_or_not(real: tuple[Dataset, Split]) -> None:
    dataset, split = real
    fitted = fit_recommender(split.test.cut(dataset), split.test.fit_minute, SETTINGS)
    found = evaluate(fitted, dataset, split.test, SETTINGS)
    assert {row.method for row in found.tenths} == {MEMBERWISE, BOUGHT, *BASELINES}
    assert all(sum(row.shares) == pytest.approx(1.0) for row in found.tenths)
    popular = next(row for row in found.slates if (row.method, row.subset, row.depth) == ("popularity", "all", 10))
    own = next(row for row in found.slates if (row.method, row.subset, row.depth) == (MEMBERWISE, "all", 10))
    # Popularity shows ten of the forty items to everybody; this shop has no categories.
    assert popular.gini == pytest.approx(1 - 10 / 40)
    assert own.gini < popular.gini
    assert np.isnan(own.diversity.mean)


def test_purchases_are_told_apart_by_category_and_by_how_known_an_item_is() -> None:
    lines: list[Line] = [
        *((person, item, day) for person in "abcdef" for item in ("milk", "soap") for day in (1, 8)),
        ("a", "rare", 2),
        ("b", "rare", 8),
        ("a", "fresh", 8),
    ]
    dataset = dataset_of(lines)
    paths = {"milk": "food > dairy", "soap": "home", "rare": "home", "fresh": ""}
    names = ("food > dairy", "home", "")
    rows = np.array([names.index(paths[item]) for item in dataset.items.ids(np.arange(4))], np.int32)
    dataset = replace(dataset, facts=replace(dataset.facts, categories=names, category_row=rows))
    window = later_window(dataset, minute_of(7))
    panel = panel_for(dataset, window, SETTINGS, 0)
    groups = {
        (part.group, part.value): dataset.items.ids(np.flatnonzero(part.items)) for part in item_groups(dataset, panel)
    }
    assert groups == {
        ("category", "home"): ["rare", "soap"],
        ("category", "food"): ["milk"],
        ("category", "none"): ["fresh"],
        ("cold", NOBODY): ["fresh"],
        ("cold", FEW): ["rare"],
    }
    fitted = fit_recommender(window.cut(dataset), window.fit_minute, SETTINGS)
    found = evaluate(fitted, dataset, window, SETTINGS)
    food = next(r for r in found.groups if (r.group, r.value, r.method) == ("category", "food", "personal"))
    # Milk alone is left of each list, and first: everybody bought it.
    assert (food.interval.mean, food.interval.members) == (1.0, 6)
    cold = next(r for r in found.groups if (r.group, r.value, r.method) == ("cold", NOBODY, "popularity"))
    assert (cold.interval.mean, cold.interval.members) == (0.0, 1)


def test_evaluation_repeats(real: tuple[Dataset, Split]) -> None:
    dataset, split = real
    fitted = fit_recommender(split.test.cut(dataset), split.test.fit_minute, SETTINGS)
    settings = replace(SETTINGS, evaluation=replace(SETTINGS.evaluation, members=12))
    first = evaluate(fitted, dataset, split.test, settings)
    assert first.asked == 12
    assert str(evaluate(fitted, dataset, split.test, settings)) == str(first)  # NaN is not equal to itself


def test_lists_are_made_for_their_subset(real: tuple[Dataset, Split]) -> None:
    dataset, split = real
    fitted = fit_recommender(split.test.cut(dataset), split.test.fit_minute, SETTINGS)
    panel = panel_for(dataset, split.test, SETTINGS, 0)
    lists = replay(fitted, panel)
    bought = panel.past.bought
    assert bought.contains(lists[MEMBERWISE, Subset.REPEAT]).all()
    assert not bought.contains(lists[MEMBERWISE, Subset.NOVEL]).any()
    assert not bought.contains(lists[MEMBERWISE_HOME, Subset.NOVEL]).any()


def test_ranked_candidates_are_the_slates(real: tuple[Dataset, Split]) -> None:
    dataset, split = real
    fitted = fit_recommender(split.test.cut(dataset), split.test.fit_minute, SETTINGS)
    panel = panel_for(dataset, split.test, SETTINGS, 0)
    ranked = candidate_lists(retrieve_pools(fitted, panel, [Scenario.HOME], 20), Subset.ALL)
    assert {"repeat", "popularity", MEMBERWISE} <= set(ranked)
    slates = replay(fitted, panel)[MEMBERWISE, Subset.ALL]
    for i in range(len(panel)):
        head = ranked[MEMBERWISE].row[ranked[MEMBERWISE].indptr[i] :][:10]
        assert head.tolist() == slates.row[slates.indptr[i] :][:10].tolist()


def test_the_gate_compares_with_the_best_single_method(real: tuple[Dataset, Split]) -> None:
    dataset, split = real
    fitted = fit_recommender(split.validation.cut(dataset), split.validation.fit_minute, SETTINGS)
    panel = panel_for(dataset, split.validation, SETTINGS, 0)
    gate = judge(retrieve_pools(fitted, panel, tuple(TUNED), 20), SETTINGS)
    assert [row.subset for row in gate.rows] == ["all", "repeat", "novel"]
    row = gate.rows[0]
    assert row.singles[row.best].mean == max(interval.mean for interval in row.singles.values())
    assert row.difference.mean == pytest.approx(row.model.mean - row.singles[row.best].mean)
    assert row.passed == (row.difference.high >= 0)
    assert row.best in row.text


def test_browsing_adds_the_never_seen_subset() -> None:
    dataset = dataset_of(LINES)
    window = later_window(dataset, minute_of(7))
    fitted = fit_recommender(window.cut(dataset), window.fit_minute, SETTINGS)
    found = evaluate(fitted, dataset, window, SETTINGS)
    assert "never_seen" in {row.subset for row in found.measures}

"""The whole fit: every retriever, from nothing later than the cut, the same every time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.pipeline import Recommender
from recommender.query import Query, Scenario
from recommender.retrievers import RETRIEVERS
from recommender.retrievers.factors import FactorRetriever
from tests.training.datasets import dataset_of, minute_of
from tests.training.fit.market import DAYS, N_ITEMS, SETTINGS, lines, market, market_of
from training.dataset import Dataset, Sales
from training.fit.recommender import DEPTH, START_WEIGHTS, fit_recommender
from training.panel import main_stores
from training.settings import RetrieverSettings

CUT_DAY = 60
CUT = minute_of(CUT_DAY)


@pytest.fixture(scope="module")
def fitted() -> Recommender:
    return fit_recommender(market(), CUT, SETTINGS)


def content(recommender: Recommender) -> tuple[dict[str, bytes], str]:
    """Return what a bundle would hold."""
    arrays, description = recommender.parts()
    whole = {name: f"{array.dtype} {array.shape} ".encode() + array.tobytes() for name, array in arrays.items()}
    return whole, json.dumps(description, sort_keys=True)


def differing(left: Recommender, right: Recommender) -> set[str]:
    """Return the names of what differs between two recommenders."""
    (arrays, description), (others, other) = content(left), content(right)
    assert arrays.keys() == others.keys()
    return {name for name, array in arrays.items() if others[name] != array} | (
        set() if description == other else {"description"}
    )


def queries_of(dataset: Dataset) -> list[Query]:
    """Ask for everybody as of the cut, in every scenario."""
    histories = dataset.histories(CUT)
    return [
        Query(scenario, 10, CUT, histories.of(person), person % 3)
        for scenario in Scenario
        for person in range(len(dataset.people))
    ]


def test_every_retriever_is_fitted_and_has_a_depth(fitted: Recommender) -> None:
    names = {part.name for part in fitted.retrievers}
    assert names == set(RETRIEVERS) == set(DEPTH)
    assert fitted.depth == DEPTH
    assert START_WEIGHTS.keys() == set(Scenario)
    for weights in START_WEIGHTS.values():
        assert weights.keys() <= names
        assert weights["popularity"] > 0


def test_retrievers_can_be_switched_off(fitted: Recommender) -> None:
    off = ("item_neighbors", "linear", "similar", "repeat")
    part = fit_recommender(market(), CUT, replace(SETTINGS, retrievers=RetrieverSettings(off=off)))
    assert {retriever.name for retriever in part.retrievers} == set(DEPTH) - set(off) == set(part.depth)
    assert {name.partition(".")[0] for name in content(fitted)[0]} - {
        name.partition(".")[0] for name in content(part)[0]
    } == set(off)
    for query, slate in zip(queries_of(market()), part.recommend(queries_of(market())), strict=True):
        assert len(slate.row) == query.count
        assert not set(slate.source) & set(off)


def test_progress_is_told_retriever_by_retriever() -> None:
    told: list[str] = []
    fit_recommender(market(), CUT, SETTINGS, told.append)
    assert set(told) <= set(DEPTH)
    assert len(told) == len(set(told))


def test_favourites_lead(fitted: Recommender) -> None:
    dataset = market()
    slates = fitted.recommend(queries_of(dataset)[: len(dataset.people)])
    own = [
        len({(person * 2 + step) % N_ITEMS for step in range(5)} & set(slate.row[:5].tolist()))
        for person, slate in enumerate(slates)
    ]
    # By chance one of six items shown would be a favourite.
    assert np.mean(own) > 3.5


def test_what_happens_at_or_after_the_cut_changes_nothing(fitted: Recommender) -> None:
    before = [line for line in lines() if minute_of(line[2]) < CUT]
    other = market_of([*before, *lines(seed=2, first=CUT_DAY)])
    whole = market()
    assert len(other.entries) != len(whole.entries)
    late = np.array([CUT, CUT + 1], np.int32)
    sales = Sales(np.array([3, 4], np.int32), np.array([0, 1], np.int32), late)
    assert differing(fitted, fit_recommender(replace(other, sales=sales), CUT, SETTINGS)) == set()


def test_what_happened_before_the_cut_does_change_it(fitted: Recommender) -> None:
    early = Sales(np.array([3], np.int32), np.array([0], np.int32), np.array([CUT - 1], np.int32))
    changed = differing(fitted, fit_recommender(replace(market(), sales=early), CUT, SETTINGS))
    assert {"popularity.score", "store_popularity.score"} <= changed


def test_items_first_sold_after_the_cut_are_known_by_name_only() -> None:
    events = [line for line in lines() if minute_of(line[2]) < CUT and line[1] != "i07"]
    part = fit_recommender(market_of([*events, ("p00", "i07", CUT_DAY + 1, "purchase", "s0")]), CUT, SETTINGS)
    by_name = {retriever.name: retriever.state().arrays for retriever in part.retrievers}
    assert by_name["popularity"]["score"][by_name["popularity"]["row"] == 7].tolist() == [0]
    assert 7 not in by_name["arrivals"]["arrival_row"]
    assert 7 not in by_name["factors"]["item_row"]


def test_the_same_seed_gives_the_same_recommender(fitted: Recommender) -> None:
    assert differing(fitted, fit_recommender(market(), CUT, SETTINGS)) == set()
    changed = differing(fitted, fit_recommender(market(), CUT, replace(SETTINGS, seed=8)))
    assert {name.partition(".")[0] for name in changed} == {"factors"}


def test_people_who_must_not_shape_the_models_do_not(fitted: Recommender) -> None:
    staff = [("z-staff", f"i{number % N_ITEMS:02d}", number * 0.5, "purchase", "s0") for number in range(2 * CUT_DAY)]
    with_staff = market_of([*lines(), *staff], not_learned=("z-staff",))
    with_staff = replace(with_staff, facts=market().facts)
    assert differing(fitted, fit_recommender(with_staff, CUT, SETTINGS)) == set()


def test_slates_are_full_and_the_same_from_a_bundles_arrays(fitted: Recommender, tmp_path: Path) -> None:
    arrays, description = fitted.parts()
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=False)
    loaded = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    served = Recommender.from_parts(loaded, json.loads(json.dumps(description, sort_keys=True)))
    queries = queries_of(market())
    for query, left, right in zip(queries, fitted.recommend(queries), served.recommend(queries), strict=True):
        assert len(left.row) == query.count
        assert left.row.tolist() == right.row.tolist()
        assert left.score.tolist() == right.score.tolist()
        assert (left.source, left.strategy) == (right.source, right.strategy)


def test_a_slate_alone_is_the_slate_of_the_batch(fitted: Recommender) -> None:
    queries = queries_of(market())[::7]
    for query, slate in zip(queries, fitted.recommend(queries), strict=True):
        alone = fitted.recommend([query])[0]
        assert slate.row.tolist() == alone.row.tolist()
        assert slate.score.tolist() == alone.score.tolist()


def test_a_warm_fit_goes_on_from_the_earlier_factors(fitted: Recommender) -> None:
    later = minute_of(CUT_DAY + 1)
    warm = fit_recommender(market(), later, SETTINGS, warm=fitted)
    cold = fit_recommender(market(), later, SETTINGS)
    assert {name.partition(".")[0] for name in differing(warm, cold)} == {"factors"}

    def score(recommender: Recommender) -> np.ndarray:
        part = next(part for part in recommender.retrievers if isinstance(part, FactorRetriever))
        assert part.item_row.tolist() == list(range(N_ITEMS))
        return part.item_factors

    # Two passes keep close to where they began; a fit from other numbers ends elsewhere, its axes being arbitrary.
    start, elsewhere = score(fitted), score(fit_recommender(market(), later, replace(SETTINGS, seed=8)))
    assert np.abs(score(warm) - start).max() < 0.2 * np.abs(elsewhere - start).max()


def test_fits_from_almost_nothing() -> None:
    for dataset in (
        dataset_of([("p", "a", 1)]),
        dataset_of([("p", "a", 1, "view"), ("q", "b", 2)]),
        dataset_of([("staff", "a", 1)], not_learned=["staff"]),
        dataset_of([("p", "a", 400)], items=["b", "c"]),
    ):
        part = fit_recommender(dataset, minute_of(100), SETTINGS)
        slate = part.recommend(
            [Query(scenario, 2, minute_of(100), dataset.histories(minute_of(100)).of(0)) for scenario in Scenario]
        )
        for found in slate:
            assert len(found.row) >= min(2, len(dataset.items)) - 1
        assert np.isfinite(np.concatenate([found.score for found in slate])).all()
        assert Recommender.from_parts(*part.parts()).items.keys.tolist() == dataset.items.keys.tolist()


def test_the_market_is_as_long_as_its_days() -> None:
    assert minute_of(DAYS - 2) < market().until_minute <= minute_of(DAYS)


def test_a_persons_main_store_is_where_most_of_their_entries_are() -> None:
    dataset = dataset_of(
        [
            ("p", "a", 1, "purchase", "s2"),
            ("p", "b", 2, "purchase", "s2"),
            ("p", "c", 3, "view", "s0"),
            ("q", "a", 1, "purchase", "s1"),
            ("q", "a", 2, "purchase", "s0"),
            ("r", "a", 2),
        ]
    )
    # p: s2 twice. q: s0 and s1 once each, the lower row. r: none, told by the number of stores.
    assert main_stores(dataset.entries, 3, 3).tolist() == [2, 0, 3]
    assert main_stores(dataset.entries.where(dataset.entries.store_row == 3), 3, 3).tolist() == [3, 3, 3]

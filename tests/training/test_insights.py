"""A closer look at models on a small shop: parts left out, histories cut, the promoted bundle, sample slates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from recommender.diversity import NO_SPREAD, Diversity, Spread
from recommender.history import MINUTES_PER_DAY
from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import Blend
from tests.training.shops import END, ITEMS, NOW, SETTINGS, purchase, put_events
from training.ablation import RANKER, ablate
from training.aligned import Translated, spread_for
from training.compare import AS_IT_IS, RECIPE, compare_with_promoted
from training.curve import known_for, learning_curve
from training.dataset import Dataset
from training.evaluate import MEMBERWISE, panel_for, replay
from training.fit.recommender import START_WEIGHTS, fit_recommender
from training.insights import Insights, fallback_of, importance_of, look_closer
from training.panel import Panel
from training.place import Place
from training.progress import Silent
from training.samples import sample_slates
from training.settings import TrainingSettings
from training.split import split_dataset
from training.train import Trained, train
from training.unify import read_dataset
from training.windows import Split, Subset


@dataclass(frozen=True)
class Scene:
    """Models fitted on what the test window of the small shop may see, and the people asked there."""

    place: Place
    dataset: Dataset
    split: Split
    fitted: Recommender
    panel: Panel


@pytest.fixture(scope="module")
def scene(shop: tuple[Place, Trained]) -> Scene:
    place, _ = shop
    dataset = read_dataset(place.database, place.settings, None, NOW)
    split = split_dataset(dataset)
    fitted = fit_recommender(split.test.cut(dataset), split.test.fit_minute, SETTINGS)
    return Scene(place, dataset, split, fitted, panel_for(dataset, split.test, SETTINGS, 20))


def keep(promoted: Recommender, settings: TrainingSettings) -> Recommender:
    raise AssertionError("nothing is fitted where the bundle itself can be asked")


def test_each_part_is_left_out(scene: Scene) -> None:
    steps: list[int] = []
    rows = ablate(scene.fitted, None, scene.panel, SETTINGS, steps.append)
    assert sum(steps) == len(scene.panel) == 20
    assert {row.part for row in rows} == {part.name for part in scene.fitted.retrievers}
    change = {(row.part, row.subset): row.change.mean for row in rows}
    # Favourites are found by what was bought before; a part without weight changes nothing.
    assert change["repeat", "repeat"] < -0.05
    assert change["frequency", "all"] == change["frequency", "novel"] == 0.0
    for row in rows:
        assert row.value.low <= row.value.mean <= row.value.high
        assert row.alone is not None
    alone = {(row.part, row.subset): row.alone.mean for row in rows if row.alone}
    assert alone["repeat", "repeat"] > 0.2
    assert alone["repeat", "novel"] == 0.0  # it finds nothing novel


def test_the_ranker_is_left_out_where_there_is_one(scene: Scene) -> None:
    only_popular = Blend({scenario: {"popularity": 1.0} for scenario in Scenario})
    rows = {row.subset: row for row in ablate(scene.fitted, only_popular, scene.panel, SETTINGS) if row.part == RANKER}
    assert set(rows) == {"all", "repeat", "novel"}
    assert rows["all"].change.mean < 0
    assert rows["all"].alone is None
    assert fallback_of(scene.fitted.ranker) is None


def test_parts_are_the_same_on_any_number_of_processes(scene: Scene) -> None:
    alone = ablate(scene.fitted, None, scene.panel, SETTINGS)
    assert ablate(scene.fitted, None, scene.panel, replace(SETTINGS, threads=2)) == alone


def test_the_curve_ends_with_everything(scene: Scene) -> None:
    points = learning_curve(scene.fitted, scene.panel, SETTINGS)
    days = [point.days for point in points if point.subset == "all"]
    assert days == [0, 7, 14, 28, 56, None]
    value = {point.days: point.interval.mean for point in points if point.subset == "all"}
    home = replay(scene.fitted, scene.panel)[MEMBERWISE, Subset.ALL]
    assert len(home) == 20
    assert value[None] > value[0]


def test_cut_histories_hold_the_last_days_only(scene: Scene) -> None:
    cut = known_for(scene.panel, 14)
    ages = (int(scene.panel.as_of[0]) - cut.histories.minute) / MINUTES_PER_DAY
    assert 0 < ages.max() <= 14
    assert len(known_for(scene.panel, 0).histories.minute) == 0
    assert cut.past is scene.panel.past


def test_a_bundle_that_saw_the_window_is_fitted_again(scene: Scene) -> None:
    asked: list[TrainingSettings] = []

    def fit(promoted: Recommender, settings: TrainingSettings) -> Recommender:
        asked.append(settings)
        return replace(scene.fitted, ranker=promoted.ranker)

    found = compare_with_promoted(scene.place, scene.fitted, scene.dataset, scene.panel, SETTINGS, fit)
    assert found is not None
    assert (found.how, found.problem) == (RECIPE, "")
    assert [part.factors.factors for part in asked] == [8]
    for row in found.rows:
        assert row.difference.mean == pytest.approx(row.new.mean - row.promoted.mean)
        assert row.difference.members == row.new.members


def test_an_older_bundle_is_asked_as_it_is(fresh_shop: Place) -> None:
    before = END - timedelta(days=25)
    trained = train(fresh_shop, SETTINGS, before, True, NOW, Silent())
    dataset = read_dataset(fresh_shop.database, fresh_shop.settings, None, NOW)
    window = split_dataset(dataset).test
    bundle = fresh_shop.registry.open()
    panel = panel_for(dataset, window, SETTINGS, 0)
    itself = Translated(bundle.recommender(), dataset)
    found = compare_with_promoted(fresh_shop, itself, dataset, panel, SETTINGS, keep)  # type: ignore[arg-type]
    assert found is not None
    assert (found.bundle_id, found.how) == (trained.bundle_id, AS_IT_IS)
    assert all(row.difference.mean == row.difference.low == row.difference.high == 0 for row in found.rows)


def test_a_catalogue_that_grew_moves_every_row(scene: Scene) -> None:
    """How slates spread is kept by item row, and the promoted bundle's rows are not those of the new reading."""
    items = type(scene.dataset.items).of([*ITEMS, "a", "i03a", "zz"])
    moved = items.rows(list(ITEMS))[0]
    paths, category = ("drinks", "food", ""), np.full(len(items), 2, np.int32)
    category[moved[:10]], category[moved[10:]] = 0, 1
    facts = replace(scene.dataset.facts, categories=paths, category_row=category)
    kinds = np.full((2, len(ITEMS)), 7, np.int32)
    spread = Spread(Diversity({Scenario.HOME: 0.3}, kinds), NO_SPREAD.calibration)
    found = spread_for(replace(scene.dataset, items=items, facts=facts), replace(scene.fitted, spread=spread))
    assert found.diversity.strength == {Scenario.HOME: 0.3}
    assert found.diversity.kinds.shape == (2, len(items))
    alike = found.diversity.kinds[0, moved]
    assert len(set(alike[:10].tolist())) == len(set(alike[10:].tolist())) == 1
    assert alike[0] != alike[10]


def test_training_again_on_more_items_compares_with_the_promoted_bundle(fresh_shop: Place) -> None:
    first = train(fresh_shop, SETTINGS, None, True, NOW, Silent())
    assert first.report["insights"]["comparison"] is None
    new = [purchase(f"m{number:02d}", "a-first-by-name", END - timedelta(days=number + 1)) for number in range(30)]
    put_events(fresh_shop.database, new)
    second = train(fresh_shop, SETTINGS, None, True, NOW, Silent())
    found = second.report["insights"]["comparison"]
    assert (found["bundle_id"], found["how"], found["problem"]) == (first.bundle_id, RECIPE, "")
    means = {row["subset"]: row["promoted"]["mean"] for row in found["rows"] if row["measure"] == "ndcg@10"}
    assert means["all"] > 0.2


def test_a_bundle_that_cannot_be_asked_is_told(scene: Scene) -> None:
    def fail(promoted: Recommender, settings: TrainingSettings) -> Recommender:
        scene.place.registry.path("20200101-000000000000")
        raise AssertionError

    found = compare_with_promoted(scene.place, scene.fitted, scene.dataset, scene.panel, SETTINGS, fail)
    assert found is not None
    assert found.rows == ()
    assert "no such bundle" in found.problem


def test_other_rows_give_the_same_lists(scene: Scene) -> None:
    """A dataset with items and stores that a bundle does not know, so that all rows differ."""
    more = ("a", "i03a", "zz")
    items = type(scene.dataset.items).of([*ITEMS, *more])
    moved = items.rows(list(ITEMS))[0]
    dataset = replace(scene.dataset, items=items)
    (queries,) = scene.panel.queries({Scenario.HOME: 10})
    shifted = [replace(q, history=replace(q.history, item_row=moved[q.history.item_row])) for q in queries]
    plain = scene.fitted.recommend(queries)
    translated = Translated(scene.fitted, dataset).recommend(shifted)
    for one, other in zip(plain, translated, strict=True):
        assert items.ids(other.row) == scene.dataset.items.ids(one.row)
        assert other.source == one.source


def test_samples_show_what_was_bought_and_shown(scene: Scene) -> None:
    def titles(item_ids: object) -> dict[str, str]:
        return {"i00": "Apples"}

    samples = sample_slates(scene.fitted, scene.dataset, scene.panel, titles, 1)
    assert len(samples) == 4
    assert [part.purchases for part in samples] == sorted(part.purchases for part in samples)
    for sample in samples:
        assert set(sample.slates) == {"home", "discover"}
        assert len(sample.slates["home"]) == 10
        days = [item.last_on for item in sample.past]
        assert days == sorted(days, reverse=True)
        row = scene.dataset.people.row(sample.person)
        at = int(np.flatnonzero(scene.panel.truth.person_row == row)[0])
        truth = scene.panel.truth.items
        bought = set(scene.dataset.items.ids(truth.row[truth.indptr[at] : truth.indptr[at + 1]]))
        assert sample.truth == len(bought)
        for item in sample.slates["home"]:
            assert item.bought == (item.item_id in bought)
            assert item.title == ("Apples" if item.item_id == "i00" else item.item_id)
            assert item.reason


def test_a_closer_look_at_everything(scene: Scene) -> None:
    found = look_closer(scene.place, scene.fitted, scene.dataset, scene.split.test, SETTINGS, Silent(), NOW)
    assert isinstance(found, Insights)
    assert found.members == len(scene.split.test.truth.person_row)
    assert found.samples[0].slates["home"][0].title.startswith("Item i")
    assert found.comparison is not None
    assert found.importance == {}
    none = replace(SETTINGS, evaluation=replace(SETTINGS.evaluation, detail_members=0))
    assert look_closer(scene.place, scene.fitted, scene.dataset, scene.split.test, none, Silent(), NOW) is None


def test_importance_is_asked_of_rankers_that_tell() -> None:
    class Telling(Blend):
        def importance(self) -> dict[Scenario, dict[str, float]]:
            same = {"b": 0.25, "a": 0.25, "c": 0.5}
            return {Scenario.HOME: same, Scenario.DISCOVER: {"a": 1.0}, Scenario.BUY_AGAIN: dict(same)}

    found = importance_of(Telling(START_WEIGHTS))
    assert list(found) == ["home, buy_again", "discover"]
    assert list(found["home, buy_again"].items()) == [("c", 0.5), ("a", 0.25), ("b", 0.25)]
    assert importance_of(Blend(START_WEIGHTS)) == {}

"""A bundle with trees: grown on a small shop, written, opened, looked at closer, and asked for the same lists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender import pipeline
from recommender.history import Histories
from recommender.pipeline import IMPERSONAL, Recommender
from recommender.query import Query, Scenario, batch_of
from recommender.ranking import Blend, LearnedRanker
from tests.training.shops import NOW, SETTINGS
from training.ablation import RANKER
from training.course import Course
from training.dataset import Dataset
from training.evaluate import panel_for
from training.fit.recommender import START_WEIGHTS
from training.insights import look_closer
from training.place import Place
from training.progress import Silent
from training.publish import draft_bundle, publish
from training.report import RunFacts, report_document
from training.settings import RankerSettings
from training.split import split_dataset
from training.train import Trained
from training.unify import read_dataset
from training.windows import Split

SMALL = replace(
    SETTINGS,
    threads=2,
    ranker=RankerSettings(windows=2, least_lists=5, lists_per_tree=2, trees=20, least_in_leaf=5),
)


@pytest.fixture(scope="module")
def learned(shop: tuple[Place, Trained]) -> tuple[Place, Dataset, Split, Recommender]:
    place, _ = shop
    dataset = read_dataset(place.database, place.settings, None, NOW)
    split = split_dataset(dataset, ranker_windows=2)
    course = Course(dataset, SMALL, Silent())
    course.study((*split.ranker, split.validation))
    fitted = course.fit(split.test)
    ranker = course.ranker(fitted, split.test, Blend(START_WEIGHTS), (Scenario.HOME, Scenario.DISCOVER))
    assert isinstance(ranker, LearnedRanker)
    return place, dataset, split, replace(fitted, ranker=ranker)


def test_a_bundle_with_trees_answers_as_it_did_before(learned: tuple[Place, Dataset, Split, Recommender]) -> None:
    place, dataset, split, recommender = learned
    draft = draft_bundle(recommender, dataset, SMALL, NOW)
    report = report_document(RunFacts("test", "", NOW, SMALL, {}), dataset, None, None, [], recommender.ranker, [])
    bundle_id = publish(draft, report, place.settings.models)
    opened = place.registry.open(bundle_id).recommender()
    assert isinstance(opened.ranker, LearnedRanker)
    panel = panel_for(dataset, split.test, SMALL, 10)
    (queries,) = panel.queries({Scenario.HOME: 10, Scenario.DISCOVER: 10, Scenario.BUY_AGAIN: 5})
    for one, other in zip(recommender.recommend(queries), opened.recommend(queries), strict=True):
        assert one.row.tolist() == other.row.tolist()
        assert one.score.tolist() == other.score.tolist()
    place.registry.remove(bundle_id)


def test_strangers_are_asked_only_what_needs_no_history(learned: tuple[Place, Dataset, Split, Recommender]) -> None:
    recommender = learned[3]
    stranger = Query(Scenario.HOME, 8, int(NOW.timestamp() // 60), store_row=0)
    for part in recommender.retrievers:
        if part.name not in IMPERSONAL:
            assert len(part.retrieve(batch_of([stranger], [None]), 10).row) == 0, part.name
    whole = recommender.find([stranger]).choice(0).best(8)
    (slate,) = recommender.recommend([stranger])
    assert slate.row.tolist() == whole.row.tolist()
    elsewhere, later = replace(stranger, store_row=1), replace(stranger, as_of=stranger.as_of + 5 * 1440)
    for query in (stranger, elsewhere, later, replace(stranger, scenario=Scenario.DISCOVER)):
        again = recommender.recommend([query])[0]  # those asked for before are kept
        anew = replace(recommender).recommend([query])[0]
        assert again.row.tolist() == anew.row.tolist()
        assert again.score.tolist() == anew.score.tolist()
    refused = replace(stranger, history=Histories.empty(1), personal=False)
    assert recommender.recommend([refused])[0].row.tolist() == slate.row.tolist()


def test_lists_for_strangers_are_kept_within_bounds(
    learned: tuple[Place, Dataset, Split, Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "STRANGERS_KEPT", 3)
    recommender = replace(learned[3])
    for minute in range(10):
        recommender.recommend([Query(Scenario.HOME, 5, int(NOW.timestamp() // 60) + minute)])
        assert len(recommender._strangers) <= 3


def test_the_closer_look_leaves_the_ranker_out_and_says_what_it_looks_at(
    learned: tuple[Place, Dataset, Split, Recommender],
) -> None:
    place, dataset, split, recommender = learned
    found = look_closer(place, recommender, dataset, split.test, SMALL, Silent(), NOW, compare=False)
    assert found is not None
    assert {row.subset for row in found.ablation if row.part == RANKER} == {"all", "repeat", "novel"}
    assert set(found.importance) == {"home", "discover"}
    for shares in found.importance.values():
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)

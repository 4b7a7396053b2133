"""From history to promoted bundle: the same data and seed give the same bundle, a failed gate gives none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from recommender.errors import GateError, TrainingDataError
from recommender.events import member_subject
from recommender.history import Histories
from recommender.query import Query, Scenario
from recommender.storage.upserts import upsert
from tests.training.datasets import dataset_of, minute_of
from tests.training.shops import END, NOW, SETTINGS, START, open_shop, purchase, put_events
from training.gate import Gate, GateRow
from training.metrics import Interval
from training.place import Place
from training.prepare import prepare
from training.progress import Silent
from training.publish import check_gate, draft_bundle, subject_histories
from training.train import Trained, train
from training.unify import read_dataset


def run(place: Place, **changes: object) -> Trained:
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return train(place, settings, None, True, NOW, Silent())


def test_the_bundle_is_promoted_and_complete(shop: tuple[Place, Trained]) -> None:
    place, trained = shop
    bundle = place.registry.open()
    assert bundle.bundle_id == trained.bundle_id
    facts = bundle.manifest.facts
    assert (facts.seed, facts.threads) == (7, 1)
    assert {"numpy", "implicit", "memberwise"} <= set(facts.versions)
    assert START < bundle.trained_until <= END + timedelta(minutes=1)
    assert "[factors]\nfactors = 8" in bundle.text("settings.toml")
    assert bundle.text("report.html").startswith("<!doctype html>")
    assert bundle.subjects.row(member_subject("m00")) is not None
    query = Query(Scenario.HOME, 5, int(NOW.timestamp() // 60), bundle.histories.of(0))
    assert len(bundle.recommender().recommend([query])[0].row) == 5


def test_an_opened_bundle_recommends_what_the_fitted_models_do(shop: tuple[Place, Trained]) -> None:
    place, _ = shop
    bundle = place.registry.open()
    dataset = read_dataset(place.database, place.settings, None, NOW)
    again = bundle.recommender()
    draft = draft_bundle(again, dataset, SETTINGS, NOW, prepare(again, dataset, {}, SETTINGS))
    assert draft.bundle_id == bundle.bundle_id


def test_the_same_data_and_seed_give_the_same_bundle(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    place = open_shop(tmp_path)
    assert run(place).bundle_id == shop[1].bundle_id
    assert run(place, seed=8).bundle_id != shop[1].bundle_id
    place.database.dispose()


def test_later_events_do_not_matter_before_until(shop: tuple[Place, Trained], fresh_shop: Place) -> None:
    put_events(fresh_shop.database, [purchase("m00", "i39", END + timedelta(hours=1))])
    until = shop[0].registry.open().trained_until
    trained = train(fresh_shop, SETTINGS, until, False, NOW, Silent())
    assert trained.bundle_id == shop[1].bundle_id
    assert fresh_shop.registry.current_id() is None


def test_members_of_other_kinds_do_not_shape_the_models(fresh_shop: Place) -> None:
    before = run(fresh_shop).report["data"]
    with fresh_shop.database.write() as connection:
        upsert(connection, "members", [{"member_id": "m00", "kind": "employee"}], NOW)
    after = run(fresh_shop).report
    assert (before["not_learned"], after["data"]["not_learned"]) == (0, 1)
    assert after["split"]["windows"][-1]["members"] <= 39


def test_a_model_below_the_best_method_is_refused() -> None:
    good, bad = (Interval(mean, mean - 0.02, mean + 0.02, 100) for mean in (0.40, 0.30))
    below = GateRow("all", bad, {"repeat": good}, "repeat", Interval(-0.1, -0.14, -0.06, 100), False)
    fine = GateRow("novel", good, {"repeat": bad}, "repeat", Interval(0.1, 0.06, 0.14, 100), True)
    check_gate(Gate((fine,)))
    with pytest.raises(GateError, match=r"all: NDCG@10 0\.3000 .* repeat .*-0\.1000"):
        check_gate(Gate((fine, below)))


def test_a_refused_model_leaves_its_report_and_no_bundle(fresh_shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    low = Interval(0.1, 0.1, 0.1, 9)
    row = GateRow("all", low, {"repeat": low}, "repeat", Interval(-0.1, -0.2, -0.05, 9), False)
    monkeypatch.setattr("training.train.judge", lambda *given: Gate((row,)))
    with pytest.raises(GateError, match=r"The report is .*rejected-20240\d{3}-\w{12}\.html"):
        run(fresh_shop)
    assert fresh_shop.registry.list() == ()
    assert [page.suffix for page in sorted(fresh_shop.reports.iterdir())] == [".html", ".json"]


def test_an_empty_installation_says_what_to_do(fresh_shop: Place) -> None:
    with pytest.raises(TrainingDataError, match="memberwise ingest"):
        train(fresh_shop, SETTINGS, START, True, NOW, Silent())


def test_histories_of_subjects_are_cut_to_the_most_recent() -> None:
    dataset = dataset_of([("ann", "a", 1), ("ann", "b", 2), ("ann", "c", 3), ("bob", "a", 5)])
    histories: Histories = subject_histories(dataset, 2)
    assert np.diff(histories.indptr).tolist() == [2, 1]
    assert histories.of(0).minute.tolist() == [minute_of(2), minute_of(3)]

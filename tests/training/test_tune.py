"""Tuning on a small shop: trials are kept and continued, only gains are taken, the test window is never looked at."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from click.testing import CliRunner

from recommender.cli import main
from recommender.retrievers import RETRIEVERS
from tests.training.shops import NOW, SETTINGS
from training.dataset import Dataset
from training.fit.blend import TUNED
from training.metrics import Interval
from training.place import Place
from training.progress import Silent
from training.settings import TrainingSettings, read_training_settings, settings_text
from training.split import split_dataset
from training.train import Trained
from training.tune import Budget, Tuned, TunedPart, WholeRow, choose, is_better, tune_settings
from training.tune_scores import Scorer
from training.tune_space import PHASES, alone, changed, values_of
from training.unify import read_dataset
from training.windows import Split, Subset

FEW = replace(SETTINGS, evaluation=replace(SETTINGS.evaluation, tuning_members=20))


@pytest.fixture(scope="module")
def data(shop: tuple[Place, Trained]) -> tuple[Dataset, Split]:
    place, _ = shop
    dataset = read_dataset(place.database, place.settings, None, NOW)
    return dataset, split_dataset(dataset)


@pytest.fixture(scope="module")
def tuned(data: tuple[Dataset, Split], tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Path]:
    folder = tmp_path_factory.mktemp("tuning")
    return tune_settings(data[0], data[1].validation, FEW, folder, Budget(None, 2), Silent()), folder


def test_every_part_and_setting_exists() -> None:
    settings = TrainingSettings()
    names = [part.name for phase in PHASES for part in phase]
    assert len(set(names)) == len(names)
    assert set(names) <= set(RETRIEVERS)
    for phase in PHASES:
        for part in phase:
            given = values_of(part, settings)
            for name, span in part.ranges.items():
                table, _, field = name.partition(".")
                assert getattr(getattr(settings, table), field) == given[name]
                assert isinstance(given[name], int) == span.whole
                assert span.low < span.high
            assert changed(settings, given) == settings


def test_values_keep_three_digits_and_whole_numbers_stay_whole() -> None:
    found = changed(TrainingSettings(), {"factors.alpha": 1.23456, "factors.factors": 77})
    assert (found.factors.alpha, found.factors.factors) == (1.23, 77)
    assert found.weights == TrainingSettings().weights


def test_a_part_is_fitted_alone() -> None:
    part = PHASES[0][0]
    off = alone(part, TrainingSettings()).retrievers.off
    assert part.name not in off
    assert "popularity" not in off
    assert {"factors", "trending"} <= set(off)


def test_scores_are_those_of_members_of_the_window(data: tuple[Dataset, Split]) -> None:
    scorer = Scorer(data[0], data[1].validation, FEW)
    part = PHASES[0][0]
    values = scorer.part(part, FEW)
    assert values is not None
    assert len(values) == 20
    assert 0 < np.nanmean(values) < 1
    browsed = next(part for phase in PHASES for part in phase if part.name == "browsed")
    assert scorer.part(browsed, FEW) is None  # nobody browses in this shop
    whole = scorer.whole(FEW)
    assert set(whole) == set(TUNED.values())
    assert not np.isnan(whole[Subset.ALL]).any()


def test_trials_of_every_part_that_finds_something(tuned: tuple[Tuned, Path]) -> None:
    found, _ = tuned
    parts = {part.name: part for part in found.parts}
    assert "browsed" not in parts
    assert {"repeat", "linear", "popularity", "factors", "peers"} <= set(parts)
    for part in parts.values():
        assert part.trials == 2
        assert part.after.mean >= part.before.mean - 1e-12
        assert part.difference.mean == pytest.approx(part.after.mean - part.before.mean)
        assert not part.kept or part.difference.mean > 0
    expected = FEW
    for name in found.accepted:
        assert parts[name].kept
        expected = changed(expected, parts[name].values)
    assert found.settings == expected
    assert found.better == bool(found.accepted)


def test_a_run_goes_on_where_it_was(tuned: tuple[Tuned, Path], data: tuple[Dataset, Split]) -> None:
    found, folder = tuned
    more = tune_settings(data[0], data[1].validation, FEW, folder, Budget(None, 1), Silent())
    before, after = ({part.name: part for part in each.parts} for each in (found, more))
    first_phase = [part.name for part in PHASES[0] if part.name in before]
    for name in first_phase:
        assert after[name].trials == before[name].trials + 1
        assert after[name].after.mean >= before[name].after.mean


def test_the_time_is_kept(data: tuple[Dataset, Split], tmp_path: Path) -> None:
    clock = Clock(20.0)
    found = tune_settings(data[0], data[1].validation, FEW, tmp_path, Budget(400.0, None, clock), Silent())
    assert found.parts
    # The last trial may end late, and the last comparison takes its time.
    assert clock.now < 400.0 + 200.0


class Clock:
    """A clock that goes on by a step whenever somebody looks at it."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_nothing_after_the_window_is_looked_at(data: tuple[Dataset, Split]) -> None:
    dataset, split = data
    part = PHASES[0][1]
    entries = dataset.entries.where(dataset.entries.minute < split.test.fit_minute)
    shorter = replace(dataset, entries=entries)
    window = split.validation
    early = replace(window, history=window.history[dataset.entries.minute < split.test.fit_minute])
    scores = [Scorer(dataset, window, FEW).part(part, FEW), Scorer(shorter, early, FEW).part(part, FEW)]
    np.testing.assert_array_equal(*scores)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gains", "better"),
    [
        (((0.01, 0.0, 0.02),), True),
        (((-0.01, -0.02, 0.01),), False),
        (((0.05, 0.04, 0.06), (-0.01, -0.02, -0.005)), False),
        (((0.05, 0.04, 0.06), (-0.01, -0.02, 0.005)), True),
    ],
)
def test_better_is_a_gain_and_no_loss(gains: tuple[tuple[float, float, float], ...], better: bool) -> None:
    same = Interval(0.5, 0.4, 0.6, 10)
    assert is_better([WholeRow("all", same, same, Interval(*gain, 10)) for gain in gains]) == better


class Known:
    """Scores of settings that are known: ten members who gain by a quick decay and lose by many factors."""

    def whole(self, settings: TrainingSettings) -> dict[Subset, np.ndarray]:
        value = 0.5 + 0.1 * (settings.weights.taste_half_life_days < 45) - 0.2 * (settings.factors.factors > 64)
        return {Subset.ALL: np.full(10, value)}


def gain(name: str, values: dict[str, float]) -> TunedPart:
    same = Interval(0.1, 0.1, 0.1, 10)
    return TunedPart(name, "novel", 5, same, same, same, True, values)


def test_gains_are_taken_one_after_the_other_where_all_of_them_harm() -> None:
    given = TrainingSettings()
    quick = gain("linear", {"weights.taste_half_life_days": 20.0})
    large = gain("factors", {"factors.factors": 100})
    scorer = cast(Scorer, Known())
    before = scorer.whole(given)
    both = choose(scorer, given, before, [quick], None)
    assert (both.accepted, both.settings.weights.taste_half_life_days) == (("linear",), 20.0)
    one = choose(scorer, given, before, [large, quick], None)
    assert one.accepted == ("linear",)
    assert one.settings.factors.factors == given.factors.factors
    assert one.rows[0].difference.mean == pytest.approx(0.1)
    none = choose(scorer, given, before, [large], None)
    assert (none.accepted, none.settings) == ((), given)
    late = choose(scorer, given, before, [large, quick], lambda: False)
    assert late.accepted == ()


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    path = tmp_path / "few.toml"
    path.write_text(settings_text(FEW), "utf-8")
    return path


def test_the_command_writes_settings_that_train_takes(
    shop: tuple[Place, Trained], small_file: Path, tmp_path: Path
) -> None:
    place, _ = shop
    environ = {"MEMBERWISE_HOME": str(tmp_path / "home"), "MEMBERWISE_MODELS": str(place.settings.models)}
    environ["MEMBERWISE_DATABASE_URL"] = f"sqlite:///{place.settings.home / 'memberwise.db'}"
    out = tmp_path / "tuned.toml"
    arguments = ["tune", "--trials", "1", "--settings", str(small_file), "--out", str(out)]
    result = CliRunner(env=environ).invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "repeat" in result.output
    assert str(out) in " ".join(result.output.split())
    assert read_training_settings(out) == FEW  # one trial is that of the given settings
    result = CliRunner(env=environ).invoke(main, [*arguments, "--json"])
    document = json.loads(result.stdout)
    assert set(document["accepted"]) <= {part["name"] for part in document["parts"]}
    assert {field.name for field in fields(WholeRow)} >= set(document["whole"][0] if document["whole"] else ())


def test_a_history_too_short_to_tune_on_is_told(tmp_path: Path) -> None:
    environ = {"MEMBERWISE_HOME": str(tmp_path / "home"), "MEMBERWISE_MODELS": str(tmp_path / "models")}
    result = CliRunner(env=environ).invoke(main, ["tune"])
    assert result.exit_code == 2
    assert "memberwise ingest" in result.output

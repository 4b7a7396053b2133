"""`memberwise uplift`: a plain table in, effects and figures out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from recommender.cli import main


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(4)
    rows = 3000
    group = rng.choice(["red", "blue"], rows)
    spent = rng.exponential(50, rows).round(2)
    arm = rng.choice(["no mail", "mail"], rows)
    lift = np.where((arm == "mail") & (group == "red"), 0.4, 0.0)
    visit = (rng.random(rows) < 0.2 + lift).astype(int)
    frame = pd.DataFrame({"group": group, "spent": spent, "arm": arm, "visit": visit})
    frame["bought"] = visit * (rng.random(rows) < 0.5)
    file = tmp_path / "trial.csv"
    frame.to_csv(file, index=False)
    return file


def run(*arguments):
    return CliRunner().invoke(main, ["uplift", *map(str, arguments)])


def test_effects_by_row_and_figures(table, tmp_path):
    out = tmp_path / "effects.csv"
    result = run(table, "--treatment", "arm", "--outcome", "visit", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["features"] == ["group", "spent"]
    assert set(document["left_out"]) == {"bought"}
    effects, frame = pd.read_csv(out), pd.read_csv(table)
    assert list(effects.columns) == ["row", "effect", "standard_error"]
    by_group = effects["effect"].groupby(frame["group"]).mean()
    assert by_group["red"] == pytest.approx(0.4, abs=0.08)
    assert by_group["blue"] == pytest.approx(0.0, abs=0.08)
    arm = document["arms"][0]
    assert arm["qini"]["low"] > 0
    assert document["policies"]["where the effect is positive"]["dr"]["value"] > 0.35


def test_rows_without_outcome_are_estimated_too(table, tmp_path):
    frame = pd.read_csv(table)
    frame.loc[:99, "visit"] = np.nan
    frame.to_csv(table, index=False)
    out = tmp_path / "effects.csv"
    result = run(table, "--treatment", "arm", "--outcome", "visit", "--features", "group", "--out", out)
    assert result.exit_code == 0, result.output
    assert "2,900 of 3,000 rows learned from" in result.stdout
    assert np.isfinite(pd.read_csv(out)["effect"]).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--treatment", "nothing", "--outcome", "visit"], "no such column"),
        (["--treatment", "group", "--outcome", "visit"], "Name it with --control"),
        (["--treatment", "arm", "--outcome", "group"], "numeric outcome"),
        (["--treatment", "arm", "--outcome", "visit", "--propensity", "spent"], "no chance"),
    ],
)
def test_what_is_wrong_is_said(table, tmp_path, options, said):
    result = run(table, *options, "--out", tmp_path / "effects.csv")
    assert result.exit_code == 2
    assert said in result.output


def test_a_single_arm_is_said(table, tmp_path):
    frame = pd.read_csv(table)
    frame[frame["arm"] == "mail"].to_csv(table, index=False)
    result = run(table, "--treatment", "arm", "--outcome", "visit", "--out", tmp_path / "effects.csv")
    assert result.exit_code == 2
    assert "single arm" in result.output

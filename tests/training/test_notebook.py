"""The functions for notebooks, and the ten lines of docs/data-scientists.md as they are printed there."""

from __future__ import annotations

import importlib.util
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import training
from recommender.errors import InputError
from tests.training.shops import END, NOW, SETTINGS, START
from training.notebook import Learned, by_group, difference, figures, history, learn, overview, slate
from training.place import Place
from training.progress import Silent
from training.train import Trained

PAGE = Path(__file__).parents[2] / "docs" / "data-scientists.md"


@pytest.fixture(scope="module")
def learned(shop: tuple[Place, Trained]) -> Learned:
    return learn(history(shop[0], NOW), SETTINGS, Silent())


def test_the_ten_lines_run_as_they_are_printed(
    shop: tuple[Place, Trained], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place, _ = shop
    monkeypatch.setenv("MEMBERWISE_HOME", str(place.settings.home))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(place.settings.models))
    found = re.search(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    lines = [line for line in found[1].splitlines() if line]
    assert len(lines) <= 12
    (tmp_path / "lines.py").write_text(found[1], "utf-8")
    runpy.run_path(str(tmp_path / "lines.py"))
    printed = capsys.readouterr().out
    for text in ("people", "memberwise", "personal_decayed", "10-19 days", "difference", "Item i"):
        assert text in printed


def test_the_page_lists_every_function() -> None:
    listed = re.findall(r"^\| `(\w+)\(", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted([*listed, "TrainingSettings"]) == sorted(training.__all__)


def test_names_are_loaded_when_used_and_hide_no_module() -> None:
    for name in training.__all__:
        assert callable(getattr(training, name))
        assert importlib.util.find_spec(f"training.{name}") is None
    assert set(training.__all__) <= set(dir(training))
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = training.nothing_such
    code = "import sys, training; assert 'numpy' not in sys.modules and 'training.notebook' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_overview_counts(shop: tuple[Place, Trained]) -> None:
    data = history(shop[0], END.replace(tzinfo=None))
    found = overview(data)
    assert (found["people"], found["items"], found["stores"]) == (40, 40, 2)
    assert found["entries"] == len(data.entries)
    assert found["first"] == f"{START:%Y-%m-%d}"


def test_figures_are_those_of_the_evaluation(learned: Learned) -> None:
    table = figures(learned.evaluation)
    row = next(
        row
        for row in learned.evaluation.measures
        if (row.method, row.subset, row.measure) == ("memberwise", "novel", "ndcg@10")
    )
    assert table.loc[("novel", "memberwise"), ("ndcg@10", "mean")] == row.interval.mean
    assert table.loc[("novel", "memberwise"), ("ndcg@10", "high")] == row.interval.high
    by_store = by_group(learned.evaluation).query("group == 'store' and method == 'memberwise'")
    assert list(by_store["value"]) == ["s0", "s1"]


def test_difference_is_paired(shop: tuple[Place, Trained], learned: Learned) -> None:
    data = history(shop[0], NOW)
    same = difference(data, learned, learned)
    assert (same["difference"] == 0).all()
    assert (same["low"] == 0).all()
    shorter = replace(SETTINGS, split=replace(SETTINGS.split, window_days=10.0))
    other = learn(data, shorter, Silent())
    with pytest.raises(InputError, match="different windows"):
        difference(data, learned, other)


def test_a_slate_is_a_table(shop: tuple[Place, Trained], learned: Learned) -> None:
    data = history(shop[0], NOW)
    table = slate(shop[0], data, learned.model, "m00", "buy_again", 5)
    assert list(table.index) == [1, 2, 3, 4, 5]
    assert table["title"].str.startswith("Item i").all()
    assert (np.diff(table["score"]) <= 0).all()
    assert table["reason"].str.contains("Bought").all()
    assert len(slate(shop[0], data, learned.model, "nobody", count=3)) == 3
    early = slate(shop[0], data, learned.model, "m00", "buy_again", 5, at=START)
    assert not early["reason"].str.contains("Bought").any()

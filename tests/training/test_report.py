"""The report as JSON and as a page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from training.page import to_html
from training.place import Place
from training.report import compare_reports, find_measure, to_json
from training.train import Trained, save_report


class Checker(HTMLParser):
    """Counts tags that are not closed, and collects what would be loaded."""

    VOID = frozenset({"meta", "br", "img", "link", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_json_says_what_was_done(shop: tuple[Place, Trained]) -> None:
    _, trained = shop
    report = json.loads(to_json(trained.report))
    assert report["bundle_id"] == trained.bundle_id
    assert report["data"]["people"] == 40
    assert report["data"]["by_kind"].keys() == {"purchase"}
    assert report["split"]["protocol"] == "time"
    names = [window["name"] for window in report["split"]["windows"]]
    assert names == ["ranker 3", "ranker 2", "ranker 1", "validation", "test"]
    assert report["gate"]["passed"] is True
    assert report["blend"]["home"]
    assert len(report["days"]) == 100
    assert sum(day["events"] for day in report["days"]) == report["data"]["entries"]
    assert report["settings"]["factors"]["factors"] == 8
    assert report["seconds"]["read"] > 0
    found = find_measure(report["evaluations"][-1], "memberwise", "all", "ndcg@10")
    assert found is not None
    assert found["low"] <= found["mean"] <= found["high"]
    assert find_measure(report["evaluations"][-1], "memberwise", "all", "ndcg@7") is None


def test_the_page_is_whole_and_loads_nothing(shop: tuple[Place, Trained]) -> None:
    page = to_html(shop[1].report)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.loaded == []
    assert "<script" not in page
    assert "url(" not in page
    assert shop[1].bundle_id in page
    for text in ("NDCG@10, novel items", "Personal, decayed", "Events per day", "Weights of the blend", "Gate"):
        assert text in page
    for text in ("For whom it works", "What history is worth", "What each part does", "What is shown", "Sample slates"):
        assert f"<h2>{text}</h2>" in page


def test_names_from_data_are_escaped(shop: tuple[Place, Trained]) -> None:
    report = json.loads(to_json(shop[1].report))
    gap = {"source": "<b>pos</b>", "store_id": "", "first": "2024-01-01", "last": "2024-01-02", "rows": 1, "usual": 9}
    page = to_html(report | {"gaps": [gap]})
    assert "&lt;b&gt;pos" in page
    assert "<b>pos" not in page


def test_a_report_without_evaluation_or_gate_has_a_page(shop: tuple[Place, Trained]) -> None:
    report = json.loads(to_json(shop[1].report))
    page = to_html(report | {"evaluations": [], "gate": None, "split": None, "days": [], "blend": {}})
    assert "Against the baselines" not in page


def test_a_closer_look_is_drawn_where_it_was_taken(shop: tuple[Place, Trained]) -> None:
    report = json.loads(to_json(shop[1].report))
    bare = to_html(report | {"insights": None})
    assert "What each part does" not in bare
    assert "For whom it works" in bare
    assert "Against the promoted bundle" not in bare
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "members": 7}
    row = {"subset": "all", "measure": "ndcg@10", "promoted": interval, "new": interval, "difference": interval}
    comparison = {"bundle_id": "b1", "how": "replayed", "problem": "", "rows": [row]}
    importance = {"home": {f"feature {number}": 1 / 20 for number in range(20)}}
    whole = to_html(report | {"insights": report["insights"] | {"comparison": comparison, "importance": importance}})
    assert "Against the promoted bundle" in whole
    assert "feature 14" in whole
    assert "feature 15" not in whole
    failed = comparison | {"problem": "It is <damaged>.", "rows": []}
    assert "It is &lt;damaged&gt;." in to_html(report | {"insights": report["insights"] | {"comparison": failed}})


def test_placements_and_diversity_are_drawn_where_they_were_judged(shop: tuple[Place, Trained]) -> None:
    report = json.loads(to_json(shop[1].report))
    assert "Placements" not in to_html(report | {"insights": report["insights"] | {"scenarios": []}})
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "members": 7}
    tasks = [
        {
            "scenario": "basket",
            "task": "leave one out",
            "method": name,
            "measure": "ndcg@10",
            "interval": interval,
            "gain": gain,
        }
        for name, gain in (("memberwise", None), ("popularity", interval))
    ]
    curve = [{"strength": at / 4, "ndcg": interval, "diversity": 0.5 + at / 10, "coverage": 0.1} for at in range(3)]
    page = to_html(report | {"insights": report["insights"] | {"scenarios": tasks, "diversity": curve}})
    assert "<code>basket</code>" in page
    assert "leave one out (7 cases)" in page
    assert "+0.5000</span> [0.4000, 0.6000] against popularity" in page
    assert "What diversity costs" in page
    assert "What calibration costs" in page


def test_comparing_a_report_with_itself(shop: tuple[Place, Trained]) -> None:
    same, lines = compare_reports(shop[1].report, shop[1].report)
    assert same
    assert {line.subset for line in lines} == {"all", "repeat", "novel"}
    assert all(line.first == line.second for line in lines)


def test_other_windows_are_not_comparable(shop: tuple[Place, Trained]) -> None:
    other = json.loads(to_json(shop[1].report))
    other["evaluations"][-1]["cut"] += 1
    other["evaluations"][-1]["measures"] = []
    same, lines = compare_reports(shop[1].report, other)
    assert not same
    assert lines[0].second is None


def test_numbers_of_the_page_are_those_of_the_json(shop: tuple[Place, Trained]) -> None:
    found = find_measure(shop[1].report["evaluations"][-1], "memberwise", "all", "ndcg@10")
    assert found is not None
    assert re.search(rf"NDCG@10, all items</span><b>{found['mean']:.4f}</b>", to_html(shop[1].report))


def test_reports_without_a_bundle_are_kept_in_a_folder(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    page = save_report(tmp_path / "reports", "rejected-1", shop[1].report)
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "reports" / "rejected-1.json").read_text("utf-8"))["format_version"] == 2


def test_what_is_not_a_number_never_gets_into_json(shop: tuple[Place, Trained]) -> None:
    assert "NaN" not in to_json(shop[1].report)
    with pytest.raises(ValueError, match="JSON"):
        to_json({"value": float("nan")})

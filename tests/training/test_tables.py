"""The quality tables in Markdown."""

from __future__ import annotations

import json
import re

from training.place import Place
from training.report import find_measure, to_json
from training.tables import results_markdown
from training.train import Trained


def test_every_table_has_one_width_and_the_figures_of_the_report(shop: tuple[Place, Trained]) -> None:
    report = json.loads(to_json(shop[1].report))
    text = results_markdown(report)
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) >= 4
    for lines in tables:
        assert len({len(re.findall(r"\|", line)) for line in lines}) == 1
    found = find_measure(report["evaluations"][-1], "memberwise", "novel", "recall@10")
    assert found is not None
    assert f"{found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]" in text
    assert "| all items | NDCG@10 | Recall@10 | coverage@10 | Memberwise has more NDCG@10 |" in text
    assert "| repeat |" in text  # of the parts left out


def test_a_report_without_a_closer_look_has_its_main_tables(shop: tuple[Place, Trained]) -> None:
    report = json.loads(to_json(shop[1].report))
    del report["insights"]
    text = results_markdown(report | {"split": None})
    assert "events after the bundle was trained" in text
    assert "NDCG@10 without" not in text


def test_the_promoted_bundle_is_set_beside(shop: tuple[Place, Trained]) -> None:
    report = json.loads(to_json(shop[1].report))
    interval = {"mean": 0.5, "low": 0.25, "high": 0.75, "members": 7}
    row = {"subset": "all", "measure": "ndcg@10", "promoted": interval, "new": interval, "difference": interval}
    nothing = dict.fromkeys(("mean", "low", "high"), None) | {"members": 0}
    other = row | {"subset": "novel", "promoted": nothing, "difference": nothing}
    report["insights"]["comparison"] = {"bundle_id": "b1", "how": "", "problem": "", "rows": [row, other]}
    text = results_markdown(report)
    assert (
        "| all items | NDCG@10 | 0.5000 [0.2500, 0.7500] | 0.5000 [0.2500, 0.7500] | +0.5000 [+0.2500, +0.7500] |"
        in text
    )
    assert "| novel items | NDCG@10 | – | 0.5000 [0.2500, 0.7500] | – |" in text

"""The main figures of a report as Markdown tables, as `make quality` prints them and the README shows them."""

from __future__ import annotations

from collections.abc import Sequence

from training.page import METHOD_NAMES, SUBSET_NAMES
from training.report import Document, find_measure

METHODS = ("popularity", "personal", "personal_decayed", "memberwise")
SUBSETS = tuple(SUBSET_NAMES)
MEASURES = {"ndcg@10": "NDCG@10", "recall@10": "Recall@10"}


def results_markdown(report: Document) -> str:
    """Return every table of a report's last test window, with 95 % intervals.

    The report may be one of an earlier version: what it lacks is left out.
    """
    test = report["evaluations"][-1]
    insights = report.get("insights") or {}
    split = report["split"]
    parts = [
        f"{report['title']}: {test['asked']:,} of {test['members']:,} members who bought in the {test['window']} window"
        f" ({split['reason'] if split else 'events after the bundle was trained'}); in brackets 95 % intervals.",
        *(_subset_table(test, subset) for subset in SUBSETS),
        _placements(insights.get("scenarios") or []),
        _parts(insights.get("ablation") or []),
        _promoted(insights.get("comparison")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _subset_table(test: Document, subset: str) -> str:
    """Lay out one subset: a row per method; in the last column what Memberwise has more than that method."""
    rows = []
    for method in METHODS:
        found = [find_measure(test, method, subset, name) for name in MEASURES]
        if all(found):
            slates = [
                row for row in test["slates"] if (row["method"], row["subset"], row["depth"]) == (method, subset, 10)
            ]
            coverage = f"{100 * slates[0]['coverage']:.2f} %" if slates else ""
            rows.append([METHOD_NAMES[method], *(_text(each) for each in found), coverage, _more(test, method, subset)])
    heads = [SUBSET_NAMES[subset], *MEASURES.values(), "coverage@10", "Memberwise has more NDCG@10"]
    return _table(heads, rows) if rows else ""


def _more(test: Document, method: str, subset: str) -> str:
    for row in test["differences"]:
        if (row["method"], row["baseline"], row["subset"], row["measure"]) == ("memberwise", method, subset, "ndcg@10"):
            return _signed(row["interval"])
    return ""


def _placements(rows: Sequence[Document]) -> str:
    lines = [
        [
            row["scenario"],
            row["task"],
            METHOD_NAMES.get(row["method"], row["method"]),
            _text(row["interval"]),
            _signed(row["gain"]) if row["gain"] else "",
        ]
        for row in rows
        if row["measure"] == "ndcg@10"
    ]
    return _table(["placement", "task", "", "NDCG@10", "Memberwise has more"], lines, names=3) if lines else ""


def _parts(rows: Sequence[Document]) -> str:
    """Lay out the ablation: what is lost without each part, by subset."""
    subsets = list(dict.fromkeys(row["subset"] for row in rows))
    change = {(row["part"], row["subset"]): row["change"] for row in rows}
    lines = [
        [part, *(_signed(change[part, subset]) for subset in subsets)]
        for part in dict.fromkeys(row["part"] for row in rows)
    ]
    return _table(["NDCG@10 without", *(SUBSET_NAMES[subset] for subset in subsets)], lines) if lines else ""


def _promoted(found: Document | None) -> str:
    rows = found["rows"] if found else []
    lines = [
        [
            SUBSET_NAMES[row["subset"]],
            MEASURES[row["measure"]],
            _text(row["promoted"]),
            _text(row["new"]),
            _signed(row["difference"]),
        ]
        for row in rows
    ]
    return _table(["", "", "promoted bundle", "new", "difference"], lines, names=2) if lines else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """Lay rows out; the first columns are names, the others figures."""
    ruler = ["---"] * names + ["---:"] * (len(heads) - names)
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, ruler, *rows))


def _text(found: Document | None) -> str:
    if found is None or found["mean"] is None:
        return "–"
    return f"{found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


def _signed(found: Document) -> str:
    if found["mean"] is None:
        return "–"
    return f"{found['mean']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"

"""What commands print: reports as tables, and JSON for scripts."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from training.report import Document

SUBSETS = ("all", "repeat", "novel", "never_seen")
METHODS = ("memberwise", "personal_decayed", "personal", "popularity")

FILE_WIDTH = 120

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and no progress.")


def wide_console() -> Console:
    """Return a console for standard output; where that is a file, lines are long enough for tables."""
    return Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)


def show_report(report: Document) -> None:
    """Print the main figures of a report."""
    from training.report import find_measure

    console = wide_console()
    split = report["split"]
    console.print(f"{report['title']}: {split['reason'] if split else 'events after the bundle was trained'}.")
    evaluation = report["evaluations"][-1]
    table = Table("items", "", "NDCG@10 [95 %]", "Recall@10 [95 %]", "members", box=None)
    for subset in SUBSETS:
        for method in METHODS:
            ndcg = find_measure(evaluation, method, subset, "ndcg@10")
            recall = find_measure(evaluation, method, subset, "recall@10")
            if ndcg and recall:
                first = subset if method == METHODS[0] else ""
                table.add_row(first, method, _interval(ndcg), _interval(recall), f"{ndcg['members']:,}")
    console.print(table)
    if report["gaps"]:
        places = len({(gap["source"], gap["store_id"]) for gap in report["gaps"]})
        console.print(f"The ledger has missing or thin days in {places:,} stores: see the report.")


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=1))


def figure(value: float | None) -> str:
    """Write a measure; a dash stands for none."""
    return "–" if value is None else f"{value:.4f}"


def _interval(found: Document) -> str:
    return f"{figure(found['mean'])} [{figure(found['low'])}, {figure(found['high'])}]"

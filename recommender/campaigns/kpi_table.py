"""Figures across channels as a table: one row per number, its meaning beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from recommender.campaigns.delivery.spreadsheet import guarded
from recommender.campaigns.kpi_texts import DEFINITIONS

HEADER = ("figure", "group", "value", "low", "high", "counted", "of", "meaning")


def kpi_csv(report: Mapping[str, Any], language: str) -> str:
    """Return a report as CSV with a line of names; texts are guarded against spreadsheet programs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADER)
    for row in _rows(report):
        meaning = DEFINITIONS[row["figure"].partition(":")[0]].meaning.of(language)
        cells = [row.get(name) for name in HEADER[:-1]]
        writer.writerow([*(guarded(cell) if isinstance(cell, str) else cell for cell in cells), meaning])
    return out.getvalue()


def _rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in report["groups"]:
        for name, found in one["figures"].items():
            yield {"figure": name, "group": one["group"], **(found or {})}
    for cohort in report["cohorts"]:
        own = {"group": cohort["cohort"], "of": cohort["customers"]}
        for name, share in cohort["repurchased"].items():
            yield {"figure": f"cohorts: repurchased {name.replace('_', ' ')}", **own, **(share or {})}
        for month in cohort["retained"]:
            yield {"figure": f"cohorts: month {month['month']}", **own, **(month["share"] or {})}

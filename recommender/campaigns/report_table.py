"""The report of a campaign as a table: one row per number, its meaning beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from recommender.campaigns.delivery.spreadsheet import guarded
from recommender.campaigns.report_texts import DEFINITIONS, FIGURES, MONEY

HEADER = ("part", "figure", "kind", "group", "unit", "value", "low", "high", "p_value", "says", "meaning")
Cell = str | float | None
Row = dict[str, Cell]


def report_csv(report: Mapping[str, Any], language: str) -> str:
    """Return a report as CSV with a line of names; texts are guarded against spreadsheet programs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADER)
    for row in table(report, language):
        writer.writerow([_cell(row.get(name)) for name in HEADER])
    return out.getvalue()


def table(report: Mapping[str, Any], language: str) -> Iterator[Row]:
    """Return every number of a report with its meaning."""
    for row in _rows(report):
        meaning = DEFINITIONS[str(row["part"])].meaning.of(language)
        figure = str(row.get("figure"))
        if figure in DEFINITIONS and figure != row["part"]:
            meaning = f"{DEFINITIONS[figure].meaning.of(language)} {meaning}"
        yield row | {"meaning": meaning}


def _rows(report: Mapping[str, Any]) -> Iterator[Row]:
    yield from _groups(report)
    for figure in FIGURES:
        yield from _effects(figure, report["effects"][figure])
    for name, value in report["costs"].items():
        yield {"part": "costs", "figure": name, "unit": "cents", "value": value}
    planned = report["planned"]
    if planned is not None:
        yield {"part": "planned", "figure": "profit", "unit": "cents", **_bounds(planned["profit_cents"])}
        yield {"part": "planned", "figure": "costs", "unit": "cents", "value": planned["cost_cents"]}
    for kind, found in report["return_on_cost"].items():
        yield {"part": "return_on_cost", "kind": kind, "unit": "ratio", "says": found["method"], **_bounds(found)}
    anyway = report["bought_anyway"]
    yield {"part": "bought_anyway", "unit": "share", "says": anyway["method"], **_bounds(anyway["share"])}
    yield {"part": "bought_anyway", "figure": "redeemers", "unit": "members", "value": anyway["redeemers"]}
    yield {"part": "bought_anyway", "figure": "members", "unit": "members", "value": anyway["members"]}
    yield from _segments(report["segments"])
    yield from _detectable(report["detectable"])
    yield from _funnel(report["funnel"])


def _groups(report: Mapping[str, Any]) -> Iterator[Row]:
    verdict = report["verdict"]
    because = " ".join(verdict["because"])
    yield {"part": "verdict", "figure": verdict["figure"], "says": verdict["says"], "kind": because}
    ratio = report["sample_ratio"]
    alarm = "alarm" if ratio["alarm"] else "fine"
    yield {"part": "sample_ratio", "p_value": ratio["p_value"], "says": alarm}
    for group in ("treated", "control"):
        for unit, value in report["groups"][group].items():
            yield {"part": "sample_ratio", "group": group, "unit": unit, "value": value}
    for row in report["groups"]["left_out"]:
        for group in ("treated", "control"):
            left = {"kind": f"left out: {row['reason']}", "group": group, "unit": "members", "value": row[group]}
            yield {"part": "sample_ratio", **left}


def _effects(figure: str, found: Mapping[str, Any]) -> Iterator[Row]:
    unit = "cents" if figure in MONEY else figure
    for kind in ("adjusted", "raw", "winsorised"):
        effect = found[kind]
        said: Row = {"figure": figure, "kind": kind, "p_value": effect["p_value"], "says": effect["verdict"]}
        part = "winsorised" if kind == "winsorised" else "per_member"
        for group in ("treated", "control"):
            mean = effect[f"{group}_mean"]
            yield {"part": part, "figure": figure, "kind": kind, "group": group, "unit": unit, "value": mean}
        yield {"part": part, **said, "unit": f"{unit} per member", **_bounds(effect["per_member"])}
        yield {"part": "total", **said, "unit": unit, **_bounds(effect["total"])}
        yield {"part": "relative", **said, "unit": "share", **_bounds(effect["relative"])}


def _segments(found: Mapping[str, Any]) -> Iterator[Row]:
    for row in found["rows"]:
        yield {
            "part": "segments",
            "figure": found["figure"],
            "kind": found["by"],
            "group": row["segment"],
            "unit": "cents per member",
            "p_value": row["corrected_p_value"],
            "says": row["verdict"],
            **_bounds(row["per_member"]),
        }
    yield {"part": "segments", "kind": "comparisons", "value": found["comparisons"]}
    yield {"part": "segments", "kind": "any by chance", "unit": "share", "value": found["any_by_chance"]}
    yield {"part": "segments", "kind": "the same in all", "p_value": found["differ_p_value"]}


def _detectable(found: Mapping[str, Any]) -> Iterator[Row]:
    said: Row = {"part": "detectable", "figure": found["figure"]}
    yield said | {"unit": "cents per member", "value": found["per_member"]}
    yield said | {"unit": "share", "value": found["relative"]}
    for row in found["remedies"]:
        yield said | {"kind": f"{row['change']} {row['size']:g}", "unit": "share", "value": row["relative"]}


def _funnel(found: Mapping[str, Any]) -> Iterator[Row]:
    for group in ("treated", "control"):
        for state, value in found[group].items():
            yield {"part": "funnel", "figure": state, "group": group, "unit": "messages", "value": value}
    for row in found["lost"]:
        lost = {"figure": row["state"], "kind": row["reason"], "group": row["group"], "value": row["messages"]}
        yield {"part": "funnel", "unit": "messages", **lost}
    for state, value in found["coupons"].items():
        yield {"part": "funnel", "figure": f"coupons {state}", "unit": "coupons", "value": value}


def _bounds(found: Mapping[str, Any]) -> Row:
    return {name: found[name] for name in ("value", "low", "high")}


def _cell(value: Cell) -> object:
    return guarded(value) if isinstance(value, str) else value

"""What came of recommendations: sums over customers, by any grouping, added up by the database in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from recommender.house import SHADOW
from recommender.intervals import Estimate, Sums, proportion, ratio
from recommender.storage.exposures import NOT_FLAGGED, flag_pattern
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

GROUPS: dict[str, str] = {
    "scenario": "scenario",
    "position": "position",
    "bundle": "bundle_id",
    "experiment": "experiment",
    "group": "experiment_group",
    "channel": "channel",
    "store": "store_id",
    "strategy": "strategy",
    "retriever": "retriever",
    "reason": "reason",
    "day": "(occurred_at + {offset}) / 86400000000",
}
"""What a report may be grouped by, and the SQL of it; `day` is a day number in the retailer's time zone."""
SHARES = {
    "viewed": "CASE WHEN views > 0 THEN 1 ELSE 0 END",
    "added_to_basket": "CASE WHEN basket_adds > 0 THEN 1 ELSE 0 END",
    "purchased": "CASE WHEN purchases > 0 THEN 1 ELSE 0 END",
    "assisted": "CASE WHEN assisted_purchases > 0 THEN 1 ELSE 0 END",
}
"""Outcomes that a shown item has or has not."""
AMOUNTS = {"revenue": "revenue_cents", "assisted_revenue": "assisted_cents"}
"""Outcomes in cents."""
MOST_ROWS = 10_000

_OUTCOMES = SHARES | AMOUNTS
_UNIT = "COALESCE(subject, recommendation_id)"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One group: its values, what was shown, and of each outcome the total and how much of it per shown item.

    customers: distinct subjects; an answer to nobody known counts as one.
    """

    group: Mapping[str, str | int | None]
    slates: int
    items: int
    customers: int
    totals: Mapping[str, int]
    per_item: Mapping[str, Estimate]


def read_report(
    connection: Connection,
    start: datetime,
    end: datetime,
    group_by: Sequence[str],
    scenario: str | None = None,
    offset_minutes: int = 0,
    shadow: bool = False,
) -> list[ReportRow]:
    """Add up what came of the slates of some time.

    Args:
        start, end: slates with start <= time < end.
        group_by: names of GROUPS, distinct; none makes one row of everything.
        scenario: only this one.
        offset_minutes: what to add to UTC to make the retailer's days.
        shadow: slates made in shadow mode, which nobody saw, in place of those that were served.
    Returns: at most MOST_ROWS, in the order of their groups.
    """
    rows = fetch(connection, *_statement(start, end, group_by, scenario, offset_minutes, shadow))
    return [_row(row, group_by) for row in rows]


def _statement(
    start: datetime, end: datetime, group_by: Sequence[str], scenario: str | None, offset_minutes: int, shadow: bool
) -> tuple[str, list[object]]:
    offset = str(offset_minutes * 60_000_000)
    keys = [f"{GROUPS[name].replace('{offset}', offset)} AS g{number}" for number, name in enumerate(group_by)]
    names = [f"g{number}" for number in range(len(group_by))]
    sums = [f"SUM({what}) AS y{number}" for number, what in enumerate(_OUTCOMES.values())]
    inner = ", ".join([*keys, f"{_UNIT} AS unit", "COUNT(*) AS n", f"{_slates(group_by)} AS k", *sums])
    outer = [*names, "COUNT(*)", "SUM(k)", "SUM(n)", f"SUM({_product('n', 'n')})"]
    for number in range(len(_OUTCOMES)):
        y = f"y{number}"
        outer += [f"SUM({y})", f"SUM({_product('n', y)})", f"SUM({_product(y, y)})"]
    where = f"occurred_at >= ? AND occurred_at < ? AND {'flags LIKE ?' if shadow else NOT_FLAGGED}"
    values: list[object] = [to_micros(start), to_micros(end), flag_pattern(SHADOW)]
    if scenario is not None:
        where += " AND scenario = ?"
    grouped = f"GROUP BY {', '.join(names)} ORDER BY {', '.join(names)}" if names else "HAVING COUNT(*) > 0"
    statement = (
        f"SELECT {', '.join(outer)} FROM "
        f"(SELECT {inner} FROM exposures WHERE {where} GROUP BY {', '.join([*names, 'unit'])}) AS of_unit "
        f"{grouped} LIMIT {MOST_ROWS}"
    )
    return statement, [*values, *([] if scenario is None else [scenario])]


def _slates(group_by: Sequence[str]) -> str:
    """Return the SQL that counts the slates of a group; telling ids apart is slow, and seldom needed."""
    if "position" in group_by:
        return "COUNT(*)"
    if {"retriever", "reason"} & set(group_by):
        return "COUNT(DISTINCT recommendation_id)"
    return "SUM(CASE WHEN position = 1 THEN 1 ELSE 0 END)"


def _product(left: str, right: str) -> str:
    # Squares of money would leave the range of whole numbers.
    return f"CAST({left} AS DOUBLE PRECISION) * {right}"


def _row(row: Sequence[Any], group_by: Sequence[str]) -> ReportRow:
    width = len(group_by)
    units, slates, items, nn = row[width : width + 4]
    totals, per_item = {}, {}
    for number, name in enumerate(_OUTCOMES):
        y, ny, yy = row[width + 4 + 3 * number : width + 7 + 3 * number]
        sums = Sums(int(units), float(items), float(y), float(nn), float(ny), float(yy))
        totals[name] = int(y)
        per_item[name] = proportion(sums) if name in SHARES else ratio(sums)
    group = dict(zip(group_by, row[:width], strict=True))
    return ReportRow(group, int(slates), int(items), int(units), totals, per_item)

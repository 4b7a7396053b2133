"""The report on what came of recommendations, as the service and the command line give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from api.settings import ServiceSettings
from recommender.intervals import Estimate
from recommender.storage.outcome_report import ReportRow, read_report
from recommender.storage.types import from_day_number

DEFAULT_DAYS = 28
METHOD = (
    "Rates are per item shown, acts within the window after it, each act credited once. Intervals are at 95 % with the"
    " customer as the unit: Wilson's with the effective number of trials (Wilson, 1927; Dean and Pagano, 2015) for"
    " shares, the delta method (Deng, Knoblich and Lu, 2018) for revenue. They say how sure a rate is, not what the"
    " recommendation caused: only an experiment does."
)

Body = dict[str, object]


def outcome_report(
    connection: Connection,
    settings: ServiceSettings,
    now: datetime,
    start: datetime | None,
    end: datetime | None,
    group_by: Sequence[str],
    scenario: str | None,
    shadow: bool = False,
) -> Body:
    """Return the report as a body.

    Args:
        start, end: slates with start <= time < end; by default the last DEFAULT_DAYS.
        group_by: names of GROUPS, any number of times.
        scenario: only this one.
        shadow: slates made in shadow mode in place of those that were served.
    """
    until = end or now
    since = start or until - timedelta(days=DEFAULT_DAYS)
    names = list(dict.fromkeys(group_by))
    offset = until.astimezone(settings.zone).utcoffset() or timedelta()
    rows = read_report(connection, since, until, names, scenario, int(offset.total_seconds() // 60), shadow)
    complete = min(until, now - settings.attribution_window.length)
    return {
        "from": since.isoformat(),
        "to": until.isoformat(),
        "complete_until": complete.isoformat(),
        "window_days": settings.attribution_days,
        "method": METHOD,
        "groups": [_group(row) for row in rows],
    }


def estimate_body(found: Estimate) -> Body:
    """Return an estimate as answers hold it."""
    return asdict(found)


def _group(row: ReportRow) -> Body:
    shares: dict[str, Body] = {
        name: {"items": row.totals[name], "rate": estimate_body(row.per_item[name])}
        for name in ("viewed", "added_to_basket", "purchased", "assisted")
    }
    money: dict[str, Body] = {
        name: {"cents": row.totals[name], "cents_per_item": estimate_body(row.per_item[name])}
        for name in ("revenue", "assisted_revenue")
    }
    group = {name: _day(value) if name == "day" else value for name, value in row.group.items()}
    return {
        "group": group,
        "slates": row.slates,
        "items": row.items,
        "customers": row.customers,
        "attributed": {name: shares[name] for name in ("viewed", "added_to_basket", "purchased")}
        | {"revenue": money["revenue"]},
        "assisted": {"purchased": shares["assisted"], "revenue": money["assisted_revenue"]},
    }


def _day(number: str | int | None) -> str:
    return from_day_number(int(number or 0)).isoformat()

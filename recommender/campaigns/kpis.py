"""KPIs across channels: how customers move between shops and online, what they do again, what it earned and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb

from recommender.campaigns.bought import MICROS_PER_DAY, read_goods
from recommender.campaigns.kpi_reading import Amounts, read_kept_figures
from recommender.campaigns.kpi_texts import COHORT_MONTHS, REPURCHASE_DAYS, RETURN_DAYS, WINDOW_DAYS, GroupBy
from recommender.campaigns.kpi_views import FIGURES_SQL, KEYS, Selection, put_views, put_ways
from recommender.campaigns.report import read_report
from recommender.campaigns.report_texts import Document
from recommender.campaigns.store import list_campaigns
from recommender.errors import InputError
from recommender.intervals import UNKNOWN, Estimate, Z, wilson
from recommender.kept_sources import opened_kept, read_sources
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.stores import store_regions
from recommender.storage.types import EPOCH_DAY, from_micros, to_micros

AMOUNTS = frozenset({"sales", "customers", "discounts", "attributed_sales", "assisted_sales"})
"""Figures that are no shares."""
CUSTOMER_SHARES = frozenset(
    {"omnichannel_customers", "browse_to_store", "store_to_online", "repurchase", "retention", "redemption"}
)
"""Shares of customers (or coupons), which have Wilson's interval; shares of money have none."""
MOST_CAMPAIGNS = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: start <= t < end, aware; None: any store, region or channel."""

    start: datetime
    end: datetime
    group_by: GroupBy = GroupBy.ALL
    store_id: str | None = None
    region: str | None = None
    channel: str | None = None


def read_kpis(database: Database, settings: CoreSettings, asked: Asked, now: datetime) -> Document:
    """Return figures across channels as JSON values.

    Raises: InputError if the period is empty; EventLogError if a file of the log is missing.
    """
    if asked.start >= asked.end:
        raise InputError(
            "The report would be about no time.", field="from", value=asked.start, accepted=f"before {asked.end}"
        )
    shift = (asked.end.astimezone(settings.zone).utcoffset() or timedelta()) // timedelta(microseconds=1)
    places = (asked.group_by, asked.store_id, asked.region, asked.channel)
    selection = Selection(to_micros(asked.start), to_micros(min(asked.end, now)), *places, offset=shift)
    with database.read(snapshot=True) as connection:
        sources, goods = read_sources(connection, settings, asked.end), read_goods(connection)
        regions = store_regions(connection)
        kept = read_kept_figures(connection, selection, regions)
    with opened_kept(settings, sources, asked.end) as engine:
        channels = settings.channel_kinds
        put_views(engine, sources, goods, settings.default_margin_share, regions, channels, selection)
        put_ways(engine, selection)
        found: dict[str, Amounts | None] = {name: _amounts(engine, sql) for name, sql in FIGURES_SQL.items()}
        scores, fees = _surveys(engine, selection), _fees(engine, selection)
        cohorts = _cohorts(engine, selection, settings)
    added = None if selection.narrow else _added(database, settings, asked, now)
    groups = sorted(
        {group for amounts in (*found.values(), *kept.values()) for group in amounts or {}} | _one(selection)
    )
    told = [_group(group, selection, found | kept, scores, fees, added) for group in groups]
    return {
        "from": asked.start.isoformat(),
        "to": asked.end.isoformat(),
        "group_by": str(asked.group_by),
        "store_id": asked.store_id,
        "region": asked.region,
        "channel": asked.channel,
        "browse_days": WINDOW_DAYS,
        "return_days": RETURN_DAYS,
        "groups": told,
        "cohorts": cohorts,
        "notes": _notes(selection, scores, fees, added),
    }


def _one(selection: Selection) -> set[str]:
    return {""} if selection.group_by is GroupBy.ALL else set()


def _amounts(engine: duckdb.DuckDBPyConnection, sql: str) -> Amounts:
    return {str(g): (int(counted), int(of or 0)) for g, counted, of in engine.execute(sql).fetchall()}


def _group(
    group: str,
    selection: Selection,
    amounts: Mapping[str, Amounts | None],
    scores: Mapping[str, tuple[Estimate, int]],
    fees: Mapping[str, tuple[float, int]],
    added: tuple[Estimate, int] | None,
) -> Document:
    figures: dict[str, Document | None] = {}
    for name, found in amounts.items():
        figures[name] = None if found is None else _figure(name, *found.get(group, (0, 0)))
    figures["incremental_sales"] = None if added is None else {**asdict(added[0]), "counted": None, "of": added[1]}
    score, cost = scores.get(group), fees.get(group)
    figures["nps"] = None if score is None else {**asdict(score[0]), "counted": None, "of": score[1]}
    figures["fulfilment_cost"] = None if cost is None else {**asdict(Estimate(cost[0])), "counted": None, "of": cost[1]}
    return {"group": None if selection.group_by is GroupBy.ALL else group, "figures": figures}


def _figure(name: str, counted: int, of: int) -> Document:
    """Return one figure: its value, what was counted, and what it stands on."""
    if name in AMOUNTS:
        estimate = Estimate(float(counted))
    elif of <= 0:
        estimate = UNKNOWN
    elif name in CUSTOMER_SHARES:
        estimate = wilson(counted / of, of)
    else:
        estimate = Estimate(counted / of)
    return {**asdict(estimate), "counted": counted, "of": of}


def _surveys(engine: duckdb.DuckDBPyConnection, selection: Selection) -> dict[str, tuple[Estimate, int]]:
    """Return the net promoter score of each group with its interval, and the number of answers."""
    rows = engine.execute(
        f"""
        SELECT {KEYS[selection.group_by]} AS g, count(*) FILTER (value >= 9), count(*) FILTER (value <= 6), count(*)
        FROM (SELECT s.*, coalesce(r.region, '') AS region FROM said s LEFT JOIN regions r USING (store_id))
        WHERE kind = 'survey' AND value >= 0 AND value <= 10 AND micros >= {selection.start}
          AND micros < {selection.end} AND {selection.places()} GROUP BY g"""
    ).fetchall()
    found = {}
    for g, promoters, detractors, answers in rows:
        mean = (promoters - detractors) / answers
        spread = (promoters + detractors) / answers - mean**2
        half = Z * math.sqrt(max(spread, 0.0) / answers)
        bounds = (None, None) if answers < 2 else (100 * (mean - half), 100 * (mean + half))
        found[str(g)] = (Estimate(100 * mean, *bounds), int(answers))
    return found


def _fees(engine: duckdb.DuckDBPyConnection, selection: Selection) -> dict[str, tuple[float, int]]:
    """Return the mean cost of fulfilment of each group's orders that carry it, and how many they are."""
    rows = engine.execute(
        """
        SELECT g, avg(cents), count(*) FROM (
          SELECT c.g, c.order_id, max(s.cents) AS cents FROM chosen c JOIN (
            SELECT event_id, TRY_CAST(json_extract_string(attributes, '$.fulfilment_cost_cents') AS DOUBLE) AS cents
            FROM said WHERE kind = 'purchase' AND contains(attributes, 'fulfilment_cost_cents')) s USING (event_id)
          WHERE s.cents IS NOT NULL GROUP BY c.g, c.order_id)
        GROUP BY g"""
    ).fetchall()
    return {str(g): (float(mean), int(orders)) for g, mean, orders in rows}


def _added(database: Database, settings: CoreSettings, asked: Asked, now: datetime) -> tuple[Estimate, int] | None:
    """Return what campaigns whose windows ended in the period added to sales, and how many; None: there are none.

    Campaigns draw their groups apart, so that their variances add.
    """
    with database.read() as connection:
        campaigns = [one for one in list_campaigns(connection) if one.launch_at is not None]
    parts: list[tuple[float, float]] = []
    last_days = timedelta(days=1)
    for one in campaigns:
        if (
            one.starts_at >= asked.end
            or one.ends_at + timedelta(days=one.settings.window_days) + last_days < asked.start
        ):
            continue
        report: Any = read_report(database, settings, one.campaign_id, now)
        ended = report["window"]["to"]
        total = report["effects"]["sales"]["adjusted"]["total"]
        inside = ended is not None and asked.start <= datetime.fromisoformat(ended) < asked.end
        if not inside or not report["window"]["complete"] or report["sample_ratio"]["alarm"] or total["low"] is None:
            continue
        parts.append((total["value"], (total["high"] - total["low"]) / 2))
        if len(parts) >= MOST_CAMPAIGNS:
            break
    if not parts:
        return None
    value, half = sum(part for part, _ in parts), math.sqrt(sum(half**2 for _, half in parts))
    return Estimate(value, value - half, value + half), len(parts)


def _cohorts(engine: duckdb.DuckDBPyConnection, selection: Selection, settings: CoreSettings) -> list[Document]:
    """Return customers by the month of their first purchase: who bought again within some days, and in which months."""
    within = ", ".join(
        f"count(*) FILTER (again <= {days * MICROS_PER_DAY}) AS within_{days}" for days in REPURCHASE_DAYS
    )
    local = f"make_timestamp(micros + {selection.offset})"
    engine.execute(
        f"""
        CREATE TABLE firsts AS SELECT person, arg_min(order_id, micros) AS order_id, min(micros) AS first
        FROM buys WHERE person IS NOT NULL GROUP BY person;
        CREATE TABLE members AS
        SELECT f.person, f.first, date_trunc('month', make_timestamp(f.first + {selection.offset})) AS month
        FROM firsts f WHERE f.first >= {selection.start} AND f.person IN (
          SELECT c.person FROM chosen c JOIN firsts s ON s.person = c.person AND s.order_id = c.order_id);
        CREATE TABLE seconds AS SELECT m.person, min(b.micros) - any_value(m.first) AS again
        FROM members m JOIN firsts f USING (person) JOIN buys b ON b.person = m.person AND b.order_id <> f.order_id
        GROUP BY m.person
        """
    )
    sizes = engine.execute(
        f"SELECT month, count(*), max(first), {within} FROM members LEFT JOIN seconds USING (person)"
        " GROUP BY month ORDER BY month"
    ).fetchall()
    kept = engine.execute(
        f"""
        SELECT m.month, date_diff('month', m.month, date_trunc('month', b.at)) AS later, count(DISTINCT m.person)
        FROM members m JOIN (SELECT person, {local} AS at FROM buys) b USING (person)
        GROUP BY ALL HAVING later BETWEEN 1 AND {COHORT_MONTHS}"""
    ).fetchall()
    retained = {(month, int(later)): int(count) for month, later, count in kept}
    until = EPOCH_DAY + timedelta(days=(selection.end + selection.offset) // MICROS_PER_DAY)
    return [_cohort(row, retained, selection.end, until) for row in sizes]


def _cohort(row: tuple[Any, ...], retained: Mapping[tuple[Any, int], int], end: int, until: date) -> Document:
    """Return one cohort; what is not over for all of its members is not told."""
    month, size, last, *again = row
    repurchased = {
        f"within_{days}_days": asdict(wilson(count / size, size)) if last + days * MICROS_PER_DAY <= end else None
        for days, count in zip(REPURCHASE_DAYS, again, strict=True)
    }
    months = []
    for later in range(1, COHORT_MONTHS + 1):
        number = month.year * 12 + month.month - 1 + later + 1  # the first month after the one that is asked for
        over = date(number // 12, number % 12 + 1, 1) <= until
        share = retained.get((month, later), 0) / size
        months.append({"month": later, "share": asdict(wilson(share, size)) if over else None})
    return {
        "cohort": month.strftime("%Y-%m"),
        "customers": int(size),
        "last_first_purchase": from_micros(int(last)).isoformat(),
        "repurchased": repurchased,
        "retained": months,
    }


def _notes(
    selection: Selection, scores: Mapping[str, Any], fees: Mapping[str, Any], added: tuple[Estimate, int] | None
) -> list[str]:
    """Return why figures are absent, as codes."""
    by_channel = selection.channel is not None or selection.group_by is GroupBy.CHANNEL
    found = {
        "no_survey": not scores,
        "no_fulfilment": not fees,
        "no_campaign": added is None and not selection.narrow,
        "no_channel": by_channel,
    }
    return [name for name, holds in found.items() if holds]

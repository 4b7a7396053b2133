"""Previews of audiences over growing numbers of members, beside DuckDB asking the same of the same columns."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np

from api.audiences import Desk, Question
from recommender.campaigns.feature_refresh import refresh_features
from recommender.campaigns.live_features import LiveFeatures
from recommender.campaigns.member_columns import granted
from recommender.campaigns.member_features import MemberFeatures
from recommender.events import KIND_CODES, EventKind
from recommender.settings import CoreSettings
from recommender.storage.database import Database, open_database
from recommender.storage.event_log import EventLog, open_event_log, register
from recommender.storage.holdouts import draw_period
from recommender.storage.statements import execute_many, next_sequence
from recommender.storage.types import to_micros
from recommender.storage.upserts import upsert
from tests.benchmarks.results import Result, Row, at_most
from tests.benchmarks.shops import say

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EVENTS_PER_MEMBER = 10
ITEMS, CATEGORIES = 20_000, 200
DAYS = 360
CHANGED = 1_000
"""Members and consents written after the features were made."""
CHUNK = 10_000
SECONDS = 1.0
"""What a preview of the largest size may take."""
EXPRESSION = {
    "and": [
        {"tier": ["gold", "silver"]},
        {"bought": {"category": "c7", "within_days": 180, "channel": "offline"}},
        {"orders": {"within_days": 365, "min": 3}},
        {"not": {"days_since": {"what": "last_purchase", "max": 3}}},
    ]
}
_MEMBERS = """
INSERT INTO members (member_id, kind, household_id, home_store_id, tier, city, attributes, change_sequence)
VALUES (?, 'consumer', ?, ?, ?, ?, ?, ?)"""
_CONSENTS = """
INSERT INTO consents (member_id, purpose, channel, granted, at, change_sequence) VALUES (?, 'push', '', ?, ?, ?)"""
_EVENTS = """
COPY (SELECT 'e{month}-' || i AS event_id,
    make_timestamptz({start} + (random() * {length})::BIGINT) AS occurred_at,
    CASE WHEN random() < 0.6 THEN 'purchase' ELSE 'view' END AS kind,
    CASE WHEN random() < 0.6 THEN 'pos' ELSE 'app' END AS channel,
    'member:m' || (random() * {members})::BIGINT AS subject, 'i' || (pow(random(), 2) * {items})::BIGINT AS item_id,
    's1' AS store_id, 'o{month}-' || (i // 3) AS order_id, (i % 3)::VARCHAR AS order_line, 0::INTEGER AS revision,
    NULL::VARCHAR AS status, NULL::VARCHAR AS fulfilment, 1.0::DOUBLE AS quantity,
    (100 + random() * 900)::BIGINT AS unit_price_cents, 0::BIGINT AS discount_cents, NULL::VARCHAR AS coupon_id,
    NULL::VARCHAR AS recommendation_id, NULL::INTEGER AS position, NULL::DOUBLE AS value,
    NULL::VARCHAR AS attributes, 'bench' AS source, 0::BIGINT AS content_hash
  FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
_SAME = """
SELECT count(*) FROM members m WHERE m.tier IN (1, 2) AND m.agreed AND m.last < {today} - 3
  AND m.row IN (SELECT member FROM acts WHERE day > {today} - 180 AND bought AND offline AND wanted)
  AND m.row IN (SELECT member FROM orders WHERE day > {today} - 365 GROUP BY member HAVING count(*) >= 3)"""


def measure_audiences(folder: Path, sizes: Sequence[int], rounds: int) -> Result:
    """Make features of so many members and preview an audience on them."""
    rows = [_measure(folder / f"audiences-{size}", size, rounds) for size in sizes]
    largest = rows[-1]
    bars = [at_most(f"preview of {sizes[-1]:,} members, seconds", float(largest["preview s"]), SECONDS)]
    notes = (
        f"{EVENTS_PER_MEMBER} events per member; the audience asks tier, purchases of a category in shops, orders and"
        f" days since the last purchase, needs a consent and leaves out a global holdout of 2 %. First: after"
        f" {CHANGED:,} members and consents changed. DuckDB: one query for the count over the same columns in memory."
        f" Median of {rounds} rounds.",
    )
    return Result("audiences", rows, bars, notes)


def _measure(folder: Path, size: int, rounds: int) -> Row:
    say(f"audiences of {size:,} members")
    shutil.rmtree(folder, ignore_errors=True)
    settings = CoreSettings(home=folder)
    database = open_database(settings)
    _fill(database, settings, size)
    refresh, _ = _timed(lambda: refresh_features(database, settings, NOW))
    desk = Desk(LiveFeatures(folder), settings, None)
    opening, _ = _timed(lambda: _preview(database, desk))
    _change(database)
    first, found = _timed(lambda: _preview(database, desk))
    again = median(_timed(lambda: _preview(database, desk))[0] for _ in range(max(rounds, 3)))
    with database.read() as connection:
        features = desk.ground(connection, NOW).features
    bare, count = _bare(features, max(rounds, 3))
    assert count >= found["count"]
    database.dispose()
    shutil.rmtree(folder)
    return {
        "members": size,
        "refresh s": refresh,
        "opening s": opening,
        "first s": first,
        "preview s": again,
        "DuckDB s": bare,
        "share": again / bare,
        "matched": found["matched"],
        "count": found["count"],
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _preview(database: Database, desk: Desk) -> dict[str, Any]:
    with database.read(snapshot=True) as connection:
        return desk.preview(connection, Question(EXPRESSION), NOW)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def _fill(database: Database, settings: CoreSettings, size: int) -> None:
    """Write members, consents, items and a year of events."""
    tiers, cities = ("gold", "silver", "bronze", None), ("Hangzhou", "Suzhou", "Ningbo", None)
    for start in range(0, size, CHUNK):
        part = range(start, min(start + CHUNK, size))
        with database.write() as connection:
            sequence = next_sequence(connection)
            members = [
                (f"m{n}", f"h{n // 2}", f"s{n % 500}", tiers[n % 4], cities[n % 3], f'{{"size": {n % 9}}}', sequence)
                for n in part
            ]
            execute_many(connection, _MEMBERS, members)
            consents = [(f"m{n}", n % 10 < 8, to_micros(NOW - timedelta(days=n % 99)), sequence) for n in part]
            execute_many(connection, _CONSENTS, consents)
    items = [{"item_id": f"i{n}", "category": f"c{n % CATEGORIES}", "price_cents": 500} for n in range(ITEMS)]
    with database.write() as connection:
        upsert(connection, "items", items, NOW)
        draw_period(connection, NOW, 0.02)
    log = open_event_log(settings)
    for month in range(DAYS // 30):
        _write_month(database, log, month, size, size * EVENTS_PER_MEMBER * 30 // DAYS)


def _write_month(database: Database, log: EventLog, month: int, members: int, rows: int) -> None:
    begins = NOW - timedelta(days=DAYS - 30 * month)
    path = log.temporary(begins.strftime("%Y-%m"))
    engine = duckdb.connect()
    length = 30 * 86_400_000_000 - 1
    engine.execute(
        _EVENTS.format(
            month=month,
            start=to_micros(begins),
            length=length,
            members=members - 1,
            items=ITEMS - 1,
            rows=rows,
            path=path,
        )
    )
    engine.close()
    file = log.adopt(path, rows, (begins, begins + timedelta(days=30)))
    with database.write() as connection:
        sequence = next_sequence(connection)
        register(connection, [file], sequence)


def _change(database: Database) -> None:
    """Write members and consents after the features were made."""
    with database.write() as connection:
        upsert(connection, "members", [{"member_id": f"m{n}", "tier": "gold"} for n in range(CHANGED)], NOW)
        row = {"purpose": "push", "channel": "", "granted": True, "at": NOW}
        upsert(connection, "consents", [{"member_id": f"m{n}", **row} for n in range(CHANGED)], NOW)


def _bare(features: MemberFeatures, rounds: int) -> tuple[float, int]:
    """Ask DuckDB for the count over tables of the same columns; return seconds and the count."""
    columns, acts, orders = features.columns, features.acts, features.orders
    tiers = {name: code for code, name in enumerate(columns.tier.names)}
    recoded = np.zeros(len(columns.tier.names), np.int8)
    recoded[[tiers["gold"], tiers["silver"]]] = (1, 2)
    engine = duckdb.connect()
    members = {
        "row": np.arange(len(features)),
        "tier": recoded[columns.tier.code],
        "agreed": granted(columns.latest("push")),
        "last": np.asarray(features.lately.last_bought),
    }
    offline = np.array([name == "pos" for name in features.channels])
    wanted = features.category.below(["c7"])
    done = {
        "member": np.asarray(acts.member_row),
        "day": acts.days.expand(),
        "bought": acts.kind == KIND_CODES[EventKind.PURCHASE],
        "offline": offline[acts.channel],
        "wanted": wanted[acts.item_row],
    }
    bought = {"member": np.asarray(orders.member_row), "day": orders.days.expand()}
    for name, table in (("members", members), ("acts", done), ("orders", bought)):
        engine.register(f"{name}_arrays", table)
        engine.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_arrays")
    today = (to_micros(NOW) + features.facts.day_offset) // 86_400_000_000
    query = _SAME.format(today=today)
    times = [_timed(lambda: engine.execute(query).fetchall()) for _ in range(rounds)]
    engine.close()
    return median(seconds for seconds, _ in times), int(times[0][1][0][0])

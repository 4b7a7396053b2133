"""Loads and the ledger: which files were read, what became of their rows, which days are missing or thin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from statistics import median

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.storage.statements import execute_many, fetch
from recommender.storage.tables import loads
from recommender.storage.types import from_day_number, to_day_number

THIN_SHARE = 0.2
"""A day with less than this share of the usual rows is thin."""
USUAL_ROWS = 5
"""Sources and stores with fewer rows on a usual day are too small to tell."""

_ADD_ROWS = """
INSERT INTO ledger (source, store_id, day, rows) VALUES (?, ?, ?, ?)
ON CONFLICT (source, store_id, day) DO UPDATE SET rows = ledger.rows + excluded.rows"""


@dataclass(frozen=True, slots=True)
class Load:
    """One file read: read = added + duplicate + rejected. `finished_at` None: under way or killed."""

    load_id: str
    source: str
    file: str
    checksum: str
    read: int
    added: int
    duplicate: int
    rejected: int
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class LedgerDay:
    """Where events came from: a source, a store ('' = none named) and a UTC day."""

    source: str
    store_id: str
    day: date


@dataclass(frozen=True, slots=True)
class LedgerGap:
    """Days in a row of a source and store with far fewer rows than usual.

    first, last: the days, inclusive.  rows: what came on them.  usual: the median day's rows.
    """

    source: str
    store_id: str
    first: date
    last: date
    rows: int
    usual: int


def record_load(connection: Connection, load: Load) -> None:
    """Add a load or replace what is noted of it, inside a write transaction."""
    values = {name: getattr(load, name) for name in Load.__slots__}
    same = loads.c.load_id == load.load_id
    if connection.execute(loads.update().where(same).values(values)).rowcount == 0:
        connection.execute(loads.insert(), values)


def find_loads(connection: Connection, checksum: str) -> list[Load]:
    """Return the finished loads of a file with this checksum, oldest first."""
    chosen = sa.select(loads).where(loads.c.checksum == checksum, loads.c.finished_at.is_not(None))
    rows = connection.execute(chosen.order_by(loads.c.started_at, loads.c.load_id)).mappings()
    return [Load(**row) for row in rows]


def list_loads(connection: Connection) -> list[Load]:
    """Return every load, oldest first."""
    rows = connection.execute(sa.select(loads).order_by(loads.c.started_at, loads.c.load_id)).mappings()
    return [Load(**row) for row in rows]


def add_to_ledger(connection: Connection, rows: Mapping[LedgerDay, int]) -> None:
    """Count rows, inside the write transaction that makes them visible."""
    days = sorted(rows, key=lambda entry: (entry.source, entry.store_id, entry.day))
    execute_many(
        connection,
        _ADD_ROWS,
        [(entry.source, entry.store_id, to_day_number(entry.day), rows[entry]) for entry in days],
    )


def read_ledger(connection: Connection) -> dict[LedgerDay, int]:
    """Return the rows of every source, store and day, in ascending order."""
    statement = "SELECT source, store_id, day, rows FROM ledger ORDER BY source, store_id, day"
    return {
        LedgerDay(source, store_id, from_day_number(day)): rows
        for source, store_id, day, rows in fetch(connection, statement)
    }


def ledger_gaps(connection: Connection) -> list[LedgerGap]:
    """Return the missing and thin days between the first and the last day of every source and store.

    A day is thin below THIN_SHARE of the median day that has rows; those below USUAL_ROWS are not judged.
    """
    ledger = read_ledger(connection).items()
    gaps: list[LedgerGap] = []
    for (source, store_id), group in groupby(ledger, key=lambda entry: (entry[0].source, entry[0].store_id)):
        counts = {entry.day: rows for entry, rows in group}
        usual = round(median(counts.values()))
        if usual >= USUAL_ROWS:
            gaps += [
                LedgerGap(source, store_id, days[0], days[-1], sum(counts.get(day, 0) for day in days), usual)
                for days in _runs(_thin_days(counts, usual * THIN_SHARE))
            ]
    return gaps


def _thin_days(counts: Mapping[date, int], least: float) -> Iterable[date]:
    day, last = min(counts), max(counts)
    while day <= last:
        if counts.get(day, 0) < least:
            yield day
        day += timedelta(days=1)


def _runs(days: Iterable[date]) -> list[list[date]]:
    """Split rising days into runs without a gap."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs

"""Small builders of test data: give what matters to the test, the rest has plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recommender.events import Event, EventKind, member_subject
from recommender.storage.database import Database
from recommender.storage.upserts import UpsertCounts, upsert

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
"""The present of tests: a Monday."""


def make_event(event_id: str = "e1", member_id: str | None = "m1", **fields: Any) -> Event:
    """Make an event: a view of item i1 in the app, an hour before NOW, unless told otherwise."""
    event = Event(
        event_id=event_id,
        occurred_at=NOW - timedelta(hours=1),
        kind=EventKind.VIEW,
        channel="app",
        subject=None if member_id is None else member_subject(member_id),
        item_id="i1",
    )
    return replace(event, **fields)


def put_rows(database: Database, table: str, *rows: Mapping[str, object], now: datetime = NOW) -> UpsertCounts:
    """Upsert rows of a canonical table in one transaction."""
    with database.write() as connection:
        return upsert(connection, table, rows, now)

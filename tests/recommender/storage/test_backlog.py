"""What waits to be moved, and times that are surely over: the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recommender.events import Event, EventKind
from recommender.storage.backlog import read_backlog, read_times
from recommender.storage.database import Database
from recommender.storage.events import append_events
from recommender.storage.exposures import drain
from recommender.storage.statements import set_counter
from recommender.storage.unlogged import LOGGED

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def post(database: Database, event_id: str, at: datetime) -> None:
    with database.write() as connection:
        append_events(connection, [Event(event_id, at, EventKind.VIEW, "app", item_id="milk")], at)


def test_nothing_waits_in_an_empty_database(database: Database) -> None:
    with database.read() as connection:
        found = read_backlog(connection)
    assert (dict(found.drained), found.events, found.oldest_received_at) == ({}, 0, None)


def test_events_wait_until_they_are_in_the_log(database: Database) -> None:
    for number in range(3):
        post(database, f"e{number}", NOW + timedelta(minutes=number))
    with database.write() as connection:
        set_counter(connection, LOGGED, 1)
        drain(connection, "a.jsonl", 0, 70, [])
    with database.read() as connection:
        found = read_backlog(connection)
    assert (found.events, found.oldest_received_at) == (2, NOW + timedelta(minutes=1))
    assert dict(found.drained) == {"a.jsonl": 70}


def test_times_that_are_surely_over(database: Database) -> None:
    post(database, "e1", NOW)
    with database.read() as connection:
        latest = max(read_times(connection))
    if database.dialect == "postgresql":
        assert abs(datetime.now(UTC) - latest) < timedelta(minutes=1)
    else:
        assert latest == NOW

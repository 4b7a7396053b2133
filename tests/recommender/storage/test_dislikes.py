"""Dislikes kept of one customer are bounded: the latest stay."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recommender.events import EventKind
from recommender.storage import dislikes
from recommender.storage.database import Database
from recommender.storage.events import append_events
from recommender.storage.statements import fetch
from tests.factories import NOW, make_event


def test_of_more_dislikes_than_are_kept_the_latest_stay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dislikes, "MOST_KEPT", 3)
    for day in range(5):
        event = make_event(
            f"e{day}", kind=EventKind.NOT_INTERESTED, item_id=f"i{day}", occurred_at=NOW + timedelta(days=day)
        )
        with database.write() as connection:
            append_events(connection, [event], NOW + timedelta(days=9))
    other = make_event("o1", kind=EventKind.NOT_INTERESTED, item_id="i0", subject="member:m2")
    with database.write() as connection:
        append_events(connection, [other], NOW)
    with database.read() as connection:
        kept = fetch(connection, "SELECT subject, value FROM dislikes ORDER BY subject, value")
    assert [tuple(row) for row in kept] == [
        ("member:m1", "i2"),
        ("member:m1", "i3"),
        ("member:m1", "i4"),
        ("member:m2", "i0"),
    ]

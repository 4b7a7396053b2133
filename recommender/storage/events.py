"""Recent events in SQL: appended exactly once in the order of commits, read quickly by customer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.events import Event
from recommender.storage.content import CONTENT, content_hash
from recommender.storage.dislikes import Dislike, note_dislikes
from recommender.storage.statements import execute_many, fetch, marks, next_sequence
from recommender.storage.types import to_micros

LOG_COLUMNS = ("event_id", *CONTENT, "source", "content_hash")
"""The columns of an event in the event log, in order; `recommender.storage.event_log` gives their types."""

PERSONAL_COLUMNS = ("subject", "order_id", "coupon_id", "recommendation_id", "attributes")
"""What an event loses when its customer is erased; what is left still counts for popularity."""

API_SOURCE = "api"
"""The source of events that were posted."""

CHUNK_ROWS = 500
RECENT_LIMIT = 1000
"""Most events read for one customer; the latest are kept."""

_COLUMNS = (*LOG_COLUMNS, "sequence", "in_log", "received_at")
_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({marks(len(_COLUMNS))})"
_INSERT_LOGGED = f"{_INSERT} ON CONFLICT (event_id) DO UPDATE SET in_log = TRUE"
_RECENT = """
SELECT * FROM (
  SELECT item_id, occurred_at, kind, channel, quantity, order_id, order_line, revision, status, sequence
  FROM events WHERE subject IN ({marks}) AND sequence > ? AND item_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM erased_subjects e WHERE e.subject = events.subject)
  ORDER BY sequence DESC, event_id DESC LIMIT ?) AS recent
UNION ALL
SELECT value, at, kind, '', NULL, NULL, NULL, 0, NULL, -1 FROM dislikes WHERE subject IN ({marks})"""
_RECENT_BY_COUNT = {count: _RECENT.replace("{marks}", marks(count)) for count in range(1, 33)}


class EventStatus(StrEnum):
    """What became of a posted event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICTING_DUPLICATE = "conflicting_duplicate"


@dataclass(frozen=True, slots=True)
class EventResult:
    """The fate of one event; a conflicting duplicate has the id of an earlier event with other content."""

    event_id: str
    status: EventStatus


@dataclass(frozen=True, slots=True)
class RecentEvents:
    """Events that name an item, as aligned lists in the order in which they came.

    occurred_at: microseconds since 1970-01-01 UTC.  Where an event does not say, the entry is None.
    dislikes: what the customer does not want to see, ever since.
    """

    item_id: Sequence[str]
    occurred_at: Sequence[int]
    kind: Sequence[str]
    channel: Sequence[str]
    quantity: Sequence[float | None]
    order_id: Sequence[str | None]
    order_line: Sequence[str | None]
    revision: Sequence[int]
    status: Sequence[str | None]

    dislikes: Sequence[Dislike] = ()

    def __len__(self) -> int:
        return len(self.item_id)

    def digest(self) -> bytes:
        """Return what tells these events apart from others."""
        columns = [getattr(self, entry.name) for entry in fields(self) if entry.name != "dislikes"]
        return hashlib.blake2b(orjson.dumps(columns), digest_size=16).digest()


NO_EVENTS = RecentEvents((), (), (), (), (), (), (), (), ())


def append_events(
    connection: Connection, events: Sequence[Event], now: datetime, source: str = API_SOURCE
) -> list[EventResult]:
    """Store events, each id once, inside a write transaction; the first content of an id wins.

    Sequences follow the order given. Events of erased subjects are kept without PERSONAL_COLUMNS.

    Returns: one result per event, in the order given.
    """
    if not events:
        return []
    last = next_sequence(connection, len(events))
    known = find_hashes(connection, [event.event_id for event in events])
    erased = erased_among(connection, {event.subject for event in events if event.subject is not None})
    received = to_micros(now)
    rows: list[tuple[object, ...]] = []
    results: list[EventResult] = []
    for sequence, event in enumerate(events, last - len(events) + 1):
        digest = content_hash(event)
        stored = known.get(event.event_id)
        if stored is not None:
            status = EventStatus.DUPLICATE if stored == digest else EventStatus.CONFLICTING_DUPLICATE
            results.append(EventResult(event.event_id, status))
            continue
        known[event.event_id] = digest
        kept = event if event.subject not in erased else nameless(event)
        rows.append((*_values(kept), source, digest, sequence, False, received))
        results.append(EventResult(event.event_id, EventStatus.ACCEPTED))
    execute_many(connection, _INSERT, rows)
    note_dislikes(connection, rows)
    return results


def nameless(event: Event) -> Event:
    """Return an event without PERSONAL_COLUMNS."""
    return replace(event, subject=None, order_id=None, coupon_id=None, recommendation_id=None, attributes=None)


def insert_logged(connection: Connection, rows: Iterable[Sequence[object]], sequence: int, now: datetime) -> None:
    """Store a load's events for serving, in the write transaction that registers its files.

    Args:
        rows: values in the order of LOG_COLUMNS, occurred_at as microseconds, ids not stored yet.
        sequence: the load's sequence, shared by its events.
        now: the present.
    """
    received = to_micros(now)
    for chunk in _chunks(rows, CHUNK_ROWS):
        execute_many(connection, _INSERT_LOGGED, [(*row, sequence, True, received) for row in chunk])
        note_dislikes(connection, chunk)


def find_hashes(connection: Connection, event_ids: Iterable[str]) -> dict[str, int]:
    """Return the content hash of those of the events that SQL holds, by event id."""
    found: dict[str, int] = {}
    for chunk in _chunks(event_ids, CHUNK_ROWS):
        statement = f"SELECT event_id, content_hash FROM events WHERE event_id IN ({marks(len(chunk))})"
        found.update((row[0], row[1]) for row in fetch(connection, statement, chunk))
    return found


def recent_events(
    connection: Connection, subjects: Sequence[str], after_sequence: int, limit: int = RECENT_LIMIT
) -> RecentEvents:
    """Return the events of one customer's subjects that name an item and came after a sequence.

    Args:
        subjects: the customer's subjects; events of erased ones are left out.
        after_sequence: the last sequence that the reader already has.
        limit: most events returned, the latest ones.
    """
    if not subjects:
        return NO_EVENTS
    statement = _RECENT_BY_COUNT.get(len(subjects)) or _RECENT.replace("{marks}", marks(len(subjects)))
    rows = fetch(connection, statement, (*subjects, after_sequence, limit, *subjects))
    if not rows:
        return NO_EVENTS
    dislikes = tuple(Dislike(row[2], row[0]) for row in rows if row[-1] < 0)
    rows = [row[:-1] for row in reversed(rows) if row[-1] >= 0]
    found = RecentEvents(*zip(*rows, strict=True)) if rows else NO_EVENTS
    return replace(found, dislikes=dislikes) if dislikes else found


def _values(event: Event) -> tuple[object, ...]:
    """Return the values of an event in the order of LOG_COLUMNS, up to its attributes."""
    return (
        event.event_id,
        to_micros(event.occurred_at),
        event.kind.value,
        event.channel,
        event.subject,
        event.item_id,
        event.store_id,
        event.order_id,
        event.order_line,
        event.revision,
        event.status,
        event.fulfilment,
        event.quantity,
        event.unit_price_cents,
        event.discount_cents,
        event.coupon_id,
        event.recommendation_id,
        event.position,
        event.value,
        event.attributes,
    )


def erased_among(connection: Connection, subjects: set[str]) -> set[str]:
    """Return those of some subjects that were erased."""
    found: set[str] = set()
    for chunk in _chunks(sorted(subjects), CHUNK_ROWS):
        statement = f"SELECT subject FROM erased_subjects WHERE subject IN ({marks(len(chunk))})"
        found.update(row[0] for row in fetch(connection, statement, chunk))
    return found


def _chunks(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk

"""Backlog: what waits to be moved: exposures into SQL, posted events into the event log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.storage.statements import fetch, read_counter
from recommender.storage.types import from_micros
from recommender.storage.unlogged import LOGGED

_DRAINED = 'SELECT file, "offset" FROM spool_files'
_RECEIVED = "SELECT received_at FROM events ORDER BY sequence DESC LIMIT 1"
_EVENTS = "SELECT COUNT(*), MIN(received_at) FROM events WHERE sequence > ? AND NOT in_log"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits.

    drained: bytes in SQL by name of the spool file.  events: posted and not in the log yet.
    oldest_received_at: when the first of these arrived; None if there is none.
    """

    drained: Mapping[str, int]
    events: int
    oldest_received_at: datetime | None


def read_backlog(connection: Connection) -> Backlog:
    """Read what waits."""
    ((events, oldest),) = fetch(connection, _EVENTS, (read_counter(connection, LOGGED),))
    drained = {str(file): int(offset) for file, offset in fetch(connection, _DRAINED)}
    return Backlog(drained, int(events), None if oldest is None else from_micros(int(oldest)))


def read_times(connection: Connection) -> list[datetime]:
    """Return times at which something was surely done: the last event's arrival, and the database server's present."""
    found = [int(row[0]) for row in fetch(connection, _RECEIVED)]
    if connection.dialect.name == "postgresql":
        ((now,),) = fetch(connection, "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")
        found.append(int(now))
    return [from_micros(micros) for micros in found]

"""The audit trail: who changed what, written in the transaction of the change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.storage.database import Database
from recommender.storage.statements import execute, next_sequence
from recommender.storage.tables import audit, audit_counts
from recommender.storage.types import to_micros

_COUNT = """
INSERT INTO audit_counts (caller, action, hour, calls, rows) VALUES (?, ?, ?, 1, ?)
ON CONFLICT (caller, action, hour)
DO UPDATE SET calls = audit_counts.calls + 1, rows = audit_counts.rows + excluded.rows"""


_PRUNE = """
DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE at < ? ORDER BY sequence LIMIT ?)"""
_PRUNE_COUNTS = "DELETE FROM audit_counts WHERE hour < ?"
PRUNE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write by a person or an application; `details` is JSON or None."""

    sequence: int
    at: datetime
    caller: str
    action: str
    target: str
    details: str | None


@dataclass(frozen=True, slots=True)
class StreamCount:
    """Writes of one kind by one caller within one UTC hour: how many calls, and rows in them."""

    caller: str
    action: str
    hour: datetime
    calls: int
    rows: int


def record(
    connection: Connection, caller: str, action: str, target: str, now: datetime, details: str | None = None
) -> None:
    """Add an entry, inside the write transaction of the change.

    Args:
        caller: the id of a key or a person, never a secret.
        action: such as "keys.create".
        target: what was changed, such as a key's id.
        now: the present.
        details: JSON without secrets and contact data.
    """
    connection.execute(
        audit.insert(),
        {
            "sequence": next_sequence(connection),
            "at": now,
            "caller": caller,
            "action": action,
            "target": target,
            "details": details,
        },
    )


def count(connection: Connection, caller: str, action: str, rows: int, now: datetime) -> None:
    """Count a write that comes in a stream, inside its transaction: one row per caller, action and hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    execute(connection, _COUNT, (caller, action, to_micros(hour), rows))


def read_audit(
    connection: Connection,
    limit: int = 1000,
    before: int | None = None,
    caller: str | None = None,
    action: str | None = None,
    target: str | None = None,
) -> list[AuditEntry]:
    """Return the latest entries, newest first.

    Args:
        before: only entries with a smaller sequence.
        caller, action, target: only entries that say so.
    """
    chosen = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(audit.c.sequence < before)
    for column, wanted in ((audit.c.caller, caller), (audit.c.action, action), (audit.c.target, target)):
        if wanted is not None:
            chosen = chosen.where(column == wanted)
    return [AuditEntry(**row) for row in connection.execute(chosen).mappings()]


def prune_audit(database: Database, before: datetime, rows: int = PRUNE_ROWS) -> int:
    """Remove entries and counts from before a time, in short transactions; return how many."""
    total = 0
    while True:
        with database.write() as connection:
            removed = execute(connection, _PRUNE, (to_micros(before), rows))
            removed += execute(connection, _PRUNE_COUNTS, (to_micros(before),))
        total += removed
        if removed < rows:
            return total


def read_counts(connection: Connection, since: datetime) -> list[StreamCount]:
    """Return the counts of streamed writes since an hour, newest first."""
    chosen = sa.select(audit_counts).where(audit_counts.c.hour >= since)
    ordered = chosen.order_by(audit_counts.c.hour.desc(), audit_counts.c.caller, audit_counts.c.action)
    return [StreamCount(**row) for row in connection.execute(ordered).mappings()]

"""The audit trail: who changed what, written in the transaction of the change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.storage.statements import next_sequence
from recommender.storage.tables import audit


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write by a person or an application; `details` is JSON or None."""

    sequence: int
    at: datetime
    caller: str
    action: str
    target: str
    details: str | None


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


def read_audit(connection: Connection, limit: int = 1000) -> list[AuditEntry]:
    """Return the latest entries, newest first."""
    chosen = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    return [AuditEntry(**row) for row in connection.execute(chosen).mappings()]

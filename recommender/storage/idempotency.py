"""Writes that are done once: the answer to a call is kept for a day under its key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from recommender.errors import ConflictError
from recommender.storage.statements import execute, fetch, next_sequence
from recommender.storage.types import to_micros

KEPT = timedelta(hours=24)

_INSERT = """
INSERT INTO idempotent_calls (caller, operation, key, body_hash, answer, at) VALUES (?, ?, ?, ?, ?, ?)"""
_FIND = "SELECT body_hash, answer FROM idempotent_calls WHERE caller = ? AND operation = ? AND key = ?"


@dataclass(frozen=True, slots=True)
class CallKey:
    """One call: who asks for what under which key, and the hash of its body."""

    caller: str
    operation: str
    key: str
    body_hash: str


def earlier_answer(connection: Connection, call: CallKey, now: datetime) -> str | None:
    """Return the answer to this very call, None if it is new; inside the write transaction of what it does.

    Raises: ConflictError if the key came with another body within the last day.
    """
    next_sequence(connection)  # of two calls at once one waits for the other's answer
    execute(connection, "DELETE FROM idempotent_calls WHERE at <= ?", (to_micros(now - KEPT),))
    found = fetch(connection, _FIND, (call.caller, call.operation, call.key))
    if not found:
        return None
    body_hash, answer = found[0]
    if body_hash != call.body_hash:
        raise ConflictError(
            "This Idempotency-Key came with another body.",
            field="Idempotency-Key",
            value=call.key,
            accepted="the same body, or a new key",
        )
    return str(answer)


def keep_answer(connection: Connection, call: CallKey, answer: str, now: datetime) -> None:
    """Keep the answer to a call, inside the write transaction of what it did."""
    values = (call.caller, call.operation, call.key, call.body_hash, answer, to_micros(now))
    execute(connection, _INSERT, values)

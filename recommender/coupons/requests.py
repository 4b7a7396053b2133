"""Business request numbers: a write that carries one is done once, however late it is sent again."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.errors import ConflictError
from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros

_FIND = "SELECT body_hash, answer FROM coupon_requests WHERE operation = ? AND request_no = ?"
_INSERT = "INSERT INTO coupon_requests (operation, request_no, body_hash, answer, at) VALUES (?, ?, ?, ?, ?)"
_CLOSE = _INSERT + " ON CONFLICT (operation, request_no) DO UPDATE SET body_hash = excluded.body_hash"
CLOSED = ""
"""Stands as the content's hash of a request that was rolled back, after it was done or before it came."""


def earlier_request(connection: Connection, operation: str, request_no: str, content: str) -> str | None:
    """Return the answer to this very request, None if it is new; inside the write transaction of what it does.

    Returns: CLOSED if it was rolled back.
    Raises: ConflictError if the number came with other content.
    """
    rows = fetch(connection, _FIND, (operation, request_no))
    if not rows:
        return None
    body_hash, answer = rows[0]
    if body_hash == CLOSED:
        return CLOSED
    if body_hash != _hash(content):
        raise ConflictError(
            "This request number came with other content.",
            field="request_no",
            value=request_no,
            accepted="the same content, or a new number",
        )
    return str(answer)


def keep_request(
    connection: Connection, operation: str, request_no: str, content: str, answer: str, now: datetime
) -> None:
    """Keep the answer to a request, inside the write transaction of what it did; `answer` names no member."""
    execute(connection, _INSERT, (operation, request_no, _hash(content), answer, to_micros(now)))


def close_request(connection: Connection, operation: str, request_no: str, now: datetime) -> None:
    """Let a request that is rolled back never be done, or told to be done, again; inside a write transaction."""
    execute(connection, _CLOSE, (operation, request_no, CLOSED, "", to_micros(now)))


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()

"""Throttle: how fast a transport may send, over all workers: a token bucket in SQL, and pauses providers ask for."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros

MICROS = 1_000_000
BURST_SECONDS = 1.0
"""How long a transport may save up what it did not send."""
LONGEST_PAUSE = timedelta(hours=1)
"""What lies further in the future was written by a clock that was wrong."""

_BEGIN = """
INSERT INTO transport_limits (transport, tokens, at, blocked_until) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING"""
_READ = "SELECT tokens, at, blocked_until FROM transport_limits WHERE transport = ?"
_WRITE = "UPDATE transport_limits SET tokens = ?, at = ? WHERE transport = ?"
_BLOCK = "UPDATE transport_limits SET blocked_until = ? WHERE transport = ? AND blocked_until < ?"


def is_paused(connection: Connection, transport: str, now: datetime) -> bool:
    """Tell whether the provider asked for a pause that is not over."""
    rows = fetch(connection, _READ, (transport,))
    return bool(rows) and to_micros(now) < rows[0][2] <= to_micros(now + LONGEST_PAUSE)


def take_tokens(connection: Connection, transport: str, wanted: int, rate: float, now: datetime) -> int:
    """Return how many messages may leave now, at most `wanted`, and count them, inside a write transaction.

    A worker that dies with tokens in hand loses them, which makes the transport slower, never faster.

    Args:
        rate: messages a second, of all workers together; > 0.
    """
    micros, most = to_micros(now), max(rate * BURST_SECONDS, 1.0)
    execute(connection, _BEGIN, (transport, most, micros))
    hold = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    tokens, at, _ = fetch(connection, _READ + hold, (transport,))[0]
    # A clock that was put back neither gives nor takes anything.
    tokens = min(most, tokens + rate * max(micros - at, 0) / MICROS)
    taken = min(wanted, int(tokens))
    execute(connection, _WRITE, (tokens - taken, micros, transport))
    return taken


def give_back_tokens(connection: Connection, transport: str, count: int) -> None:
    """Give back what was taken and not used, inside a write transaction."""
    execute(connection, "UPDATE transport_limits SET tokens = tokens + ? WHERE transport = ?", (count, transport))


def pause(connection: Connection, transport: str, seconds: float, now: datetime) -> None:
    """Let nothing leave for a while, inside a write transaction; the longest pause that was asked for counts."""
    until = to_micros(now + min(timedelta(seconds=seconds), LONGEST_PAUSE))
    execute(connection, _BEGIN, (transport, 0.0, to_micros(now)))
    execute(connection, _BLOCK, (until, transport, until))

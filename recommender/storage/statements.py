"""Statements run directly on the driver: quick reads, writes of many rows, and the counters."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

_NEXT_SEQUENCE = "UPDATE counters SET value = value + ? WHERE name = 'sequence' RETURNING value"


def next_sequence(connection: Connection, count: int = 1) -> int:
    """Give out sequences inside a write transaction.

    The counter's row stays locked until the end of the transaction, so on both databases sequences follow the
    order of commits; it also makes writers of live state wait for one another, so that a row read after this
    call stays as read.

    Args:
        count: how many; >= 1.
    Returns: the last of them; the others lie directly below it.
    """
    return int(fetch(connection, _NEXT_SEQUENCE, (count,))[0][0])


def last_sequence(connection: Connection) -> int:
    """Return the last sequence given out by a committed transaction, 0 if none."""
    return read_counter(connection, "sequence")


def read_counter(connection: Connection, name: str) -> int:
    """Return a counter's value, 0 if it was never set."""
    rows = fetch(connection, "SELECT value FROM counters WHERE name = ?", (name,))
    return int(rows[0][0]) if rows else 0


def set_counter(connection: Connection, name: str, value: int) -> None:
    """Set a counter."""
    execute(
        connection,
        "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def fetch(connection: Connection, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Run one statement directly on the driver and return its rows; several times quicker than SQLAlchemy.

    Args:
        statement: SQL that both databases understand, with ? for values and no other ? or %.
        values: texts, numbers and truth values; times as microseconds, days as numbers.
    """
    raw = driver(connection)
    if isinstance(raw, sqlite3.Connection):
        return raw.execute(statement, values).fetchall()
    with raw.cursor() as cursor:
        cursor.execute(_with_percent(statement), values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def execute(connection: Connection, statement: str, values: Sequence[object] = ()) -> int:
    """Run one statement directly on the driver. Returns: the number of rows it changed."""
    raw = driver(connection)
    if isinstance(raw, sqlite3.Connection):
        return raw.execute(statement, values).rowcount
    with raw.cursor() as cursor:
        cursor.execute(_with_percent(statement), values)
        return int(cursor.rowcount)


def execute_many(connection: Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    """Run one statement for each row of values directly on the driver."""
    raw = driver(connection)
    if isinstance(raw, sqlite3.Connection):
        raw.executemany(statement, rows)
        return
    with raw.cursor() as cursor:
        cursor.executemany(_with_percent(statement), rows)


def marks(count: int) -> str:
    """Return `count` value marks for an IN list."""
    return ",".join("?" * count)


def driver(connection: Connection) -> Any:
    """Return the sqlite3 or psycopg connection underneath."""
    raw = connection.connection.driver_connection
    assert raw is not None
    return raw


@functools.lru_cache(maxsize=1024)
def _with_percent(statement: str) -> str:
    return statement.replace("?", "%s")

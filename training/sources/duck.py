"""DuckDB as a reader: connections within a memory limit, and the quoting of values in its SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

from recommender.errors import InputError
from recommender.quoting import text

HASH_IDENTITY = "hash_identity"
"""SQL function (namespace, value) -> value, hashed where its namespace asks for it, NULL if it cannot be."""

_REMEMBERED = 100_000


@contextmanager
def open_duck(memory_mib: int, threads: int, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB in memory that spills to a folder; times are in UTC.

    Args:
        memory_mib: limit of what DuckDB itself holds.
        folder: for what does not fit.
    """
    connection = duckdb.connect(":memory:", config={"threads": threads})
    try:
        connection.execute(f"SET memory_limit = '{memory_mib}MiB'")
        connection.execute(f"SET temp_directory = {text(str(folder))}")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        yield connection
    finally:
        connection.close()


def one_of(expression: str, values: Iterable[str]) -> str:
    """Return the condition that an expression is one of some texts; NULL if it is NULL.

    Not IN: DuckDB turns a long list into a join, and a join loses the order of rows.
    """
    cases = " ".join(f"WHEN {text(value)} THEN TRUE" for value in values)
    return f"(CASE {expression} {cases} WHEN {expression} THEN FALSE END)"


def stream(connection: duckdb.DuckDBPyConnection, query: str, batch_rows: int) -> pa.RecordBatchReader:
    """Run a query as a stream of batches in the order of the file that it reads."""
    plan = "".join(row[1] for row in connection.execute(f"EXPLAIN {query}").fetchall()).upper()
    assert "JOIN" not in plan, "a join loses the order of rows, and with it their lines"
    return connection.sql(query).to_arrow_reader(batch_rows)


def name(value: str) -> str:
    """Quote a column name for SQL."""
    return '"' + value.replace('"', '""') + '"'


def add_hashing(connection: duckdb.DuckDBPyConnection, hash_value: Callable[[str, str], str]) -> None:
    """Add HASH_IDENTITY, which keeps clear values out of everything that DuckDB stores.

    Args:
        hash_value: (namespace, value) -> stored form; raises InputError if the value cannot be one.
    """
    known: dict[tuple[str, str], str | None] = {}

    def one(namespace: str | None, value: str | None) -> str | None:
        if namespace is None or value is None:
            return None
        key = (namespace, value)
        if key not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            try:
                known[key] = hash_value(namespace, value)
            except InputError:
                known[key] = None
        return known[key]

    def many(namespaces: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.Array:
        pairs = zip(namespaces.to_pylist(), values.to_pylist(), strict=True)
        return pa.array([one(*pair) for pair in pairs], pa.string())

    add_function(connection, HASH_IDENTITY, many, ["VARCHAR", "VARCHAR"], "VARCHAR")


def add_function(
    connection: duckdb.DuckDBPyConnection,
    function: str,
    body: Callable[..., Any],
    arguments: Sequence[str],
    result: str,
) -> None:
    """Add a SQL function written in Python.

    Args:
        body: Arrow columns -> an Arrow array; NULLs are given to it like other values.
        arguments, result: names of SQL types.
    """
    connection.create_function(function, body, list(arguments), result, type=ARROW, null_handling=SPECIAL)

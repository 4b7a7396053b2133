"""Highest numbers: what counted times that are aligned at the end refer to."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pyarrow as pa

from training.sources.cells import NUMBER_PATTERN, clean
from training.sources.duck import add_function, name
from training.sources.mapping import Context, Rule, TableRules
from training.sources.source import Source


def prepare_highest(
    connection: duckdb.DuckDBPyConnection, source: Source, table: TableRules, context: Context
) -> Callable[[Rule], str | None]:
    """Read the highest numbers that a table's rules need, in a pass over the file for each.

    Returns: rule -> SQL of the highest number over the cleaned cells, None where a rule needs none.
    """
    found: dict[Rule, str] = {}
    for number, rule in enumerate(table.rules.values()):
        if rule.count is not None and rule.count.align == "end":
            function = f"highest_{number}"
            tops = _read_highest(connection, source, rule, context)
            _add_function(connection, function, tops)
            per = "''" if rule.count.per is None else f"coalesce({name('k_' + rule.count.per)}, '')"
            found[rule] = f"{function}({per})"
    return found.get


def _read_highest(
    connection: duckdb.DuckDBPyConnection, source: Source, rule: Rule, context: Context
) -> dict[str, float]:
    assert rule.count is not None
    places = {column: f"c{at}" for at, column in enumerate(source.columns)}
    counted = clean(places[rule.columns[0]], context.strip)
    per = "''" if rule.count.per is None else f"coalesce({clean(places[rule.count.per], context.strip)}, '')"
    rows = connection.execute(
        f"SELECT {per}, max(TRY_CAST({counted} AS DOUBLE)) FROM {source.cells(rule.used)} "
        f"WHERE regexp_full_match({counted}, '{NUMBER_PATTERN}') GROUP BY 1"
    ).fetchall()
    return dict(rows)


def _add_function(connection: duckdb.DuckDBPyConnection, function: str, tops: dict[str, float]) -> None:
    def look_up(groups: pa.ChunkedArray) -> pa.Array:
        return pa.array([tops.get(group) for group in groups.to_pylist()], pa.float64())

    add_function(connection, function, look_up, ["VARCHAR"], "DOUBLE")

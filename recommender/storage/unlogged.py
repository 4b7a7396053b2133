"""Posted events that the event log does not hold yet, as Arrow tables of its schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from recommender.storage.event_log import log_schema
from recommender.storage.events import LOG_COLUMNS, PERSONAL_COLUMNS
from recommender.storage.statements import fetch, last_sequence, read_counter

if TYPE_CHECKING:
    import pyarrow as pa

LOGGED = "logged"
"""Counter: posted events up to this sequence are in the event log."""

_ERASED = "EXISTS (SELECT 1 FROM erased_subjects t WHERE t.subject = e.subject)"
_CHOSEN = ", ".join(
    f"CASE WHEN {_ERASED} THEN NULL ELSE e.{name} END" if name in PERSONAL_COLUMNS else f"e.{name}"
    for name in LOG_COLUMNS
)
_UNLOGGED = f"""
SELECT {_CHOSEN}, e.sequence FROM events e
WHERE e.sequence > ? AND e.sequence <= ? AND NOT e.in_log ORDER BY e.sequence LIMIT ?"""
PAGE_ROWS = 50_000

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Unlogged:
    """A part of the events that the log lacks.

    rows: in the order of LOG_COLUMNS, times as microseconds; PERSONAL_COLUMNS of subjects erased meanwhile are
        left out.
    after, upto: the part holds every such event with after < sequence <= upto.
    """

    rows: Rows
    after: int
    upto: int

    def table(self) -> pa.Table:
        """Return the rows as a table of the event log's schema, in the order of their sequences."""
        import pyarrow as pa

        schema = log_schema()
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(schema)
        return pa.table(
            [pa.array(column, entry.type) for column, entry in zip(columns, schema, strict=True)],
            schema=schema,
        )


def read_unlogged(connection: Connection, after: int | None = None, limit: int = PAGE_ROWS) -> Unlogged:
    """Read the next events that the log lacks, in the order of their sequences.

    Args:
        after: begin behind this sequence; None begins behind what the log holds.
        limit: most events read.
    """
    start = read_counter(connection, LOGGED) if after is None else after
    last = last_sequence(connection)
    found = fetch(connection, _UNLOGGED, (start, last, limit))
    upto = found[-1][-1] if len(found) == limit else last
    return Unlogged([row[:-1] for row in found], start, upto)


def unlogged_events(connection: Connection) -> pa.Table:
    """Return every event that the log lacks, in the order of their sequences.

    Read it with `registered_files` from one snapshot, so that a compaction in between hides nothing.
    """
    import pyarrow as pa

    # Not empty_table(): like many of pyarrow's conversions it would import pandas, where that is installed.
    tables, after = [pa.Table.from_batches([], log_schema())], None
    while True:
        part = read_unlogged(connection, after)
        if not part.rows:
            return pa.concat_tables(tables)
        tables.append(part.table())
        after = part.upto

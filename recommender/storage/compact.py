"""Compaction: copies posted events to the event log exactly once, and prunes what no bundle needs in SQL.

The counter `logged` is the sequence up to which posted events are in the log. A part of them is written to
Parquet first; then one transaction registers the files and moves the counter. A process killed before that
transaction leaves orphan files and nothing else; a second compaction at the same time finds the counter moved
and throws its files away. Events are pruned in short transactions, only behind the counter and behind the
last sequence that every bundle which may still serve includes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from recommender.storage.database import Database
from recommender.storage.event_log import EventLog, register
from recommender.storage.events import LOG_COLUMNS
from recommender.storage.loads import LedgerDay, add_to_ledger
from recommender.storage.statements import execute, read_counter, set_counter
from recommender.storage.types import from_micros, to_micros
from recommender.storage.unlogged import LOGGED, PAGE_ROWS, Rows, read_unlogged

COMPACTED_AT = "compacted_at"
"""Counter: when the last compaction ended, in microseconds."""

PRUNE_ROWS = 1_000

_START = "INSERT INTO counters (name, value) VALUES ('logged', 0) ON CONFLICT (name) DO NOTHING"
_MOVE = "UPDATE counters SET value = ? WHERE name = 'logged' AND value = ?"
_PRUNE = """
DELETE FROM events WHERE event_id IN (
  SELECT event_id FROM events WHERE sequence <= ? AND (in_log OR sequence <= ?) ORDER BY sequence LIMIT ?)"""

Step = Callable[[str], None]
"""Told the name of each step when it is done: read, written, registered, pruned."""


@dataclass(frozen=True, slots=True)
class CompactResult:
    """What a compaction did: events copied, files registered, events pruned from SQL."""

    copied: int
    files: int
    pruned: int


def compact(
    database: Database,
    log: EventLog,
    keep_after_sequence: int,
    now: datetime,
    minimum_rows: int = 1,
    part_rows: int = PAGE_ROWS,
    after_step: Step = lambda _step: None,
) -> CompactResult:
    """Copy posted events to the log and prune old ones; safe to kill, to repeat and to run twice at once.

    Args:
        keep_after_sequence: SQL keeps the events after it: the last sequence of the oldest bundle that can
            still be rolled back to, or 0 without a bundle, which prunes nothing.
        now: the present.
        minimum_rows: copy nothing while fewer events wait, since every copy makes files.
        part_rows: most events held in memory and registered at once.
        after_step: told what is done.
    Raises: StoreBusyError; what was registered by then stays.
    """
    copied = files = 0
    while part := _copy_part(database, log, minimum_rows, part_rows, after_step):
        copied, files = copied + part.copied, files + part.files
        minimum_rows = 1
    pruned = _prune(database, keep_after_sequence, after_step)
    with database.write() as connection:
        set_counter(connection, COMPACTED_AT, to_micros(now))
    return CompactResult(copied, files, pruned)


def _copy_part(
    database: Database, log: EventLog, minimum_rows: int, part_rows: int, after_step: Step
) -> CompactResult | None:
    """Copy the next events; None if there are too few, or if another compaction copied them meanwhile."""
    with database.read() as connection:
        part = read_unlogged(connection, limit=part_rows)
    if len(part.rows) < max(minimum_rows, 1):
        return None
    after_step("read")
    files = log.write(part.table())
    after_step("written")
    with database.write(durable=True) as connection:
        execute(connection, _START)
        moved = execute(connection, _MOVE, (part.upto, part.after)) == 1
        if moved:
            register(connection, files, part.upto)
            add_to_ledger(connection, _days(part.rows))
    if not moved:
        log.discard(files)
        return None
    after_step("registered")
    return CompactResult(len(part.rows), len(files), 0)


def _days(rows: Rows) -> Counter[LedgerDay]:
    source, store, time = (LOG_COLUMNS.index(name) for name in ("source", "store_id", "occurred_at"))
    return Counter(LedgerDay(row[source], row[store] or "", from_micros(row[time]).date()) for row in rows)


def _prune(database: Database, keep_after_sequence: int, after_step: Step) -> int:
    total = 0
    while True:
        with database.write() as connection:
            logged = read_counter(connection, LOGGED)
            pruned = execute(connection, _PRUNE, (keep_after_sequence, logged, PRUNE_ROWS))
        if pruned:
            after_step("pruned")
        total += pruned
        if pruned < PRUNE_ROWS:
            return total

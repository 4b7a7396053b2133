"""Duplicates: the same event id once. Against the file itself, the event log and the live events in SQL.

Ids are compared by 64-bit hashes first, sorted in slices that fit in memory; only ids whose hash occurs twice
are then compared as they are, with their content. The same content is a duplicate; other content is a conflict
and the first one, in the order of the file, wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recommender.quoting import text
from recommender.storage.event_log import EventLog
from training.loading.known import KnownEvents
from training.loading.staging import BoolVector, KeyVector, LongVector, Part, rewrite_part

SLICE_ROWS = 8_000_000
"""Event ids compared at once: 64 MB of hashes."""
_JUDGED_ROWS = 65_536


OnConflicts = Callable[[LongVector, Sequence[str]], None]
"""Takes the row numbers and ids of events whose id an earlier event with other content has."""


class Deduplicated(NamedTuple):
    """Parts without repeated ids, how many events were exact repeats, and how many were conflicts."""

    parts: tuple[Part, ...]
    duplicates: int
    conflicts: int


def drop_duplicates(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[Part],
    known: KnownEvents,
    log: EventLog,
    workspace: Path,
    on_conflicts: OnConflicts,
) -> Deduplicated:
    """Leave out events whose id came before, in this load or in an earlier one."""
    keep = [np.ones(part.rows, bool) for part in parts]
    dropped = conflicts = 0
    for keys in _slices(parts):
        if not _load_suspects(connection, parts, keys, known.find(connection, keys)):
            continue
        for batch in _judge(connection):
            part, position = (np.from_dlpack(batch.column(at)) for at in range(2))
            for number in np.unique(part):
                keep[number][position[part == number]] = False
            dropped += batch.num_rows
            clash = batch.filter(batch.column("conflict"))
            if clash.num_rows:
                conflicts += clash.num_rows
                on_conflicts(
                    np.from_dlpack(clash.column("row_at")).astype(np.int64), clash.column("event_id").to_pylist()
                )
    kept = tuple(_apply(part, keep[number], log, workspace) for number, part in enumerate(parts))
    return Deduplicated(tuple(part for part in kept if part is not None), dropped - conflicts, conflicts)


def number_repeats(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], log: EventLog, workspace: Path
) -> tuple[Part, ...]:
    """Give events with the same made id ids of their own: hash(id, occurrence number in the file)."""
    changed: list[list[tuple[LongVector, pa.Array, KeyVector]]] = [[] for _ in parts]
    for keys in _slices(parts):
        if _load_suspects(connection, parts, keys, np.empty(0, np.uint64)):
            for number in range(len(parts)):
                changed[number].append(_new_ids(connection, number))
    return tuple(_rename(part, changed[number], log, workspace) for number, part in enumerate(parts))


def _slices(parts: Sequence[Part]) -> Iterator[KeyVector]:
    """Yield sorted hashes of ids, all equal ones in the same slice."""
    count = -(-sum(part.rows for part in parts) // SLICE_ROWS)
    for number in range(count):
        chosen = [keys if count == 1 else keys[keys % count == number] for keys in (p.read_keys() for p in parts)]
        keys = np.concatenate(chosen)
        keys.sort()
        yield keys


def _load_suspects(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], keys: KeyVector, found: KeyVector
) -> bool:
    """Fill the temporary table `suspects` with the events whose id may occur elsewhere.

    Args:
        keys: sorted hashes of ids in the parts.
        found: hashes of ids that are stored already.
    Returns: whether there are any.
    """
    repeated = np.unique(np.concatenate((keys[1:][keys[1:] == keys[:-1]], found)))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE suspects "
        "(part INTEGER, position BIGINT, row_at BIGINT, event_id VARCHAR, content_hash BIGINT)"
    )
    for number, part in enumerate(parts) if len(repeated) else ():
        own = part.read_keys()
        at = np.minimum(np.searchsorted(repeated, own), len(repeated) - 1)
        position = np.flatnonzero(repeated[at] == own)
        if not len(position):
            continue
        connection.register("places", pa.table({"at": position, "row_at": part.read_rows_at()[position]}))
        file = f"read_parquet({text(str(part.path))}, file_row_number = true)"
        connection.execute(
            f"INSERT INTO suspects SELECT {number}, places.at, row_at, event_id, content_hash "
            f"FROM {file} JOIN places ON file_row_number = places.at"
        )
        connection.unregister("places")
    return bool(len(repeated))


def _judge(connection: duckdb.DuckDBPyConnection) -> pa.RecordBatchReader:
    """Return (part, position, row_at, event_id, conflict) of the suspects to leave out."""
    first = "PARTITION BY s.event_id ORDER BY s.row_at, s.part"
    return connection.sql(
        f"""SELECT part, position, row_at, event_id, content_hash <> coalesce(known_hash, first_hash) AS conflict
        FROM (
          SELECT s.*, k.content_hash AS known_hash, row_number() OVER ({first}) AS occurrence,
            first_value(s.content_hash) OVER ({first}) AS first_hash
          FROM suspects s LEFT JOIN known k ON k.event_id = s.event_id)
        WHERE known_hash IS NOT NULL OR occurrence > 1"""
    ).to_arrow_reader(_JUDGED_ROWS)


def _new_ids(connection: duckdb.DuckDBPyConnection, number: int) -> tuple[LongVector, pa.Array, KeyVector]:
    """Return positions in a part, the new ids there and their hashes, for all but first occurrences."""
    table = connection.sql(
        f"""SELECT position, new_id, hash(new_id) AS key FROM (
          SELECT part, position, occurrence, 'h' || md5(event_id || '#' || occurrence) AS new_id FROM (
            SELECT *, row_number() OVER (PARTITION BY event_id ORDER BY row_at) - 1 AS occurrence FROM suspects))
        WHERE part = {number} AND occurrence > 0 ORDER BY position"""
    ).to_arrow_table()
    ids = pc.cast(table.column("new_id"), pa.string()).combine_chunks()
    return table.column("position").to_numpy(), ids, table.column("key").to_numpy()


def _rename(part: Part, changes: list[tuple[LongVector, pa.Array, KeyVector]], log: EventLog, workspace: Path) -> Part:
    changes = [change for change in changes if len(change[0])]
    if not changes:
        return part
    position = np.concatenate([change[0] for change in changes])
    order = np.argsort(position)
    position = position[order]
    ids = pa.concat_arrays([change[1] for change in changes]).take(pa.array(order))
    keys = part.read_keys()
    keys[position] = np.concatenate([change[2] for change in changes])[order]

    def replace_ids(first: int, old: pa.Array) -> pa.Array:
        begin, end = np.searchsorted(position, (first, first + len(old)))
        mask = np.zeros(len(old), bool)
        mask[position[begin:end] - first] = True
        return pc.replace_with_mask(old, pa.array(mask), ids[int(begin) : int(end)])

    renamed = rewrite_part(part, log, workspace, new_ids=replace_ids, new_keys=keys)
    assert renamed is not None
    return renamed


def _apply(part: Part, keep: BoolVector, log: EventLog, workspace: Path) -> Part | None:
    return part if keep.all() else rewrite_part(part, log, workspace, keep)

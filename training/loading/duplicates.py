"""Duplicates: the same event id once. Against the file itself, the event log and the live events in SQL.

Ids are compared by 64-bit hashes first, sorted in slices that fit in memory; only ids whose hash occurs twice
are then compared as they are, with their content. The same content is a duplicate; other content is a conflict
and the first one, in the order of the file, wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recommender.storage.event_log import EventLog
from training.loading.known import KnownEvents
from training.loading.staging import BoolVector, KeyVector, LongVector, Part, rewrite_part
from training.sources.duck import text

SLICE_ROWS = 8_000_000
"""Event ids compared at once: 64 MB of hashes."""


class Conflict(NamedTuple):
    """An event that was left out: its row number in the source and its id."""

    row: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Parts without repeated ids, how many events were exact repeats, and the conflicts."""

    parts: tuple[Part, ...]
    duplicates: int
    conflicts: tuple[Conflict, ...]


class _Suspects(NamedTuple):
    """Events whose id hash occurs elsewhere: part number, position in the part, row number in the source."""

    part: LongVector
    position: LongVector
    row: LongVector


def drop_duplicates(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[Part],
    known: KnownEvents,
    log: EventLog,
    workspace: Path,
) -> Deduplicated:
    """Leave out events whose id came before, in this load or in an earlier one."""
    keep = [np.ones(part.rows, bool) for part in parts]
    duplicates, conflicts = 0, []
    for keys in _slices(parts):
        suspects = _find_suspects(parts, keys, known.find(connection, keys))
        for part, position, row, event_id, verdict in _judge(connection, parts, suspects):
            keep[part][position] = False
            if verdict == "duplicate":
                duplicates += 1
            else:
                conflicts.append(Conflict(row, event_id))
    kept = tuple(_apply(part, keep[number], log, workspace) for number, part in enumerate(parts))
    return Deduplicated(tuple(part for part in kept if part is not None), duplicates, tuple(conflicts))


def number_repeats(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], log: EventLog, workspace: Path
) -> tuple[Part, ...]:
    """Give events with the same made id ids of their own: hash(id, occurrence number in the file)."""
    changed: list[list[tuple[LongVector, pa.Array, KeyVector]]] = [[] for _ in parts]
    for keys in _slices(parts):
        suspects = _find_suspects(parts, keys, np.empty(0, np.uint64))
        if len(suspects.row):
            _load_suspects(connection, parts, suspects)
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


def _find_suspects(parts: Sequence[Part], keys: KeyVector, found: KeyVector) -> _Suspects:
    """Return the events whose hash occurs twice in the sorted `keys`, or among those `found` elsewhere."""
    repeated = np.unique(np.concatenate((keys[1:][keys[1:] == keys[:-1]], found)))
    places: list[tuple[LongVector, LongVector, LongVector]] = []
    if len(repeated):
        for number, part in enumerate(parts):
            own = part.read_keys()
            at = np.minimum(np.searchsorted(repeated, own), len(repeated) - 1)
            position = np.flatnonzero(repeated[at] == own)
            places.append((np.full(len(position), number), position, part.read_rows_at()[position]))
    if not places:
        return _Suspects(*(np.empty(0, np.int64) for _ in range(3)))
    return _Suspects(*(np.concatenate(columns) for columns in zip(*places, strict=True)))


def _load_suspects(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], suspects: _Suspects) -> None:
    """Put suspects with id and content hash into the temporary table `suspects`."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE suspects "
        "(part INTEGER, position BIGINT, row_at BIGINT, event_id VARCHAR, content_hash BIGINT)"
    )
    for number, part in enumerate(parts):
        chosen = suspects.part == number
        if not chosen.any():
            continue
        places = pa.table({"at": suspects.position[chosen], "row_at": suspects.row[chosen]})
        connection.register("places", places)
        file = f"read_parquet({text(str(part.path))}, file_row_number = true)"
        connection.execute(
            f"INSERT INTO suspects SELECT {number}, places.at, row_at, event_id, content_hash "
            f"FROM {file} JOIN places ON file_row_number = places.at"
        )
        connection.unregister("places")


def _judge(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], suspects: _Suspects
) -> Iterator[tuple[int, int, int, str, str]]:
    """Yield (part, position, row, event id, duplicate or conflict) of the events to leave out."""
    if not len(suspects.row):
        return
    _load_suspects(connection, parts, suspects)
    first = "PARTITION BY s.event_id ORDER BY s.row_at, s.part"
    query = f"""
        SELECT part, position, row_at, event_id,
          CASE WHEN content_hash = coalesce(known_hash, first_hash) THEN 'duplicate' ELSE 'conflict' END
        FROM (
          SELECT s.*, k.content_hash AS known_hash, row_number() OVER ({first}) AS occurrence,
            first_value(s.content_hash) OVER ({first}) AS first_hash
          FROM suspects s LEFT JOIN known k ON k.event_id = s.event_id)
        WHERE known_hash IS NOT NULL OR occurrence > 1"""
    for batch in connection.sql(query).to_arrow_reader(65_536):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


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

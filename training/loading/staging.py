"""Staging of events: a checked stream becomes one temporary Parquet file per month, in bounded memory.

Beside each file two small ones are kept until the load ends: a hash of every event's id, for finding duplicates,
and its row number in the source, for reporting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recommender.storage.event_log import EventLog, log_schema
from recommender.storage.events import PERSONAL_COLUMNS
from training.sources.event_query import MARKS

BATCH_ROWS = 32_768
GROUP_ROWS = 65_536
"""Rows of a month after which they are written as a row group."""
HELD_ROWS = 131_072
"""Rows kept in memory over all months before the fullest month is written."""
_FEW_VALUES = ["kind", "channel", "item_id", "store_id", "status", "fulfilment", "source"]
"""Columns worth a dictionary. For others a writer builds one in vain, and keeps megabytes of it until it closes."""

LongVector = npt.NDArray[np.int64]
KeyVector = npt.NDArray[np.uint64]
BoolVector = npt.NDArray[np.bool_]
OnBad = Callable[[int, pa.RecordBatch], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One month's events on disk: `path`, and beside it `keys` (uint64) and `rows_at` (int64) per event.

    first, last: occurred_at of the earliest and the latest, microseconds since 1970-01-01 UTC.
    """

    month: str
    path: Path
    keys: Path
    rows_at: Path
    rows: int = 0
    first: int = 0
    last: int = 0

    def read_keys(self) -> KeyVector:
        """Return the hashes of the event ids."""
        return np.fromfile(self.keys, np.uint64)

    def read_rows_at(self) -> LongVector:
        """Return the events' row numbers in the source."""
        return np.fromfile(self.rows_at, np.int64)

    def delete(self) -> None:
        """Remove all three files."""
        for path in (self.path, self.keys, self.rows_at):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Staged:
    """Parts by month, and how many rows were read, skipped by the mapping's conditions, and bad."""

    parts: tuple[Part, ...]
    read: int
    skipped: int
    bad: int


class PartWriter:
    """Writes one month's events."""

    def __init__(self, log: EventLog, month: str, workspace: Path) -> None:
        self.held: list[pa.RecordBatch] = []
        self.held_rows = 0
        path = log.temporary(month)
        self._part = Part(month, path, workspace / f"{path.name}.keys", workspace / f"{path.name}.rows")
        self._parquet: pq.ParquetWriter = pq.ParquetWriter(
            path, log_schema(), compression="zstd", use_dictionary=_FEW_VALUES
        )
        self._keys: IO[bytes] = self._part.keys.open("wb")
        self._rows_at: IO[bytes] = self._part.rows_at.open("wb")

    def add(self, batch: pa.RecordBatch, keys: KeyVector, rows_at: LongVector) -> None:
        """Take events of `log_schema`."""
        self.held.append(batch)
        self.held_rows += batch.num_rows
        keys.tofile(self._keys)
        rows_at.tofile(self._rows_at)

    def flush(self) -> None:
        """Write what is held as one row group."""
        if not self.held_rows:
            return
        table = pa.Table.from_batches(self.held)
        self._parquet.write_table(table)
        span = pc.min_max(table.column("occurred_at").cast(pa.int64())).as_py()
        first = span["min"] if self._part.rows == 0 else min(self._part.first, span["min"])
        last = max(self._part.last, span["max"])
        self._part = replace(self._part, rows=self._part.rows + self.held_rows, first=first, last=last)
        self.held, self.held_rows = [], 0

    def close(self) -> Part:
        """Finish the file."""
        self.flush()
        self._close_files()
        return self._part

    def abandon(self) -> None:
        """Remove what was written."""
        self._close_files()
        self._part.delete()

    def _close_files(self) -> None:
        for file in (self._parquet, self._keys, self._rows_at):
            file.close()


def stage_events(
    reader: pa.RecordBatchReader,
    log: EventLog,
    workspace: Path,
    erased: frozenset[str],
    on_bad: OnBad,
    progress: Callable[[int], None],
) -> Staged:
    """Write the good rows of an event query to one temporary file per month.

    Args:
        reader: the query's batches, in the order of the file.
        erased: subjects whose events are kept without them.
        on_bad: takes (first row number of the batch, batch) where rows have problems.
        progress: takes numbers of rows.
    """
    writers: dict[str, PartWriter] = {}
    read = skipped = bad = 0
    try:
        for batch in reader:
            first, read = read, read + batch.num_rows
            good = _good_rows(batch)
            if good is not None:
                skipped += pc.sum(batch.column("skipped")).as_py() or 0
                bad += batch.num_rows - batch.column("problem").null_count
                on_bad(first, batch)
            _distribute(
                batch, good, np.arange(first, read), erased, lambda name: _writer(writers, log, name, workspace)
            )
            _make_room(writers)
            progress(batch.num_rows)
    except BaseException:
        for writer in writers.values():
            writer.abandon()
        raise
    parts = tuple(writers[name].close() for name in sorted(writers))
    return Staged(parts, read, skipped, bad)


def _writer(writers: dict[str, PartWriter], log: EventLog, month: str, workspace: Path) -> PartWriter:
    if month not in writers:
        writers[month] = PartWriter(log, month, workspace)
    return writers[month]


def _distribute(
    batch: pa.RecordBatch,
    good: BoolVector | None,
    rows_at: LongVector,
    erased: frozenset[str],
    writer_of: Callable[[str], PartWriter],
) -> None:
    """Give the good rows of a batch to the writers of their months."""
    kept = batch if good is None else batch.filter(as_mask(good))
    rows_at = rows_at if good is None else rows_at[good]
    columns = [_without_erased(kept, at, erased) for at in range(len(batch.schema) - len(MARKS))]
    events = pa.RecordBatch.from_arrays(columns, schema=log_schema())
    keys, months = np.from_dlpack(kept.column("key")), np.from_dlpack(kept.column("month"))
    for month in np.unique(months):
        chosen = months == month
        part = events if chosen.all() else events.filter(as_mask(chosen))
        writer_of(f"{month // 12:04d}-{month % 12 + 1:02d}").add(part, keys[chosen], rows_at[chosen])


def as_mask(flags: BoolVector) -> pa.BooleanArray:
    """Return flags as an Arrow array.

    Here as with from_dlpack: pyarrow's own conversions from and to numpy import pandas where it is installed,
    which takes half a second and forty megabytes.
    """
    bits = pa.py_buffer(np.packbits(flags, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, bits])


def _good_rows(batch: pa.RecordBatch) -> BoolVector | None:
    """Return which rows are good, None if all are."""
    problem, skipped = batch.column("problem"), batch.column("skipped")
    if problem.null_count == batch.num_rows and not pc.any(skipped).as_py():
        return None
    good = pc.and_(pc.is_null(problem), pc.invert(skipped))
    return np.asarray(good.to_numpy(zero_copy_only=False), bool)


def _without_erased(batch: pa.RecordBatch, at: int, erased: frozenset[str]) -> pa.Array:
    column = batch.column(at)
    if not erased or batch.schema.names[at] not in PERSONAL_COLUMNS:
        return column
    gone = pc.is_in(batch.column("subject"), pa.array(sorted(erased)))
    return pc.if_else(gone, pa.scalar(None, column.type), column)


def _make_room(writers: dict[str, PartWriter]) -> None:
    for writer in writers.values():
        if writer.held_rows >= GROUP_ROWS:
            writer.flush()
    held = sum(writer.held_rows for writer in writers.values())
    while held > HELD_ROWS:
        fullest = max(writers.values(), key=lambda writer: writer.held_rows)
        held -= fullest.held_rows
        fullest.flush()


def rewrite_part(
    part: Part,
    log: EventLog,
    workspace: Path,
    keep: BoolVector | None = None,
    new_ids: Callable[[int, Any], pa.Array] | None = None,
    new_keys: KeyVector | None = None,
) -> Part | None:
    """Write a part again, without some rows or with other ids, and delete the old one.

    Args:
        keep: which rows stay, bool, (part.rows,).
        new_ids: (first position of a batch, its ids) -> ids.
        new_keys: hashes of the new ids.
    Returns: the new part, None if nothing stays.
    """
    keep = np.ones(part.rows, bool) if keep is None else keep
    keys = part.read_keys() if new_keys is None else new_keys
    rows_at = part.read_rows_at()
    found = None
    if keep.any():
        writer, at = PartWriter(log, part.month, workspace), 0
        with pq.ParquetFile(part.path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                chosen = slice(at, at + batch.num_rows)
                if new_ids is not None:
                    batch = batch.set_column(0, "event_id", new_ids(at, batch.column(0)))
                kept = keep[chosen]
                writer.add(batch.filter(as_mask(kept)), keys[chosen][kept], rows_at[chosen][kept])
                _make_room({part.month: writer})
                at = chosen.stop
        found = writer.close()
    part.delete()
    return found

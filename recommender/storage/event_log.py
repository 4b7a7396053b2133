"""The event log: Parquet files by UTC month, and the SQL register that says which of them count.

A file is written under a temporary name, flushed to disk and renamed into place; it counts once it is
registered, in the transaction that makes everything else of its batch visible. Readers open registered files
only. What a killed process leaves behind is an orphan, which `memberwise doctor` removes.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.errors import EventLogError
from recommender.settings import CoreSettings
from recommender.storage.events import LOG_COLUMNS
from recommender.storage.tables import log_files
from recommender.storage.types import from_micros

if TYPE_CHECKING:
    import pyarrow as pa

TEMPORARY_PREFIX = "."
"""Names of files being written begin with it; nothing else's do."""

_READ_BYTES = 1 << 20
_ROW_GROUP_ROWS = 122_880


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of the event log.

    path: below the log's folder, with "/".  month: "YYYY-MM", UTC.  rows: > 0.  bytes: its size.
    sequence: the last event sequence it holds.  load_id: the load it came with, None for posted events.
    min_time, max_time: first and last occurred_at.
    """

    path: str
    month: str
    rows: int
    bytes: int
    sha256: str
    sequence: int
    load_id: str | None
    min_time: datetime
    max_time: datetime


def log_schema() -> pa.Schema:
    """Return the Arrow schema of the files, columns in the order of LOG_COLUMNS."""
    import pyarrow as pa

    types = {
        "occurred_at": pa.timestamp("us", tz="UTC"),
        "revision": pa.int32(),
        "quantity": pa.float64(),
        "unit_price_cents": pa.int64(),
        "discount_cents": pa.int64(),
        "position": pa.int32(),
        "value": pa.float64(),
        "content_hash": pa.int64(),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in LOG_COLUMNS])


class EventLog:
    """The folder of the log: `month=YYYY-MM/NAME.parquet`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def temporary(self, month: str) -> Path:
        """Return a new path in a month's folder to write a file to; `adopt` gives it its name."""
        folder = self.folder / f"month={month}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}.parquet.tmp"

    def adopt(
        self,
        temporary: Path,
        rows: int,
        times: tuple[datetime, datetime],
        sequence: int = 0,
        load_id: str | None = None,
    ) -> LogFile:
        """Flush a finished temporary file and its folder to disk and give it its final name.

        Args:
            temporary: from `temporary`; a Parquet file of `log_schema`.
            rows: its number of rows.
            times: its first and last occurred_at.
            sequence: the last event sequence it holds; `register` may set it later.
            load_id: the load it comes with.
        """
        checksum, size = _checksum(temporary)
        month = temporary.parent.name.removeprefix("month=")
        final = temporary.with_name(f"{checksum[:16]}-{uuid.uuid4().hex[:8]}.parquet")
        _flush(temporary)
        temporary.rename(final)
        _flush(final.parent)
        _flush(self.folder)
        path = final.relative_to(self.folder).as_posix()
        return LogFile(path, month, rows, size, checksum, sequence, load_id, *times)

    def write(self, table: pa.Table, sequence: int = 0, load_id: str | None = None) -> list[LogFile]:
        """Write events into one file per month, ready to be registered.

        Args:
            table: of `log_schema`, in any order; files are ordered by time, then event id.
            sequence, load_id: as in `adopt`.
        """
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        files = []
        months = pc.strftime(table.column("occurred_at"), format="%Y-%m")
        for month in sorted(pc.unique(months).to_pylist()):
            part = table.filter(pc.equal(months, month))
            part = part.sort_by([("occurred_at", "ascending"), ("event_id", "ascending")])
            temporary = self.temporary(month)
            pq.write_table(part, temporary, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
            times = part.column("occurred_at").cast("int64")
            first, last = from_micros(times[0].as_py()), from_micros(times[-1].as_py())
            files.append(self.adopt(temporary, part.num_rows, (first, last), sequence, load_id))
        return files

    def full_path(self, file: LogFile) -> Path:
        """Return where a registered file lies."""
        return self.folder / file.path

    def discard(self, files: Iterable[LogFile]) -> None:
        """Delete files that were written but will not be registered."""
        for file in files:
            self.full_path(file).unlink(missing_ok=True)

    def orphans(self, connection: Connection, older_than: datetime) -> list[Path]:
        """Return files that no one registered and that were last written before a time, in order of path.

        A load or compaction under way has such files too: leave them an hour.
        """
        registered = {self.full_path(file) for file in registered_files(connection)}
        present = sorted(self.folder.glob("month=*/*.parquet")) + sorted(
            self.folder.glob(f"month=*/{TEMPORARY_PREFIX}*")
        )
        limit = older_than.timestamp()
        return [path for path in present if path not in registered and path.stat().st_mtime < limit]

    def problems(self, connection: Connection, checksums: bool = False) -> list[str]:
        """Return a sentence for each registered file that is missing, of another size, or changed.

        Args:
            checksums: also read every file and compare its SHA-256.
        """
        found = []
        for file in registered_files(connection):
            path = self.full_path(file)
            if not path.is_file():
                found.append(f"{file.path} is registered but missing.")
            elif path.stat().st_size != file.bytes:
                found.append(f"{file.path} has {path.stat().st_size} bytes, registered with {file.bytes}.")
            elif checksums and _checksum(path)[0] != file.sha256:
                found.append(f"{file.path} was changed after it was registered.")
        return found

    def paths(self, files: Sequence[LogFile]) -> list[Path]:
        """Return where registered files lie.

        Raises: EventLogError if one is missing.
        """
        found = [self.full_path(file) for file in files]
        missing = [path for path in found if not path.is_file()]
        if missing:
            raise EventLogError(
                f"{len(missing)} files of the event log are missing; restore them from a backup.",
                field="event_log",
                value=missing[0],
            )
        return found


def open_event_log(settings: CoreSettings) -> EventLog:
    """Open the event log that the settings name."""
    return EventLog(settings.event_log_folder)


def registered_files(connection: Connection, before: datetime | None = None) -> list[LogFile]:
    """Return the committed files in order of path.

    Args:
        before: leave out files whose events all lie at or after this time.
    """
    chosen = sa.select(log_files).order_by(log_files.c.path)
    if before is not None:
        chosen = chosen.where(log_files.c.min_time < before)
    return [LogFile(**row) for row in connection.execute(chosen).mappings()]


def register(connection: Connection, files: Sequence[LogFile], sequence: int, load_id: str | None = None) -> None:
    """Make files count, inside a write transaction.

    Args:
        files: renamed into place.
        sequence: the last event sequence they hold, from `next_sequence` in the same transaction.
        load_id: the load they come with; None keeps what the files say.
    """
    if files:
        connection.execute(log_files.insert(), [_as_row(file, sequence, load_id) for file in files])


def month_of(time: datetime) -> str:
    """Return the log month of a time: "YYYY-MM" in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m")


def _as_row(file: LogFile, sequence: int, load_id: str | None) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(file, name) for name in LogFile.__slots__}
    return row | {"sequence": sequence, "load_id": load_id or file.load_id}


def _checksum(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

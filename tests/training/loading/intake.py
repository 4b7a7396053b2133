"""A home to load exports into, for tests: what was loaded can be looked at as plain values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from recommender.storage.database import Database
from recommender.storage.event_log import open_event_log, registered_files
from recommender.storage.tables import CANONICAL
from training.ingest import IngestOptions, IngestReport, ingest, open_stores
from training.ingest_settings import IngestSettings
from training.progress import Silent
from training.sources.mapping_file import parse_mapping, read_mapping

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
KEY = "a test key of 32 characters ...."


class Intake:
    """Loads files into a home of its own."""

    def __init__(self, home: Path, database: Database, zone: str = "UTC") -> None:
        self.home = home
        self.settings = IngestSettings(
            home=home, models=home / "models", hash_key=KEY, time_zone=zone, ingest_memory_mib=128
        )
        self.database = database

    def load(
        self,
        *paths: Path,
        mapping: Path | str | None = None,
        source: str | None = None,
        dry_run: bool = False,
        now: datetime = NOW,
        after_step: Callable[[str], None] = lambda step: None,
    ) -> IngestReport:
        """Ingest files; `mapping` is a file or the text of one."""
        if isinstance(mapping, str):
            options = IngestOptions(parse_mapping(mapping, "map.toml"), source, None, dry_run)
        else:
            options = IngestOptions(None if mapping is None else read_mapping(mapping), source, None, dry_run)
        stores = open_stores(self.settings, self.database)
        return ingest(paths, self.settings, stores, options, Silent(), now, after_step)

    def events(self, *columns: str) -> list[Any]:
        """Return the events of the log in order of their ids: dicts, or tuples of some columns."""
        log = open_event_log(self.settings)
        with self.database.read() as connection:
            paths = log.paths(registered_files(connection))
        rows = [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]
        rows.sort(key=lambda row: row["event_id"])
        if len(columns) == 1:
            return [row[columns[0]] for row in rows]
        return [tuple(row[column] for column in columns) for row in rows] if columns else rows

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return some columns of a canonical table in order of its key."""
        stored = CANONICAL[table]
        chosen = sa.select(*(stored.c[column] for column in columns)).order_by(*stored.primary_key.columns)
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(chosen)]

    def count(self, report: IngestReport, table: str = "events") -> tuple[int, int, int, int, int]:
        """Return how many rows of a table were read, added, changed, duplicate and rejected."""
        counts = report.count(table)
        return counts.read, counts.added, counts.changed, counts.duplicate, counts.rejected

    def files(self) -> list[str]:
        """Return the names of all files in the home but the database and the key, in order."""
        left_out = ("memberwise.db", "hash_key")
        return sorted(
            str(path.relative_to(self.home))
            for path in self.home.rglob("*")
            if path.is_file() and not path.name.startswith(left_out)
        )

    def holds(self, text: str) -> list[str]:
        """Return the files of the home that hold a text in clear, compressed Parquet included."""
        found = [path for path in self.home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
        for path in self.home.rglob("*.parquet"):
            if text in str(pq.read_table(path, partitioning=None).to_pylist()):
                found.append(path)
        return sorted(str(path.relative_to(self.home)) for path in found)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a file as it is given, without the indentation of its lines."""
    lines = [line.strip() for line in text.strip("\n").split("\n")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines).strip() + "\n").encode(encoding))
    return path

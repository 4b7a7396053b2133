"""Known events: ids and contents that the event log and SQL hold already, as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy.engine import Connection

from recommender.quoting import text
from recommender.storage.database import Database
from recommender.storage.event_log import EventLog, registered_files
from recommender.storage.statements import fetch, last_sequence, read_counter

KeyVector = npt.NDArray[np.uint64]

_LIVE = """
SELECT event_id, content_hash, sequence FROM events
WHERE NOT in_log AND sequence > ? ORDER BY sequence LIMIT ?"""
_PAGE_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class KnownEvents:
    """What is stored as of `sequence`: files of the log by path, and posted events that are not in it yet."""

    sequence: int
    files: frozenset[str]
    paths: tuple[Path, ...]
    live: Path | None

    def find(self, connection: duckdb.DuckDBPyConnection, keys: KeyVector) -> KeyVector:
        """Fill the temporary table `known` (event_id, content_hash) with stored events of some id hashes.

        Args:
            keys: hashes as DuckDB's hash() gives them.
        Returns: the hashes found.
        """
        connection.execute("CREATE OR REPLACE TEMP TABLE known (event_id VARCHAR, content_hash BIGINT)")
        stored = [*self.paths, *([] if self.live is None else [self.live])]
        if not stored or not len(keys):
            return np.empty(0, np.uint64)
        connection.register("load_keys", pa.table({"key": keys}))
        files = ", ".join(text(str(path)) for path in stored)
        connection.execute(
            "INSERT INTO known SELECT event_id, any_value(content_hash) FROM "
            f"(SELECT event_id, content_hash FROM read_parquet([{files}]) "
            "WHERE hash(event_id) IN (SELECT key FROM load_keys)) GROUP BY event_id"
        )
        connection.unregister("load_keys")
        found = connection.sql("SELECT hash(event_id) AS key FROM known").to_arrow_table()
        return np.asarray(found.column("key").to_numpy(), np.uint64)


def read_known(database: Database, log: EventLog, workspace: Path) -> KnownEvents:
    """Note what is stored now.

    Raises: EventLogError if files of the log are missing.
    """
    with database.read(snapshot=True) as connection:
        sequence = last_sequence(connection)
        files = registered_files(connection)
        live = _export_live(connection, read_counter(connection, "logged"), workspace / "live.parquet")
    return KnownEvents(sequence, frozenset(file.path for file in files), tuple(log.paths(files)), live)


def is_stale(
    connection: Connection, known: KnownEvents, duck: duckdb.DuckDBPyConnection, parts: Sequence[Path]
) -> bool:
    """Whether events with ids of this load may have been stored since.

    Inside the write transaction of the load and behind its first `next_sequence`, which holds back other writers.

    Args:
        parts: Parquet files of the load.
    """
    if any(file.path not in known.files for file in registered_files(connection)):
        return True
    posted = fetch(connection, _LIVE, (known.sequence, _PAGE_ROWS))
    if len(posted) == _PAGE_ROWS:
        return True
    if not posted or not parts:
        return False
    duck.register("posted", pa.table({"event_id": pa.array([row[0] for row in posted], pa.string())}))
    files = ", ".join(text(str(path)) for path in parts)
    query = f"SELECT 1 FROM read_parquet([{files}]) WHERE event_id IN (SELECT event_id FROM posted) LIMIT 1"
    found = bool(duck.execute(query).fetchall())
    duck.unregister("posted")
    return found


def _export_live(connection: Connection, logged: int, path: Path) -> Path | None:
    """Write ids and content hashes of posted events that are not in the log to a Parquet file."""
    import pyarrow.parquet as pq

    schema = pa.schema([("event_id", pa.string()), ("content_hash", pa.int64())])
    page = fetch(connection, _LIVE, (logged, _PAGE_ROWS))
    if not page:
        return None
    with pq.ParquetWriter(path, schema) as writer:
        while page:
            ids, hashes, sequences = zip(*page, strict=True)
            writer.write_table(pa.table({"event_id": ids, "content_hash": hashes}, schema=schema))
            # Events of one post have sequences of their own, so a page may end anywhere.
            page = fetch(connection, _LIVE, (sequences[-1], _PAGE_ROWS))
    return path

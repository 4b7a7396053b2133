"""The reference of posted events: plain SQLite inserts of the same rows. `python -m tests.benchmarks.bare_inserts`.

The table and its indexes are those of the service, in a file of its own; a transaction per batch, WAL, NORMAL sync.
Prints JSON.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from pathlib import Path

import orjson

from recommender.storage.database import Database

_COLUMNS = (
    "event_id",
    "occurred_at",
    "kind",
    "channel",
    "subject",
    "item_id",
    "revision",
    "source",
    "content_hash",
    "sequence",
    "in_log",
    "received_at",
)


def main(file: str, folder: str, seconds: str) -> None:
    """Insert the batches in a file, a JSON list of lists of events, until they or the time are over."""
    batches = [[tuple(row) for row in batch] for batch in orjson.loads(Path(file).read_bytes())]
    path = Path(folder) / "bare.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    statement = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    began, done = time.perf_counter(), 0
    for batch in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, batch)
        connection.execute("COMMIT")
        done += len(batch)
        if time.perf_counter() - began > float(seconds):
            break
    print(json.dumps({"rows": done, "per_second": done / (time.perf_counter() - began)}))
    connection.close()
    for left in Path(folder).glob("bare.db*"):
        left.unlink()


def rows_of(batches: list[list[dict[str, object]]]) -> list[list[list[object]]]:
    """Return events as the values of their columns, as the service would store them."""
    number, found = 0, []
    for batch in batches:
        rows: list[list[object]] = []
        for event in batch:
            number += 1
            micros = 1_700_000_000_000_000 + number
            subject = f"member:{event['member_id']}"
            names = [event[name] for name in ("kind", "channel")]
            hashed = number * 2_654_435_761 % 2**62
            rows.append(
                [event["event_id"], micros, *names, subject, event["item_id"], 0, "api", hashed, number, 0, micros]
            )
        found.append(rows)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])

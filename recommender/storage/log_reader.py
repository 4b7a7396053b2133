"""Reads one customer's events from the event log, in a process of its own.

The libraries that read Parquet stay out of web workers: an export starts `python -m recommender.storage.log_reader`,
which takes files and subjects as JSON on standard input and answers with JSON on standard output.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from recommender.errors import EventLogError

SECONDS = 300.0
"""How long the reader may take."""


def read_log_events(files: Sequence[Path], subjects: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Return the events of subjects in the log, in order of time, as JSON values; the latest `limit` of them.

    Args:
        files: registered files of the log.
    Raises: EventLogError if the log cannot be read.
    """
    if not files:
        return []
    asked = orjson.dumps({"files": [str(path) for path in files], "subjects": list(subjects), "limit": limit})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "recommender.storage.log_reader"],
            input=asked,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EventLogError("The event log could not be read in time.") from None
    if done.returncode != 0:
        raise EventLogError("The event log could not be read; a file may have been replaced meanwhile: ask again.")
    found: list[dict[str, Any]] = orjson.loads(done.stdout)
    return found


def _read(files: Sequence[str], subjects: Sequence[str], limit: int) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted, found = pa.array(subjects, pa.string()), []
    for name in files:
        file = pq.ParquetFile(name)
        for group in range(file.num_row_groups):
            mine = pc.is_in(file.read_row_group(group, columns=["subject"]).column("subject"), wanted)
            if pc.any(mine).as_py():
                found += file.read_row_group(group).filter(mine).to_pylist()
    found.sort(key=lambda event: (event["occurred_at"], event["event_id"]))
    return found[-limit:]


def main() -> None:
    """Answer what stands on standard input."""
    asked = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(_read(asked["files"], asked["subjects"], asked["limit"])))


if __name__ == "__main__":
    main()

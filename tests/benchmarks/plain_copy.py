"""The reference of the ingest benchmark: DuckDB alone copies a CSV file to Parquet."""

from __future__ import annotations

import sys

import duckdb


def main(source: str, target: str, memory_mib: str, threads: str) -> None:
    """Copy, with the same limit of memory and the same threads as `memberwise ingest`."""
    connection = duckdb.connect(":memory:", config={"threads": int(threads)})
    connection.execute(f"SET memory_limit = '{memory_mib}MiB'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet)")


if __name__ == "__main__":
    main(*sys.argv[1:])

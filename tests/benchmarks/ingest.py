"""Ingest: rows per second of `memberwise ingest` beside DuckDB's plain copy, and memory by size."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.measure import MIB, Run, memberwise, module, run_measured
from tests.benchmarks.results import Bar, Result, Row, at_least, at_most
from tests.benchmarks.shops import Shop, say
from training.ingest_settings import IngestSettings

SLOWEST_RATIO = 0.2
MOST_GROWTH = 1.3
MOST_BYTES_LARGE = 2048 * MIB


def measure_ingest(shops: Sequence[Shop], rounds: int) -> Result:
    """Load events.csv of each shop into a new home, in turn with DuckDB's copy of the same file."""
    settings = IngestSettings()
    rows: list[Row] = []
    for shop in shops:
        shop.make()
        say(f"ingest {shop.events:,} events, {rounds} rounds")
        pairs = [(_copy(shop, settings), _ingest(shop)) for _ in range(rounds)]
        rows.append(_row(shop.events, [copied for copied, _ in pairs], [loaded for _, loaded in pairs]))
    slowest = min(float(row["ratio"]) for row in rows)
    bars = [at_least("rows per second, as a share of DuckDB's copy", slowest, SLOWEST_RATIO)]
    if len(rows) > 1:
        peaks = [float(row["peak MiB"]) for row in rows]
        bars.append(at_most("peak memory, largest over smallest size", peaks[-1] / peaks[0], MOST_GROWTH))
    notes = (
        f"Both as whole processes, from start to exit, with {settings.ingest_memory_mib} MiB for DuckDB and "
        f"{settings.ingest_threads} threads; median of {rounds} rounds in turn.",
    )
    return Result("ingest", rows, bars, notes)


def measure_large_ingest(shop: Shop) -> Result:
    """Load one large file once: does it stay within its memory?"""
    shop.make()
    say(f"ingest {shop.events:,} events once")
    run = _ingest(shop)
    row = {"events": shop.events, "rows/s": shop.events / run.seconds, "peak MiB": run.peak_bytes / MIB}
    peak = run.peak_bytes / MIB
    return Result("large ingest", [row], [Bar("peak MiB", peak, "at most 2048", run.peak_bytes <= MOST_BYTES_LARGE)])


def _ingest(shop: Shop) -> Run:
    """Load the events alone, into a home of their own."""
    place = shop.folder / "loading"
    shutil.rmtree(place, ignore_errors=True)
    environ = {"MEMBERWISE_HOME": str(place), "MEMBERWISE_MODELS": str(place / "models")}
    try:
        return run_measured(memberwise("ingest", str(shop.exports / "events.csv")), environ, shop.folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copy(shop: Shop, settings: IngestSettings) -> Run:
    target = Path(shop.folder / "copy.parquet")
    limits = (str(settings.ingest_memory_mib), str(settings.ingest_threads))
    try:
        return run_measured(
            module("plain_copy", str(shop.exports / "events.csv"), str(target), *limits), {}, shop.folder
        )
    finally:
        target.unlink(missing_ok=True)


def _row(events: int, copied: Sequence[Run], loaded: Sequence[Run]) -> Row:
    copy = median(run.seconds for run in copied)
    load = median(run.seconds for run in loaded)
    return {
        "events": events,
        "DuckDB s": copy,
        "ingest s": load,
        "DuckDB rows/s": events / copy,
        "ingest rows/s": events / load,
        "ratio": copy / load,
        "CPU ratio": median(run.cpu_seconds for run in copied) / median(run.cpu_seconds for run in loaded),
        "peak MiB": max(run.peak_bytes for run in loaded) / MIB,
        "DuckDB peak MiB": max(run.peak_bytes for run in copied) / MIB,
    }

"""Train: wall time of the whole `memberwise train` beside `implicit` alone on the same matrix, and memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import median

from tests.benchmarks.measure import MIB, memberwise, module, run_measured
from tests.benchmarks.results import Result, Row, at_most, growth
from tests.benchmarks.shops import Shop, say

LINEAR = 1.0
MOST_MIB = 4096
LARGE = 3_000_000
"""Events above which one round is enough: what varies from run to run is small beside such a run."""


def measure_train(shops: Sequence[Shop], rounds: int) -> Result:
    """Train on each shop, in turn with the bare factorisation: all windows, ranker, evaluation, closer look, refit."""
    rows: list[Row] = []
    steps: list[Row] = []
    for shop in shops:
        assert shop.loaded
        turns = 1 if shop.events > LARGE else rounds
        say(f"train on {shop.events:,} events, {turns} rounds")
        row, seconds = _measure(shop, turns)
        rows.append(row)
        steps.append({"events": shop.events, **seconds})
    bars = [at_most("peak MiB", max(float(row["peak MiB"]) for row in rows), MOST_MIB)]
    if len(rows) > 1:
        exponent = growth([shop.events for shop in shops], [float(row["train s"]) for row in rows])
        bars.append(at_most("growth of the time (exponent of the number of events)", exponent, LINEAR))
    notes = (
        f"Whole process, from start to the promoted bundle; ALS is the fit alone; median of {rounds} rounds in turn"
        f" (one above {LARGE:,} events).",
        "Seconds by step of the last round: "
        + "; ".join(
            f"{step['events']:,} events: " + ", ".join(f"{name} {step[name]}" for name in step if name != "events")
            for step in steps
        ),
    )
    return Result("train", rows, bars, notes, {"steps": steps})


def _measure(shop: Shop, rounds: int) -> tuple[Row, dict[str, float]]:
    bare, runs = [], []
    for _ in range(rounds):
        # OpenBLAS must not start threads of its own beside those of `implicit`.
        als = run_measured(module("bare_als"), {**shop.environ, "OPENBLAS_NUM_THREADS": "1"}, shop.folder)
        bare.append(json.loads(als.output))
        runs.append(run_measured(memberwise("train", "--json"), shop.environ, shop.folder))
    als_seconds = median(fit["seconds"] for fit in bare)
    seconds = median(run.seconds for run in runs)
    row: Row = {
        "events": shop.events,
        "members": bare[0]["members"],
        "items": bare[0]["items"],
        "pairs": bare[0]["pairs"],
        "ALS s": als_seconds,
        "train s": seconds,
        "ratio": seconds / als_seconds,
        "ALS CPU s": median(fit["cpu_seconds"] for fit in bare),
        "train CPU s": median(run.cpu_seconds for run in runs),
        "peak MiB": max(run.peak_bytes for run in runs) / MIB,
    }
    return row, json.loads(runs[-1].output)["report"]["seconds"]

"""Batch: lists for many members on one core, beside LightGBM's prediction alone on the same rows; and the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from statistics import median

from tests.benchmarks.measure import MIB, module, run_measured
from tests.benchmarks.results import Bar, Result, Row, at_least, at_most
from tests.benchmarks.shops import Shop, say

MEMBERS = 3000
COUNT = 20
LEAST_PER_SECOND = 300
MOST_TIMES_TREES = 2.0
_ONE_CORE = (
    "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from recommender.cli import main; main()"
)


def measure_batch(shops: Sequence[Shop], rounds: int) -> Result:
    """Make home lists with each shop's promoted bundle."""
    rows: list[Row] = []
    for shop in shops:
        assert shop.trained
        say(f"lists on {shop.events:,} events, {rounds} rounds")
        rows.append(_measure(shop, rounds))
    slowest = min(float(row["members/s"]) for row in rows)
    bars: list[Bar] = [at_least("members per second and core", slowest, LEAST_PER_SECOND)]
    ratios = [float(row["ratio"]) for row in rows if row["ranker"] == "learned"]
    if ratios:
        bars.append(at_most("time of the lists over LightGBM alone on the same rows", max(ratios), MOST_TIMES_TREES))
    notes = (
        f"`Recommender.recommend`, home, {COUNT} items, at most {MEMBERS:,} members, one core;"
        f" median of {rounds} rounds.",
        "Command: `memberwise recommend --members all` on one core as a whole process: reads state, applies the"
        " catalogue's rules, gives reasons, writes Parquet.",
    )
    return Result("batch", rows, bars, notes)


def _measure(shop: Shop, rounds: int) -> Row:
    runs = [
        json.loads(run_measured(module("batch_lists", str(MEMBERS), str(COUNT)), shop.environ, shop.folder).output)
        for _ in range(rounds)
    ]
    seconds = median(run["seconds"] for run in runs)
    trees = median(run["trees_seconds"] for run in runs)
    out = shop.folder / "lists.parquet"
    arguments = ("recommend", "--members", "all", "--count", str(COUNT), "--out", str(out))
    command = run_measured([sys.executable, "-c", _ONE_CORE, *arguments], shop.environ, shop.folder)
    out.unlink()
    lists = int(command.output.split(" lists")[0].replace(",", ""))
    return {
        "events": shop.events,
        "members": runs[0]["members"],
        "ranker": "learned" if runs[0]["learned"] else "blend",
        "rows per member": runs[0]["rows"] / runs[0]["members"],
        "members/s": runs[0]["members"] / seconds,
        "LightGBM s": trees,
        "lists s": seconds,
        "ratio": seconds / trees if trees else 0.0,
        "command members/s": lists / command.seconds,
        "command peak MiB": command.peak_bytes / MIB,
    }

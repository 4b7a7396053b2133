"""Allocation: gap, time and memory on generated instances, beside plain passes over the arrays and beside HiGHS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import module, run_measured
from tests.benchmarks.results import Bar, Result, Row, at_least, at_most, growth
from tests.benchmarks.shops import say

SIZES = ((10_000, 10), (100_000, 20), (1_000_000, 20))
KINDS = ("budget", "stock", "cap 2", "stores", "all")
GAPS = {"budget": 1e-6, "stock": 1e-5, "cap 2": 1e-5, "stores": 1e-3, "all": 1e-3}
PASSES = 60
"""Three times the time of twenty plain passes."""
MEMORY = 1.5
FASTER = 30
SEED = 1


def measure_allocation(workspace: Path) -> Result:
    """Allocate on instances of each kind and size, each in a process of its own."""
    runs: list[dict[str, Any]] = []
    for members, offers in SIZES:
        for kind in KINDS:
            say(f"allocation, {kind}, {members:,} x {offers}")
            # HiGHS takes minutes on anything larger than the smallest instances.
            extra = ("lp",) if members == SIZES[0][0] and kind in ("budget", "stock") else ()
            arguments = (kind, str(members), str(offers), str(SEED), *extra)
            output = run_measured(module("allocation_run", *arguments), {}, workspace).output
            runs.append({"members": members, "offers": offers} | json.loads(output))
    rows: list[Row] = [
        {
            "limits": run["kind"],
            "members": run["members"],
            "offers": run["offers"],
            "gap": run["gap"],
            "seconds": run["seconds"],
            "plain passes": run["seconds"] / run["pass seconds"],
            "memory over input": run["memory"],
            "HiGHS s": run.get("highs s", 0.0),
            "HiGHS interior point s": run.get("highs-ipm s", 0.0),
        }
        for run in runs
    ]
    notes = (
        f"`allocate`, values float64, costs int64; stores: 200 budgets; all: budget, stock, stores, two coupons each."
        f" A plain pass is `argmax(value - price * cost, axis=1)`. Seed {SEED}.",
        "HiGHS solves the relaxation of the smallest instances by `linprog`: its default method, and interior point.",
    )
    return Result("allocation", rows, _bars(runs), notes)


def _bars(runs: list[dict[str, Any]]) -> list[Bar]:
    largest = [run for run in runs if run["members"] == SIZES[-1][0]]
    bars = [
        at_most(f"largest gap, {kind}", max(run["gap"] for run in runs if run["kind"] == kind), most)
        for kind, most in GAPS.items()
    ]
    bars += [
        at_most(f"plain passes at the largest size, {run['kind']}", run["seconds"] / run["pass seconds"], PASSES)
        for run in largest
    ]
    bars.append(at_most("memory over input at the largest size", max(run["memory"] for run in largest), MEMORY))
    bars.append(at_most("what was used above any limit", max(run["over"] for run in runs), 0))
    for run in runs:
        if "highs s" in run:
            bars.append(at_least(f"times faster than HiGHS, {run['kind']}", run["highs s"] / run["seconds"], FASTER))
    seconds = {run["members"]: run["seconds"] for run in runs if run["kind"] == "stock"}
    sizes = [members for members, _ in SIZES[1:]]
    bars.append(at_most("growth of the time with the members", growth(sizes, [seconds[size] for size in sizes]), 1.1))
    return bars

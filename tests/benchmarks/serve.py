"""Serve: answers per second for single members beside an empty Flask route, latencies, and memory of each worker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import orjson

from tests.benchmarks.empty_route import PATH
from tests.benchmarks.exports import member_ids
from tests.benchmarks.measure import MIB, memberwise, module, run_measured
from tests.benchmarks.results import Result, Row, at_least, at_most
from tests.benchmarks.retailer import Shape
from tests.benchmarks.servers import Server, run_server
from tests.benchmarks.shops import SEED, Shop, say

CONNECTIONS = (1, 8, 32)
WORKERS = 2
SECONDS = 4.0
"""How long one load lasts."""
ASKED = 5_000
"""Members asked about, drawn at random."""
COUNT = 10
LEAST_RATIO = 0.15
MOST_PRIVATE_MIB = 80.0


def measure_serve(shops: Sequence[Shop], rounds: int) -> Result:
    """Load the service of each shop, in turn with the empty route."""
    rows: list[Row] = []
    for shop in shops:
        assert shop.trained
        say(f"serve {shop.events:,} events, {rounds} rounds")
        rows += _measure(shop, rounds)
    ratio = min(float(row["ratio"]) for row in rows)
    private = max(float(row["private MiB"]) for row in rows)
    bars = [
        at_least("answers per second, as a share of an empty route", ratio, LEAST_RATIO),
        at_most("private memory of a worker, MiB", private, MOST_PRIVATE_MIB),
    ]
    notes = (
        f"POST /v1/recommendations, scenario home, {COUNT} items, {ASKED:,} members in random order, keep-alive; "
        f"{WORKERS} workers of 4 threads for both; client in a process of its own on the same cores; "
        f"median of {rounds} rounds of {SECONDS:g} s in turn.",
    )
    return Result("serve", rows, bars, notes)


def _measure(shop: Shop, rounds: int) -> list[Row]:
    environ = {**shop.environ, "MEMBERWISE_WORKERS": str(WORKERS)}
    key = run_measured(memberwise("keys", "create", "benchmark", "--scopes", "recommend"), environ, shop.folder).output
    ours, empty = shop.folder / "home.requests", shop.folder / "empty.requests"
    ours.write_bytes(orjson.dumps(_questions(shop, key.strip())))
    empty.write_bytes(orjson.dumps([f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n"]))
    rows = []
    with (
        run_server(memberwise("serve"), environ, "/readyz", shop.folder / "serve.log") as service,
        run_server(module("empty_route"), environ, PATH, shop.folder / "empty.log") as reference,
    ):
        for connections in CONNECTIONS:
            pairs = [
                (_load(reference, connections, empty, shop.folder), _load(service, connections, ours, shop.folder))
                for _ in range(rounds)
            ]
            private = max(service.private_bytes()) / MIB
            rows.append(_row(shop.events, connections, [a for a, _ in pairs], [b for _, b in pairs], private))
    return rows


def _questions(shop: Shop, key: str) -> list[str]:
    rng = np.random.default_rng(SEED)
    members = member_ids(Shape.of(shop.events).members)
    questions = []
    for row in rng.integers(0, len(members), ASKED):
        body = json.dumps({"scenario": "home", "member_id": members[row], "channel": "app", "count": COUNT})
        questions.append(
            "POST /v1/recommendations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
    return questions


def _load(server: Server, connections: int, requests: Path, workspace: Path) -> dict[str, float]:
    command = module("load_client", str(server.port), str(connections), str(SECONDS), str(requests))
    load: dict[str, float] = json.loads(run_measured(command, {}, workspace).output)
    return load


def _row(
    events: int,
    connections: int,
    empty: Sequence[dict[str, float]],
    ours: Sequence[dict[str, float]],
    private_mib: float,
) -> Row:
    def middle(loads: Sequence[dict[str, float]], name: str) -> float:
        return median(load[name] for load in loads)

    return {
        "events": events,
        "connections": connections,
        "empty/s": middle(empty, "per_second"),
        "home/s": middle(ours, "per_second"),
        "ratio": middle(ours, "per_second") / middle(empty, "per_second"),
        "p50 ms": middle(ours, "p50_ms"),
        "p99 ms": middle(ours, "p99_ms"),
        "empty p50 ms": middle(empty, "p50_ms"),
        "empty p99 ms": middle(empty, "p99_ms"),
        "failed": int(sum(load["failed"] for load in ours)),
        "private MiB": private_mib,
        "client CPU": middle(ours, "client_cpu_share"),
        "empty client CPU": middle(empty, "client_cpu_share"),
    }

"""Serve: a retailer's answers beside an empty Flask route, its writes, its memory, and how all that grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from api.metrics import COUNT_SECONDS
from tests.benchmarks.measure import MIB, memberwise
from tests.benchmarks.questions import COUNT, EVENTS_EACH, EXCLUDED, RETURNING
from tests.benchmarks.results import Bar, Figure, Result, Row, at_least, at_most, growth
from tests.benchmarks.servers import Server, run_server
from tests.benchmarks.shops import Shop, say
from tests.benchmarks.site import SECONDS, WORKERS, Figures, Site, describe_machine, open_site
from tests.benchmarks.writes import measure_writes

CONNECTIONS = (1, 8, 32)
BUSY = 8
"""Connections that keep the service busy."""
PACE = 0.5
"""The share of the service's most answers per second at which times are compared with those of the empty route."""
LEAST_QUIET, LEAST_FRESH = 0.35, 0.15
MOST_TIMES_P99 = 3.0
MOST_FRESH_P99_MS = 25.0
MOST_TIMES_FILTERED = 1.5
MOST_PRIVATE_MIB = 80.0
MOST_GIB_PER_MILLION = 0.8
FEWEST_MEMBERS = 500_000
"""Below so many members, what a process needs in any case decides the memory, not the members."""
MOST_START_SECONDS = 5.0
MOST_SPREAD = 1.2


def measure_serve(shop: Shop, growing: Mapping[str, Sequence[Shop]], rounds: int) -> list[Result]:
    """Measure one retailer in every way, and others of growing sizes by the time of one answer.

    Args:
        shop: the retailer.
        growing: others by what grows, "members" or "items"; the retailer itself may be among them.
        rounds: repetitions of each load.
    """
    assert shop.trained
    say(f"serve {describe(shop)}, {rounds} rounds")
    with open_site(shop) as site:
        results = [_measure_answers(site, rounds), measure_writes(site, rounds)]
        results.append(_measure_memory(site))
    return results + [_measure_growth(what, shops, rounds) for what, shops in growing.items()]


def describe(shop: Shop) -> str:
    """Say how large a shop is."""
    shape = shop.shape
    return f"{shape.members:,} members, {shape.items:,} items, {shape.stores:,} stores, {shape.events:,} events"


def _measure_answers(site: Site, rounds: int) -> Result:
    quiet = site.write("quiet", site.questions.home(site.questions.quiet))
    filtered = site.write("filtered", site.questions.filtered(site.questions.quiet))
    rows = [_in_turn(site, "quiet", quiet, connections, rounds) for connections in CONNECTIONS]
    stages = {"quiet": _stages(site, quiet)}
    rows.append(_in_turn(site, "filtered", filtered, 1, rounds))
    rows.append(_in_turn(site, "filtered", filtered, BUSY, rounds))
    paced = _at_one_pace(site, quiet, PACE * _find(rows, "quiet", BUSY, "answers/s"), rounds)
    fresh = site.write("fresh", site.questions.home(site.questions.fresh))
    rows += [_in_turn(site, "fresh", fresh, connections, rounds, _visit) for connections in CONNECTIONS]
    _visit(site)
    stages["fresh"] = _stages(site, fresh)
    returning = site.write("returning", site.questions.home(site.questions.fresh[:RETURNING]))
    rows.append(_in_turn(site, "returning", returning, BUSY, rounds))
    notes = (
        f"{describe(site.shop)}. POST /v1/recommendations, home, {COUNT} items, with key, stock, reasons and exposures,"
        " the background worker running.",
        f"quiet: members without events since training. fresh: members with {EVENTS_EACH} new events each since they"
        f" last asked; returning: {RETURNING} of them who ask again without any. filtered: quiet, with a store,"
        f" a range of prices and {EXCLUDED} exclusions.",
        f"{WORKERS} workers for both; client in a process of its own on the same processors; median of {rounds} rounds"
        f" of {SECONDS:g} s in turn; CPU: processor time of all workers for one answer. {describe_machine()}.",
        f"At one pace: both answer {paced['rate']:.0f} requests per second, half of what the service can at most: p50"
        f" {paced['p50']:.2f} ms against {paced['empty p50']:.2f} ms, p99 {paced['p99']:.2f} ms against"
        f" {paced['empty p99']:.2f} ms.",
        *(f"Where the time goes, {name}, one connection: {_told(spent)}." for name, spent in stages.items()),
    )
    return Result("serve: answers", rows, _answer_bars(rows, paced), notes, {"paced": paced, "stages": stages})


def _answer_bars(rows: Sequence[Row], paced: Figures) -> list[Bar]:
    quiet = min(_find(rows, "quiet", connections, "ratio") for connections in CONNECTIONS[1:])
    fresh = min(_find(rows, "fresh", connections, "ratio") for connections in CONNECTIONS[1:])
    slower = [
        _find(rows, "quiet", BUSY, "answers/s") / _find(rows, "filtered", BUSY, "answers/s"),
        _find(rows, "filtered", 1, "p50 ms") / _find(rows, "quiet", 1, "p50 ms"),
    ]
    return [
        at_least("quiet: answers per second as a share of the empty route's", quiet, LEAST_QUIET),
        at_most(
            "quiet: p99 over that of the empty route at one pace", paced["p99"] / paced["empty p99"], MOST_TIMES_P99
        ),
        at_least("fresh: answers per second as a share of the empty route's", fresh, LEAST_FRESH),
        at_most("fresh: p99 ms of one connection", _find(rows, "fresh", 1, "p99 ms"), MOST_FRESH_P99_MS),
        at_most("filtered: times slower than quiet", max(slower), MOST_TIMES_FILTERED),
        at_most("failed requests", sum(float(row["failed"]) for row in rows), 0),
    ]


def _as_is(_site: Site) -> None:
    """Leave the members as they are."""


def _visit(site: Site) -> None:
    """Give every fresh member some events."""
    visits = site.questions.visits(f"visit-{site.service.pid}-{time.time_ns()}")
    done = site.send_once(site.questions.posts(visits), 2)
    assert not done["failed"], "the members' new events were not taken"


def _in_turn(
    site: Site,
    name: str,
    file: Path,
    connections: int,
    rounds: int,
    prepare: Callable[[Site], None] = _as_is,
) -> Row:
    """Load the empty route and the service in turn; the site is prepared before each load of the service."""
    say(f"{name}, {connections} connections")
    pairs = []
    for _ in range(rounds):
        empty_load = _with_cpu(site.empty, lambda: site.load_empty(connections))
        prepare(site)
        pairs.append((empty_load, _with_cpu(site.service, lambda: site.load(file, connections))))
    empty, ours = [a for a, _ in pairs], [b for _, b in pairs]
    row: dict[str, Figure] = {
        "members": name,
        "connections": connections,
        "answers/s": _middle(ours, "per_second"),
        "empty/s": _middle(empty, "per_second"),
    }
    row["ratio"] = float(row["answers/s"]) / float(row["empty/s"])
    for figure in ("p50", "p99", "CPU"):
        row[f"{figure} ms"] = _middle(ours, f"{figure}_ms")
        row[f"empty {figure} ms"] = _middle(empty, f"{figure}_ms")
    row["failed"] = int(sum(load["failed"] + load["reconnected"] for load in ours))
    row["client CPU"] = _middle(ours, "client_cpu_share")
    return row


def _with_cpu(server: Server, load: Callable[[], Figures]) -> Figures:
    """Return a load's figures with the processor time that the server's workers took for each answer.

    Unlike answers per second it says little of what else the machine does.
    """
    before = server.cpu_seconds()
    figures = load()
    return figures | {"CPU_ms": (server.cpu_seconds() - before) * 1000 / figures["all_requests"]}


def _stages(site: Site, file: Path) -> Figures:
    """Return the mean milliseconds of each stage of an answer, and as "whole" of all of it as the client sees it."""
    before = site.stage_seconds()
    whole = site.load(file, 1)["p50_ms"]
    time.sleep(2 * COUNT_SECONDS)
    after = site.stage_seconds()
    slates = after.pop("slates") - before.pop("slates")
    return {stage: (spent - before.get(stage, 0.0)) * 1000 / slates for stage, spent in after.items()} | {
        "whole": whole
    }


def _told(stages: Figures) -> str:
    parts = [f"{stage} {spent:.2f}" for stage, spent in stages.items() if stage != "whole"]
    return f"{', '.join(parts)} ms (means), of {stages['whole']:.2f} ms (median) for the client"


def _at_one_pace(site: Site, file: Path, rate: float, rounds: int) -> Figures:
    """Load both at the same rate, in turn."""
    say(f"{rate:.0f} per second")
    pairs = [(site.load_empty(BUSY, rate), site.load(file, BUSY, rate)) for _ in range(rounds)]
    empty, ours = [a for a, _ in pairs], [b for _, b in pairs]
    found = {"rate": rate, "reached": _middle(ours, "per_second")}
    for figure in ("p50", "p99"):
        found |= {figure: _middle(ours, f"{figure}_ms"), f"empty {figure}": _middle(empty, f"{figure}_ms")}
    return found


def _measure_memory(site: Site) -> Result:
    """Look at what the service holds after all that traffic; then start it anew."""
    service, shop = site.service, site.shop
    private = service.private_bytes()
    bundle = sum(file.stat().st_size for file in (shop.folder / "models").rglob("*") if file.is_file())
    resident = service.resident_bytes()
    with run_server(memberwise("serve"), site.environ, "/readyz", shop.folder / "again.log") as again:
        start = again.start_seconds
    row: Row = {
        "workers": len(private),
        "private MiB of a worker": max(private) / MIB,
        "resident MiB": resident / MIB,
        "GiB per million members": resident / (1 << 30) / (shop.shape.members / 1e6),
        "bundles MiB": bundle / MIB,
        "start to ready s": start,
    }
    bars = [
        at_most("private memory of a worker, MiB", max(private) / MIB, MOST_PRIVATE_MIB),
        at_most("start to ready, seconds", start, MOST_START_SECONDS),
    ]
    if shop.shape.members >= FEWEST_MEMBERS:
        bars.append(
            at_most("resident GiB per million members", float(row["GiB per million members"]), MOST_GIB_PER_MILLION)
        )
    notes = (
        f"{describe(shop)}. After the loads above; resident: all processes of the service, shared pages once; the start"
        " is one with the stock file already there.",
    )
    return Result("serve: memory", [row], bars, notes)


def _measure_growth(what: str, shops: Sequence[Shop], rounds: int) -> Result:
    """Measure what one answer costs in shops that differ in one size."""
    rows: list[Row] = []
    for shop in shops:
        assert shop.trained
        say(f"growth over {what}: {describe(shop)}")
        with open_site(shop) as site:
            rows.append({what: getattr(shop.shape, what), **_costs(site, rounds)})
    sizes = [int(row[what]) for row in rows]
    bars = []
    for name in ("quiet", "fresh"):
        costs = [float(row[f"{name} CPU ms"]) for row in rows]
        if what == "members":
            bars.append(at_most(f"{name}: dearest answer over the cheapest", max(costs) / min(costs), MOST_SPREAD))
        elif len(sizes) > 1:
            bars.append(
                at_most(f"{name}: growth of the cost (exponent of the number of {what})", growth(sizes, costs), 1)
            )
    notes = (
        "CPU: processor time of all web workers for one answer; p50: one connection, nothing else going on; median of"
        f" {rounds} rounds.",
    )
    return Result(f"serve: growth over {what}", rows, bars, notes)


def _costs(site: Site, rounds: int) -> dict[str, Figure]:
    """Measure what a quiet and a fresh member's answer costs."""
    quiet = site.write("quiet", site.questions.home(site.questions.quiet))
    found: dict[str, Figure] = _cost(site, "quiet", quiet, rounds)
    fresh = site.write("fresh", site.questions.home(site.questions.fresh))
    return found | _cost(site, "fresh", fresh, rounds, _visit)


def _cost(
    site: Site, name: str, file: Path, rounds: int, prepare: Callable[[Site], None] = _as_is
) -> dict[str, Figure]:
    site.load(file, 1, seconds=1.0)
    times, costs = [], []
    for _ in range(rounds):
        prepare(site)
        load = _with_cpu(site.service, lambda: site.load(file, 1))
        costs.append(load["CPU_ms"])
        times.append(load["p50_ms"])
    return {f"{name} CPU ms": median(costs), f"{name} p50 ms": median(times)}


def _middle(loads: Sequence[Figures], name: str) -> float:
    return median(load[name] for load in loads)


def _find(rows: Sequence[Row], members: str, connections: int, figure: str) -> float:
    """Return a figure of the row of some members at some number of connections."""
    found = (row for row in rows if (row["members"], row["connections"]) == (members, connections))
    return float(next(found)[figure])

"""Coupons: slates with coupons beside slates without, for members of a plan and for members between plans."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np

from recommender.coupons.kept_plans import read_plan
from recommender.coupons.plan_files import plan_path
from recommender.coupons.store import read_offers
from recommender.coupons.supervision import approve, state_of
from recommender.settings import CoreSettings
from recommender.storage.database import open_database
from tests import coupon_world
from tests.benchmarks.load_client import LOOPBACK, TIMEOUT_SECONDS
from tests.benchmarks.measure import memberwise, run_measured
from tests.benchmarks.questions import COUNT, write_questions
from tests.benchmarks.results import Result, Row, at_most
from tests.benchmarks.servers import Server, run_beside, run_server
from tests.benchmarks.shops import SEED, Shop, say
from tests.benchmarks.site import SECONDS, WORKERS, Figures, describe_machine, load_server

MEMBERS = 3_000
ASKED = 1_000
BUSY = 8
PACE = 0.5
"""Part of the most answers per second with coupons at which times are compared."""
MOST_TIMES = 3.0
CAMPAIGN = f"c{len(coupon_world.CAMPAIGN_WEEKS)}"
"""The one that begins now."""
BUDGET_CENTS = 200_000


def measure_coupons(place: Path, rounds: int) -> Result:
    """Load `home` with and without coupons in turn, at one pace; coupons of a plan, and decided online."""
    shop = Shop(place / "coupons", 0)
    planned, between = _prepare(shop)
    environ = {**shop.environ, "MEMBERWISE_WORKERS": str(WORKERS), "MEMBERWISE_LOG_LEVEL": "info"}
    key = run_measured(memberwise("keys", "create", "benchmark", "--scopes", "recommend,coupons"), environ, shop.folder)
    with (
        run_beside(memberwise("worker"), environ, shop.folder / "worker.log"),
        run_server(memberwise("serve"), environ, "/readyz", shop.folder / "serve.log") as service,
    ):
        token = key.output.strip()
        rows, origins = [], {}
        for name, members in (("of a plan", planned), ("between plans", between)):
            origins[name] = _origins(service, token, members[:100])
            rows.append(_in_turn(service, shop.folder, token, name, members, rounds))
    bars = [
        at_most(
            f"members {row['members']}: p99 with coupons over without, at one pace", float(row["p99 ratio"]), MOST_TIMES
        )
        for row in rows
    ]
    bars.append(at_most("failed requests", sum(float(row["failed"]) for row in rows), 0))
    notes = (
        f"{MEMBERS:,} members of a made-up retailer with {coupon_world.OFFERS} offers of a running campaign; home,"
        f" {COUNT} items; {WORKERS} workers; both at {PACE:g} of the most answers with coupons, {BUSY} connections,"
        f" median of {rounds} rounds of {SECONDS:g} s in turn. {describe_machine()}.",
        *(f"Of 100 members {name}: {found}." for name, found in origins.items()),
    )
    return Result("coupons: slates with coupons against slates without", rows, bars, notes)


def _prepare(shop: Shop) -> tuple[list[str], list[str]]:
    """Train on a world whose last campaign begins now, plan it, and let the plan know half of the members."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    coupon_world.START = today - timedelta(weeks=coupon_world.WEEKS)
    world = coupon_world.make_world(MEMBERS, SEED)
    say(f"a world of {MEMBERS:,} members")
    coupon_world.write_world(world, shop.exports)
    environ, folder = shop.environ, shop.folder
    run_measured(memberwise("ingest", str(shop.exports)), environ, folder)
    _approve(folder / "home")
    say("training")
    run_measured(memberwise("train", "--json"), environ, folder)
    out = str(folder / "plan.parquet")
    ask = ("--campaign", CAMPAIGN, "--budget", str(BUDGET_CENTS), "--out", out)
    run_measured(memberwise("offers", "allocate", *ask), environ, folder)
    path = plan_path(folder / "home", CAMPAIGN).with_suffix(".npz")
    names = read_plan(path).members.ids(np.arange(MEMBERS))
    _forget_half(path)
    half = len(names) // 2
    return names[:half][:ASKED], names[half:][:ASKED]


def _approve(home: Path) -> None:
    """Let a second person approve all offers: some go below cost, and would be given to nobody."""
    database = open_database(CoreSettings(home=home))
    with database.write() as connection:
        for offer in read_offers(connection).offers.values():
            state_of(connection, offer, "first")
            approve(connection, offer, "second", datetime.now(UTC))
    database.dispose()


def _forget_half(path: Path) -> None:
    """Leave the first half of the members in a kept plan: the others come between plans then."""
    with np.load(path, allow_pickle=False) as parts:
        arrays = {name: parts[name] for name in parts.files if name != "why"}
    half = len(arrays["members"]) // 2
    kept = arrays["member_row"] < half
    for name in ("member_row", "offer_row", "profit_cents", "redemption", "propensity"):
        arrays[name] = arrays[name][kept]
    arrays["members"] = arrays["members"][:half]
    np.savez(path, **arrays)


def _request(token: str, member_id: str, coupons: bool) -> str:
    asked = {"scenario": "home", "member_id": member_id, "channel": "app", "count": COUNT, "include_coupons": coupons}
    text = json.dumps(asked, separators=(",", ":"))
    return (
        "POST /v1/recommendations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(text)}\r\n\r\n{text}"
    )


def _origins(service: Server, token: str, members: Sequence[str]) -> str:
    """Say how many members have coupons, and where these come from."""
    counts: dict[str, int] = {}
    for member_id in members:
        address = f"http://{LOOPBACK}:{service.port}/v1/members/{member_id}/coupons"
        asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=TIMEOUT_SECONDS) as answer:
            for origin in {one["origin"] for one in json.load(answer)["coupons"]}:
                counts[origin] = counts.get(origin, 0) + 1
    return (
        ", ".join(f"{count} have one of origin {origin}" for origin, count in sorted(counts.items())) or "none has any"
    )


def _in_turn(service: Server, folder: Path, token: str, name: str, members: Sequence[str], rounds: int) -> Row:
    files = {
        coupons: write_questions(
            folder / f"coupons-{coupons}.requests", [_request(token, member, coupons) for member in members]
        )
        for coupons in (False, True)
    }
    most = load_server(service, files[True], BUSY, 0.0, SECONDS)["per_second"]
    say(f"members {name}: {PACE * most:.0f} per second")
    loads: dict[bool, list[Figures]] = {False: [], True: []}
    for _ in range(rounds):
        for coupons, file in files.items():
            loads[coupons].append(load_server(service, file, BUSY, PACE * most, SECONDS))
    middle = {
        (coupons, figure): float(median(load[f"{figure}_ms"] for load in found))
        for coupons, found in loads.items()
        for figure in ("p50", "p99")
    }
    return {
        "members": name,
        "answers/s with coupons": most,
        "at one pace/s": PACE * most,
        "p50 ms without": middle[False, "p50"],
        "p50 ms with": middle[True, "p50"],
        "p99 ms without": middle[False, "p99"],
        "p99 ms with": middle[True, "p99"],
        "p50 ratio": middle[True, "p50"] / middle[False, "p50"],
        "p99 ratio": middle[True, "p99"] / middle[False, "p99"],
        "failed": int(sum(load["failed"] for found in loads.values() for load in found)),
    }

"""Messages delivered per second beside a bare loop that posts the same bytes to the same receiver."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import urllib3

from recommender.campaigns.delivery.keyring import OUTBOUND, Keyring
from recommender.campaigns.delivery.kinds import Surroundings, make_transport, parse_transport
from recommender.campaigns.outbox import NewDelivery, enqueue
from recommender.campaigns.sending import DeliveryRules, Sender
from recommender.campaigns.settings import Caps
from recommender.coupons.wallet import WalletRules
from recommender.storage.database import Database
from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros
from recommender.storage.upserts import upsert
from tests.benchmarks.receiver import receiving
from tests.benchmarks.results import Result, Row, at_least
from tests.benchmarks.shops import say
from tests.postgres import SAFE_OPTIONS, find_binaries, run_server

MESSAGES = 3000
"""Delivered in each measurement."""
BARE = 1500
"""Bare posts before, and after."""
MORE = ((2, False), (4, False), (2, True), (4, True))
"""Workers, and whether there are coupons, where several can write at once."""
LEAST_SHARE = 0.4
TARGET = 1000
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ZONE = ZoneInfo("UTC")
RULES = DeliveryRules(zone=ZONE, caps=Caps(1, 3, 8), wallet=WalletRules(breaker_redemptions=0))
BODY = orjson.dumps({"type": "message.send", "data": {"message_id": "msg_1", "body": "x" * 400}})


def measure_delivery(folder: Path, rounds: int) -> Result:
    """Deliver on both databases, with and without coupons, with one worker and with several."""
    rows: list[Row] = []
    place = folder / "delivery"
    place.mkdir(parents=True, exist_ok=True)
    Keyring(place).path("hook", OUTBOUND).unlink(missing_ok=True)
    Keyring(place).add("hook", OUTBOUND)
    with receiving() as port, _databases(place) as databases:
        for name, url in databases:
            more = () if name == "SQLite" else MORE
            for workers, coupons in ((1, False), (1, True), *more):
                say(f"delivery on {name}, {workers} workers")
                measured = [_measure(url, place, port, workers, coupons) for _ in range(rounds)]
                sent, bare = (median(one[key] for one in measured) for key in (0, 1))
                rows.append(
                    {
                        "database": name,
                        "workers": workers,
                        "coupons": "yes" if coupons else "no",
                        "delivered/s": sent,
                        "bare posts/s": bare,
                        "share": median(one[0] / one[1] for one in measured),
                    }
                )
    share = min(float(row["share"]) for row in rows if row["coupons"] == "no")
    speed = max(float(row["delivered/s"]) for row in rows)
    notes = (
        f"{MESSAGES:,} messages, each looked at (consent, kind, groups, quiet hours, three caps), signed, posted by"
        " urllib3 and written down; with coupons, one is issued for each in the same transaction, on the disk. Bare:"
        f" one thread that posts {len(BODY)} bytes by urllib3 over one kept connection, before and after. The receiver"
        f" is a process of its own on the same machine. Median of {rounds} rounds.",
    )
    bars = [
        at_least("share of a bare loop, without coupons", share, LEAST_SHARE),
        at_least("most messages delivered per second", speed, TARGET),
    ]
    return Result("delivery", rows, bars, notes)


@contextmanager
def _databases(place: Path) -> Iterator[list[tuple[str, str]]]:
    """Give the URL of an empty database of each kind."""
    for stale in place.glob("delivery.db*"):
        stale.unlink()
    urls = [("SQLite", f"sqlite:///{place / 'delivery.db'}")]
    binaries = find_binaries()
    if binaries is None:
        say("no PostgreSQL server programs here")
        yield urls
        return
    with run_server(binaries, SAFE_OPTIONS) as server:
        server.administer("CREATE DATABASE delivery")
        yield [*urls, ("PostgreSQL", server.url("delivery"))]


def _measure(url: str, place: Path, port: int, workers: int, coupons: bool) -> tuple[float, float]:
    """Return messages delivered and bare posts per second."""
    database = Database(url, 60.0)
    database.migrate()
    _fill(database, port, coupons)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    processes = [context.Process(target=_deliver, args=(url, place, n, barrier)) for n in range(workers)]
    for process in processes:
        process.start()
    before = _bare(port)
    barrier.wait(60)
    started = time.perf_counter()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - started
    with database.read() as connection:
        states = dict(fetch(connection, "SELECT state, COUNT(*) FROM deliveries GROUP BY state"))
    database.dispose()
    assert states == {"sent": MESSAGES}, states
    return MESSAGES / seconds, (before + _bare(port)) / 2


def _bare(port: int) -> float:
    """Return how many posts per second a loop makes that does nothing else."""
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1)
    headers = {"Content-Type": "application/json"}
    started = time.perf_counter()
    for _ in range(BARE):
        assert pool.request("POST", "/", body=BODY, headers=headers, retries=False).status == 200
    pool.close()
    return BARE / (time.perf_counter() - started)


def _deliver(url: str, place: Path, number: int, barrier: Barrier) -> None:
    """Deliver until nothing is left; one worker of several."""
    from api.proxy import parse_networks

    database = Database(url, 60.0)
    with database.read() as connection:
        (text,) = fetch(connection, "SELECT settings FROM transports")[0]
    settings = parse_transport("hook", "webhook", orjson.loads(text))
    transport = make_transport(settings, Surroundings(Keyring(place), parse_networks("127.0.0.1"), place))
    rng = np.random.default_rng(number)
    sender = Sender(database, settings, transport, RULES, f"w{number}", lambda: NOW, rng)
    barrier.wait(60)
    while sender.send_some():
        pass
    sender.close()
    database.dispose()


def _fill(database: Database, port: int, coupons: bool) -> None:
    """Empty what was delivered before, and put as many messages into the outbox."""
    members = [f"m{number:06d}" for number in range(MESSAGES)]
    times = {"starts_at": NOW - timedelta(days=1), "ends_at": NOW + timedelta(days=1)}
    consents = [{"member_id": m, "purpose": "push", "granted": True, "at": NOW - timedelta(days=1)} for m in members]
    offer = {"offer_id": "ten", "kind": "amount_off", "value": 1000, "stock": 10**9}
    with database.write() as connection:
        for table in ("deliveries", "sends", "contact_counts", "campaign_states", "transports"):
            execute(connection, f"DELETE FROM {table}")
        upsert(connection, "members", [{"member_id": one} for one in members], NOW)
        upsert(connection, "consents", consents, NOW)
        upsert(connection, "offers", [offer], NOW)
        upsert(connection, "campaigns", [{"campaign_id": "c1", "offers": ["ten"], **times}], NOW)
        _put_campaign(connection, port)
        enqueue(connection, [_message(one, coupons) for one in members], NOW)
    database.refresh_statistics()


def _put_campaign(connection: Any, port: int) -> None:
    message = {"texts": {"zh": {"title": "春日优惠", "body": "{offer}，{until}前有效" + "。" * 100}}}
    document = orjson.dumps({"transport": "hook", "message": message, "holdout_share": 0.0}).decode()
    settings = orjson.dumps({"url": f"http://127.0.0.1:{port}/", "parallel": 2}).decode()
    now = to_micros(NOW)
    execute(
        connection,
        "INSERT INTO campaign_states (campaign_id, kind, status, version, settings, salt, author, created_at,"
        " updated_at) VALUES ('c1', 'one_off', 'running', 1, ?, 'salt', 'author', ?, ?)",
        (document, now, now),
    )
    execute(
        connection,
        "INSERT INTO transports (transport, kind, settings, active, updated_at, updated_by)"
        " VALUES ('hook', 'webhook', ?, ?, ?, 'author')",
        (settings, True, now),
    )


def _message(member_id: str, coupons: bool) -> NewDelivery:
    return NewDelivery(
        campaign_id="c1",
        member_id=member_id,
        unit=f"member:{member_id}",
        arm="treated",
        propensity=0.9,
        transport="hook",
        due_at=NOW,
        offer_id="ten" if coupons else None,
    )

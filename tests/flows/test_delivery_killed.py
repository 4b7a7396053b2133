"""Workers that deliver, killed again and again while a receiver fails one time in five: what must hold, holds.

Every message arrives at least once and always under the same id and with the same coupon; nothing reaches members of
control groups, those without consent, at their cap or in their quiet hours; no budget is exceeded.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.settings import ServiceSettings
from recommender.campaigns.outbox import NewDelivery, enqueue
from recommender.campaigns.transports import put_transport
from recommender.coupons.ledger import check_books
from recommender.storage.database import Database
from recommender.storage.statements import execute, execute_many, fetch
from recommender.storage.types import to_day_number, to_micros
from recommender.storage.upserts import upsert
from tests.flows.running import PROGRAM, environment
from tests.provider import Provider, Sent, Told, provider
from tests.shop import settings_at

ROUNDS = int(os.environ.get("MEMBERWISE_TEST_DELIVERY_ROUNDS", "1"))
"""Times as many messages and kills as `make test` has."""
MESSAGES, KILLS, WORKERS = 240 * ROUNDS, 4 * ROUNDS, 2
STOCK, BUDGET = MESSAGES // 4, MESSAGES // 8
RATE = 20
FAILING = 0.2
SLACK_SECONDS = 2.0
"""A message that is being sent when its member withdraws may still arrive."""
ROLES = ("treated", "treated", "treated", "plain", "plain", "control", "refused", "quiet", "capped", "leaver")


def role(number: int) -> str:
    return ROLES[number % len(ROLES)]


def zone_where(hour: int, now: datetime) -> str:
    """Return a time zone in which it is some hour now."""
    ahead = (hour - now.hour + 11) % 24 - 11
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


class Receiver:
    """Fails one time in five: by an error, by an error after it took the message, or without an answer."""

    def __init__(self) -> None:
        self._random = random.Random(5)
        self.taken: defaultdict[str, list[Sent]] = defaultdict(list)
        self.tried: defaultdict[str, list[Sent]] = defaultdict(list)

    def __call__(self, sent: Sent) -> Told:
        self.tried[sent.json["data"]["message_id"]].append(sent)
        roll = self._random.random()
        if roll < FAILING / 2:
            return Told(500)
        self.taken[sent.json["data"]["message_id"]].append(sent)
        if roll < 0.9 * FAILING:
            return Told(502)
        return Told(after_seconds=1.5) if roll < FAILING else Told()


def fill(database: Database, server: Provider, now: datetime) -> None:
    """Write members of every kind, two campaigns, their transports and the outbox."""
    day, night = zone_where(13, now), zone_where(3, now)
    members = [f"m{number:05d}" for number in range(MESSAGES)]
    rows = [
        {"member_id": one, "attributes": {"time_zone": night if role(number) == "quiet" else day}}
        for number, one in enumerate(members)
    ]
    consents = [
        {"member_id": one, "purpose": "push", "granted": role(number) != "refused", "at": now - timedelta(days=1)}
        for number, one in enumerate(members)
    ]
    local = (now + timedelta(hours=(13 - now.hour + 11) % 24 - 11)).date()
    capped = [(f"member:{one}", to_day_number(local)) for n, one in enumerate(members) if role(n) == "capped"]
    settings = {"url": server.url, "timeout_seconds": 0.8, "retry_seconds": [0] * 20, "rate": RATE, "parallel": 4}
    with database.write() as connection:
        upsert(connection, "members", rows, now)
        upsert(connection, "consents", consents, now)
        upsert(connection, "offers", [{"offer_id": "ten", "kind": "amount_off", "value": 100, "stock": STOCK}], now)
        execute_many(
            connection, "INSERT INTO contact_counts (unit, day, transport, count) VALUES (?, ?, '', 1)", capped
        )
        for name, extra in (("coupons", {}), ("plain", {"per_day": BUDGET})):
            put_transport(connection, name, "webhook", settings | extra, True, "test", now)
            put_campaign(connection, name, now)
            enqueue(connection, [row(n, one, name, now) for n, one in enumerate(members) if _in(n, name)], now)


def _in(number: int, campaign_id: str) -> bool:
    return (role(number) == "plain") == (campaign_id == "plain")


def row(number: int, member_id: str, campaign_id: str, now: datetime) -> NewDelivery:
    return NewDelivery(
        campaign_id=campaign_id,
        member_id=member_id,
        unit=f"member:{member_id}",
        arm="holdout" if role(number) == "control" else "treated",
        propensity=0.9,
        transport=campaign_id,
        due_at=now,
        offer_id="ten" if campaign_id == "coupons" else None,
        worth_cents=-number if role(number) != "leaver" else -1e6,
    )


def put_campaign(connection: Any, campaign_id: str, now: datetime) -> None:
    times = {"starts_at": now - timedelta(days=1), "ends_at": now + timedelta(days=1)}
    upsert(connection, "campaigns", [{"campaign_id": campaign_id, "offers": ["ten"], **times}], now)
    message = {"texts": {"zh": {"body": "{discount}"}}}
    text = orjson.dumps({"transport": campaign_id, "message": message, "holdout_share": 0.0}).decode()
    execute(
        connection,
        "INSERT INTO campaign_states (campaign_id, kind, status, version, settings, salt, author, created_at,"
        " updated_at) VALUES (?, 'one_off', 'running', 1, ?, 'salt', 'author', ?, ?)",
        (campaign_id, text, to_micros(now), to_micros(now)),
    )


class Crew:
    """Worker processes; those that are killed are followed by others."""

    def __init__(self, settings: ServiceSettings, url: str) -> None:
        self._environ = environment(settings) | {
            "MEMBERWISE_DATABASE_URL": url,
            "MEMBERWISE_DELIVERY_NETWORKS": "127.0.0.1",
            "MEMBERWISE_DELIVERY_LEASE_SECONDS": "3",
            "MEMBERWISE_DELIVERY_BATCH": "25",
            "MEMBERWISE_AUDIENCE_SECONDS": "0",
        }
        self.workers = [self._start() for _ in range(WORKERS)]

    def kill(self, number: int) -> None:
        self.workers[number].send_signal(signal.SIGKILL)
        assert self.workers[number].wait(30) == -signal.SIGKILL
        self.workers[number] = self._start()

    def stop(self) -> None:
        for one in self.workers:
            one.send_signal(signal.SIGTERM)
        for one in self.workers:
            one.wait(60)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, "worker"]
        return subprocess.Popen(command, env=self._environ, stderr=subprocess.DEVNULL)


@contextmanager
def crew(settings: ServiceSettings, url: str) -> Iterator[Crew]:
    found = Crew(settings, url)
    try:
        yield found
    finally:
        found.stop()


def left(database: Database) -> int:
    with database.read() as connection:
        return int(fetch(connection, "SELECT COUNT(*) FROM deliveries WHERE state = 'pending'")[0][0])


def withdraw(database: Database, now: datetime) -> None:
    leavers = [f"m{number:05d}" for number in range(MESSAGES) if role(number) == "leaver"]
    rows = [{"member_id": one, "purpose": "push", "granted": False, "at": now} for one in leavers]
    with database.write() as connection:
        upsert(connection, "consents", rows, now)


def wait_for(condition: Any, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


@pytest.mark.slow
def test_what_must_hold_holds_whatever_is_killed(database: Database, database_url: str, tmp_path: Path) -> None:
    now, receiver, chance = datetime.now(UTC), Receiver(), random.Random(11)
    with provider(receiver) as server:
        fill(database, server, now)
        with crew(settings_at(tmp_path), database_url) as workers:
            wait_for(lambda: receiver.tried, 60, "a first message")
            withdrawn = time.time()
            withdraw(database, datetime.now(UTC))
            for kill in range(KILLS):
                before = len(server.sent)
                wait_for(lambda before=before: len(server.sent) > before or not left(database), 60, "progress")
                time.sleep(chance.uniform(0.0, 1.0))
                workers.kill(kill % WORKERS)
            wait_for(lambda: left(database) == 0, 60 + 10 * ROUNDS, "the end")
    check_arrivals(database, receiver, withdrawn)
    check_limits(database, receiver)


def check_arrivals(database: Database, receiver: Receiver, withdrawn: float) -> None:
    with database.read() as connection:
        rows = fetch(connection, "SELECT delivery_id, member_id, state, reason, coupon_id FROM deliveries")
    states: defaultdict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for name, member_id, state, reason, coupon_id in rows:
        kind = role(int(member_id[1:]))
        states[kind].add((state, reason))
        if state == "sent":
            assert receiver.taken[name], "sent and never arrived"
        bodies = {sent.body for sent in receiver.tried.get(name, ())}
        assert len(bodies) <= 1, "an attempt that differs from another"
        assert {sent.json["data"]["member_id"] for sent in receiver.tried.get(name, ())} <= {member_id}
        if kind in ("control", "refused", "quiet", "capped"):
            assert not bodies
        if kind == "leaver":
            assert all(sent.at < withdrawn + SLACK_SECONDS for sent in receiver.tried.get(name, ()))
        if bodies and coupon_id is not None:
            assert orjson.loads(bodies.pop())["data"]["coupon"]["coupon_id"] == coupon_id
    assert set(receiver.tried) <= {one[0] for one in rows}
    assert states["treated"] == {("sent", None), ("skipped", "coupon_out_of_stock")}
    assert states["plain"] == {("sent", None), ("skipped", "transport_budget_day")}
    assert states["control"] == {("withheld", None)}
    assert states["refused"] == {("skipped", "consent_withdrawn")}
    assert states["quiet"] == {("held", "quiet_hours")}
    assert states["capped"] == {("skipped", "cap_day")}
    assert ("skipped", "consent_withdrawn") in states["leaver"]
    assert any(len(attempts) > 1 for attempts in receiver.tried.values())


def check_limits(database: Database, receiver: Receiver) -> None:
    with database.read(snapshot=True) as connection:
        assert check_books(connection) == []
        assert fetch(connection, "SELECT COUNT(*) FROM wallet_coupons") == [(STOCK,)]
        counts = fetch(connection, "SELECT MAX(count) FROM contact_counts WHERE transport = ''")
        assert counts == [(1,)]
        sent = fetch(connection, "SELECT COUNT(*) FROM deliveries WHERE state IN ('sent', 'withheld')")
        assert fetch(connection, "SELECT COUNT(*) FROM sends") == sent
        plain = fetch(connection, "SELECT delivery_id FROM deliveries WHERE campaign_id = 'plain' AND state = 'sent'")
    arrived = {name for name in receiver.tried if receiver.tried[name][0].json["data"]["campaign_id"] == "plain"}
    assert arrived == {one[0] for one in plain}
    assert len(arrived) == BUDGET

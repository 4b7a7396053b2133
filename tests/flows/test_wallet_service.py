"""The wallet as served: many tills at one limit, workers killed in the middle of it, and the books afterwards."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3

from api.settings import ServiceSettings
from recommender.coupons.ledger import check_books
from recommender.storage.database import Database, open_database
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from tests.flows.running import Service, running
from tests.shop import make_key, settings_at

CALLERS = 64
LIMIT = 7
KILLS = 3
PURCHASE = {"lines": [{"item_id": "milk", "quantity": 2, "unit_price_cents": 500}]}
OFFER = {"kind": "amount_off", "value": 100}


@contextmanager
def shop(folder: Path, budget_cents: int) -> Iterator[tuple[ServiceSettings, Database, str]]:
    """An installation with goods, members, offers, a campaign, and a key."""
    settings, now = settings_at(folder), datetime.now(UTC)
    database = open_database(settings)
    campaign = {"campaign_id": "c1", "starts_at": now - timedelta(days=1), "ends_at": now + timedelta(days=1)}
    with database.write() as connection:
        upsert(connection, "items", [{"item_id": "milk", "price_cents": 500}], now)
        upsert(connection, "members", [{"member_id": f"m{number}"} for number in range(CALLERS)], now)
        upsert(connection, "offers", [OFFER | {"offer_id": "few", "stock": LIMIT}, OFFER | {"offer_id": "many"}], now)
        upsert(connection, "campaigns", [campaign | {"budget_cents": budget_cents}], now)
    yield settings, database, make_key(database, "coupons")
    with database.read(snapshot=True) as connection:
        assert check_books(connection) == []
    database.dispose()


class Till:
    """Asks until it is answered, with one Idempotency-Key per wish, as a till does whose service went away."""

    def __init__(self, service: Service, key: str) -> None:
        self._url, self._key = service.url, key
        self._pool = urllib3.PoolManager(maxsize=CALLERS, timeout=urllib3.Timeout(20))

    def ask(self, verb: str, body: dict[str, Any], name: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", "Idempotency-Key": name}
        while True:
            try:
                answer = self._pool.request(
                    "POST", f"{self._url}/v1/coupons:{verb}", body=orjson.dumps(body), headers=headers, retries=False
                )
            except urllib3.exceptions.HTTPError:
                time.sleep(0.02)
                continue
            if answer.status == 503:
                continue
            assert answer.status == 200, answer.data
            found: dict[str, Any] = orjson.loads(answer.data)["coupons"][0]
            return found

    def issue(self, number: int, offer_id: str) -> dict[str, Any]:
        row = {"offer_id": offer_id, "member_id": f"m{number % CALLERS}", "campaign_id": "c1"}
        return self.ask("issue", {"coupons": [row]}, f"issue-{offer_id}-{number}")

    def redeem(self, number: int, coupon_id: str) -> dict[str, Any]:
        body = {"order_id": f"o{number}", "coupons": [{"coupon_id": coupon_id}], "purchase": PURCHASE}
        return self.ask("redeem", body, f"redeem-{number}")


def at_once(act: Any) -> Counter[str]:
    """Have all callers act at the same time; return what came of it."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda n=n: found.append(act(n))) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(found)


def said(outcome: dict[str, Any]) -> str:
    return str(outcome["reason"] or outcome["status"])


@pytest.mark.slow
def test_tills_at_a_limit_and_workers_that_are_killed(tmp_path: Path) -> None:
    with (
        shop(tmp_path, 100 * LIMIT + 99) as (settings, database, key),
        running(settings, "--workers", "2") as service,
    ):
        till = Till(service, key)
        assert at_once(lambda n: said(till.issue(n, "few"))) == {"issued": LIMIT, "out_of_stock": CALLERS - LIMIT}
        stop = threading.Event()
        killer = threading.Thread(target=kill_workers, args=(service, stop))
        killer.start()
        found = at_once(lambda n: said(till.redeem(n, till.issue(n, "many")["coupon_id"])))
        stop.set()
        killer.join()
        assert found == {"redeemed": LIMIT, "budget_spent": CALLERS - LIMIT}
        with database.read() as connection:
            spent = fetch(connection, "SELECT COUNT(*), SUM(discount_cents) FROM redemptions")
        assert spent == [(LIMIT, 100 * LIMIT)]


def kill_workers(service: Service, stop: threading.Event) -> None:
    """Kill a web worker with SIGKILL a few times; the service starts another in its place."""
    for number in range(KILLS):
        if stop.wait(0.15):
            return
        workers = service.children()
        os.kill(workers[number % len(workers)], signal.SIGKILL)

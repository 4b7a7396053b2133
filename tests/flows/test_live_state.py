"""Live state in a running service: changes reach every worker, whoever is killed; the last good bundle serves."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3

from api.settings import ServiceSettings
from recommender.registry import Registry
from recommender.storage.database import open_database
from tests.flows.running import Asker, Service, asker, running, wait_until
from tests.shop import ITEMS, make_key, open_shop, settings_at, train

ASKED = {"member_id": "m01", "store_id": "s1", "count": 8}
OWN = ITEMS[1:9]
WORKERS = 2


@pytest.fixture
def shop(tmp_path: Path) -> ServiceSettings:
    settings = settings_at(tmp_path)
    open_shop(settings)
    return settings


def token_of(settings: ServiceSettings) -> str:
    database = open_database(settings)
    token = make_key(database, "recommend", "events", "catalog")
    database.dispose()
    return token


def shown(who: Asker) -> set[str]:
    status, body = who.ask("POST", "/v1/recommendations", ASKED)
    assert status == 200
    return {item["item_id"] for item in body["items"]}


def everywhere(service: Service, token: str, holds: Callable[[Asker], bool]) -> float:
    """Wait until something holds on many connections in a row, which all workers share; return the seconds taken."""
    started = time.monotonic()
    wait_until(lambda: all(holds(asker(service, token)) for _ in range(6 * WORKERS)), "everywhere", service.log, 10)
    return time.monotonic() - started


def put_stock(who: Asker, item_id: str, on_hand: int) -> None:
    row = {"store_id": "s1", "item_id": item_id, "on_hand": on_hand}
    assert who.ask("PUT", "/v1/inventory", {"inventory": [row]})[0] == 200


def keeper_of(settings: ServiceSettings, service: Service) -> int:
    """Return the process that holds the lock of the stock file."""
    lock = settings.stock_file.with_suffix(".lock")
    inode = lock.stat().st_ino
    for pid in service.children():
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            try:
                text = entry.read_text()
            except FileNotFoundError:
                continue  # closed since it was listed
            if "lock:" in text and f":{inode} " in text:
                return pid
    raise AssertionError("nobody keeps the stock file")


class Watcher:
    """Asks all the time, and counts what is wrong: sold-out or repeated items, short slates, other statuses."""

    def __init__(self, service: Service, token: str) -> None:
        self.wrong: Counter[str] = Counter()
        self.answers = self.lost = 0
        self.sold_out: tuple[str, float] = ("", 0.0)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(asker(service, token),)) for _ in range(3)]
        for thread in self._threads:
            thread.start()

    def _ask(self, who: Asker) -> None:
        while not self._stop.is_set():
            sold_out, since = self.sold_out
            late = sold_out and time.monotonic() > since + 2
            try:
                status, body = who.ask("POST", "/v1/recommendations", ASKED)
            except urllib3.exceptions.HTTPError:
                self.lost += 1
                continue
            self.answers += 1
            self._check(status, body, sold_out if late else "")

    def _check(self, status: int, body: Any, sold_out: str) -> None:
        if status != 200:
            self.wrong[f"status {status}"] += 1
            return
        names = [item["item_id"] for item in body["items"]]
        if len(names) != 8 or len(set(names)) != 8:
            self.wrong["not full, or with repeats"] += 1
        if sold_out in names:
            self.wrong["sold out"] += 1

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_stock_reaches_every_worker_also_when_its_keeper_is_killed(shop: ServiceSettings) -> None:
    token = token_of(shop)
    with running(shop, "--workers", str(WORKERS), "--threads", "2") as service:
        who = asker(service, token)
        assert shown(who) == set(OWN)
        put_stock(who, OWN[0], 0)
        everywhere(service, token, lambda one: OWN[0] not in shown(one))
        watcher = Watcher(service, token)
        wait_until(lambda: watcher.answers > 20, "some answers")
        watcher.sold_out = (OWN[0], time.monotonic())
        before = service.children()
        os.kill(keeper_of(shop, service), signal.SIGKILL)
        put_stock(asker(service, token), OWN[1], 0)
        wait_until(lambda: len(set(service.children()) - set(before)) == 1, "another worker", service.log)
        everywhere(service, token, lambda one: OWN[1] not in shown(one))
        watcher.sold_out = (OWN[1], time.monotonic())
        put_stock(asker(service, token), OWN[0], 3)
        everywhere(service, token, lambda one: OWN[0] in shown(one))
        time.sleep(2.5)
        watcher.stop()
        assert watcher.wrong == Counter()
        assert watcher.lost <= 3, "at most the requests that the killed worker held"
        assert keeper_of(shop, service) in service.children()


def test_a_service_that_starts_with_a_damaged_bundle_serves_the_one_before(shop: ServiceSettings) -> None:
    token = token_of(shop)
    database = open_database(shop)
    registry = Registry(shop.models)
    good = registry.current_id()
    bad = train(database, shop, seed=8)
    database.dispose()
    damaged = next(registry.path(bad).glob("*.npy"))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with running(shop, "--workers", "1") as service:
        who = asker(service, token)
        status, ready = who.ask("GET", "/readyz")
        assert (status, ready["bundle_id"]) == (200, good)
        assert "is not as it was written" in ready["warnings"][0]
        assert shown(who) == set(OWN)
        (shop.models / "current").write_text("no bundle id\n")
        time.sleep(1)
        assert shown(who) == set(OWN)
        registry.promote(str(good), datetime.now(UTC))
        wait_until(lambda: not who.ask("GET", "/readyz")[1]["warnings"], "nothing to warn of", service.log)


def test_the_lock_of_the_stock_file_is_free_when_nobody_runs(shop: ServiceSettings) -> None:
    with running(shop, "--workers", "1"):
        wait_until(shop.stock_file.exists, "the stock file")
    with shop.stock_file.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

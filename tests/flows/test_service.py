"""The service as it runs: several workers, promotions and kills under load, the background worker beside it."""

import os
import signal
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import urllib3

from api.settings import ServiceSettings
from recommender.exposures import spool_files
from recommender.registry import Registry
from recommender.storage.database import Database, open_database
from recommender.storage.statements import fetch
from tests.flows.running import Asker, Service, asker, memberwise, running, wait_until
from tests.shop import ITEMS, make_key, open_shop, settings_at, train


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


class Load:
    """Members asking one after the other, in several threads, until told to stop."""

    def __init__(self, service: Service, token: str, threads: int = 4) -> None:
        self.answers: list[tuple[int, str]] = []
        self.slates: dict[tuple[int, str], set[tuple[str, ...]]] = defaultdict(set)
        self.lost = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(asker(service, token), number)) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, who: Asker, number: int) -> None:
        while not self._stop.is_set():
            try:
                status, body = who.ask("POST", "/v1/recommendations", {"member_id": f"m{number:02d}", "count": 5})
            except urllib3.exceptions.HTTPError:
                self.lost += 1
                continue
            self.answers.append((status, body.get("bundle_id", str(body))))
            shown = tuple(item["item_id"] for item in body.get("items", ()))
            self.slates[number, self.answers[-1][1]].add(shown)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def recorded(database: Database) -> list[str]:
    with database.read() as connection:
        found = fetch(connection, "SELECT recommendation_id FROM exposures WHERE position = 1")
    return [row[0] for row in found]


def test_a_promotion_reaches_all_workers_without_a_failed_request(shop: ServiceSettings) -> None:
    token = token_of(shop)
    database = open_database(shop)
    first = Registry(shop.models).current_id()
    second = train(database, shop, seed=8, promote=False)
    assert first != second
    with running(shop, "--workers", "2", "--threads", "2") as service:
        load = Load(service, token)
        wait_until(lambda: len(load.answers) > 50, "some answers")
        Registry(shop.models).promote(second, datetime.now(UTC))
        wait_until(lambda: {b for _, b in load.answers[-40:]} == {second}, "the new bundle everywhere")
        Registry(shop.models).rollback(datetime.now(UTC))
        wait_until(lambda: {b for _, b in load.answers[-40:]} == {first}, "the old bundle everywhere")
        load.stop()
        assert load.lost == 0
        assert Counter(status for status, _ in load.answers) == {200: len(load.answers)}
        assert {bundle for _, bundle in load.answers} == {first, second}
        assert all(len(found) == 1 for found in load.slates.values()), "a bundle always gives the same slate"
    database.dispose()


def test_a_damaged_bundle_leaves_the_old_one_in_service(shop: ServiceSettings) -> None:
    token = token_of(shop)
    database = open_database(shop)
    registry = Registry(shop.models)
    first = registry.current_id()
    second = train(database, shop, seed=8, promote=False)
    damaged = next(registry.path(second).glob("*.npy"))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with running(shop, "--workers", "1") as service:
        who = asker(service, token)
        (shop.models / "current").write_text(second + "\n")
        wait_until(lambda: who.ask("GET", "/readyz")[1]["warnings"], "a warning")
        status, ready = who.ask("GET", "/readyz")
        assert (status, ready["bundle_id"]) == (200, first)
        assert "is not as it was written" in ready["warnings"][0]
        status, answer = who.ask("POST", "/v1/recommendations", {"member_id": "m01"})
        assert (status, answer["bundle_id"]) == (200, first)
        metrics = urllib3.request("GET", service.url + "/metrics").data.decode()
        assert "memberwise_bundle_failures_total 1.0" in metrics
    database.dispose()


def test_exposures_of_a_killed_worker_are_not_lost_and_come_once(shop: ServiceSettings) -> None:
    token = token_of(shop)
    database = open_database(shop)
    with running(shop, "--workers", "2", "--threads", "2") as service:
        load = Load(service, token)
        answered: list[str] = []
        who = asker(service, token)
        for _ in range(20):
            answered.append(who.ask("POST", "/v1/recommendations", {"member_id": "m01"})[1]["recommendation_id"])
        before = set(service.children())
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(set(service.children()) - before) == 1, "another worker", service.log)
        wait_until(lambda: who.ask("GET", "/readyz")[0] == 200, "ready again")
        load.stop()
        assert {status for status, _ in load.answers} == {200}
        assert load.lost <= 4, "at most the requests that the killed worker held"
    settings_to_drain = shop
    assert memberwise(settings_to_drain, "doctor").returncode == 0
    from api.worker import drain_spool

    drain_spool(database, shop.spool_folder)
    found = recorded(database)
    assert len(found) == len(set(found))
    assert set(answered) <= set(found)
    assert len(found) >= len(answered) + len(load.answers)
    assert spool_files(shop.spool_folder) == []
    database.dispose()


def test_service_and_worker_side_by_side(shop: ServiceSettings) -> None:
    token = token_of(shop)
    database = open_database(shop)
    with running(shop, "--workers", "1", "--with-worker") as service:
        who = asker(service, token)
        _, answer = who.ask("POST", "/v1/recommendations", {"member_id": "m01", "count": 3})
        wait_until(lambda: recorded(database) == [answer["recommendation_id"]], "the exposure in SQL", service.log)
        children = service.children()
        assert len(children) == 2
        assert len(spool_files(shop.spool_folder)) == 1, "its owner lives"
    assert service.process.returncode == 0
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "children end", seconds=10)
    memberwise(shop, "doctor")
    database.dispose()


def test_events_change_the_next_answer_in_every_worker(shop: ServiceSettings) -> None:
    token = token_of(shop)
    with running(shop, "--workers", "2", "--threads", "1") as service:
        who = asker(service, token)
        event = {
            "event_id": "e1",
            "occurred_at": datetime.now(UTC).isoformat(),
            "kind": "view",
            "channel": "app",
            "member_id": "stranger",
            "item_id": ITEMS[25],
        }
        assert who.ask("POST", "/v1/events", {"events": [event]})[1]["accepted"] == 1
        for _ in range(20):
            fresh = asker(service, token)
            _, answer = fresh.ask("POST", "/v1/recommendations", {"member_id": "stranger", "count": 3})
            assert answer["items"][0]["item_id"] == ITEMS[25]


def test_lines_of_the_log_are_json_and_hold_no_member(shop: ServiceSettings) -> None:
    token = token_of(shop)
    with running(shop, "--workers", "1") as service:
        who = asker(service, token)
        who.ask("GET", "/v1/members/m01/recommendations")
        who.ask("POST", "/v1/recommendations", {"member_id": "m01"})
        who.ask("POST", "/v1/events", {"events": [{"member_id": "m01"}]})
        who.ask("GET", "/v1/members/m01/nothing")
    lines = [orjson.loads(line) for line in service.log.read_bytes().splitlines()]
    requests = [line for line in lines if line["event"] == "request" and line["operation"] != "live"]
    assert [line["status"] for line in requests] == [200, 200, 200, 404]
    assert all(line["request_id"] and line["milliseconds"] >= 0 for line in requests)
    assert b"m01" not in service.log.read_bytes()
    assert token.encode() not in service.log.read_bytes()


def test_a_service_without_a_bundle_waits_for_one(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    with running(settings, "--workers", "1") as service:
        token = token_of(settings)
        who = asker(service, token)
        assert who.ask("GET", "/readyz")[0] == 503
        status, problem = who.ask("POST", "/v1/recommendations", {"member_id": "m01"})
        assert status == 503
        assert "memberwise train" in orjson.dumps(problem).decode()
        open_shop(settings)
        wait_until(lambda: who.ask("GET", "/readyz")[0] == 200, "ready once a bundle is promoted", service.log)
        assert who.ask("POST", "/v1/recommendations", {"member_id": "m01"})[0] == 200

"""The whole life of a campaign, over HTTP with the service and its worker, and on the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3

from api.settings import ServiceSettings
from recommender.campaigns.holdout import bucket_of
from recommender.campaigns.transports import put_transport
from recommender.storage.database import Database, open_database
from recommender.storage.statements import execute, fetch
from recommender.storage.upserts import upsert
from tests.flows.running import memberwise, running, wait_until
from tests.shop import make_key
from tests.training.shops import MEMBERS, SETTINGS, open_shop, purchases, put_campaigns, put_catalog, put_events
from training.place import Place
from training.progress import Silent
from training.train import train

Json = dict[str, Any]
MESSAGE = {"texts": {"zh": {"body": "{offer}"}, "en": {"title": "For you", "body": "{discount} until {until}"}}}
SHOP_NOW = datetime(2024, 4, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Shop:
    """A shop with a bundle that has learned of coupons."""

    settings: ServiceSettings
    database: Database


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the shop."""
    place = open_shop(tmp_path_factory.mktemp("trained"))
    put_campaigns(place.database)
    train(place, SETTINGS, None, True, SHOP_NOW, Silent())
    place.database.dispose()
    return place.settings.models


@pytest.fixture
def shop(models: Path, tmp_path: Path, database_url: str) -> Iterator[Shop]:
    """The shop on each database; everybody agreed to messages."""
    settings = ServiceSettings(
        home=tmp_path / "home", models=models, hash_key="0123456789abcdef", database_url=database_url, workers=1
    )
    database = open_database(settings)
    put_catalog(database)
    put_events(database, purchases())
    put_campaigns(database)
    now = datetime.now(UTC)
    with database.write() as connection:
        # So cheap that they earn more than they cost.
        execute(connection, "UPDATE offers SET value = 1 WHERE offer_id IN ('new0', 'new1')", ())
        consents = [{"member_id": one, "purpose": "push", "granted": True, "at": now} for one in MEMBERS]
        upsert(connection, "consents", consents, now)
        put_transport(connection, "drop", "file", {}, True, "test", now)
    yield Shop(settings, database)
    database.dispose()


class Marketer:
    """Asks over HTTP."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key, self._calls = url, key, 0
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(20))

    def ask(self, method: str, path: str, body: Json | None = None, **headers: str) -> tuple[int, bytes]:
        self._calls += 1
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **headers}
        sent["Idempotency-Key"] = f"call-{self._calls}"
        data = None if body is None else orjson.dumps(body)
        answer = self._pool.request(method, f"{self._url}/v1/campaigns{path}", body=data, headers=sent, retries=False)
        return answer.status, answer.data

    def done(self, method: str, path: str, body: Json | None = None) -> Json:
        status, data = self.ask(method, path, body)
        assert status == 200, data
        found: Json = orjson.loads(data)
        return found

    def status(self) -> str:
        return str(self.done("GET", "/spring")["status"])


def terms() -> Json:
    """A campaign that starts now; its quiet hours are far from now, whenever the test runs."""
    now = datetime.now(UTC)
    quiet = [f"{now + timedelta(hours=6, minutes=minutes):%H:%M}" for minutes in (0, 1)]
    return {
        "name": "Spring",
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(days=14)).isoformat(),
        "budget_cents": 100_000,
        "offers": ["new0", "new1"],
        "settings": {
            "holdout_share": 0.3,
            "explore": 0.2,
            "transport": "drop",
            "message": MESSAGE,
            "quiet_hours": {"from": quiet[0], "until": quiet[1]},
            "zone": "UTC",
            "undo_seconds": 1,
            "approval": "other_key",
        },
    }


def arms(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return dict(fetch(connection, "SELECT member_id, arm FROM campaign_members WHERE campaign_id = 'spring'"))


def outbox(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return dict(fetch(connection, "SELECT member_id, arm FROM deliveries WHERE campaign_id = 'spring'"))


def states(database: Database) -> set[tuple[str, str]]:
    """Return members and what became of their messages."""
    with database.read() as connection:
        return set(fetch(connection, "SELECT member_id, state FROM deliveries WHERE campaign_id = 'spring'"))


def expected(wanted: dict[str, str]) -> set[tuple[str, str]]:
    """Return members and what must become of their messages: the treated get them, of the others they are withheld."""
    return {(member, "sent" if arm == "treated" else "withheld") for member, arm in wanted.items()}


def test_over_http(shop: Shop) -> None:
    ann, bob = (make_key(shop.database, "campaigns") for _ in range(2))
    with running(shop.settings, "--with-worker") as service:
        author, other = Marketer(service.url, ann), Marketer(service.url, bob)
        assert author.done("POST", "", {"campaign_id": "spring", **terms()})["status"] == "draft"
        author.done("POST", "/spring:plan", {})
        plan = {"status": ""}

        def planned() -> bool:
            plan.update(author.done("GET", "/spring/plan"))
            return plan["status"] in ("done", "failed")

        wait_until(planned, "the plan is made", service.log)
        assert plan["status"] == "done", plan
        page = author.ask("GET", "/spring/plan.html", **{"Accept-Language": "zh-CN"})[1].decode()
        assert "增量利润" in page
        shown = author.done("POST", "/spring:preview", {"member_ids": ["m00"]})["messages"]
        assert shown[0]["problem"] in (None, "held_out", "no_offer")
        assert author.ask("POST", "/spring:approve", {})[0] == 409
        other.done("POST", "/spring:approve", {})
        author.done("POST", "/spring:launch", {})
        wait_until(lambda: author.status() == "running", "the campaign runs", service.log)
        given = list(map(orjson.loads, author.ask("GET", "/spring/allocations")[1].splitlines()))
        wanted = {row["member_id"]: row["arm"] for row in given if row["offer_id"] is not None}
        wait_until(lambda: outbox(shop.database) == wanted, "all messages are in the outbox", service.log)
        report = author.done("GET", "/spring/report")
        treated = [one for one, arm in wanted.items() if arm == "treated"]
        assert report["funnel"]["treated"]["queued"] == len(treated)
        assert report["groups"]["treated"]["members"] == len(treated)
        assert report["groups"]["control"]["members"] == sum(arm == "holdout" for arm in wanted.values())
        assert report["planned"]["profit_cents"]["value"] == plan["figures"]["expected_profit_cents"]["mean"]
        assert report["verdict"]["because"][-1] == "window_open"
        wait_until(lambda: states(shop.database) == expected(wanted), "all messages are sent or withheld", service.log)
        version = author.done("POST", "/spring:pause", {"reason": "A look."})["version"]
        author.done("PUT", "/spring/budget", {"budget_cents": 90_000, "version": version})
        author.done("POST", "/spring:resume", {})
        assert author.done("POST", "/spring:cancel", {})["status"] == "cancelled"
        actions = [step["action"] for step in author.done("GET", "/spring/timeline")["steps"]]
    assert actions[:6] == ["create", "plan", "planned", "approve", "launch", "start"]
    assert actions[-4:] == ["pause", "budget", "resume", "cancel"]
    assert set(arms(shop.database)) == set(MEMBERS)
    with shop.database.read() as connection:
        salt = fetch(connection, "SELECT salt FROM campaign_states")[0][0]
    held = {one for one in MEMBERS if bucket_of(salt, f"member:{one}") < 3000}
    assert {one for one, arm in arms(shop.database).items() if arm != "treated"} >= held
    with shop.database.read() as connection:
        given_to = {row[0] for row in fetch(connection, "SELECT member_id FROM wallet_coupons")}
    assert given_to == {member for member, arm in wanted.items() if arm == "treated"}


def test_on_the_command_line(shop: Shop, tmp_path: Path) -> None:
    settings = tmp_path / "spring.json"
    settings.write_bytes(orjson.dumps({**terms()["settings"], "approval": "any"}))

    def run(*words: str, code: int = 0) -> str:
        done = memberwise(shop.settings, "campaigns", *words)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    day = timedelta(days=1)
    span = [f"{datetime.now(UTC) + offset:%Y-%m-%d}" for offset in (-day, 14 * day)]
    offers = ["--offer", "new0", "--offer", "new1", "--budget", "100000", "--settings", str(settings)]
    assert "draft" in run("create", "spring", "--from", span[0], "--until", span[1], *offers)
    assert "It has no plan yet." in run("launch", "spring", code=2)
    assert "extra profit" in run("plan", "spring", "--wait")
    run("export", "spring", "--out", str(tmp_path / "spring.csv"))
    assert len((tmp_path / "spring.csv").read_text("utf-8").splitlines()) == len(MEMBERS) + 1
    run("approve", "spring")
    assert "scheduled" in run("launch", "spring")
    assert "approved" in run("undo", "spring")
    run("launch", "spring")
    assert "spring  scheduled" in run("list")
    with running(shop.settings, "--with-worker") as service:
        wait_until(lambda: "running" in run("list"), "the campaign runs", service.log)
        wait_until(lambda: bool(outbox(shop.database)), "messages are in the outbox", service.log)
        assert "paused" in run("pause", "spring", "--reason", "a look")
        time.sleep(1)
        assert "running" in run("resume", "spring")
    assert "cancelled" in run("cancel", "spring", "--reason", "enough")
    shown = run("show", "spring")
    assert "reason=a look" in shown
    assert "that is cancelled" in run("plan", "spring", code=2)


def test_a_member_erased_between_plan_and_launch_gets_nothing(shop: Shop) -> None:
    with shop.database.write() as connection:
        execute(connection, "UPDATE members SET household_id = NULL", ())
    place = Place(shop.database, replace(shop.settings))
    assert place.settings.home == shop.settings.home
    base = terms()
    marketer_terms = {**base, "settings": {**base["settings"], "approval": "none", "undo_seconds": 0}}
    key = make_key(shop.database, "campaigns", "admin")
    with running(shop.settings, "--with-worker") as service:
        author = Marketer(service.url, key)
        author.done("POST", "", {"campaign_id": "spring", **marketer_terms})
        author.done("POST", "/spring:plan", {})
        wait_until(lambda: author.status() == "planned", "the plan is made", service.log)
        gone = max(one for one, arm in arms(shop.database).items() if arm == "treated")
        pool = urllib3.PoolManager()
        answer = pool.request(
            "DELETE", f"{service.url}/v1/members/{gone}", headers={"Authorization": f"Bearer {key}"}, retries=False
        )
        assert answer.status == 200, answer.data
        assert gone not in arms(shop.database)
        author.done("POST", "/spring:launch", {})
        wait_until(lambda: bool(outbox(shop.database)), "messages are in the outbox", service.log)
        time.sleep(1)
        assert gone not in outbox(shop.database)

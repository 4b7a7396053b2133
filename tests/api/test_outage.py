"""The database is away or locked: recommendations answer from the bundle, flagged; writes are refused, whole."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from api.app import build_services, close_services, create_app
from api.services import Services
from api.settings import ServiceSettings
from recommender.query import Scenario
from recommender.storage.statements import fetch
from tests.api.checked import CheckedClient
from tests.shop import NOW, SOLD_OUT, make_key

CONTEXT = {"item_id": "i03", "basket_item_ids": ["i04"], "events": [{"item_id": "i05"}]}
EVENT = {"event_id": "e1", "occurred_at": NOW.isoformat(), "kind": "view", "channel": "app", "member_id": "m01"}
WRITES = (
    ("POST", "/v1/events", {"events": [EVENT, EVENT | {"event_id": "e2"}]}),
    ("PUT", "/v1/items", {"items": [{"item_id": "a"}, {"item_id": "b"}]}),
    ("PUT", "/v1/stores", {"stores": [{"store_id": "a"}]}),
    ("PUT", "/v1/members", {"members": [{"member_id": "a"}]}),
    ("PUT", "/v1/inventory", {"inventory": [{"store_id": "s1", "item_id": "i03", "on_hand": 77}]}),
    ("PUT", "/v1/prices", {"prices": [{"store_id": "s1", "item_id": "i03", "price_cents": 77}]}),
    ("PUT", "/v1/stock-policies", {"policies": [{"category": "", "trust": "untracked"}]}),
    ("POST", "/v1/items/i03:recall", {"reason": "x"}),
    ("POST", "/v1/inventory:adjust", {"adjustments": [{"store_id": "s1", "item_id": "i03", "delta": 1}]}),
    ("PUT", "/v1/offers", {"offers": [{"offer_id": "o1", "kind": "gift"}]}),
    ("PUT", "/v1/identities", {"identities": [{"namespace": "card", "value": "c", "member_id": "m01"}]}),
)
TABLES = ("events", "items", "stores", "members", "inventory", "prices", "stock_policies", "recalls", "identities")
TABLES += ("offers", "wallet_coupons", "coupon_ledger")


@pytest.fixture
def impatient(shop_settings: ServiceSettings) -> Iterator[Services]:
    services = build_services(replace(shop_settings, busy_timeout_seconds=0.05))
    yield services
    close_services(services)


@pytest.fixture
def client(impatient: Services) -> CheckedClient:
    return CheckedClient(
        create_app(impatient), make_key(impatient.database, "recommend", "events", "catalog", "coupons")
    )


def database_file(services: Services) -> Path:
    return services.settings.home / "memberwise.db"


@contextmanager
def locked(services: Services) -> Iterator[None]:
    """Another process writes, and does not end."""
    other = sqlite3.connect(database_file(services), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def gone(services: Services) -> Iterator[None]:
    """The database is put away, as when a volume is unmounted."""
    home = services.settings.home
    aside = home.with_name("aside")
    home.rename(aside)
    home.write_text("no folder")
    services.database.dispose()
    yield
    services.database.dispose()
    home.unlink()
    aside.rename(home)


def counts(services: Services) -> list[object]:
    with services.database.read() as connection:
        return [fetch(connection, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]


def ask(client: CheckedClient, **body: object) -> dict[str, object]:
    response = client.post("/v1/recommendations", body)
    assert response.status_code == 200, response.text
    assert response.json is not None
    found: dict[str, object] = response.json
    return found


@pytest.mark.parametrize("scenario", list(Scenario))
def test_recommendations_answer_without_the_database(
    impatient: Services, client: CheckedClient, scenario: Scenario
) -> None:
    asked = {"scenario": scenario, "member_id": "m01", "store_id": "s1", "count": 10, "context": CONTEXT}
    ask(client, **asked)
    with gone(impatient):
        answer = ask(client, **asked)
        assert len(answer["items"]) == 10
        assert SOLD_OUT not in [item["item_id"] for item in answer["items"]], "stock is known from the stock file"
        assert {"store_unavailable", "not_personalised"} <= set(answer["flags"])
        assert answer["items"][0]["price_cents"] is None, "a price that cannot be checked is not shown"
        assert len(ask(client, scenario=scenario, count=5, context=CONTEXT)["items"]) == 5
    for _ in range(20):
        answer = ask(client, **asked)
        if "store_unavailable" not in answer["flags"]:
            break
        impatient.serving.current().source._away_until = 0.0
    assert answer["items"][0]["price_cents"] is not None


def test_recommendations_are_not_held_up_by_a_lock(impatient: Services, client: CheckedClient) -> None:
    with locked(impatient):
        answer = ask(client, member_id="m01", store_id="s1", count=8)
    assert answer["flags"] == []
    assert answer["strategy"] == "personal"


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("fault", [locked, gone])
def test_writes_answer_503_and_leave_nothing_behind(
    impatient: Services, client: CheckedClient, fault: object, method: str, path: str, body: object
) -> None:
    before = counts(impatient)
    ask(client, member_id="m01")
    with fault(impatient):  # type: ignore[operator]
        headers = {"Idempotency-Key": "k"} if path.endswith(":adjust") else {}
        response = client.call(method, path, json=body, headers=headers)
        assert response.status_code == 503, response.text
        assert response.json["type"].endswith("store-busy")
    assert counts(impatient) == before
    assert client.call(method, path, json=body, headers=headers).status_code == 200
    assert counts(impatient) != before


def test_a_database_that_was_made_anew_and_empty_is_away(impatient: Services, client: CheckedClient) -> None:
    ask(client, member_id="m01")
    impatient.database.dispose()
    file = database_file(impatient)
    shutil.copy(file, file.with_suffix(".kept"))
    for name in ("", "-wal", "-shm"):
        Path(f"{file}{name}").unlink(missing_ok=True)
    impatient.serving.current().source._away_until = 0.0
    assert "store_unavailable" in ask(client, member_id="m01")["flags"]
    assert client.put("/v1/items", {"items": [{"item_id": "a"}]}).status_code == 503


@pytest.mark.parametrize("fault", [locked, gone])
@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("issue", {"coupons": [{"offer_id": "o1", "member_id": "m01"}]}),
        ("redeem", {"order_id": "o", "coupons": [{"coupon_id": "c"}]}),
    ],
)
def test_there_is_no_coupon_without_the_database(
    impatient: Services, client: CheckedClient, fault: object, verb: str, body: object
) -> None:
    before = counts(impatient)
    with fault(impatient):  # type: ignore[operator]
        response = client.post(f"/v1/coupons:{verb}", body, headers={"Idempotency-Key": "k"})
        assert response.status_code == 503, response.text
        assert "coupon_id" not in response.text
    assert counts(impatient) == before

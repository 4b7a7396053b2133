"""Prices, listings, relations, stock that comes and goes, trust in stock, and recalls over HTTP."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from api.services import Services
from recommender.storage.audit import read_audit
from recommender.storage.statements import fetch
from recommender.storage.stock_policies import StockPolicy, Trust, read_policies
from recommender.storage.types import to_micros
from tests.api.checked import CheckedClient
from tests.api.freshness import look_again
from tests.shop import ITEMS

ADJUST = "/v1/inventory:adjust"


def adjustment(delta: float, item_id: str = "i03", **changes: object) -> dict[str, object]:
    return {"adjustments": [{"store_id": "s1", "item_id": item_id, "delta": delta, **changes}]}


def adjust(client: CheckedClient, body: object, key: str = "k1") -> tuple[int, dict[str, object], str | None]:
    response = client.post(ADJUST, body, headers={"Idempotency-Key": key})
    assert response.json is not None
    return response.status_code, response.json, response.headers.get("Idempotent-Replayed")


def stock_of(services: Services, item_id: str = "i03") -> float:
    chosen = "SELECT on_hand FROM inventory WHERE store_id = 's1' AND item_id = ?"
    with services.database.read() as connection:
        return float(fetch(connection, chosen, (item_id,))[0][0])


def test_stock_is_adjusted_once_per_key(services: Services, client: CheckedClient) -> None:
    status, answer, replayed = adjust(client, adjustment(-2))
    assert (status, replayed) == (200, None)
    assert answer == {"received": 1, "stock": [{"store_id": "s1", "item_id": "i03", "on_hand": 3.0}]}
    assert adjust(client, adjustment(-2)) == (200, answer, "true")
    assert stock_of(services) == 3
    assert adjust(client, adjustment(-2), "k2")[1]["stock"][0]["on_hand"] == 1
    assert adjust(client, adjustment(4, "new"), "k3")[1]["stock"][0]["on_hand"] == 4
    assert adjust(client, adjustment(-6), "k4")[1]["stock"][0]["on_hand"] == -5


def test_a_key_with_another_body_is_refused_and_changes_nothing(services: Services, client: CheckedClient) -> None:
    adjust(client, adjustment(-2))
    status, problem, _ = adjust(client, adjustment(-3))
    assert (status, problem["errors"][0]["field"]) == (409, "Idempotency-Key")
    assert stock_of(services) == 3


def test_a_key_is_kept_for_a_day(services: Services, client: CheckedClient) -> None:
    adjust(client, adjustment(-2))
    day_ago = to_micros(datetime.now(UTC) - timedelta(hours=24))
    with services.database.write() as connection:
        fetch(connection, "UPDATE idempotent_calls SET at = ? RETURNING key", (day_ago,))
    assert adjust(client, adjustment(-3))[1]["stock"][0]["on_hand"] == 0


@pytest.mark.parametrize("key", [None, "", "a b", "é", "x" * 201])
def test_adjustments_need_a_key(services: Services, client: CheckedClient, key: str | None) -> None:
    response = client.post(ADJUST, adjustment(-2), headers={} if key is None else {"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["errors"][0]["field"] == "Idempotency-Key"
    assert stock_of(services) == 5


def test_adjustments_of_one_call_follow_one_another(services: Services, client: CheckedClient) -> None:
    body = {"adjustments": adjustment(-2)["adjustments"] + adjustment(7)["adjustments"]}  # type: ignore[operator]
    assert [one["on_hand"] for one in adjust(client, body)[1]["stock"]] == [3, 10]
    assert stock_of(services) == 10


def test_a_count_older_than_an_adjustment_is_ignored(services: Services, client: CheckedClient) -> None:
    adjust(client, adjustment(-2))
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    row = {"store_id": "s1", "item_id": "i03", "on_hand": 50, "as_of": an_hour_ago}
    assert client.put("/v1/inventory", {"inventory": [row]}).json["unchanged"] == 1
    assert client.put("/v1/inventory", {"inventory": [row | {"as_of": None}]}).json["changed"] == 1
    assert stock_of(services) == 50


def test_a_count_of_the_future_is_of_now(services: Services, client: CheckedClient) -> None:
    row = {"store_id": "s1", "item_id": "i03", "on_hand": 8}
    ahead = (datetime.now(UTC) + timedelta(days=300)).isoformat()
    assert client.put("/v1/inventory", {"inventory": [row | {"as_of": ahead}]}).json["changed"] == 1
    adjust(client, adjustment(-1, as_of=ahead))
    assert stock_of(services) == 7
    assert client.put("/v1/inventory", {"inventory": [row | {"on_hand": 2}]}).json["changed"] == 1
    assert stock_of(services) == 2


def test_calls_at_once_with_one_key_count_once(services: Services, client: CheckedClient) -> None:
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(adjust(client, adjustment(-1))[1])) for _ in range(4)]
    _ = [thread.start() for thread in threads]
    _ = [thread.join() for thread in threads]
    assert len({orjson.dumps(answer) for answer in answers}) == 1
    assert stock_of(services) == 4


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("prices", {"store_id": "s1", "item_id": "i03", "price_cents": 80, "valid_from": "2026-01-01T00:00:00Z"}),
        ("assortment", {"store_id": "s1", "item_id": "i03", "listed_until": "2036-01-01T00:00:00Z"}),
        ("item-relations", {"item_id": "i03", "related_item_id": "i04", "relation": "substitute"}),
    ],
)
def test_rows_of_tables_are_put(client: CheckedClient, path: str, body: dict[str, object]) -> None:
    name = "relations" if path == "item-relations" else path
    assert client.put(f"/v1/{path}", {name: [body]}).json["added"] == 1
    assert client.put(f"/v1/{path}", {name: [body]}).json["unchanged"] == 1
    assert client.put(f"/v1/{path}", {name: [{**body, "colour": 1}]}).status_code == 400


def test_policies_replace_those_before(services: Services, client: CheckedClient) -> None:
    rows = [
        {"category": " food > fresh ", "trust": "safety", "safety_level": 3, "max_age_minutes": 60},
        {"category": "services", "trust": "untracked"},
    ]
    put = client.put("/v1/stock-policies", {"policies": rows})
    assert put.json == client.get("/v1/stock-policies").json
    with services.database.read() as connection:
        assert read_policies(connection) == [
            StockPolicy("food > fresh", Trust.SAFETY, 3, 60),
            StockPolicy("services", Trust.UNTRACKED),
        ]
    assert client.put("/v1/stock-policies", {"policies": []}).json == {"policies": []}
    assert client.put("/v1/stock-policies", {"policies": [rows[1], rows[1]]}).status_code == 400


def shown(client: CheckedClient) -> list[str]:
    body = client.post("/v1/recommendations", {"member_id": "m01", "count": 28}).json
    assert body is not None
    return [item["item_id"] for item in body["items"]]


def test_a_recall_pulls_an_item_at_once_and_is_audited(services: Services, client: CheckedClient) -> None:
    assert ITEMS[1] in shown(client)
    answer = client.post(f"/v1/items/{ITEMS[1]}:recall", {"reason": "Glass."}).json
    assert answer == {"item_id": ITEMS[1], "recalled": True}
    look_again(services)
    assert ITEMS[1] not in shown(client)
    client.put("/v1/items", {"items": [{"item_id": ITEMS[1], "hidden": False}]})
    look_again(services)
    assert ITEMS[1] not in shown(client)
    with services.database.read() as connection:
        entry = read_audit(connection)[1]
    assert (entry.action, entry.target, entry.details) == ("items.recall", ITEMS[1], '{"reason":"Glass."}')
    assert client.post(f"/v1/items/{ITEMS[1]}:lift-recall", {}).json["recalled"] is False
    look_again(services)
    assert ITEMS[1] in shown(client)


def test_recalls_need_a_reason_and_take_items_nobody_knows(client: CheckedClient) -> None:
    assert client.post("/v1/items/i01:recall", {}).status_code == 400
    assert client.post("/v1/items/i01:recall", {"reason": ""}).status_code == 400
    assert client.post("/v1/items/%E4%BC%9A:recall", {"reason": "x"}).json["item_id"] == "会"

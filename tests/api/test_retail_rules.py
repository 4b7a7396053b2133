"""The rules that always hold, each in every scenario: what may be sold, shown and named, what a customer refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api.app import build_services, close_services, create_app
from api.services import Services
from api.settings import ServiceSettings
from api.worker import drain_spool
from recommender.query import Scenario
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.api.freshness import look_again
from tests.shop import ITEMS, NOW, make_key

CONTEXT = {"item_id": "i20", "basket_item_ids": ["i21"], "events": [{"item_id": "i22"}]}
OWN = ITEMS[3]
"""What member m01 buys every week, and is not what the requests are about."""
ABOUT = {"i20", "i21", "i22"}
EVERY = pytest.mark.parametrize("scenario", list(Scenario))
TODAY = datetime.now(UTC).date()


def ask(client: CheckedClient, scenario: str, **body: object) -> dict[str, object]:
    """Ask for everything that the scenario may show to m01."""
    asked = {"scenario": scenario, "member_id": "m01", "store_id": "s1", "count": 30, "context": CONTEXT} | body
    response = client.post("/v1/recommendations", asked)
    assert response.status_code == 200, response.text
    assert response.json is not None
    found: dict[str, object] = response.json
    return found


def shown(client: CheckedClient, scenario: str, **body: object) -> set[str]:
    return {item["item_id"] for item in ask(client, scenario, **body)["items"]}


def put(services: Services, table: str, *rows: dict[str, object]) -> None:
    with services.database.write() as connection:
        upsert(connection, table, rows, datetime.now(UTC))
    look_again(services)


def goods(item_id: str, **changes: object) -> dict[str, object]:
    return {"item_id": item_id, **changes}


def post(services: Services, client: CheckedClient, **event: object) -> None:
    plain = {"occurred_at": NOW.isoformat(), "kind": "view", "channel": "app", "member_id": "m01"}
    assert client.post("/v1/events", {"events": [plain | event]}).json["accepted"] == 1
    look_again(services)


@contextmanager
def service(settings: ServiceSettings, **changes: object) -> Iterator[tuple[Services, CheckedClient]]:
    """Run with other settings."""
    services = build_services(replace(settings, **changes))  # type: ignore[arg-type]
    yield services, CheckedClient(create_app(services), make_key(services.database, "recommend", "events", "catalog"))
    close_services(services)


@EVERY
def test_tobacco_is_never_shown(services: Services, client: CheckedClient, scenario: str) -> None:
    assert OWN in shown(client, scenario) or scenario in ("discover", "new")
    put(services, "items", goods(OWN, restricted_class="tobacco"))
    put(services, "members", {"member_id": "m01", "adult": "true"})
    assert OWN not in shown(client, scenario)


@EVERY
def test_alcohol_is_shown_to_known_adults_only(services: Services, client: CheckedClient, scenario: str) -> None:
    before = shown(client, scenario)
    put(services, "items", goods(OWN, restricted_class="alcohol"))
    for adult in (None, "unknown", "false"):
        put(services, "members", {"member_id": "m01", "adult": adult})
        assert OWN not in shown(client, scenario)
    put(services, "members", {"member_id": "m01", "adult": "true"})
    assert shown(client, scenario) == before
    assert OWN not in shown(client, scenario, member_id=None)


@EVERY
@pytest.mark.parametrize("kind", ["infant_formula", "medicine", "sensitive"])
def test_no_reason_names_delicate_goods(
    services: Services, client: CheckedClient, shop_settings: ServiceSettings, scenario: str, kind: str
) -> None:
    delicate = [*ITEMS[1:6], "i20", "i21", "i22"]
    put(services, "items", *(goods(item_id, restricted_class=kind) for item_id in delicate))
    for item in ask(client, scenario)["items"]:
        named = {reason["evidence"].get("item_id") for reason in item["reasons"]}
        assert not named & set(delicate)
        assert item["reasons"]
        if item["item_id"] in delicate:
            assert [reason["code"] for reason in item["reasons"]] == ["for_you"]
    if scenario == "similar":
        assert not shown(client, scenario) & set(delicate)
    services.stock.stop()
    with service(shop_settings, show_delicate_goods=True) as (_, other):
        told = [reason for item in ask(other, scenario)["items"] for reason in item["reasons"]]
        assert "for_you" not in [reason["code"] for reason in told]
        assert scenario != "similar" or shown(other, scenario) & set(delicate)


@EVERY
def test_season_goods_stop_after_their_day(services: Services, client: CheckedClient, scenario: str) -> None:
    before = shown(client, scenario)
    put(services, "items", goods(OWN, season_until=TODAY))
    assert shown(client, scenario) == before
    put(services, "items", goods(OWN, season_until=TODAY - timedelta(days=1)))
    assert shown(client, scenario) == before - {OWN}


@EVERY
def test_goods_of_a_festival_stop_when_it_is_over(services: Services, client: CheckedClient, scenario: str) -> None:
    before = shown(client, scenario)
    put(services, "items", goods(OWN, season="Mid-autumn"))
    assert shown(client, scenario) == before, "no calendar says when that is"
    put(services, "calendar", {"date": TODAY - timedelta(days=1), "festival": "mid-autumn"})
    assert shown(client, scenario) == before - {OWN}
    put(services, "calendar", {"date": TODAY + timedelta(days=300), "festival": "mid-autumn"})
    assert shown(client, scenario) == before - {OWN}, "the next one is far ahead"
    put(services, "calendar", {"date": TODAY, "festival": "mid-autumn"})
    assert shown(client, scenario) == before


@EVERY
def test_a_closed_stores_successor_takes_its_place(services: Services, client: CheckedClient, scenario: str) -> None:
    put(services, "inventory", {"store_id": "s3", "item_id": OWN, "on_hand": 1})
    closed = {"store_id": "s1", "closed_on": TODAY - timedelta(days=1), "successor_store_id": "s3"}
    put(services, "stores", closed, {"store_id": "s3"})
    answer = ask(client, scenario, count=5)
    assert "store_closed" in answer["flags"]
    assert {item["item_id"] for item in answer["items"]} <= {OWN}
    assert {item["availability"]["store_id"] for item in answer["items"]} <= {"s3"}
    put(services, "stores", closed | {"successor_store_id": None})
    answer = ask(client, scenario, count=5)
    assert {item["availability"]["store_id"] for item in answer["items"]} == {None}
    assert ask(client, scenario, store_id=None, count=5)["flags"] != []


@EVERY
def test_only_what_a_store_lists_is_shown(services: Services, client: CheckedClient, scenario: str) -> None:
    before = shown(client, scenario)
    listed = [*ITEMS[1:6], *ITEMS[12:16]]
    put(services, "assortment", *({"store_id": "s1", "item_id": item_id} for item_id in listed))
    assert shown(client, scenario) == before & set(listed)
    past = datetime.now(UTC) - timedelta(hours=1)
    put(services, "assortment", {"store_id": "s1", "item_id": listed[-1], "listed_until": past})
    assert shown(client, scenario) == before & set(listed[:-1])


@EVERY
def test_prices_are_those_of_the_store_now(services: Services, client: CheckedClient, scenario: str) -> None:
    now = datetime.now(UTC)
    row = {"store_id": "s1", "price_cents": 7}
    item_id = ask(client, scenario)["items"][0]["item_id"]
    put(services, "prices", row | {"item_id": item_id, "valid_from": now - timedelta(hours=1)})
    put(services, "prices", row | {"item_id": item_id, "valid_from": now + timedelta(hours=1), "price_cents": 9})
    prices = {item["item_id"]: item["price_cents"] for item in ask(client, scenario)["items"]}
    assert prices[item_id] == 7
    own = {item["item_id"]: item["price_cents"] for item in ask(client, scenario, store_id="s2")["items"]}
    assert own[item_id] == 100 + int(item_id[1:])


@EVERY
def test_sponsored_goods_are_flagged(services: Services, client: CheckedClient, scenario: str) -> None:
    item_id = ask(client, scenario)["items"][0]["item_id"]
    put(services, "items", goods(item_id, sponsored=True))
    flags = {item["item_id"]: item["sponsored"] for item in ask(client, scenario)["items"]}
    assert [name for name, flagged in flags.items() if flagged] == [item_id]


@EVERY
def test_what_a_customer_is_not_interested_in_goes_at_once(
    services: Services, client: CheckedClient, scenario: str
) -> None:
    rows = [goods(item_id, brand="B", category="food > tea") for item_id in ITEMS[4:6]]
    put(services, "items", *rows, goods("i06", category="food"), goods("i07", brand="C"))
    before = shown(client, scenario)
    post(services, client, event_id="e1", kind="not_interested", item_id=OWN)
    assert shown(client, scenario) == before - {OWN}
    post(services, client, event_id="e2", kind="not_interested", attributes={"brand": "C"})
    assert shown(client, scenario) == before - {OWN, "i07"}
    post(services, client, event_id="e3", kind="not_interested", attributes={"category": "food>tea"})
    assert shown(client, scenario) == before - {OWN, "i07", "i04", "i05"}
    post(services, client, event_id="e4", kind="not_interested", item_id=OWN, value=0.0)
    assert shown(client, scenario) == before - {"i07", "i04", "i05"}
    assert OWN in shown(client, scenario, member_id="m02") or scenario in ("discover", "new")


@EVERY
def test_a_recalled_item_goes_at_once_and_comes_back(services: Services, client: CheckedClient, scenario: str) -> None:
    before = shown(client, scenario)
    client.post(f"/v1/items/{OWN}:recall", {"reason": "Glass."})
    look_again(services)
    assert shown(client, scenario) == before - {OWN}
    client.post(f"/v1/items/{OWN}:lift-recall", {})
    look_again(services)
    assert shown(client, scenario) == before


@EVERY
def test_a_pilot_ends_at_its_stores_channels_and_categories(shop_settings: ServiceSettings, scenario: str) -> None:
    with service(shop_settings, pilot_stores=("s1",), pilot_channels=("app", "pos")) as (services, client):
        inside = ask(client, scenario, channel="app", count=5)
        assert len(inside["items"]) == 5
        assert "out_of_scope" not in inside["flags"]
        for body in ({"store_id": "s2", "channel": "app"}, {"channel": "web"}, {}, {"store_id": None}):
            answer = ask(client, scenario, **body)
            if body == {"store_id": None} or not body:
                assert "out_of_scope" in answer["flags"], "the channel is not said"
            assert answer["items"] == []
            assert "out_of_scope" in answer["flags"]
        drained = drain_spool(services.database, services.settings.spool_folder)
        assert drained.damaged == 0
        assert len(ask(client, scenario, store_id=None, channel="app", count=5)["items"]) == 5, "the home store is s1"
    with service(shop_settings, pilot_categories=("food",)) as (services, client):
        put(services, "items", *(goods(item_id, category="food > tea") for item_id in ITEMS[2:5]))
        assert shown(client, scenario) <= set(ITEMS[2:5])


@EVERY
def test_shadow_answers_are_made_and_flagged(shop_settings: ServiceSettings, scenario: str) -> None:
    with service(shop_settings, shadow=True) as (services, client):
        answer = ask(client, scenario, count=5)
        assert "shadow" in answer["flags"]
        assert len(answer["items"]) == 5
        spooled = b"".join(file.read_bytes() for file in services.settings.spool_folder.glob("*.jsonl"))
        assert answer["recommendation_id"].encode() in spooled
        assert b'"shadow"' in spooled


@EVERY
def test_stock_is_trusted_as_far_as_its_category_says(services: Services, client: CheckedClient, scenario: str) -> None:
    before = shown(client, scenario)
    put(services, "items", goods(OWN, category="fresh > milk"))
    put(services, "inventory", {"store_id": "s1", "item_id": OWN, "on_hand": 2})

    def policy(**values: object) -> set[str]:
        row = {"category": "fresh", "trust": "exact"} | values
        assert client.put("/v1/stock-policies", {"policies": [row]}).status_code == 200
        look_again(services)
        return shown(client, scenario)

    assert policy() == before
    assert policy(trust="safety", safety_level=2) == before - {OWN}
    assert policy(trust="safety", safety_level=1.5) == before
    put(services, "inventory", {"store_id": "s1", "item_id": OWN, "on_hand": 0})
    assert policy() == before - {OWN}
    assert policy(trust="untracked") == before
    old = datetime.now(UTC) + timedelta(seconds=1)
    put(services, "inventory", {"store_id": "s1", "item_id": OWN, "on_hand": 0, "as_of": old})
    assert policy(max_age_minutes=60) == before - {OWN}
    later = services.serving.current().live.current(old + timedelta(hours=2))
    assert later.stock("s1")[later.catalog.row(OWN)], "a count of two hours ago says nothing"


@EVERY
def test_a_replaced_item_gives_way_and_leaves_its_history(
    services: Services, client: CheckedClient, scenario: str
) -> None:
    before = shown(client, scenario)
    put(services, "items", goods("fresh-code", title="The same in a new pack"))
    put(services, "inventory", {"store_id": "s1", "item_id": "fresh-code", "on_hand": 9})
    put(services, "item_relations", {"item_id": "fresh-code", "related_item_id": OWN, "relation": "replaces"})
    after = ask(client, scenario)["items"]
    names = {item["item_id"] for item in after}
    assert OWN not in names
    if OWN in before:
        assert "fresh-code" in names
        position = next(item["position"] for item in after if item["item_id"] == "fresh-code")
        assert scenario not in ("home", "buy_again") or position <= 8, "it stands where the old code stood"
        codes = [reason["code"] for item in after if item["item_id"] == "fresh-code" for reason in item["reasons"]]
        assert scenario not in ("home", "buy_again") or codes[0] == "bought_regularly"

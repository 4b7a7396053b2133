"""A shopping guide's day: whom to follow up, with what, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from api.app import create_app
from api.services import Services
from recommender.campaigns.feature_refresh import refresh_features
from recommender.storage.database import Database
from recommender.storage.holdouts import draw_period
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.shop import ITEMS, make_key

PATH = "/v1/guides/g1/followups"
MINE = ["m00", "m01", "m02", "m03"]
OFFER = {"offer_id": "five", "title": "Five off", "kind": "amount_off", "value": 5, "valid_until": None}


def put(database: Database, table: str, *rows: dict[str, object]) -> None:
    with database.write() as connection:
        upsert(connection, table, rows, datetime.now(UTC))


def consent(database: Database, member_id: str, granted: bool = True, channel: str = "") -> None:
    row = {"member_id": member_id, "purpose": "push", "channel": channel, "granted": granted, "at": datetime.now(UTC)}
    put(database, "consents", row)


@pytest.fixture
def services(services: Services) -> Services:
    """The shop five days later, when everybody's weekly purchases are nearly due."""
    return replace(services, clock=lambda: datetime.now(UTC) + timedelta(days=5))


@pytest.fixture
def guide(services: Services) -> CheckedClient:
    """The application of guides in the shop."""
    fill(services)
    return CheckedClient(create_app(services), make_key(services.database, "campaigns"))


def fill(services: Services) -> None:
    """Guide g1 has four customers, of whom m03 never agreed to be contacted; m04 is of another guide."""
    database = services.database
    put(database, "members", *({"member_id": one, "guide_id": "g1"} for one in MINE))
    put(database, "members", {"member_id": "m04", "guide_id": "g2"})
    put(database, "members", {"member_id": "m05", "guide_id": "g1", "kind": "test"})
    for member_id in ("m00", "m01", "m04", "m05"):
        consent(database, member_id)
    consent(database, "m02", channel="guide")
    put(database, "offers", OFFER)
    refresh_features(database, services.settings, services.clock())


def day_of(guide: CheckedClient, query: str = "", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] | None = guide.get(PATH + query, **options).json
    assert found is not None
    return found


def act(guide: CheckedClient, key: str, **body: object) -> Any:
    return guide.post(PATH, body, headers={"Idempotency-Key": key})


def test_customers_are_ranked_with_what_to_offer_and_why(guide: CheckedClient, services: Services) -> None:
    found = day_of(guide, "?store_id=s1&items=2")
    followups = found["followups"]
    assert [one["position"] for one in followups] == [1, 2, 3]
    assert {one["member_id"] for one in followups} == {"m00", "m01", "m02"}
    profits = [one["expected_profit_cents"] for one in followups]
    assert profits == sorted(profits, reverse=True)
    assert {reason: count for reason, count in found["left_out"].items() if count} == {"kind": 1, "no_consent": 1}
    first = followups[0]
    assert first["assumed"]
    assert [reason["code"] for reason in first["reasons"]] == ["due", "last_purchase"]
    assert first["reasons"][0]["evidence"]["products"] == 8
    assert len(first["items"]) == 2
    assert first["items"][0]["availability"] == {"store_id": "s1", "on_hand": 5.0, "state": "known"}
    assert first["items"][0]["reasons"]
    assert first["coupon"]["offer_id"] == "five"
    assert first["last_contact"] is None
    assert (found["capacity"], found["contacted"], found["waiting"]) == (20, 0, 0)


def test_what_is_due_is_worth_its_margin_times_the_effect(guide: CheckedClient) -> None:
    """m00 buys i00 to i07, which cost 100 to 107 cents, of which a quarter is earned: 207 cents, a tenth of it."""
    found = {one["member_id"]: one["expected_profit_cents"] for one in day_of(guide)["followups"]}
    assert found["m00"] == 21


def test_reasons_come_in_chinese(guide: CheckedClient) -> None:
    first = day_of(guide, headers={"Accept-Language": "zh"})["followups"][0]
    assert "再次购买" in first["reasons"][0]["text"]
    assert first["items"][0]["title"].startswith("商品")


def test_what_a_guide_did_is_an_event_and_a_contact(guide: CheckedClient, services: Services) -> None:
    slate = day_of(guide)["followups"][0]["recommendation_id"]
    done = act(guide, "a", member_id="m00", act="done", recommendation_id=slate)
    assert done.json["kind"] == "guide_done"
    assert act(guide, "a", member_id="m00", act="done", recommendation_id=slate).json == done.json
    with services.database.read() as connection:
        rows = fetch(connection, "SELECT subject, recommendation_id, attributes FROM events WHERE kind = 'guide_done'")
        counts = fetch(connection, "SELECT unit, transport, count FROM contact_counts ORDER BY unit, transport")
    assert [(row[0], row[1], orjson.loads(row[2])) for row in rows] == [("member:m00", slate, {"guide_id": "g1"})]
    assert counts == [("guide:g1", "guide", 1), ("member:m00", "", 1), ("member:m00", "guide", 1)]
    found = day_of(guide)
    assert "m00" not in {one["member_id"] for one in found["followups"]}
    assert (found["contacted"], found["left_out"]["capped"]) == (1, 1)
    body = {"expression": {"member_id": "m00"}, "caps": {"per_day": 1}}
    assert guide.post("/v1/audiences:preview", body).json["left_out"]["capped"] == 1  # type: ignore[index]


def test_skipped_customers_rest_and_accepted_ones_stay(guide: CheckedClient) -> None:
    assert act(guide, "a", member_id="m01", act="skip").status_code == 400
    assert act(guide, "b", member_id="m01", act="skip", reason="was here yesterday").status_code == 200
    assert act(guide, "c", member_id="m02", act="accept").status_code == 200
    found = day_of(guide)
    assert {one["member_id"]: one["status"] for one in found["followups"]} == {"m00": "open", "m02": "accepted"}
    accepted = next(one for one in found["followups"] if one["status"] == "accepted")
    assert accepted["last_contact"]["kind"] == "guide_accept"


def test_customers_of_others_and_those_who_did_not_agree_are_refused(guide: CheckedClient, services: Services) -> None:
    assert act(guide, "a", member_id="m04", act="done").status_code == 404
    assert act(guide, "b", member_id="stranger", act="done").status_code == 404
    assert act(guide, "c", member_id="m03", act="done").status_code == 409
    consent(services.database, "m00", granted=False)
    assert "m00" not in {one["member_id"] for one in day_of(guide)["followups"]}
    assert act(guide, "d", member_id="m00", act="accept").status_code == 409
    assert act(guide, "e", member_id="m00", act="skip", reason="withdrew").status_code == 200


def test_a_guide_has_so_much_room(guide: CheckedClient, services: Services) -> None:
    small = replace(services, settings=replace(services.settings, guide_capacity=2))
    one = CheckedClient(create_app(small), guide.token)
    found = day_of(one)
    assert (len(found["followups"]), found["waiting"]) == (2, 1)
    first = found["followups"][0]["member_id"]
    act(one, "a", member_id=first, act="done")
    found = day_of(one)
    assert (len(found["followups"]), found["waiting"]) == (1, 1)
    assert first != found["followups"][0]["member_id"]


def test_the_global_holdout_is_no_follow_up(guide: CheckedClient, services: Services) -> None:
    with services.database.write() as connection:
        draw_period(connection, services.clock(), 1.0)
    found = day_of(guide)
    assert (found["followups"], found["left_out"]["held_out"]) == ([], 3)


def test_delicate_goods_are_not_offered(guide: CheckedClient, services: Services) -> None:
    put(services.database, "items", *({"item_id": one, "restricted_class": "medicine"} for one in ITEMS[:28]))
    serving = services.serving.current()
    assert serving is not None
    serving.live._next_poll = 0.0
    shown = {item["item_id"] for one in day_of(guide)["followups"] for item in one["items"]}
    assert shown <= set(ITEMS[28:])


def test_a_guide_without_customers_has_an_empty_day(guide: CheckedClient) -> None:
    found: Any = guide.get("/v1/guides/nobody/followups").json
    assert (found["followups"], found["waiting"]) == ([], 0)
    assert guide.get(f"{PATH}?items=99").status_code == 400


def test_who_moved_since_the_features_were_made_has_the_new_guide(guide: CheckedClient, services: Services) -> None:
    put(services.database, "members", {"member_id": "m00", "guide_id": "g2"})
    assert "m00" not in {one["member_id"] for one in day_of(guide)["followups"]}

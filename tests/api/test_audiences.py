"""Audiences over HTTP: counted, sampled, saved, uploaded, and ranked for items."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.app import create_app
from api.services import Services
from recommender.campaigns.feature_refresh import refresh_features
from recommender.storage.database import Database
from recommender.storage.holdouts import draw_period
from recommender.storage.statements import execute
from recommender.storage.types import to_day_number
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.shop import ITEMS, MEMBERS, make_key

NOW = datetime.now(UTC)
PREVIEW = "/v1/audiences:preview"
AGREED = MEMBERS[:30]


def agree(database: Database, *member_ids: str, granted: bool = True) -> None:
    rows = [
        {"member_id": one, "purpose": "push", "channel": "", "granted": granted, "at": datetime.now(UTC)}
        for one in member_ids
    ]
    with database.write() as connection:
        upsert(connection, "consents", rows, NOW)


@pytest.fixture
def person(services: Services) -> CheckedClient:
    """A marketer of the shop, in which most members agreed to messages."""
    agree(services.database, *AGREED)
    refresh_features(services.database, services.settings, datetime.now(UTC))
    return CheckedClient(create_app(services), make_key(services.database, "campaigns"))


def preview(person: CheckedClient, expression: Any, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] | None = person.post(PREVIEW, {"expression": expression, **more}).json
    assert found is not None
    return found


def test_everybody_is_counted_and_sampled(person: CheckedClient) -> None:
    found: Any = person.post(PREVIEW, {"sample": 3}).json
    assert (found["count"], found["units"], found["matched"]) == (30, 30, 40)
    assert {reason: count for reason, count in found["left_out"].items() if count} == {"no_consent": 10}
    assert len(found["sample"]) == 3
    assert {one["member_id"] for one in found["sample"]} <= set(AGREED)
    assert [(one["home_store_id"], one["orders"]) for one in found["sample"]] == [("s1", 10)] * 3
    assert all(one["days_since_purchase"] in (1, 2) for one in found["sample"])
    assert [note["code"] for note in found["notes"]] == ["everybody"]
    assert found["features"]["members"] == 40


def test_what_members_did_narrows_it_down(person: CheckedClient) -> None:
    found = preview(person, {"and": [{"bought": {"item_id": ITEMS[0], "within_days": 30}}, {"home_store_id": "s1"}]})
    assert [part["matched"] for part in found["parts"]] == [9, 40]
    assert found["parts"][0]["path"] == "expression.and[0]"
    assert found["matched"] == 9


def test_what_is_due_is_asked_of_the_bundle(person: CheckedClient) -> None:
    due = preview(person, {"due": {"item_id": ITEMS[0], "within_days": 7}})
    assert due["matched"] == 9
    assert preview(person, {"due": {"item_id": "nothing", "within_days": 7}})["matched"] == 0


def test_nobody_is_an_answer_in_two_languages(person: CheckedClient) -> None:
    body = {"expression": {"tier": "platinum"}}
    for language, word in (("en", "Nobody"), ("zh", "没有会员")):
        found: Any = person.post(PREVIEW, body, headers={"Accept-Language": language}).json
        assert found["count"] == 0
        assert found["sample"] == []
        assert found["notes"][0]["code"] == "nobody"
        assert word in found["notes"][0]["text"]


def test_a_consent_withdrawn_now_counts_now(person: CheckedClient, services: Services) -> None:
    agree(services.database, AGREED[0], granted=False)
    found = preview(person, {"everyone": True})
    assert found["count"] == 29
    assert [note["code"] for note in found["notes"]] == ["everybody", "behind"]
    assert found["features"]["consents_changed"] == 1
    agree(services.database, *MEMBERS, granted=False)
    assert [note["code"] for note in preview(person, {"everyone": True})["notes"]][1] == "all_left_out"


def test_the_global_holdout_and_caps_are_left_out(person: CheckedClient, services: Services) -> None:
    with services.database.write() as connection:
        draw_period(connection, NOW, 0.3)
        day = to_day_number(datetime.now(services.settings.zone).date())
        for member_id in MEMBERS:
            values = (f"member:{member_id}", day - 3, "", 1)
            execute(connection, "INSERT INTO contact_counts (unit, day, transport, count) VALUES (?, ?, ?, ?)", values)
    found = preview(person, {"everyone": True})
    held = found["left_out"]["held_out"]
    assert 0 < held < 30
    assert found["count"] == 30 - held
    again = preview(person, {"everyone": True}, caps={"per_day": 1})
    assert again["count"] == 30 - held
    capped = preview(person, {"everyone": True}, caps={"per_week": 1})
    assert (capped["count"], capped["left_out"]["capped"]) == (0, 30 - held)
    agree(services.database, "newcomer")
    assert preview(person, {"member_id": "newcomer"}, consent=None)["matched"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expression": {"shoe": 1}}, "expression"),
        ({"expression": {"and": [{"tier": 3}]}}, "expression.and[0].tier"),
        ({"expression": {"audience": "none"}}, "expression.audience"),
        ({"expression": {"tier": "a"}, "audience_id": "b"}, "audience_id"),
        ({"expression": []}, "expression"),
        ({"sample": 1000}, "sample"),
    ],
)
def test_what_cannot_be_asked_is_named(person: CheckedClient, body: Any, field: str) -> None:
    answer = person.post(PREVIEW, body)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == field


def test_without_features_the_answer_says_what_to_do(client: CheckedClient) -> None:
    answer = client.post(PREVIEW, {})
    assert answer.status_code == 409
    assert "memberwise audiences refresh" in answer.text


def test_audiences_are_saved_in_versions(person: CheckedClient) -> None:
    path = "/v1/audiences/s1"
    assert person.get(path).status_code == 404
    first: Any = person.put(path, {"name": "Shop one", "expression": {"home_store_id": "s1"}}).json
    same: Any = person.put(path, {"name": "Shop one", "expression": {"home_store_id": "s1"}}).json
    second: Any = person.put(path, {"expression": {"home_store_id": ["s1", "s2"]}}).json
    assert [one["version"] for one in (first, same, second)] == [1, 1, 2]
    assert person.get(f"{path}?version=1").json == first
    assert person.get("/v1/audiences").json == {"audiences": [second]}
    assert preview(person, {"audience": "s1"})["matched"] == 40
    assert person.post(PREVIEW, {"audience_id": "s1"}).json["matched"] == 40  # type: ignore[index]
    assert person.post(PREVIEW, {"audience_id": "s9"}).status_code == 404
    assert person.put(path, {"expression": {"not": {"audience": "s1"}}}).status_code == 400


def test_a_list_is_taken_in_once(person: CheckedClient) -> None:
    body = {"name": "VIP", "namespace": "member", "values": ["m01", "m02", "m01", "stranger"]}
    headers = {"Idempotency-Key": "a"}
    found: Any = person.post("/v1/card-lists", body, headers=headers).json
    assert (found["rows"], found["members"], found["unknown"]) == (4, 2, 1)
    assert found["first_unresolved"] == [{"line": 4, "reason": "unknown"}]
    assert person.post("/v1/card-lists", body, headers=headers).json == found
    assert preview(person, {"card_list": found["list_id"]})["matched"] == 2
    other = {**body, "list_id": found["list_id"]}
    assert person.post("/v1/card-lists", other, headers={"Idempotency-Key": "b"}).status_code == 409
    lists: Any = person.get("/v1/card-lists").json
    assert [one["list_id"] for one in lists["card_lists"]] == [found["list_id"]]


def test_a_list_comes_as_a_file(person: CheckedClient) -> None:
    file = base64.b64encode("会员号\nm03\n".encode("gb18030")).decode()
    body = {"list_id": "three", "file": file}
    found: Any = person.post("/v1/card-lists", body, headers={"Idempotency-Key": "a"}).json
    assert (found["list_id"], found["namespace"], found["members"]) == ("three", "member", 1)
    for wrong in ({}, {"file": "??"}, {"values": ["a"]}, {"values": ["a"], "file": file}, {"file": ""}):
        answer = person.post("/v1/card-lists", wrong, headers={"Idempotency-Key": "c"})
        assert answer.status_code == 400, wrong


def test_members_are_ranked_for_items(person: CheckedClient) -> None:
    found: Any = person.post("/v1/items:audience", {"item_ids": [ITEMS[0]], "count": 5}).json
    assert found["strategy"] == "item_neighbors"
    scores = [one["score"] for one in found["members"]]
    assert scores == sorted(scores, reverse=True)
    buyers = {member for number, member in enumerate(MEMBERS) if (29 - number % 29) % 29 < 8}
    assert {one["member_id"] for one in found["members"]} <= buyers & set(AGREED)
    one: Any = person.post(
        "/v1/items:audience", {"item_ids": [ITEMS[0]], "among": {"member_id": ["m35"]}, "consent": None}
    ).json
    assert [member["member_id"] for member in one["members"]] in (["m35"], [])
    assert person.post("/v1/items:audience", {}).status_code == 400


def test_an_audience_needs_its_scope(person: CheckedClient, services: Services) -> None:
    other = CheckedClient(create_app(services), make_key(services.database, "recommend"))
    assert other.post(PREVIEW, {}).status_code == 403


def test_a_ground_outlives_features_made_anew(person: CheckedClient, services: Services) -> None:
    before = preview(person, {"everyone": True})["features"]["built_at"]
    refresh_features(services.database, services.settings, datetime.now(UTC) + timedelta(seconds=1))
    assert preview(person, {"everyone": True})["features"]["built_at"] > before

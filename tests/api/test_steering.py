"""Filters, boosts, bury, pins, exclusions and reachable stores over HTTP; explained and validated."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from api.services import Services
from recommender.context import CONTEXT_FIELDS
from recommender.exposures import spool_files
from recommender.query import Scenario
from tests.api.checked import CheckedClient
from tests.api.freshness import look_again
from tests.shop import ITEMS, SOLD_OUT

Answer = dict[str, object]
CHEAP = {"price_cents": {"max": 112}}
"""Items i00 to i12."""
ABOUT = {
    "item_id": ITEMS[3],
    "basket_item_ids": [ITEMS[3], ITEMS[4]],
    "events": [{"item_id": ITEMS[3]}, {"item_id": ITEMS[5]}],
}


def ask(client: CheckedClient, **body: object) -> Answer:
    response = client.post("/v1/recommendations", body)
    assert response.status_code == 200, response.text
    assert response.json is not None
    answer: Answer = response.json
    return answer


def items(answer: Answer) -> list[str]:
    shown = answer["items"]
    assert isinstance(shown, list)
    assert [item["position"] for item in shown] == list(range(1, len(shown) + 1))
    return [item["item_id"] for item in shown]


def refused(client: CheckedClient, **body: object) -> dict[str, str]:
    response = client.post("/v1/recommendations", body)
    assert response.status_code == 400, response.text
    assert response.json is not None
    (error,) = response.json["errors"]
    found: dict[str, str] = error
    return found


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_scenario_keeps_to_the_filter(shared_client: CheckedClient, scenario: Scenario) -> None:
    answer = ask(shared_client, member_id="m01", scenario=scenario, count=5, filters=CHEAP, context=ABOUT)
    assert len(items(answer)) == 5
    assert set(items(answer)) <= set(ITEMS[:13])


def test_a_filter_as_json_in_the_address(shared_client: CheckedClient) -> None:
    text = quote(json.dumps({"not": CHEAP}))
    for path in ("/v1/members/m01/recommendations", "/v1/items/i03/similar"):
        response = shared_client.get(f"{path}?count=4&filters={text}")
        assert response.status_code == 200
        assert response.json is not None
        assert set(items(response.json)) <= set(ITEMS[13:])
    for wrong in ("{", "[" * 200, '{"a":1,"a":2}', "NaN", "%ff"):
        response = shared_client.get(f"/v1/items/i03/similar?filters={wrong}")
        assert response.status_code == 400
        assert response.json is not None
        assert response.json["errors"][0]["field"] == "filters"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"filters": {"colour": "red"}}, "filters"),
        ({"filter": {"brand": "a"}}, "filter"),
        ({"filters": {"and": [{"brand": 7}]}}, "filters.and[0].brand"),
        ({"bury": {"not": {}}}, "bury.not"),
        ({"boosts": [{"filters": {"brand": "a", "season": "b"}, "factor": 2}]}, "boosts[0].filters"),
        ({"boosts": [{"filters": {"brand": "a"}, "factor": 0}]}, "boosts[0].factor"),
        ({"pins": [{"item_id": "i01", "position": 101}]}, "pins[0].position"),
        ({"pins": [{"item_id": "i01", "position": 1}, {"item_id": "i02", "position": 1}]}, "pins[1].position"),
        ({"exclude": ["x"] * 10_001}, "exclude"),
        ({"reachable_store_ids": [""]}, "reachable_store_ids[0]"),
        ({"next": "abc"}, "next"),
        ({"count": 0}, "count"),
        ({"count": 10_000}, "count"),
    ],
)
def test_what_is_wrong_is_named(shared_client: CheckedClient, body: Answer, field: str) -> None:
    error = refused(shared_client, **body)
    assert error["field"] == field
    assert error["accepted"]


def test_ten_thousand_exclusions(shared_client: CheckedClient) -> None:
    others = [f"gone/{number}\n\u2603" for number in range(9_990)]
    answer = ask(shared_client, member_id="m01", count=10, exclude=[*others, *ITEMS[:10]])
    assert len(items(answer)) == 10
    assert not set(items(answer)) & set(ITEMS[:10])


def test_pins_stand_where_they_are_put(shared_client: CheckedClient) -> None:
    pins = [{"item_id": "i20", "position": 3}, {"item_id": "i21", "position": 1}, {"item_id": "i22", "position": 9}]
    answer = ask(shared_client, member_id="m01", store_id="s1", count=5, pins=pins)
    shown = items(answer)
    assert (len(shown), shown[0], shown[2]) == (5, "i21", "i20")
    assert answer["flags"] == []
    reasons = answer["items"][0]["reasons"]  # type: ignore[index]
    assert (reasons[0]["code"], reasons[0]["text"]) == ("picked", "Picked by the shop")


@pytest.mark.parametrize(
    ("item_id", "more"),
    [(SOLD_OUT, {}), ("nowhere", {}), ("i20", {"exclude": ["i20"]}), ("i20", {"filters": CHEAP})],
)
def test_pins_that_may_not_be_shown_are_dropped_and_flagged(
    shared_client: CheckedClient, item_id: str, more: Answer
) -> None:
    pins = [{"item_id": item_id, "position": 1}, {"item_id": "i05", "position": 2}]
    answer = ask(shared_client, member_id="m01", store_id="s1", count=5, pins=pins, **more)
    assert len(items(answer)) == 5
    assert items(answer)[1] == "i05"
    assert item_id not in items(answer)
    assert answer["flags"] == ["pin_dropped"]


def test_boosts_and_bury(shared_client: CheckedClient) -> None:
    plain = items(ask(shared_client, member_id="m01", count=8))
    last = {"item_id": plain[-1]}
    boosted = ask(shared_client, member_id="m01", count=8, boosts=[{"filters": last, "factor": 100}])
    assert items(boosted)[0] == plain[-1]
    buried = ask(shared_client, member_id="m01", count=8, bury={"item_id": plain[:4]})
    assert not set(items(buried)) & set(plain[:4])
    only = ask(shared_client, member_id="m01", count=8, filters={"item_id": plain}, bury={"item_id": plain[:4]})
    assert set(items(only)[4:]) == set(plain[:4])


def test_an_empty_filter_result_is_flagged(shared_client: CheckedClient) -> None:
    answer = ask(shared_client, filters={"brand": "nobody"})
    assert items(answer) == []
    assert "filter_empty" in answer["flags"]  # type: ignore[operator]


def test_reachable_stores_take_the_place_of_those_near(client: CheckedClient, services: Services) -> None:
    stock = [{"store_id": "s3", "item_id": SOLD_OUT, "on_hand": 3}, {"store_id": "s3", "item_id": "i01", "on_hand": 1}]
    assert client.put("/v1/stores", {"stores": [{"store_id": "s3"}]}).status_code == 200
    assert client.put("/v1/inventory", {"inventory": stock}).status_code == 200
    look_again(services)
    both = ask(client, member_id="m01", reachable_store_ids=["s1", "s3"], count=30)
    assert set(items(both)) == set(ITEMS)
    one = ask(client, member_id="m01", reachable_store_ids=["s3"], count=5)
    assert set(items(one)) == {SOLD_OUT, "i01"}
    here = ask(client, store_id="s1", reachable_store_ids=["s3"], count=30, filters={"available": "store"})
    assert set(items(here)) == set(ITEMS) - {SOLD_OUT}
    reach = ask(client, store_id="s1", reachable_store_ids=["s3"], count=30, filters={"not": {"available": "store"}})
    assert items(reach) == [SOLD_OUT]
    unknown = ask(client, reachable_store_ids=["nowhere"], count=3)
    assert {"unknown_store", "stock_unknown"} <= set(unknown["flags"])  # type: ignore[call-overload]


def test_facts_of_changed_items_are_filtered_at_once(client: CheckedClient, services: Services) -> None:
    rows = [{"item_id": "i01", "category": "food > dairy", "brand": "Alm", "attributes": {"organic": True}}]
    assert client.put("/v1/items", {"items": [*rows, {"item_id": "fresh", "category": "food"}]}).status_code == 200
    look_again(services)
    assert items(ask(client, filters={"attribute": {"name": "organic", "is": True}})) == ["i01"]
    assert items(ask(client, filters={"and": [{"brand": "Alm"}, {"category": "food"}]})) == ["i01"]
    assert set(items(ask(client, store_id="s2", filters={"category": "food"}))) == {"i01", "fresh"}


def test_explanations_know_what_was_asked(shared_client: CheckedClient) -> None:
    def explain(item_id: str, **body: object) -> Answer:
        response = shared_client.post("/v1/explain", {"item_id": item_id, "member_id": "m01", "count": 5, **body})
        assert response.status_code == 200, response.text
        assert response.json is not None
        answer: Answer = response.json
        return answer

    filtered = explain("i20", filters=CHEAP)
    assert (filtered["outcome"], filtered["rule"]) == ("dropped", "filtered")
    assert filtered["text"] == "Not shown: the request's filter leaves it out."
    pinned = explain("i20", pins=[{"item_id": "i20", "position": 2}])
    assert (pinned["outcome"], pinned["position"], pinned["source"]) == ("shown", 2, "pinned")
    assert pinned["text"] == "Pinned at position 2."
    assert explain("i01", bury={"item_id": "i01"})["rule"] == "buried"
    page = ask(shared_client, member_id="m01", count=5)
    assert explain(items(page)[0], next=page["next"])["rule"] == "shown_before"


@pytest.mark.parametrize("scenario", list(Scenario))
def test_validate_only_serves_and_records_nothing(
    shared_client: CheckedClient, shared_services: Services, scenario: Scenario
) -> None:
    def recorded() -> int:
        folder = shared_services.settings.spool_folder
        return sum(path.stat().st_size for path in spool_files(folder))

    before = recorded()
    body = {
        "scenario": scenario,
        "store_id": "s1",
        "validate_only": True,
        "filters": CHEAP,
        "boosts": [{"filters": {"item_id": ["i01", "i02"]}, "factor": 2}],
        "pins": [{"item_id": "i20", "position": 1}, {"item_id": "i11", "position": 50}],
        "context": {CONTEXT_FIELDS[scenario]: ABOUT[CONTEXT_FIELDS[scenario]]} if scenario in CONTEXT_FIELDS else {},
    }
    answer = ask(shared_client, **body)
    assert (answer["recommendation_id"], answer["items"], answer["strategy"]) == (None, [], "validate_only")
    applies = answer["applies"]
    assert isinstance(applies, dict)
    assert (applies["items"], applies["store_id"], applies["settings_version"]) == (30, "s1", None)
    assert applies["stock_store_ids"] == ["s1"]
    assert applies["allowed"] <= 13
    assert applies["boosts"] == [{"factor": 2.0, "items": 2}]
    assert [(pin["shown"], pin["rule"]) for pin in applies["pins"]] == [
        (False, "filtered"),
        (False, "beyond_the_slate"),
    ]
    assert answer["dropped"]["filtered"] >= 13  # type: ignore[index]
    assert recorded() == before
    assert refused(shared_client, **{**body, "filters": {"brand": 1}})["field"] == "filters.brand"


@pytest.mark.parametrize("scenario", list(Scenario))
def test_what_validation_promises_the_slate_holds(shared_client: CheckedClient, scenario: Scenario) -> None:
    pins = [("nowhere", 1), (SOLD_OUT, 2), ("i20", 3), ("i11", 4), ("nobody", 100)]
    body = {
        "scenario": scenario,
        "member_id": "m01",
        "store_id": "s1",
        "count": 50,
        "filters": {"not": {"item_id": ["i20", "i21"]}},
        "exclude": ["i07"],
        "pins": [{"item_id": item_id, "position": position} for item_id, position in pins],
        "context": {CONTEXT_FIELDS[scenario]: ABOUT[CONTEXT_FIELDS[scenario]]} if scenario in CONTEXT_FIELDS else {},
    }
    answer, checked = ask(shared_client, **body), ask(shared_client, **body, validate_only=True)
    applies = checked["applies"]
    assert isinstance(applies, dict)
    assert len(items(answer)) == applies["allowed"]
    assert "pin_dropped" in answer["flags"]  # type: ignore[operator]
    assert set(checked["flags"]) == set(answer["flags"])  # type: ignore[call-overload]
    assert [pin["rule"] for pin in applies["pins"]][:3] == ["unknown_item", "out_of_stock", "filtered"]
    assert applies["pins"][4]["rule"] == "beyond_the_slate"
    unreached = ask(shared_client, **{**body, "pins": [body["pins"][4]]}, validate_only=True)  # type: ignore[index]
    assert "pin_dropped" not in unreached["flags"]  # type: ignore[operator]


def test_the_price_of_the_store_now_is_filtered_by(client: CheckedClient, services: Services) -> None:
    rows = [
        {"store_id": "s1", "item_id": "i20", "price_cents": 5},
        {"store_id": "s1", "item_id": "i01", "price_cents": 999},
    ]
    assert client.put("/v1/prices", {"prices": rows}).status_code == 200
    look_again(services)
    cheap = {"price_cents": {"max": 101}}
    here = ask(client, store_id="s1", filters=cheap)
    assert set(items(here)) == {"i00", "i20"}
    assert {item["item_id"]: item["price_cents"] for item in here["items"]} == {"i00": 100, "i20": 5}  # type: ignore[index, attr-defined]
    assert set(items(ask(client, store_id="s2", filters=cheap))) == {"i00", "i01"}
    rows = [{"store_id": "s1", "item_id": "i20", "price_cents": 500}]
    assert client.put("/v1/prices", {"prices": rows}).status_code == 200
    look_again(services)
    assert items(ask(client, store_id="s1", filters=cheap)) == ["i00"]


def test_pins_and_titles_in_chinese(shared_client: CheckedClient) -> None:
    requests = [{"store_id": "s1", "pins": [{"item_id": "i20", "position": 1}], "count": 1}]
    response = shared_client.post(
        "/v1/recommendations:batch", {"requests": requests}, headers={"Accept-Language": "zh-CN,en;q=0.5"}
    )
    assert response.json is not None
    (item,) = response.json["results"][0]["result"]["items"]
    assert (item["title"], item["reasons"][0]["text"]) == ("商品20", "商家精选")

"""Scenario settings over HTTP: put, read, listed, restored, audited, and honoured by the next answer."""

from __future__ import annotations

import pytest

from api.app import create_app
from api.services import Services
from recommender.storage.audit import read_audit
from tests.api.checked import CheckedClient
from tests.api.freshness import look_again
from tests.api.test_steering import ask, items
from tests.shop import ITEMS, make_key

Answer = dict[str, object]
OWN = {ITEMS[(1 + place) % 29] for place in range(8)}
"""What member m01 buys every week, last time a day ago."""


def put(client: CheckedClient, services: Services, scenario: str = "home", **settings: object) -> Answer:
    response = client.put(f"/v1/scenarios/{scenario}", {"settings": settings})
    assert response.status_code == 200, response.text
    assert response.json is not None
    look_again(services)
    answer: Answer = response.json
    return answer


def test_settings_are_versions(client: CheckedClient, services: Services) -> None:
    nothing = client.get("/v1/scenarios/home").json
    assert nothing is not None
    assert (nothing["version"], nothing["settings"]) == (0, {})
    first = put(client, services, filters={"not": {"item_id": ["i01"]}}, repeat_share=0.5)
    assert (first["version"], first["settings"]) == (1, {"filters": {"not": {"item_id": ["i01"]}}, "repeat_share": 0.5})
    put(client, services, diversity=0.2, cool_down={"share": 0.5, "categories": {"a > b": 3}})
    restored = client.post("/v1/scenarios/home:restore", {})
    assert restored.json is not None
    assert (restored.json["version"], restored.json["restored_from"]) == (3, 1)
    assert restored.json["settings"] == first["settings"]
    again = client.post("/v1/scenarios/home:restore", {"version": 2})
    assert again.json is not None
    assert again.json["settings"]["diversity"] == 0.2
    versions = client.get("/v1/scenarios/home/versions").json
    assert versions is not None
    assert [one["version"] for one in versions["versions"]] == [4, 3, 2, 1]
    everything = client.get("/v1/scenarios").json
    assert everything is not None
    assert {one["scenario"]: one["version"] for one in everything["scenarios"]}["home"] == 4
    with services.database.read() as connection:
        entries = [one for one in read_audit(connection) if one.action.startswith("scenarios.")]
    assert [one.action.partition(".")[2] for one in entries] == ["restore", "restore", "put", "put"]
    assert all(one.target == "home" and one.caller for one in entries)


def test_who_saw_another_version_is_told(client: CheckedClient) -> None:
    assert client.put("/v1/scenarios/new", {"settings": {}, "expected_version": 0}).status_code == 200
    response = client.put("/v1/scenarios/new", {"settings": {}, "expected_version": 0})
    assert response.status_code == 409
    assert response.json is not None
    assert response.json["errors"][0]["accepted"] == "1"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"filters": {"brand": 1}}, "settings.filters.brand"),
        ({"bury": {"colour": 1}}, "settings.bury"),
        ({"cool_down": {"share": 2}}, "settings.cool_down.share"),
        ({"cool_down": {"categories": {"a": -1}}}, "settings.cool_down.categories.a"),
        ({"exploration_share": 0.3}, "settings.exploration_share"),
        ({"rules": []}, "settings.rules"),
        ({"pins": [{"item_id": "a", "position": 1}] * 2}, "settings.pins[1].item_id"),
    ],
)
def test_wrong_settings_are_refused(shared_client: CheckedClient, settings: Answer, field: str) -> None:
    response = shared_client.put("/v1/scenarios/discover", {"settings": settings})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["errors"][0]["field"] == field
    kept = shared_client.get("/v1/scenarios/discover").json
    assert kept is not None
    assert kept["version"] == 0


def test_unknown_scenarios_and_versions(shared_client: CheckedClient) -> None:
    for method, path, body in (
        ("GET", "/v1/scenarios/sideways", None),
        ("PUT", "/v1/scenarios/sideways", {"settings": {}}),
        ("GET", "/v1/scenarios/sideways/versions", None),
        ("POST", "/v1/scenarios/sideways:restore", {}),
        ("POST", "/v1/scenarios/basket:restore", {}),
        ("POST", "/v1/scenarios/basket:restore", {"version": 7}),
    ):
        assert shared_client.call(method, path, json=body).status_code == 404


def test_only_marketers_change_settings(services: Services) -> None:
    client = CheckedClient(create_app(services), make_key(services.database, "recommend", "catalog"))
    assert client.put("/v1/scenarios/home", {"settings": {}}).status_code == 403


def test_the_next_answer_honours_settings(client: CheckedClient, services: Services) -> None:
    put(client, services, filters={"not": {"item_id": ITEMS[1]}}, pins=[{"item_id": "i20", "position": 2}])
    answer = ask(client, member_id="m01", store_id="s1", count=8)
    assert items(answer)[1] == "i20"
    assert ITEMS[1] not in items(answer)
    assert answer["dropped"] == {"out_of_stock": 1, "scenario_filter": 1} or "scenario_filter" in answer["dropped"]  # type: ignore[operator]
    other = ask(client, member_id="m01", scenario="buy_again", count=8)
    assert ITEMS[1] in items(other)
    checked = ask(client, member_id="m01", validate_only=True)
    assert checked["applies"]["settings_version"] == 1  # type: ignore[index]
    put(client, services)
    assert ITEMS[1] in items(ask(client, member_id="m01", count=8))


def test_what_was_just_bought_cools_down(client: CheckedClient, services: Services) -> None:
    assert set(items(ask(client, member_id="m01", count=8))) == OWN
    put(client, services, cool_down={"share": 0.8})
    # Bought a day ago, every seven days: kept back until 5.6 days have passed, but not from a slate otherwise short.
    cooled = ask(client, member_id="m01", count=8)
    assert not set(items(cooled)) & OWN
    assert cooled["dropped"]["cool_down"] == 8  # type: ignore[index]
    assert len(items(ask(client, member_id="m01", store_id="s1", count=29))) == 29
    assert set(items(ask(client, member_id="m01", store_id="s1", count=29))[:21]).isdisjoint(OWN)
    explained = client.post("/v1/explain", {"member_id": "m01", "item_id": ITEMS[1]}).json
    assert explained is not None
    assert explained["text"] == "Not shown: it was bought too lately to be shown again."
    assert set(items(ask(client, member_id="m01", scenario="buy_again", count=8))) == OWN
    put(client, services, "buy_again", cool_down={"share": 0.1})
    assert set(items(ask(client, member_id="m01", scenario="buy_again", count=8))) == OWN
    put(client, services, "buy_again", cool_down={"share": 0.5})
    assert not set(items(ask(client, member_id="m01", scenario="buy_again", count=8))) & OWN


def test_a_share_of_repeats_is_held(client: CheckedClient, services: Services) -> None:
    put(client, services, repeat_share=0.5)
    shown = items(ask(client, member_id="m01", count=10))
    assert len(OWN & set(shown)) == 5

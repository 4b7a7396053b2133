"""Members who opted out, in every scenario and by every route: the same answer as for anybody, flagged."""

from typing import Any

import pytest

from api.app import create_app
from api.services import Services
from recommender.query import Scenario
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.shop import NOW, make_key

CONTEXT: dict[str, Any] = {
    "item_id": "i03",
    "basket_item_ids": ["i05", "i06"],
    "events": [{"item_id": "i12"}, {"item_id": "i13"}],
}
IMPERSONAL = {
    "popular",
    "popular_in_store",
    "trending",
    "new",
    "of_the_season",
    "similar_to",
    "instead_of",
    "bought_with",
    "bought_after_viewing",
    "popular_among_like",
    "goes_with",
}
"""Reasons that say nothing of a customer; those that name an item may only name one of the request."""


@pytest.fixture(scope="module")
def client(shared_services: Services) -> CheckedClient:
    """m05 opted out; m06 is a minor; m07 is an employee; m08 is nobody special."""
    consent = {"member_id": "m05", "purpose": "personalization", "granted": False, "at": NOW}
    members = [{"member_id": "m06", "adult": "false"}, {"member_id": "m07", "kind": "employee"}]
    with shared_services.database.write() as connection:
        upsert(connection, "consents", [consent], NOW)
        upsert(connection, "members", members, NOW)
    return CheckedClient(create_app(shared_services), make_key(shared_services.database, "recommend", "catalog"))


def ask(client: CheckedClient, scenario: Scenario, member_id: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"scenario": scenario, "count": 8, "store_id": "s1", "context": CONTEXT}
    answer = client.post("/v1/recommendations", body | ({} if member_id is None else {"member_id": member_id}))
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    found: dict[str, Any] = answer.json
    return found


def without_visit(scenario: Scenario, client: CheckedClient) -> dict[str, Any]:
    """Return what anybody gets who does not say what they looked at; a session leaves out what the request names."""
    context = {name: value for name, value in CONTEXT.items() if name != "events"} | {"events": []}
    visited = [event["item_id"] for event in CONTEXT["events"]] if scenario is Scenario.SESSION else []
    body = {"scenario": scenario, "count": 8, "store_id": "s1", "context": context, "exclude": visited}
    found: dict[str, Any] = client.post("/v1/recommendations", body).json or {}
    return found


@pytest.mark.parametrize("member_id", ["m05", "m06", "m07"])
@pytest.mark.parametrize("scenario", list(Scenario))
def test_the_slate_is_nobodys_own(client: CheckedClient, scenario: Scenario, member_id: str) -> None:
    slate = ask(client, scenario, member_id)
    anybody = without_visit(scenario, client)
    assert [item["item_id"] for item in slate["items"]] == [item["item_id"] for item in anybody["items"]]
    assert len(slate["items"]) == 8
    assert "not_personalised" in slate["flags"]
    assert slate["strategy"].partition("+")[0] in ("popular", "context")
    named = {CONTEXT["item_id"], *CONTEXT["basket_item_ids"]}
    for reason in (reason for item in slate["items"] for reason in item["reasons"]):
        assert reason["code"] in IMPERSONAL
        assert reason["evidence"].get("item_id", "i03") in named


@pytest.mark.parametrize("scenario", [Scenario.HOME, Scenario.BUY_AGAIN, Scenario.DISCOVER, Scenario.SESSION])
def test_a_member_who_did_not_opt_out_gets_their_own(client: CheckedClient, scenario: Scenario) -> None:
    """The test above would prove little if these were equal as well."""
    own = [item["item_id"] for item in ask(client, scenario, "m08")["items"]]
    assert own != [item["item_id"] for item in ask(client, scenario, "m05")["items"]]


def test_an_explanation_knows_no_history(client: CheckedClient) -> None:
    body = {"scenario": "home", "store_id": "s1", "count": 8, "item_id": "i05"}
    mine = client.post("/v1/explain", body | {"member_id": "m05"}).json
    anybody = client.post("/v1/explain", body).json
    assert mine is not None
    assert anybody is not None
    assert "not_personalised" in mine["flags"]
    assert {name: mine[name] for name in mine if name != "flags"} == {
        name: anybody[name] for name in anybody if name != "flags"
    }


def test_the_other_routes_honour_it_too(client: CheckedClient) -> None:
    asked: dict[str, Any] = {"scenario": "home", "count": 8, "store_id": "s1"}
    anybody = client.post("/v1/recommendations", asked).json
    assert anybody is not None
    wanted = [item["item_id"] for item in anybody["items"]]
    simple = client.get("/v1/members/m05/recommendations?scenario=home&count=8&store_id=s1").json
    assert simple is not None
    assert [item["item_id"] for item in simple["items"]] == wanted
    batch = client.post("/v1/recommendations:batch", {"requests": [asked | {"member_id": "m05"}]}).json
    assert batch is not None
    assert [item["item_id"] for item in batch["results"][0]["result"]["items"]] == wanted


def test_a_list_is_ordered_as_for_anybody(client: CheckedClient) -> None:
    body = {"item_ids": [f"i{number:02d}" for number in range(20)], "store_id": "s1"}
    mine = client.post("/v1/rank", body | {"member_id": "m05"}).json
    anybody = client.post("/v1/rank", body).json
    own = client.post("/v1/rank", body | {"member_id": "m08"}).json
    assert mine is not None
    assert anybody is not None
    assert own is not None
    assert mine["items"] == anybody["items"]
    assert mine["items"] != own["items"]
    assert "not_personalised" in mine["flags"]

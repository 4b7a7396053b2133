"""Explanations over HTTP: why an item is shown, and why not, in both languages."""

from __future__ import annotations

import pytest

from api.services import Services
from recommender.context import CONTEXT_FIELDS
from recommender.exposures import read_spool, spool_files
from recommender.query import Scenario
from tests.api.checked import CheckedClient
from tests.shop import ITEMS, SOLD_OUT

OWN = ITEMS[1]
"""What member m01 buys, among others."""
OTHERS = ITEMS[15]


def explain(client: CheckedClient, item_id: str, language: str = "en", **body: object) -> dict[str, object]:
    response = client.post("/v1/explain", {"item_id": item_id, **body}, headers={"Accept-Language": language})
    assert response.status_code == 200, response.text
    assert response.json is not None
    answer: dict[str, object] = response.json
    return answer


def test_what_is_shown(shared_client: CheckedClient) -> None:
    answer = explain(shared_client, OWN, member_id="m01", count=8)
    slate = shared_client.post("/v1/recommendations", {"member_id": "m01", "count": 8}).json
    assert slate is not None
    shown = next(item for item in slate["items"] if item["item_id"] == OWN)
    assert answer["outcome"] == "shown"
    assert (answer["position"], answer["score"], answer["reasons"]) == (
        shown["position"],
        shown["score"],
        shown["reasons"],
    )
    assert answer["title"] == "Item 1"
    assert answer["bundle_id"] == slate["bundle_id"]
    repeat = next(part for part in answer["retrievers"] if part["name"] == "repeat")
    assert repeat["asked"]
    assert 1 <= repeat["rank"] <= 8
    total = sum(part["adds"] for part in answer["retrievers"])
    assert answer["contributions"] or total == pytest.approx(answer["score"], rel=1e-4)


def test_what_is_not_shown(shared_client: CheckedClient) -> None:
    assert explain(shared_client, OTHERS, member_id="m01", count=1)["outcome"] in ("below_the_cut", "not_found")
    sold_out = explain(shared_client, SOLD_OUT, member_id="m01", store_id="s1")
    assert (sold_out["outcome"], sold_out["rule"]) == ("dropped", "out_of_stock")
    assert sold_out["text"] == "Not shown: it is out of stock."
    assert explain(shared_client, SOLD_OUT, "zh", member_id="m01", store_id="s1")["text"] == "未展示：已缺货。"
    assert explain(shared_client, OWN, member_id="m01", scenario="discover")["outcome"] == "not_of_scenario"
    excluded = explain(shared_client, OWN, member_id="m01", exclude=[OWN])
    assert (excluded["rule"], excluded["rules"], excluded["position"]) == ("excluded", ["excluded"], None)
    unknown = explain(shared_client, "nothing", member_id="m01")
    assert (unknown["outcome"], unknown["title"], unknown["reasons"]) == ("unknown_item", None, [])


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_placement_is_explained_to_anybody(shared_client: CheckedClient, scenario: Scenario) -> None:
    about = {
        "item_id": ITEMS[3],
        "basket_item_ids": [ITEMS[3]],
        "events": [{"item_id": ITEMS[3]}],
    }
    needed = CONTEXT_FIELDS.get(scenario)
    context = {} if needed is None else {"context": {needed: about[needed]}}
    for customer in ({"member_id": "m01"}, {}):
        answer = explain(shared_client, OTHERS, scenario=scenario, **customer, **context)
        assert answer["text"]
        assert {part["name"] for part in answer["retrievers"]} >= {"popularity", "repeat"}


def test_nothing_is_recorded_as_shown(services: Services, client: CheckedClient) -> None:
    explain(client, OWN, member_id="m01")
    recorded = [read_spool(file, 0).exposures for file in spool_files(services.settings.spool_folder)]
    assert not any(recorded)


def test_the_item_must_be_named_and_the_request_valid(shared_client: CheckedClient) -> None:
    assert shared_client.post("/v1/explain", {"member_id": "m01"}).status_code == 400
    assert shared_client.post("/v1/explain", {"item_id": OWN, "scenario": "similar"}).status_code == 400
    assert shared_client.post("/v1/explain", {"item_id": OWN, "channel": "moon"}).status_code == 400


def test_without_a_bundle(bare_client: CheckedClient) -> None:
    assert bare_client.post("/v1/explain", {"item_id": OWN}).status_code == 503

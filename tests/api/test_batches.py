"""Batches and rankings over HTTP: a result per entry, a place or a rule per item."""

from __future__ import annotations

import pytest

from api.services import Services
from api.slate_schemas import MAX_BATCH
from recommender.exposures import spool_files
from recommender.query import Scenario
from tests.api.checked import CheckedClient
from tests.api.freshness import look_again
from tests.api.test_steering import ABOUT, ask, items
from tests.shop import ITEMS, SOLD_OUT

Answer = dict[str, object]


def batch(client: CheckedClient, *requests: object) -> list[dict[str, Answer]]:
    response = client.post("/v1/recommendations:batch", {"requests": list(requests)})
    assert response.status_code == 200, response.text
    assert response.json is not None
    results: list[dict[str, Answer]] = response.json["results"]
    served = sum(one["result"] is not None for one in results)
    assert (response.json["served"], response.json["failed"]) == (served, len(results) - served)
    return results


def plain(answer: Answer) -> Answer:
    """Return an answer without what is new each time."""
    return {name: value for name, value in answer.items() if name != "recommendation_id"}


def test_a_batch_answers_as_single_requests_do(shared_client: CheckedClient) -> None:
    requests = [
        {"member_id": f"m{number:02d}", "scenario": scenario, "context": ABOUT, "count": 4, "store_id": "s1"}
        for number, scenario in enumerate(Scenario)
    ]
    found = batch(shared_client, *requests)
    assert [one["problem"] for one in found] == [None] * len(requests)
    for request, one in zip(requests, found, strict=True):
        single = ask(shared_client, **request)
        assert items(one["result"]) == items(single)
        assert plain(one["result"])["strategy"] == single["strategy"]
        assert one["result"]["dropped"] == single["dropped"]
    ids = {str(one["result"]["recommendation_id"]) for one in found}
    assert len(ids) == len(requests)


def test_a_bad_request_does_not_fail_the_others(shared_client: CheckedClient) -> None:
    found = batch(
        shared_client,
        {"member_id": "m01", "count": 3},
        {"count": 0},
        {"scenario": "similar"},
        {"filters": {"brand": 1}},
        {"channel": "smoke"},
        7,
        {"identity": {"namespace": "phone", "value": "no digits"}},
        {"member_id": "m01", "validate_only": True},
        {"next": "x"},
        {"count": 2},
    )
    fields = [None if one["problem"] is None else one["problem"]["errors"][0]["field"] for one in found]  # type: ignore[index]
    assert fields == [
        None,
        "count",
        "context.item_id",
        "filters.brand",
        "channel",
        "body",
        "identity.value",
        None,
        "next",
        None,
    ]
    assert found[5]["problem"]["errors"][0]["detail"] == "Input should be an object"  # type: ignore[index]
    assert len(items(found[0]["result"])) == 3
    assert found[7]["result"]["strategy"] == "validate_only"
    assert len(items(found[9]["result"])) == 2


def test_a_batch_has_its_limits(shared_client: CheckedClient) -> None:
    found = batch(shared_client, *[{"member_id": f"m{number % 40:02d}", "count": 2} for number in range(MAX_BATCH)])
    assert len(found) == MAX_BATCH
    for requests in ([], [{}] * (MAX_BATCH + 1), {}):
        response = shared_client.post("/v1/recommendations:batch", {"requests": requests})
        assert response.status_code == 400
        assert response.json is not None
        assert response.json["errors"][0]["field"] == "requests"


def rank(client: CheckedClient, *item_ids: str, **body: object) -> list[tuple[str, int | None, str | None]]:
    response = client.post("/v1/rank", {"item_ids": list(item_ids), **body})
    assert response.status_code == 200, response.text
    assert response.json is not None
    assert response.json["scenario"] == "rank"
    scores = [item["score"] for item in response.json["items"] if item["score"] is not None]
    assert scores == sorted(scores, reverse=True)
    return [(item["item_id"], item["position"], item["rule"]) for item in response.json["items"]]


def test_a_list_is_put_in_order(shared_client: CheckedClient) -> None:
    own, others = [ITEMS[1], ITEMS[5]], [ITEMS[20], ITEMS[25]]
    found = rank(shared_client, *others, *own, own[0], SOLD_OUT, "nowhere", member_id="m01", store_id="s1")
    assert {item_id for item_id, _, _ in found[:2]} == set(own)
    assert {item_id for item_id, _, _ in found[2:4]} == set(others)
    assert [position for _, position, _ in found] == [1, 2, 3, 4, None, None]
    assert found[4:] == [(SOLD_OUT, None, "out_of_stock"), ("nowhere", None, "unknown_item")]


def test_what_is_newer_than_the_models_is_ranked_last(client: CheckedClient, services: Services) -> None:
    assert client.put("/v1/items", {"items": [{"item_id": "a-new-one"}]}).status_code == 200
    look_again(services)
    found = rank(client, "a-new-one", ITEMS[1], ITEMS[20], member_id="m01", store_id="s2")
    assert found == [(ITEMS[1], 1, None), (ITEMS[20], 2, None), ("a-new-one", 3, None)]


def test_rankings_are_recorded_as_shown(client: CheckedClient, services: Services) -> None:
    response = client.post("/v1/rank", {"item_ids": [ITEMS[1], ITEMS[2]], "member_id": "m01"})
    assert response.json is not None
    (path,) = spool_files(services.settings.spool_folder)
    assert response.json["recommendation_id"].encode() in path.read_bytes()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"item_ids": []}, "item_ids"),
        ({"item_ids": ["a"] * 501}, "item_ids"),
        ({"item_ids": [""]}, "item_ids[0]"),
        ({}, "item_ids"),
        ({"item_ids": ["a"], "channel": "smoke"}, "channel"),
        ({"item_ids": ["a"], "identity": {"namespace": "email", "value": "nobody"}}, "identity.value"),
    ],
)
def test_lists_that_cannot_be_ranked(shared_client: CheckedClient, body: Answer, field: str) -> None:
    response = shared_client.post("/v1/rank", body)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["errors"][0]["field"] == field

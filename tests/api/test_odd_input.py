"""Odd input: ids with every character, lists at their limits, unknown names; nothing of it is a server error."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from recommender.context import CONTEXT_FIELDS
from recommender.query import Scenario
from tests.api.checked import CheckedClient
from tests.api.test_steering import ask, items

ODD = [
    "' OR 1=1 --",
    '"; DROP TABLE items; --',
    "a/b\\c",
    "%s %d {0} {x}",
    "?:$1",
    "\x01\t\r\n\x7f",
    "商品・①",
    "\U0001f9c0" * 30,
    "e\u0301\u200d\u202e",
    " ",
    ".",
    "..",
    "null",
    "-1",
    "1e309",
    "x" * 128,
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("scenario", list(Scenario))
def test_odd_ids_are_only_unknown(shared_client: CheckedClient, scenario: Scenario, odd: str) -> None:
    context = {"item_id": odd, "basket_item_ids": [odd], "events": [{"item_id": odd}]}
    needed = CONTEXT_FIELDS.get(scenario)
    answer = ask(
        shared_client,
        scenario=scenario,
        member_id=odd,
        store_id=odd,
        reachable_store_ids=[odd],
        exclude=[odd],
        count=3,
        context={} if needed is None else {needed: context[needed]},
        filters={"not": {"or": [{"item_id": odd}, {"brand": odd}, {"attribute": {"name": odd, "is": odd}}]}},
        pins=[{"item_id": odd, "position": 1}],
    )
    assert len(items(answer)) == 3
    assert {"unknown_member", "unknown_store", "pin_dropped"} <= set(answer["flags"])  # type: ignore[call-overload]


@pytest.mark.parametrize("odd", [odd for odd in ODD if "/" not in odd and odd not in (".", "..")])
def test_odd_ids_in_the_address(shared_client: CheckedClient, odd: str) -> None:
    for path in (f"/v1/members/{quote(odd, safe='')}/recommendations", f"/v1/items/{quote(odd, safe='')}/similar"):
        response = shared_client.get(f"{path}?store_id={quote(odd, safe='')}&exclude={quote(odd, safe='')}&count=2")
        assert response.status_code == 200, response.text
        assert response.json is not None
        assert len(items(response.json)) == 2


@pytest.mark.parametrize("odd", ODD)
def test_odd_ids_can_be_ranked_and_explained(shared_client: CheckedClient, odd: str) -> None:
    ranked = shared_client.post("/v1/rank", {"item_ids": [odd, "i01"], "member_id": odd})
    assert ranked.json is not None
    assert [item["item_id"] for item in ranked.json["items"]] == ["i01", odd]
    explained = shared_client.post("/v1/explain", {"item_id": odd, "member_id": odd})
    assert explained.json is not None
    assert explained.json["outcome"] == "unknown_item"


@pytest.mark.parametrize(
    "value",
    ["", "\0", "a\0b", "\ud800", "x" * 129, "商" * 43, None, 7, True, [], {}],
    ids=[
        "empty",
        "nul",
        "nul-inside",
        "half-a-pair",
        "long",
        "long-in-bytes",
        "null",
        "number",
        "true",
        "list",
        "object",
    ],
)
def test_what_cannot_be_an_id_is_refused(shared_client: CheckedClient, value: object) -> None:
    response = shared_client.post("/v1/recommendations", {"exclude": [value]})
    assert response.status_code == 400
    for field in ("member_id", "store_id"):
        response = shared_client.post("/v1/recommendations", {field: value})
        assert response.status_code == (200 if value is None else 400)


@pytest.mark.parametrize("count", [0, -1, 101, 10_000, 2**63, 1.5, "3", True, None])
def test_counts_beyond_their_bounds(shared_client: CheckedClient, count: object) -> None:
    response = shared_client.post("/v1/recommendations", {"count": count})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["errors"][0]["field"] == "count"


@pytest.mark.parametrize(
    "text",
    [
        '{"filters": ' + '{"not": ' * 200 + "{}" + "}" * 201,
        '{"filters": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"filters": {"brand": "\\ud800"}}',
        '{"filters": {"price_cents": {"min": 1e400}}}',
        '{"filters": {"price_cents": {"min": 99999999999999999999999999}}}',
        '{"filters": {"attribute": {"name": "a", "min": NaN}}}',
        '{"filters": {"brand": "a", "brand": "b"}}',
        '{"filters": {"new_since": "9999-99-99"}}',
        '{"filters": {"": 1}}',
        '{"filters": "brand"}',
        '{"filters": 7, "boosts": "x", "pins": {}, "bury": []}',
    ],
    ids=range(11),
)
def test_filters_that_are_none(shared_client: CheckedClient, text: str) -> None:
    response = shared_client.call(
        "POST", "/v1/recommendations", {"Content-Type": "application/json"}, data=text.encode()
    )
    assert response.status_code == 400, response.text

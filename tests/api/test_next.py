"""`next` goes on without repeats, also after a promotion; what was changed or belongs elsewhere is refused."""

from __future__ import annotations

import base64

import pytest

from api.continuation import MOST_SHOWN, issue_token, read_token
from api.services import Services
from recommender.context import CONTEXT_FIELDS, RequestContext
from recommender.errors import InputError
from recommender.query import Scenario
from recommender.request import SlateRequest
from tests.api.checked import CheckedClient
from tests.api.test_steering import ABOUT, ask, items, refused
from tests.shop import ITEMS, train

SECRET = b"secret"
HOME = SlateRequest(Scenario.HOME, 2, subject="member:m1")


@pytest.mark.parametrize("scenario", list(Scenario))
def test_pages_have_no_item_twice(shared_client: CheckedClient, scenario: Scenario) -> None:
    context = {CONTEXT_FIELDS[scenario]: ABOUT[CONTEXT_FIELDS[scenario]]} if scenario in CONTEXT_FIELDS else {}
    body: dict[str, object] = {
        "member_id": "m01",
        "store_id": "s1",
        "scenario": scenario,
        "context": context,
        "count": 7,
    }
    seen: list[str] = []
    for page in range(6):
        answer = ask(shared_client, **body)
        seen += items(answer)
        if page:
            assert "shown_before" in answer["dropped"] or len(items(answer)) < 7  # type: ignore[operator]
        if answer["next"] is None:
            break
        body["next"] = answer["next"]
    assert answer["next"] is None
    assert len(seen) == len(set(seen))
    hidden = {ABOUT["item_id"]} if scenario in (Scenario.SIMILAR, Scenario.SUBSTITUTES) else set()
    assert len(seen) >= len(ITEMS) - 1 - len(hidden) - 8  # all but what the scenario is not about


def test_the_same_page_again_is_the_same(shared_client: CheckedClient) -> None:
    first = ask(shared_client, member_id="m01", count=5)
    second, again = (ask(shared_client, member_id="m01", count=5, next=first["next"]) for _ in range(2))
    assert items(second) == items(again)
    got = shared_client.get(f"/v1/members/m01/recommendations?count=5&next={first['next']}")
    assert got.json is not None
    assert items(got.json) == items(second)


def test_pins_stand_on_the_first_page_only(shared_client: CheckedClient) -> None:
    body = {"member_id": "m01", "store_id": "s1", "count": 5, "pins": [{"item_id": "i20", "position": 1}]}
    first = ask(shared_client, **body)
    second = ask(shared_client, next=first["next"], **body)
    assert items(first)[0] == "i20"
    assert "i20" not in items(second)
    assert second["flags"] == []


def test_it_goes_on_after_a_promotion(client: CheckedClient, services: Services) -> None:
    first = ask(client, member_id="m01", count=6)
    train(services.database, services.settings, seed=11)
    services.serving.check()
    second = ask(client, member_id="m01", count=6, next=first["next"])
    assert second["bundle_id"] != first["bundle_id"]
    assert not set(items(first)) & set(items(second))


def test_a_token_of_another_request_is_refused(shared_client: CheckedClient) -> None:
    token = ask(shared_client, member_id="m01", count=5, filters={"price_cents": {"min": 1}})["next"]
    for body in (
        {"member_id": "m02", "filters": {"price_cents": {"min": 1}}},
        {"member_id": "m01", "filters": {"price_cents": {"min": 2}}},
        {"member_id": "m01"},
        {"member_id": "m01", "scenario": "discover", "filters": {"price_cents": {"min": 1}}},
    ):
        assert refused(shared_client, next=token, **body)["field"] == "next"
    assert len(items(ask(shared_client, member_id="m01", next=token, filters={"price_cents": {"min": 1}}))) == 10


@pytest.mark.parametrize("count", [2, 200])
def test_a_token_that_was_changed_is_refused(count: int) -> None:
    request = SlateRequest(Scenario.HOME, count)
    token = issue_token(SECRET, request, "bundle", [f"item-{number}" for number in range(count)])
    assert token is not None
    assert read_token(SECRET, token, request)[:2] == ("item-0", "item-1")
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for at in range(len(raw)):
        changed = raw.copy()
        changed[at] ^= 1
        with pytest.raises(InputError):
            read_token(SECRET, base64.urlsafe_b64encode(changed).decode(), request)
    for wrong in ("", "a", token[:-4], token + "AAAA", "\u2603", "!" * 40):
        with pytest.raises(InputError):
            read_token(SECRET, wrong, request)
    with pytest.raises(InputError):
        read_token(b"another", token, request)


def test_a_slate_ends_where_nothing_is_left_or_enough_was_shown() -> None:
    assert issue_token(SECRET, HOME, "b", ["one"]) is None
    many = [f"i{number}" for number in range(MOST_SHOWN - 1)]
    request = SlateRequest(Scenario.HOME, 2, shown=tuple(many))
    assert issue_token(SECRET, request, "b", ["x", "y"]) is None
    request = SlateRequest(Scenario.HOME, 2, shown=tuple(many[1:]))
    token = issue_token(SECRET, request, "b", ["x", "y"])
    assert token is not None
    assert read_token(SECRET, token, request) == (*many[1:], "x", "y")


def test_a_token_of_an_item_is_of_that_item() -> None:
    about = SlateRequest(Scenario.SIMILAR, 1, context=RequestContext(item_id="a"))
    token = issue_token(SECRET, about, "b", ["x"])
    assert token is not None
    with pytest.raises(InputError):
        read_token(SECRET, token, SlateRequest(Scenario.SIMILAR, 1, context=RequestContext(item_id="b")))

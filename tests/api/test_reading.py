"""Bodies and query strings: strict, and each mistake told with its field, its value and what is accepted."""

import orjson
import pytest

from api.problems import INVALID_JSON, INVALID_REQUEST, ProblemError
from api.reading import field_errors, read_body, read_path, read_query
from api.schemas import EventRow, EventsRequest, UnreadableEvent
from api.slate_schemas import RecommendationQuery, RecommendationRequest
from api.table_schemas import InventoryRequest, ItemsRequest, LinksRequest
from recommender.query import Scenario

SCENARIOS = "one of 'home', 'buy_again', 'discover', 'trending', 'similar', 'basket', 'substitutes', 'new' or 'session'"


def refusal(schema: type, body: object) -> dict[str, tuple[object, str | None]]:
    """Return value and what is accepted by field."""
    with pytest.raises(ProblemError) as caught:
        read_body(schema, body if isinstance(body, bytes) else orjson.dumps(body))
    assert caught.value.kind is INVALID_REQUEST
    return {error.field: (error.value, error.accepted) for error in caught.value.errors}


def test_defaults() -> None:
    read = read_body(RecommendationRequest, b"{}")
    assert (read.scenario, read.count, read.exclude, read.member_id, read.identity) == (
        Scenario.HOME,
        10,
        [],
        None,
        None,
    )


def test_each_wrong_field_is_named_with_value_and_what_is_accepted() -> None:
    found = refusal(
        RecommendationRequest,
        {"count": 0, "scenario": "x", "limit": 5, "store_id": 7, "exclude": ["a", ""], "member_id": "a\0b"},
    )
    assert found == {
        "count": (0, "at least 1"),
        "scenario": ("x", SCENARIOS),
        "limit": (
            5,
            "one of store_id, reachable_store_ids, channel, count, exclude, next, filters, boosts, bury, pins,"
            " scenario, member_id, identity, context, validate_only, include_coupons",
        ),
        "store_id": (7, "text"),
        "exclude[1]": ("", "text of 1 to 128 bytes of UTF-8 without NUL"),
        "member_id": ("a\0b", "text of 1 to 128 bytes of UTF-8 without NUL"),
    }


@pytest.mark.parametrize(
    ("body", "field", "accepted"),
    [
        ({"count": "5"}, "count", "a whole number"),
        ({"count": 5.5}, "count", "a whole number"),
        ({"count": True}, "count", "a whole number"),
        ({"count": 101}, "count", "at most 100"),
        ({"count": None}, "count", "a whole number"),
        ({"exclude": ["x"] * 10001}, "exclude", "at most 10000 entries"),
        ({"exclude": "x"}, "exclude", "a list"),
        ({"identity": {"namespace": "card"}}, "identity.value", "this field is required"),
        ({"identity": {"namespace": "Card", "value": "1"}}, "identity.namespace", None),
        (
            {"identity": {"namespace": "member", "value": "1"}},
            "identity.namespace",
            '1 to 64 of a-z, 0-9 and "_", not "member"',
        ),
        (
            {"member_id": "1", "identity": {"namespace": "card", "value": "1"}},
            "body",
            "`member_id`, or `identity`, or neither",
        ),
        ([], "body", "an object"),
        ({"member_id": "是" * 43}, "member_id", "text of 1 to 128 bytes of UTF-8 without NUL"),
    ],
)
def test_wrong_values(body: object, field: str, accepted: str | None) -> None:
    found = refusal(RecommendationRequest, body)
    assert list(found) == [field]
    if accepted is not None:
        assert found[field][1] == accepted


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"member_id": "\\ud800"}', b'{"a":' + b"[" * 100_000, b"{} {}", b"nope"],
)
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        read_body(RecommendationRequest, body)
    assert caught.value.kind is INVALID_JSON


def test_ids_may_hold_any_other_character() -> None:
    for value in ["a/b", "a b", "'; DROP TABLE", "\u202e", "张三", "a\nb", "%00", "null", "😀", "a" * 128]:
        assert read_body(RecommendationRequest, orjson.dumps({"member_id": value})).member_id == value


def test_query_parameters_are_read_as_numbers_and_lists() -> None:
    read = read_query(RecommendationQuery, {"count": ["5"], "exclude": ["a", "b"], "scenario": ["discover"]})
    assert (read.count, read.exclude, read.scenario) == (5, ["a", "b"], Scenario.DISCOVER)
    assert read_query(RecommendationQuery, {"exclude": ["a"]}).exclude == ["a"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"count": ["5", "6"]}, "count"),
        ({"count": ["five"]}, "count"),
        ({"count": ["0"]}, "count"),
        ({"size": ["5"]}, "size"),
        ({"member_id": ["5"]}, "member_id"),
        ({"scenario": [""]}, "scenario"),
        ({"exclude": [""]}, "exclude[0]"),
    ],
)
def test_wrong_query_parameters(parameters: dict[str, list[str]], field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_query(RecommendationQuery, parameters)
    assert [error.field for error in caught.value.errors] == [field]


def test_ids_in_paths() -> None:
    read_path({"member_id": "1008"})
    with pytest.raises(ProblemError) as caught:
        read_path({"member_id": "x" * 129})
    assert caught.value.errors[0].field == "member_id"


def test_a_wrong_event_does_not_hold_up_the_others() -> None:
    good = {"event_id": "1", "occurred_at": "2026-03-01T08:00:00+08:00", "kind": "view", "channel": "app"}
    body = {"events": [good, good | {"event_id": "2", "kind": "look"}, 7, good | {"occurred_at": 1772323200}]}
    first, second, third, fourth = read_body(EventsRequest, orjson.dumps(body)).events
    assert isinstance(first, EventRow)
    assert first.occurred_at.isoformat() == "2026-03-01T00:00:00+00:00"
    assert isinstance(second, UnreadableEvent)
    assert second.event_id == "2"
    assert field_errors(second.error, EventRow)[0].field == "kind"
    assert isinstance(third, UnreadableEvent)
    assert third.event_id is None
    assert isinstance(fourth, UnreadableEvent)
    assert field_errors(fourth.error, EventRow)[0].accepted is not None


@pytest.mark.parametrize("time", ["2026-03-01", "2026-03-01T08:00:00", "yesterday", "", "0001-01-01T00:00+23:59"])
def test_times_need_an_offset(time: str) -> None:
    row = {"store_id": "s", "item_id": "i", "on_hand": 1, "as_of": time}
    assert list(refusal(InventoryRequest, {"inventory": [row]})) == ["inventory[0].as_of"]


def test_numbers_must_be_finite() -> None:
    for number in (b"NaN", b"Infinity", b"1e400"):
        body = b'{"inventory": [{"store_id": "s", "item_id": "i", "on_hand": ' + number + b"}]}"
        assert list(refusal(InventoryRequest, body)) == ["inventory[0].on_hand"]


def test_every_wrong_row_is_named() -> None:
    rows = [{"item_id": "a"}, {"price_cents": 5}, {"item_id": "b", "price_cents": -1, "season_until": "soon"}]
    assert set(refusal(ItemsRequest, {"items": rows})) == {
        "items[1].item_id",
        "items[2].price_cents",
        "items[2].season_until",
    }


def test_identities_are_not_repeated_in_errors() -> None:
    row = {"namespace": "phone", "value": "\0" + "13800138000", "member_id": "m"}
    assert refusal(LinksRequest, {"identities": [row]})["identities[0].value"][0] is None

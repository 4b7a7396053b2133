"""Strict JSON: what lenient readers let pass is refused, and what is fine is not."""

import orjson
import pytest

from api.strict_json import MAX_DEPTH, LaxJsonError, check_json
from tests.api.checked import CheckedClient
from tests.api.test_member_access import event


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"count": 5, "count": 6}', "'count' is given twice"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "'b' is given twice"),
        (b'[{"a": 1}, {"\\u0061": 1, "a": 2}]', "'a' is given twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": [-Infinity]}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 9223372036854775808}', "64 bits"),
        (b'{"a": [' + b"9" * 5000 + b"]}", "64 bits"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
    ],
)
def test_it_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(LaxJsonError, match=told):
        check_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": {"x": 1}, "b": {"x": 1}}',
        b'{"text": "\\"a\\": [[[[ NaN {{{{"}',
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        orjson.dumps([{"x": [1, 2.5, None]}] * 500),
        b"-0.0",
        b'{"a": -9223372036854775807, "b": 0.12345678901234567890}',
        b'{"a\\\\": "\\":", "b": ":"}',
    ],
)
def test_it_passes(text: bytes) -> None:
    check_json(text)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('"event_id": "twice"', "'event_id' is given twice"),
        ('"attributes": {"a": NaN}', "NaN"),
        ('"attributes": {"a": ' + "[" * 40 + "]" * 40 + "}", "nested"),
        ('"attributes": {"a": 1e400}', "too large"),
        ('"attributes": {"a": ' + "9" * 30 + "}", "64 bits"),
    ],
)
def test_bodies_are_held_to_it(shared_client: CheckedClient, more: str, told: str) -> None:
    row = orjson.dumps(event()).decode().rstrip("}") + ", " + more + "}"
    body = '{"events": [' + row + "]}"
    answer = shared_client.call("POST", "/v1/events", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["type"].endswith("invalid-json")
    assert told in answer.json["detail"]

"""Answers that go past Flask's routing are those that Flask would give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, EnvironBuilder, TestResponse, run_wsgi_app

from api.app import create_app
from api.services import Services
from tests.shop import make_key

PATH = "/v1/recommendations"
ASKED = {"scenario": "home", "member_id": "m01", "count": 5}
CHANGING = ("recommendation_id", "instance", "request_id")


@pytest.fixture(scope="module")
def app(shared_services: Services) -> Flask:
    return create_app(shared_services)


@pytest.fixture(scope="module")
def key(shared_services: Services) -> str:
    return make_key(shared_services.database, "recommend")


def ask(app: Flask, key: str, body: bytes, directly: bool) -> TestResponse:
    """Ask with or without a query string: only plain requests go past Flask."""
    client, headers = Client(app), {"Authorization": f"Bearer {key}", "Accept-Language": "zh"}
    content_type = "application/json" if directly else "application/json; charset=utf-8"
    return client.post(PATH, data=body, headers=headers, content_type=content_type)


def comparable(response: TestResponse) -> tuple[Any, ...]:
    body = json.loads(response.data)
    headers = {
        name: value for name, value in response.headers.items() if name not in ("X-Request-Id", "Content-Length")
    }
    return response.status, headers, {name: value for name, value in body.items() if name not in CHANGING}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps(ASKED).encode(), 200),
        (json.dumps(ASKED | {"validate_only": True}).encode(), 200),
        (json.dumps(ASKED | {"nonsense": 1}).encode(), 400),
        (json.dumps(ASKED | {"channel": "nowhere"}).encode(), 400),
        (b"{", 400),
        (b"", 400),
        (b'{"count": 1, "count": 2}', 400),
    ],
)
def test_both_ways_give_one_answer(app: Flask, key: str, body: bytes, status: int) -> None:
    direct, routed = (ask(app, key, body, directly) for directly in (True, False))
    assert direct.status_code == status
    assert comparable(direct) == comparable(routed)


def test_both_ways_refuse_a_wrong_key(app: Flask) -> None:
    body = json.dumps(ASKED).encode()
    direct, routed = (ask(app, "mw_wrong", body, directly) for directly in (True, False))
    assert direct.status_code == 401
    assert comparable(direct) == comparable(routed)


def test_plain_requests_do_not_reach_flask(app: Flask, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise AssertionError("Flask was asked")

    monkeypatch.setattr(app, "request_context", unreachable)
    assert ask(app, key, json.dumps(ASKED).encode(), directly=True).status_code == 200
    with pytest.raises(AssertionError):
        ask(app, key, json.dumps(ASKED).encode(), directly=False)


def test_a_body_that_breaks_off_is_no_request(app: Flask, key: str) -> None:
    body = json.dumps(ASKED).encode()
    environ = EnvironBuilder(
        PATH, method="POST", data=body, content_type="application/json", headers={"Authorization": f"Bearer {key}"}
    ).get_environ()
    environ["CONTENT_LENGTH"] = str(len(body) + 10)
    assert run_wsgi_app(app, environ)[1].startswith("400")


def test_what_is_too_long_is_refused_unread(app: Flask, key: str, shared_services: Services) -> None:
    body = b" " * (shared_services.settings.max_body_bytes + 1)
    assert ask(app, key, body, directly=True).status_code == 413

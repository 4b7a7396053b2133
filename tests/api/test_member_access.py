"""What a member token can do: its own member's things, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from api.app import build_services, close_services, create_app
from api.auth import MemberAccess
from api.openapi import Operation
from api.routes import OPERATIONS
from api.services import Services
from api.settings import ServiceSettings
from recommender.storage.statements import fetch
from tests.api.checked import CheckedClient
from tests.api.tokens import Signer, with_tokens


@pytest.fixture
def signer(shop_settings: ServiceSettings) -> Signer:
    return Signer(shop_settings.jwt_keys_file)


@pytest.fixture
def member_services(shop_settings: ServiceSettings, signer: Signer) -> Iterator[Services]:
    services = build_services(with_tokens(shop_settings))
    yield services
    close_services(services)


@pytest.fixture
def own(member_services: Services, signer: Signer) -> CheckedClient:
    """A client with a token of m05."""
    return CheckedClient(create_app(member_services), signer.token("m05"))


def item_ids(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return [item["item_id"] for item in answer.json["items"]]


def test_the_token_stands_for_its_member(own: CheckedClient) -> None:
    unnamed = own.post("/v1/recommendations", {"scenario": "home", "count": 5})
    named = own.post("/v1/recommendations", {"scenario": "home", "count": 5, "member_id": "m05"})
    path = own.get("/v1/members/m05/recommendations?count=5")
    assert item_ids(unnamed) == item_ids(named) == item_ids(path)
    assert unnamed.json is not None
    assert unnamed.json["strategy"] == "personal"
    assert item_ids(own.get("/v1/items/i03/similar?count=3"))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/members/m06/recommendations", None),
        ("POST", "/v1/recommendations", {"member_id": "m06"}),
        ("POST", "/v1/recommendations", {"identity": {"namespace": "wechat_openid", "value": "openid-1"}}),
        ("POST", "/v1/explain", {"member_id": "m06", "item_id": "i01"}),
    ],
)
def test_another_member_is_refused(own: CheckedClient, method: str, path: str, body: object) -> None:
    answer = own.call(method, path, **({} if body is None else {"json": body}))
    assert answer.status_code == 403, answer.text
    assert "m06" not in answer.text


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.scope is not None], ids=lambda one: one.id)
def test_operations_say_whether_they_take_member_tokens(operation: Operation, own: CheckedClient) -> None:
    """Where none is taken the answer is 403; where one is, another member's is."""
    path = operation.path
    for name in operation.path_parameters:
        path = path.replace(f"{{{name}}}", "m06" if name == "member_id" else "x")
    if operation.member is None:
        assert own.call(operation.method, path, json={}).status_code == 403
    elif operation.member is MemberAccess.PATH:
        assert "member_id" in operation.path_parameters
        assert own.call(operation.method, path).status_code == 403
    elif operation.member is MemberAccess.BODY:
        assert operation.body is not None
        assert "member_id" not in operation.path_parameters
    else:
        fields = set() if operation.body is None else set(operation.body.model_fields)
        assert not {"member_id", "identity"} & (fields | set(operation.path_parameters))


def event(kind: str = "view", **more: object) -> dict[str, object]:
    return {
        "event_id": "e1",
        "occurred_at": datetime.now(UTC).isoformat(),
        "kind": kind,
        "channel": "mini_program",
        "item_id": "i20",
        **more,
    }


def test_events_are_the_members_own(own: CheckedClient, member_services: Services) -> None:
    first = event()
    answer = own.post("/v1/events", {"events": [first, first | {"member_id": "m05"}, first | {"event_id": "e2"}]})
    assert answer.json is not None
    assert [result["status"] for result in answer.json["results"]] == ["accepted", "duplicate", "accepted"]
    assert [result["event_id"] for result in answer.json["results"]] == ["e1", "e1", "e2"]
    with member_services.database.read() as connection:
        found = fetch(
            connection,
            "SELECT subject, event_id FROM events WHERE channel = 'mini_program' AND subject LIKE 'member:%'",
        )
    assert {row[0] for row in found} == {"member:m05"}
    assert "e1" not in {row[1] for row in found}, "ids of other events cannot be taken in advance"
    others = [event(event_id="e3"), event(event_id="e4", member_id="m06")]
    assert own.post("/v1/events", {"events": others}).status_code == 403


@pytest.mark.parametrize("kind", ["purchase", "return", "coupon_redeem", "push_delivered", "guide_done"])
def test_a_device_cannot_make_up_purchases(own: CheckedClient, kind: str) -> None:
    answer = own.post("/v1/events", {"events": [event(kind)]})
    assert answer.json is not None
    (result,) = answer.json["results"]
    assert result["status"] == "rejected"
    assert result["errors"][0]["field"] == "kind"


def test_tokens_are_off_until_an_issuer_is_set(services: Services, tmp_path: Path) -> None:
    signer = Signer(services.settings.jwt_keys_file)
    client = CheckedClient(create_app(services), signer.token("m05"))
    assert client.post("/v1/recommendations", {}).status_code == 401

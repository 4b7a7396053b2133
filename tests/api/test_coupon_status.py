"""Coupons of other systems, followed by signed webhook."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.test import TestResponse

from api.app import create_app
from api.services import Services
from recommender.cli import main
from recommender.coupons.counters import Count, used
from recommender.coupons.following import secrets_file
from recommender.coupons.issuing import IssueRequest, could_issue
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Turn
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from recommender.webhook_signature import add_secret, parse_secret, sign
from tests.api.checked import CheckedClient
from tests.shop import NOW

COUPON: dict[str, Any] = {
    "coupon_id": "wx-7",
    "offer_id": "wx",
    "member_id": "m01",
    "status": "redeemed",
    "as_of": NOW.isoformat(),
}
REDEMPTION: dict[str, Any] = {
    "redemption_id": "r-7",
    "coupon_id": "wx-7",
    "offer_id": "wx",
    "member_id": "m01",
    "campaign_id": "c1",
    "redeemed_at": NOW.isoformat(),
    "discount_cents": 300,
}


@pytest.fixture
def secret(services: Services) -> bytes:
    return parse_secret(add_secret(secrets_file(services.settings)))


@pytest.fixture
def shop(services: Services, secret: bytes) -> Services:
    campaign = {"campaign_id": "c1", "starts_at": NOW - timedelta(days=1), "ends_at": NOW + timedelta(days=9)}
    with services.database.write() as connection:
        upsert(connection, "campaigns", [campaign | {"budget_cents": 1000, "offers": ["wx"]}], NOW)
        offer = {"offer_id": "wx", "kind": "amount_off", "value": 300, "per_member_limit": 1}
        upsert(connection, "offers", [offer], NOW)
    return services


def tell(
    shop: Services,
    secrets: Sequence[bytes],
    body: dict[str, Any],
    message_id: str = "msg_1",
    at: datetime | None = None,
) -> TestResponse:
    payload = json.dumps(body).encode()
    headers = sign(secrets, message_id, at or shop.clock(), payload)
    client = CheckedClient(create_app(shop))
    return client.call("POST", "/v1/coupons:status", headers, data=payload, content_type="application/json")


def state(shop: Services) -> tuple[Any, int]:
    """Return how the coupon stands, and what other systems spent of the budget."""
    with shop.database.read() as connection:
        rows = fetch(connection, "SELECT status FROM coupons WHERE coupon_id = 'wx-7'")
        return rows[0][0] if rows else None, used(connection, Count.EXTERNAL, "c1")


def test_a_signed_message_counts_at_once_and_once(shop: Services, secret: bytes) -> None:
    body = {"type": "coupon.status", "coupons": [COUPON], "redemptions": [REDEMPTION]}
    found = tell(shop, [secret], body)
    assert found.json == {"repeated": False, "received": 2, "outdated": 0, "changed": 2}
    assert state(shop) == ("redeemed", 300)
    with shop.database.read() as connection:
        turn = Turn(connection, shop.wallet, shop.clock())
        assert could_issue(turn, [IssueRequest("wx", "m01", "c1")]) == [Refusal.MEMBER_LIMIT]
    assert tell(shop, [secret], body).json == {"repeated": True, "received": 2, "outdated": 0, "changed": 0}
    assert state(shop) == ("redeemed", 300)
    other = tell(shop, [secret], {"coupons": [COUPON]})
    assert other.status_code == 409
    with shop.database.read() as connection:
        rows = fetch(connection, "SELECT caller, rows FROM audit_counts WHERE action = 'follow_coupons'")
    assert rows[0][0] == "webhook:follow_coupons"


def test_what_is_older_than_known_changes_nothing(shop: Services, secret: bytes) -> None:
    tell(shop, [secret], {"coupons": [COUPON]})
    earlier = (NOW - timedelta(seconds=1)).isoformat()
    late = tell(shop, [secret], {"coupons": [COUPON | {"status": "issued", "as_of": earlier}]}, "msg_2")
    assert late.json == {"repeated": False, "received": 1, "outdated": 1, "changed": 0}
    assert state(shop)[0] == "redeemed"
    later = (NOW + timedelta(seconds=1)).isoformat()
    tell(shop, [secret], {"coupons": [COUPON | {"status": "issued", "as_of": later}]}, "msg_3")
    assert state(shop)[0] == "issued"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_message_outside_of_the_window_is_refused(shop: Services, secret: bytes, minutes: int) -> None:
    found = tell(shop, [secret], {"coupons": [COUPON]}, at=shop.clock() + timedelta(minutes=minutes))
    assert found.status_code == 401
    assert found.json is not None
    assert found.json["errors"][0]["field"] == "webhook-signature"
    assert state(shop) == (None, 0)


def test_without_a_secret_that_counts_nothing_is_read(shop: Services, secret: bytes) -> None:
    stranger = parse_secret("whsec_" + "QUJD" * 8)
    assert tell(shop, [stranger], {"coupons": "not even a list"}).status_code == 401
    assert tell(shop, [], {"coupons": [COUPON]}).status_code == 401
    client = CheckedClient(create_app(shop))
    assert client.post("/v1/coupons:status", {"coupons": [COUPON]}).status_code == 401
    assert tell(shop, [secret], {"coupons": "not even a list"}).status_code == 400
    second = parse_secret(add_secret(secrets_file(shop.settings)))
    assert tell(shop, [stranger, second], {"coupons": [COUPON]}).status_code == 200
    secrets_file(shop.settings).unlink()
    assert tell(shop, [secret], {"coupons": [COUPON]}, "msg_2").status_code == 401


def test_coupons_of_this_wallet_are_not_for_others_to_tell_of(shop: Services, secret: bytes) -> None:
    with shop.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO wallet_coupons (coupon_id, offer_id, member_id, status, service, issued_at, discount_cents)"
            " VALUES ('wx-7', 'wx', 'm01', 'issued', 0, 0, 0)"
        )
    assert tell(shop, [secret], {"coupons": [COUPON]}).status_code == 409
    assert state(shop) == (None, 0)


def test_a_secret_is_made_on_the_command_line(shop: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERWISE_HOME", str(shop.settings.home))
    result = CliRunner().invoke(main, ["coupons", "secret"])
    assert result.exit_code == 0, result.output
    made = parse_secret(result.output.strip().splitlines()[-1])
    assert secrets_file(shop.settings).stat().st_mode & 0o777 == 0o600
    assert tell(shop, [made], {"coupons": [COUPON]}).status_code == 200

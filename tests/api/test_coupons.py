"""Offers and the wallet over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from api.app import create_app
from api.services import Services
from recommender.coupons.ledger import check_books
from recommender.storage.audit import read_audit, read_counts
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.shop import NOW, make_key

OFFER = {"offer_id": "ten", "kind": "amount_off", "value": 100, "minimum_spend_cents": 200}
PURCHASE = {"store_id": "s1", "channel": "pos", "lines": [{"item_id": "i01", "quantity": 3, "unit_price_cents": 101}]}
KEYS = count()

Json = dict[str, Any]


@pytest.fixture
def wallet(services: Services) -> Iterator[CheckedClient]:
    """A client of a shop with one offer and a campaign with a budget; its books balance at the end."""
    yield from open_wallet(services)


def open_wallet(services: Services) -> Iterator[CheckedClient]:
    campaign = {
        "campaign_id": "c1",
        "starts_at": NOW - timedelta(days=1),
        "ends_at": NOW + timedelta(days=1),
        "budget_cents": 250,
    }
    with services.database.write() as connection:
        upsert(connection, "campaigns", [campaign], NOW)
    client = CheckedClient(create_app(services), make_key(services.database, "coupons"))
    assert client.put("/v1/offers", {"offers": [OFFER]}).json["added"] == 1
    yield client
    with services.database.read(snapshot=True) as connection:
        assert check_books(connection) == []


def ask(client: CheckedClient, verb: str, body: Json, key: str | None = None, **headers: str) -> Json:
    sent = {"Idempotency-Key": key or f"k{next(KEYS)}"} | headers
    response = client.post(f"/v1/coupons:{verb}", body, headers=sent)
    assert response.status_code == 200, response.text
    found: Json = response.json
    return found


def issue(client: CheckedClient, member_id: str = "m01", **fields: Any) -> str:
    found = ask(client, "issue", {"coupons": [{"offer_id": "ten", "member_id": member_id, **fields}]})
    assert found["done"] == 1, found
    coupon_id: str = found["coupons"][0]["coupon_id"]
    return coupon_id


def refs(*coupon_ids: str) -> list[Json]:
    return [{"coupon_id": one} for one in coupon_ids]


def outcome(found: Json, place: int = 0) -> tuple[str, str | None, str | None]:
    one = found["coupons"][place]
    return one["result"], one["status"], one["reason"]


def test_a_coupon_s_life(wallet: CheckedClient) -> None:
    coupon_id = issue(wallet, campaign_id="c1")
    qualified = wallet.post("/v1/coupons:qualify", {"member_id": "m01", "purchase": PURCHASE}).json
    assert qualified["together"]["discount_cents"] == 100
    assert [one["coupon_id"] for one in qualified["coupons"]] == [coupon_id]
    asked = wallet.post("/v1/coupons:validate", {"coupons": refs(coupon_id), "purchase": PURCHASE}).json
    assert (outcome(asked), asked["coupons"][0]["line_discounts_cents"]) == (("done", "issued", None), [100])
    order = {"order_id": "o1", "coupons": refs(coupon_id)}
    locked = ask(wallet, "lock", order | {"purchase": PURCHASE})
    assert (outcome(locked), locked["discount_cents"]) == (("done", "locked", None), 100)
    assert outcome(ask(wallet, "release", order)) == ("done", "issued", None)
    assert outcome(ask(wallet, "redeem", order)) == ("refused", "issued", "not_locked")
    assert outcome(ask(wallet, "redeem", order | {"purchase": PURCHASE})) == ("done", "redeemed", None)
    assert outcome(ask(wallet, "redeem", order)) == ("repeated", "redeemed", None)
    assert outcome(ask(wallet, "return", order | {"full": False})) == ("done", "redeemed", None)
    assert outcome(ask(wallet, "return", order | {"full": True})) == ("done", "issued", None)
    assert outcome(ask(wallet, "return", order | {"full": True})) == ("refused", "issued", "not_redeemed")
    assert outcome(ask(wallet, "void", {"coupons": refs(coupon_id), "reason": "test"})) == ("done", "voided", None)


def test_a_lock_lasts_as_long_as_is_asked(services: Services, wallet: CheckedClient) -> None:
    order = {"order_id": "o1", "coupons": refs(issue(wallet)), "purchase": PURCHASE, "ttl_seconds": 60}
    until = datetime.fromisoformat(ask(wallet, "lock", order)["coupons"][0]["locked_until"])
    assert timedelta(seconds=50) < until - datetime.now(UTC) <= timedelta(seconds=60)
    again = wallet.post("/v1/coupons:lock", order | {"ttl_seconds": 0}, headers={"Idempotency-Key": "z"})
    assert again.status_code == 400


def test_the_budget_is_held_over_http(wallet: CheckedClient) -> None:
    found = [
        outcome(ask(wallet, "redeem", {"order_id": f"o{n}", "coupons": refs(issue(wallet, campaign_id="c1"))} | extra))
        for n, extra in enumerate([{"purchase": PURCHASE}] * 3)
    ]
    assert found == [("done", "redeemed", None)] * 2 + [("refused", "issued", "budget_spent")]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("offers[1].value", {"value": 0}),
        ("offers[1].value", {"value": -5}),
        ("offers[1].value", {"kind": "percent_off", "value": 10_001}),
        ("offers[1].value", {"value": 2**63}),
        ("offers[1].valid_until", {"valid_from": "2026-03-02T00:00:00Z", "valid_until": "2026-03-01T00:00:00Z"}),
        ("offers[1].scope", {"scope": {"items": []}}),
        ("offers[1].per_member_limit", {"per_member_limit": 0}),
        ("offers[1].funded_share", {"funded_share": 1.5}),
    ],
)
def test_offers_that_cannot_be_are_refused_whole(
    services: Services, wallet: CheckedClient, field: str, change: Json
) -> None:
    rows = [OFFER | {"offer_id": "good"}, OFFER | {"offer_id": "bad"} | change]
    answer = wallet.put("/v1/offers", {"offers": rows})
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"].startswith(field)
    with services.database.read() as connection:
        assert fetch(connection, "SELECT offer_id FROM offers") == [("ten",)]


def test_a_call_is_done_once_per_key_and_per_request_number(services: Services, wallet: CheckedClient) -> None:
    body = {"request_no": "r1", "coupons": [{"offer_id": "ten", "member_id": "m01"}]}
    first = ask(wallet, "issue", body, "same")
    assert ask(wallet, "issue", body, "same") == first
    assert ask(wallet, "issue", body, "another") == first
    other = body | {"coupons": [{"offer_id": "ten", "member_id": "m02"}]}
    for key in ("same", "new"):
        answer = wallet.post("/v1/coupons:issue", other, headers={"Idempotency-Key": key})
        assert answer.status_code == 409
        assert answer.json["errors"][0]["field"] == ("Idempotency-Key" if key == "same" else "request_no")
    with services.database.read() as connection:
        assert fetch(connection, "SELECT COUNT(*) FROM wallet_coupons") == [(1,)]
    assert wallet.post("/v1/coupons:issue", body).status_code == 400


def test_a_number_of_which_everything_was_refused_may_come_again(wallet: CheckedClient) -> None:
    order = {"order_id": "o1", "coupons": refs(issue(wallet)), "request_no": "r1"}
    assert outcome(ask(wallet, "redeem", order)) == ("refused", "issued", "not_locked")
    assert outcome(ask(wallet, "redeem", order | {"purchase": PURCHASE})) == ("done", "redeemed", None)
    assert outcome(ask(wallet, "redeem", order | {"purchase": PURCHASE})) == ("done", "redeemed", None)


def test_a_redemption_is_rolled_back_also_before_it_comes(wallet: CheckedClient) -> None:
    order = {"order_id": "o1", "coupons": refs(issue(wallet)), "purchase": PURCHASE, "request_no": "r1"}
    assert outcome(ask(wallet, "redeem", order)) == ("done", "redeemed", None)
    assert outcome(ask(wallet, "rollback", {"request_no": "r1"})) == ("done", "issued", None)
    assert outcome(ask(wallet, "redeem", order)) == ("refused", None, "rolled_back")
    assert ask(wallet, "rollback", {"request_no": "r2"})["coupons"] == []
    late = ask(wallet, "redeem", order | {"request_no": "r2"})
    assert outcome(late) == ("refused", None, "rolled_back")
    assert outcome(ask(wallet, "redeem", order | {"request_no": "r3"})) == ("done", "redeemed", None)


def test_codes_at_the_till(wallet: CheckedClient) -> None:
    coupon_id = issue(wallet)
    made = ask(wallet, "code", {"coupon_id": coupon_id})
    order = {"order_id": "o1", "purchase": PURCHASE}
    twice = [{"code": made["digits"]}, {"coupon_id": coupon_id}, {"code": "2900000000001"}]
    found = ask(wallet, "lock", order | {"coupons": twice})
    assert [outcome(found, place) for place in range(3)] == [
        ("done", "locked", None),
        ("refused", None, "named_twice"),
        ("refused", None, "unknown_code"),
    ]
    assert ask(wallet, "code", {"coupon_id": "nothing"})["reason"] == "unknown_coupon"
    both = {"coupons": [{"code": made["barcode"], "coupon_id": coupon_id}]}
    assert wallet.post("/v1/coupons:lock", order | both, headers={"Idempotency-Key": "x"}).status_code == 400


def test_refusals_can_be_read_out(wallet: CheckedClient) -> None:
    small = PURCHASE | {"lines": [{"item_id": "i01", "quantity": 1, "unit_price_cents": 101}]}
    body = {"coupons": refs(issue(wallet)), "purchase": small}
    english = wallet.post("/v1/coupons:validate", body).json["coupons"][0]
    chinese = wallet.post("/v1/coupons:validate", body, headers={"Accept-Language": "zh-CN"}).json["coupons"][0]
    assert (english["reason"], english["short_by"]) == ("below_minimum_spend", 99)
    assert english["message"] == "0.99 more is needed to use this coupon."
    assert chinese["message"] == "再消费 0.99 元即可使用这张券。"


def test_below_cost_needs_a_second_key(services: Services, wallet: CheckedClient) -> None:
    with services.database.write() as connection:
        upsert(connection, "items", [{"item_id": "i01", "cost_cents": 90}], NOW)
    wallet.put("/v1/offers", {"offers": [OFFER]})
    assert wallet.put("/v1/offers", {"offers": [OFFER | {"minimum_spend_cents": 150}]}).json["changed"] == 1
    asked = {"coupons": [{"offer_id": "ten", "member_id": "m01"}]}
    assert outcome(ask(wallet, "issue", asked)) == ("refused", None, "approval_missing")
    assert wallet.call("POST", "/v1/offers/ten:approve").status_code == 409
    second = CheckedClient(create_app(services), make_key(services.database, "coupons"))
    assert second.call("POST", "/v1/offers/ten:approve").json["approved_by"]
    assert outcome(ask(wallet, "issue", asked)) == ("done", "issued", None)
    assert second.call("POST", "/v1/offers/nothing:approve").status_code == 404


def test_a_frozen_offer(services: Services, wallet: CheckedClient) -> None:
    coupon_id = issue(wallet)
    assert wallet.post("/v1/offers/ten:freeze", {"reason": "Shared in a forum."}).json["frozen"] is True
    order = {"order_id": "o1", "coupons": refs(coupon_id), "purchase": PURCHASE}
    assert outcome(ask(wallet, "lock", order)) == ("refused", "issued", "offer_frozen")
    assert wallet.call("POST", "/v1/offers/ten:unfreeze").json["frozen"] is False
    assert outcome(ask(wallet, "lock", order)) == ("done", "locked", None)
    with services.database.read() as connection:
        entries = [(one.action, one.target, one.details) for one in read_audit(connection)][:2]
    assert entries == [
        ("unfreeze_offer", "ten", None),
        ("offers.freeze", "ten", '{"reason":"Shared in a forum."}'),
    ]


def test_writes_are_on_record_and_name_nobody(services: Services, wallet: CheckedClient) -> None:
    coupon_id = issue(wallet)
    ask(wallet, "redeem", {"order_id": "o1", "coupons": refs(coupon_id), "purchase": PURCHASE})
    ask(wallet, "void", {"coupons": refs(issue(wallet)), "reason": "fraud"})
    with services.database.read() as connection:
        entries = read_audit(connection)
        counts = {one.action: one.rows for one in read_counts(connection, NOW - timedelta(hours=2))}
    assert [one.action for one in entries[:3]] == ["coupons.void", "issue_coupons", "issue_coupons"]
    assert entries[0].details == '{"reason":"fraud","coupons":1}'
    assert counts == {"redeem_coupons": 1}
    assert not any(name in str(entries) for name in (coupon_id, "m01"))


def test_phones_devices_and_payers_are_kept_as_hashes(services: Services, wallet: CheckedClient) -> None:
    issue(wallet, phone="138 0013 8000", device="imei-7", payer="alipay-7")
    with services.database.read() as connection:
        stored = str(fetch(connection, "SELECT * FROM coupon_counters"))
    assert not any(clear in stored for clear in ("8000", "imei", "alipay"))
    assert wallet.post(
        "/v1/coupons:issue",
        {"coupons": [{"offer_id": "ten", "member_id": "m01", "phone": "none"}]},
        headers={"Idempotency-Key": "p"},
    ).json["errors"]


def test_other_keys_have_no_business_here(client: CheckedClient) -> None:
    assert client.put("/v1/offers", {"offers": [OFFER]}).status_code == 403
    assert client.post("/v1/coupons:qualify", {"member_id": "m01", "purchase": PURCHASE}).status_code == 403


def test_amounts_at_the_limit(wallet: CheckedClient) -> None:
    line = {"item_id": "i01", "quantity": 1e9, "unit_price_cents": 10**15}
    answer = wallet.post(
        "/v1/coupons:validate", {"coupons": refs(issue(wallet)), "purchase": PURCHASE | {"lines": [line]}}
    )
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == "lines"


def test_coupons_of_another_system_are_followed(services: Services, wallet: CheckedClient) -> None:
    wallet.put("/v1/offers", {"offers": [OFFER | {"per_member_limit": 1}]})
    told = {"coupon_id": "wx-1", "offer_id": "ten", "member_id": "m01", "status": "redeemed"}
    spent = {
        "redemption_id": "r-1",
        "coupon_id": "wx-1",
        "offer_id": "ten",
        "member_id": "m01",
        "campaign_id": "c1",
        "redeemed_at": NOW.isoformat(),
        "discount_cents": 200,
    }
    body = {"coupons": [told], "redemptions": [spent]}
    assert wallet.put("/v1/external-coupons", body).json["added"] == 2
    assert wallet.put("/v1/external-coupons", body).json["unchanged"] == 2
    asked = {"coupons": [{"offer_id": "ten", "member_id": "m01"}]}
    assert outcome(ask(wallet, "issue", asked)) == ("refused", None, "member_limit")
    own = issue(wallet, "m02", campaign_id="c1")
    order = {"order_id": "o1", "coupons": refs(own), "purchase": PURCHASE}
    assert outcome(ask(wallet, "lock", order)) == ("refused", "issued", "budget_spent")
    for mine in ({"coupons": [told | {"coupon_id": own}]}, {"redemptions": [spent | {"redemption_id": own}]}):
        assert wallet.put("/v1/external-coupons", mine).status_code == 409
    assert wallet.put("/v1/external-coupons", {}).status_code == 400

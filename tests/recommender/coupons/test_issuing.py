from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from recommender.coupons.counters import Count, used
from recommender.coupons.issuing import IssueRequest, could_issue, issue
from recommender.coupons.refusals import Refusal
from recommender.coupons.store import read_offers
from recommender.coupons.supervision import approve, freeze, unfreeze
from recommender.coupons.wallet import Status
from recommender.errors import ConflictError, NotFoundError
from recommender.storage.database import Database
from recommender.storage.statements import execute
from recommender.storage.upserts import upsert
from tests.factories import NOW
from tests.recommender.coupons.world import RULES, TEN_OFF, assert_balanced, coupon_of, give, reason, settle_in, turn


def test_a_coupon_is_issued_until_the_offer_ends(database: Database) -> None:
    end = NOW + timedelta(days=3)
    settle_in(database, TEN_OFF | {"valid_until": end})
    found = give(database, expires_at=NOW + timedelta(days=9)).coupon
    assert found is not None
    assert (found.status, found.expires_at, found.campaign_id) == (Status.ISSUED, end, "c1")
    earlier = give(database, expires_at=NOW + timedelta(days=1)).coupon
    assert earlier is not None
    assert earlier.expires_at == NOW + timedelta(days=1)
    assert_balanced(database)


@pytest.mark.parametrize(
    ("expected", "offer", "request_"),
    [
        (Refusal.UNKNOWN_OFFER, {}, {"offer_id": "nothing"}),
        (Refusal.OFFER_UNUSABLE, {"value": 0}, {}),
        (Refusal.EXTERNAL_WALLET, {"wallet": "external"}, {}),
        (Refusal.VALUE_UNKNOWN, {"value": None, "assumed_value_cents": 5}, {}),
        (Refusal.ENDED, {"valid_until": NOW}, {}),
        (Refusal.APPROVAL_MISSING, {"minimum_spend_cents": 1500}, {}),
        (Refusal.UNKNOWN_MEMBER, {}, {"member_id": "nobody"}),
        (Refusal.MEMBER_NOT_ELIGIBLE, {}, {"member_id": "staff"}),
        (Refusal.MEMBER_NOT_ELIGIBLE, {}, {"member_id": "bad", "service": True}),
        (Refusal.NOT_IN_SEGMENT, {"segments": ["gold"]}, {"member_id": "m2"}),
        (Refusal.UNKNOWN_CAMPAIGN, {}, {"campaign_id": "c9"}),
        (Refusal.CAMPAIGN_NOT_RUNNING, {}, {"campaign_id": "later"}),
        (Refusal.OUT_OF_STOCK, {"stock": 0}, {}),
    ],
)
def test_what_speaks_against_a_coupon(
    sqlite_database: Database, expected: Refusal, offer: dict[str, Any], request_: dict[str, Any]
) -> None:
    settle_in(sqlite_database, TEN_OFF | offer)
    later = {"campaign_id": "later", "starts_at": NOW + timedelta(days=1), "ends_at": NOW + timedelta(days=2)}
    with sqlite_database.write() as connection:
        upsert(connection, "campaigns", [later], NOW)
    asked = IssueRequest(**{"offer_id": "ten", "member_id": "m1", "campaign_id": "c1"} | request_)
    with sqlite_database.read() as connection:
        assert could_issue(turn(connection), [asked]) == [expected]
    assert reason(give(sqlite_database, **request_)) is expected
    assert_balanced(sqlite_database)


def test_segments_are_tiers_and_attributes(sqlite_database: Database) -> None:
    settle_in(
        sqlite_database, TEN_OFF | {"segments": ["gold"]}, TEN_OFF | {"offer_id": "kids", "segments": ["parents"]}
    )
    assert reason(give(sqlite_database)) is Status.ISSUED
    assert reason(give(sqlite_database, offer_id="kids")) is Status.ISSUED


def test_service_coupons_are_given_by_hand_to_anyone_but_the_blocked(sqlite_database: Database) -> None:
    settle_in(sqlite_database)
    found = give(sqlite_database, "staff", campaign_id=None, service=True).coupon
    assert found is not None
    assert found.service


def hold_out(database: Database, campaign_id: str = "c1") -> None:
    send = {"campaign_id": campaign_id, "member_id": "m1", "sent_at": NOW, "arm": "holdout"}
    with database.write() as connection:
        upsert(connection, "sends", [send], NOW)


def test_a_member_held_out_gets_no_coupon_of_the_campaign_by_any_path(database: Database) -> None:
    settle_in(database, TEN_OFF, TEN_OFF | {"offer_id": "other"})
    hold_out(database)
    assert reason(give(database)) is Refusal.HELD_OUT
    assert reason(give(database, campaign_id=None)) is Refusal.HELD_OUT
    assert reason(give(database, offer_id="other")) is Refusal.HELD_OUT
    assert reason(give(database, service=True)) is Refusal.HELD_OUT
    assert reason(give(database, offer_id="other", campaign_id=None)) is Status.ISSUED
    assert reason(give(database, campaign_id=None, service=True)) is Status.ISSUED
    assert reason(give(database, "m2")) is Status.ISSUED


def test_a_household_is_held_out_together(database: Database) -> None:
    settle_in(database)
    hold_out(database)
    with database.write() as connection:
        upsert(connection, "members", [{"member_id": one, "household_id": "h1"} for one in ("m1", "m2")], NOW)
    assert reason(give(database, "m2")) is Refusal.HELD_OUT


def test_stock_and_limits_are_kept_and_a_refusal_counts_nothing(database: Database) -> None:
    settle_in(database, TEN_OFF | {"stock": 3, "per_member_limit": 2})
    asked = [IssueRequest("ten", member_id) for member_id in ("m1", "m2")]
    with database.read() as connection:
        assert could_issue(turn(connection), asked) == [None, None]
    assert [reason(give(database)) for _ in range(3)] == [Status.ISSUED, Status.ISSUED, Refusal.MEMBER_LIMIT]
    with database.read() as connection:
        assert could_issue(turn(connection), asked) == [Refusal.MEMBER_LIMIT, None]
    assert [reason(give(database, "m2")) for _ in range(2)] == [Status.ISSUED, Refusal.OUT_OF_STOCK]
    with database.read() as connection:
        assert could_issue(turn(connection), asked) == [Refusal.OUT_OF_STOCK] * 2
        assert used(connection, Count.STOCK, "ten") == 3
        assert used(connection, Count.MEMBER, "ten", "m1") == 2
    assert_balanced(database)


def test_coupons_that_another_system_gave_count_for_the_limit(sqlite_database: Database) -> None:
    settle_in(sqlite_database, TEN_OFF | {"per_member_limit": 2})
    row = {"coupon_id": "x1", "offer_id": "ten", "member_id": "m1", "status": "redeemed", "source": "crm"}
    with sqlite_database.write() as connection:
        upsert(connection, "coupons", [row, row | {"coupon_id": "x2", "status": "voided"}], NOW)
    assert [reason(give(sqlite_database)) for _ in range(2)] == [Status.ISSUED, Refusal.MEMBER_LIMIT]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("device", Refusal.DEVICE_LIMIT), ("payer", Refusal.PAYER_LIMIT), ("phone", Refusal.PHONE_LIMIT)],
)
def test_claims_are_limited_by_device_payer_and_phone(sqlite_database: Database, name: str, expected: Refusal) -> None:
    settle_in(sqlite_database)
    rules = replace(RULES, claim_limit=2)
    requests = [IssueRequest("ten", member, **{name: "h1"}) for member in ("m1", "m2", "m1")]  # type: ignore[arg-type]
    with sqlite_database.write() as connection:
        found = issue(turn(connection, rules=rules), requests)
    assert [reason(one) for one in found] == [Status.ISSUED, Status.ISSUED, expected]
    assert_balanced(sqlite_database)


def test_a_risk_hook_may_refuse_and_one_that_fails_has_refused(sqlite_database: Database) -> None:
    settle_in(sqlite_database)

    def broken(_question: object) -> bool:
        raise RuntimeError("away")

    for hook in (lambda question: question.member_id != "m1", broken):
        with sqlite_database.write() as connection:
            found = issue(turn(connection, rules=replace(RULES, risk=hook)), [IssueRequest("ten", "m1")])
        assert reason(found[0]) is Refusal.RISK_REFUSED


def test_terms_below_cost_need_somebody_else(database: Database) -> None:
    # 10.00 off 15.00 leaves 5.00 of milk that cost 7.00.
    settle_in(database, TEN_OFF | {"minimum_spend_cents": 1500})
    assert reason(give(database)) is Refusal.APPROVAL_MISSING
    with database.write() as connection:
        offer = read_offers(connection, ["ten"]).offers["ten"]
        with pytest.raises(ConflictError):
            approve(connection, offer, "", NOW)
        approve(connection, offer, "boss", NOW)
    assert reason(give(database)) is Status.ISSUED
    with database.write() as connection:
        upsert(connection, "offers", [TEN_OFF | {"minimum_spend_cents": 1400}], NOW)
    assert reason(give(database)) is Refusal.APPROVAL_MISSING


@pytest.mark.parametrize(
    ("below", "terms"),
    [
        (False, {"kind": "percent_off", "value": 5333}),
        (True, {"kind": "percent_off", "value": 5334}),
        (False, {"kind": "percent_off", "value": 9000, "funded_share": 0.5}),
        (True, {"kind": "fixed_price", "value": 699}),
        (False, {"kind": "fixed_price", "value": 700}),
        (True, {"kind": "amount_off", "value": 1000, "minimum_spend_cents": 1800}),
        (False, {"kind": "amount_off", "value": 1000, "minimum_spend_cents": 1900}),
        (True, {"kind": "amount_off", "value": 1}),
        (False, {"kind": "amount_off", "value": 1, "scope": {"items": ["wine"]}}),
        (False, {"kind": "gift"}),
    ],
)
def test_what_goes_below_cost(sqlite_database: Database, below: bool, terms: dict[str, Any]) -> None:
    settle_in(sqlite_database, {"offer_id": "ten", **terms})
    assert reason(give(sqlite_database)) is (Refusal.APPROVAL_MISSING if below else Status.ISSUED)


def test_a_frozen_offer_gives_nothing_until_it_is_let_go(database: Database) -> None:
    settle_in(database)
    coupon_of(give(database))
    with database.write() as connection:
        freeze(connection, "ten", "discount_share", NOW)
    assert reason(give(database)) is Refusal.OFFER_FROZEN
    with database.write() as connection:
        unfreeze(connection, "ten")
        with pytest.raises(NotFoundError):
            freeze(connection, "nobody", "x", NOW)
    assert reason(give(database)) is Status.ISSUED


def test_an_erased_member_is_nobody(sqlite_database: Database) -> None:
    settle_in(sqlite_database)
    with sqlite_database.write() as connection:
        execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES ('member:m1', 0)")
    assert reason(give(sqlite_database)) is Refusal.UNKNOWN_MEMBER

"""Who may be given which offer: by kind, consent, holdout, limit, segment, store and points."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recommender.coupons.eligibility import Eligibility, LeftOut, read_eligibility
from recommender.coupons.offers import Offer, OfferKind
from recommender.ids import IdIndex
from recommender.storage.database import Database
from tests.factories import NOW, put_rows
from tests.recommender.coupons.world import give, settle_in


@pytest.fixture
def world(database: Database) -> Database:
    settle_in(database)
    return database


def offer(offer_id: str = "ten", **terms: Any) -> Offer:
    return Offer(offer_id, OfferKind.AMOUNT_OFF, value=1000, **terms)


def eligibility(database: Database, *offers: Offer, campaign_id: str | None = "c1") -> Eligibility:
    members = IdIndex.of(["m1", "m2", "m3", "staff"])
    with database.read() as connection:
        return read_eligibility(connection, members, offers, campaign_id, NOW)


def names(found: Eligibility, column: int = 0) -> list[str]:
    return [
        name for name, allowed in zip(["m1", "m2", "m3", "staff"], found.allowed[:, column], strict=True) if allowed
    ]


def test_kinds_that_are_not_learned_from_get_nothing(world: Database) -> None:
    found = eligibility(world, offer())
    assert names(found) == ["m1", "m2", "m3"]
    assert found.left_out == {LeftOut.KIND: 1}


def test_those_who_opted_out_get_nothing(world: Database) -> None:
    refusal = {"member_id": "m2", "purpose": "personalization", "granted": False, "at": NOW - timedelta(days=1)}
    put_rows(world, "consents", refusal)
    found = eligibility(world, offer())
    assert names(found) == ["m1", "m3"]
    assert found.left_out[LeftOut.OPTED_OUT] == 1


def test_members_held_out_get_no_offer_of_the_campaign_by_any_plan(world: Database) -> None:
    held = {"campaign_id": "c1", "member_id": "m1", "sent_at": NOW, "arm": "holdout"}
    put_rows(world, "sends", held, held | {"member_id": "m2", "arm": "treated"})
    assert names(eligibility(world, offer("other"))) == ["m2", "m3"]
    found = eligibility(world, offer(), offer("other"), campaign_id=None)
    assert (names(found, 0), names(found, 1)) == (["m2", "m3"], ["m1", "m2", "m3"])
    assert found.left_out[LeftOut.HELD_OUT] == 1


def test_households_are_held_out_together(world: Database) -> None:
    put_rows(world, "members", {"member_id": "m1", "household_id": "h"}, {"member_id": "m3", "household_id": "h"})
    put_rows(world, "sends", {"campaign_id": "c1", "member_id": "m1", "sent_at": NOW, "arm": "holdout"})
    assert names(eligibility(world, offer())) == ["m2"]


def test_coupons_of_all_wallets_count_towards_a_members_limit(world: Database) -> None:
    give(world, "m1")
    put_rows(world, "coupons", {"coupon_id": "x", "offer_id": "ten", "member_id": "m2", "status": "issued"})
    put_rows(world, "coupons", {"coupon_id": "y", "offer_id": "ten", "member_id": "m3", "status": "voided"})
    assert names(eligibility(world, offer(per_member_limit=1))) == ["m3"]
    assert names(eligibility(world, offer(per_member_limit=2))) == ["m1", "m2", "m3"]
    assert names(eligibility(world, offer())) == ["m1", "m2", "m3"]


def test_segments_stores_and_points_are_asked_for(world: Database) -> None:
    put_rows(world, "members", {"member_id": "m2", "home_store_id": "s1"}, {"member_id": "m3", "home_store_id": "s2"})
    assert names(eligibility(world, offer(segments=frozenset({"parents"})))) == ["m1"]
    assert names(eligibility(world, offer(segments=frozenset({"gold"})))) == ["m1"]
    assert names(eligibility(world, offer(stores=frozenset({"s1"})))) == ["m1", "m2"]
    assert names(eligibility(world, offer(points_cost=50))) == ["m1"]
    assert names(eligibility(world, offer(points_cost=51))) == []

"""Decisions between plans with many callers at once, on both databases: no budget, stock or limit is ever exceeded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from recommender.coupons.counters import Count, used
from recommender.coupons.decisions import Decision
from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.judging import OfferTable
from recommender.coupons.kept_plans import KeptPlan
from recommender.coupons.online import pace_of
from recommender.coupons.pacing import Multipliers
from recommender.coupons.refusals import Refusal
from recommender.coupons.using import redeem
from recommender.coupons.wallet import Status
from recommender.ids import IdIndex
from recommender.storage.database import Database
from tests.factories import NOW, put_rows
from tests.recommender.coupons.world import RULES, TEN_OFF, assert_balanced, buy, reason, settle_in, turn, use

CALLERS = 12
MEMBERS = [f"n{number:03}" for number in range(60)]
FIVE_OFF = TEN_OFF | {"offer_id": "five", "value": 500, "stock": 4}
UNLIMITED = replace(RULES, breaker_redemptions=0)


def plan(cent_price: float = 0.0) -> KeptPlan:
    """Return a plan that considered nobody."""
    none, nothing = np.empty(0, np.int32), np.empty(0, np.float32)
    multipliers = Multipliers("c1", NOW, "b1", ("five", "ten"), (0.0, 0.0), cent_price)
    return KeptPlan(multipliers, IdIndex.of([]), none, none, nothing, nothing, nothing, np.zeros(2, bool), None)


@pytest.fixture
def world(database: Database) -> Database:
    settle_in(database, TEN_OFF, FIVE_OFF, budget=12_000, offers_of=("five", "ten"))
    put_rows(database, "members", *({"member_id": one} for one in MEMBERS))
    return database


def come(database: Database, member_id: str, kept: KeptPlan, times: float = 1.0) -> tuple[str | None, int]:
    """Decide for a member, claim what was decided, and use it; return the offer and what was granted."""
    with database.read(snapshot=True) as connection:
        asking = turn(connection, rules=UNLIMITED)
        pace = pace_of(asking, "c1")
        assert pace is not None
        value, cost = times * np.array([90.0, 60.0]), np.array([500.0, 1000.0])
        table = OfferTable(asking, kept, member_id, pace, value, cost)
        chosen = table.best()
        if chosen is None:
            assert set(table.why(None, drawn=False)) <= {Decision.OUTBID, Refusal.OUT_OF_STOCK, Refusal.BUDGET_SPENT}
            return None, 0
    offer_id = kept.multipliers.offer_id[chosen]
    with database.write() as connection:
        (given,) = issue(turn(connection, rules=UNLIMITED), [IssueRequest(offer_id, member_id, "c1")])
    if given.refused is not None:
        assert given.refused.reason is Refusal.OUT_OF_STOCK
        return None, 0
    assert given.coupon_id is not None
    with database.write() as connection:
        (done,) = redeem(
            turn(connection, rules=UNLIMITED), use(given.coupon_id, order_id=f"o-{member_id}", purchase=buy())
        )
    if done.refused is not None:
        assert done.refused.reason is Refusal.BUDGET_SPENT
        return offer_id, 0
    assert reason(done) is Status.REDEEMED
    assert done.coupon is not None
    return offer_id, done.coupon.discount_cents


def test_with_many_callers_no_budget_is_overspent(world: Database) -> None:
    kept = plan()
    with ThreadPoolExecutor(CALLERS) as pool:  # so good that no price holds them back: the budget alone does
        found = list(pool.map(lambda member: come(world, member, kept, times=1000.0), MEMBERS))
    granted = sum(cents for _, cents in found)
    assert [offer for offer, _ in found].count("five") == 4  # as many as there are
    with world.read() as connection:
        assert used(connection, Count.COMMITTED, "c1") == used(connection, Count.SPENT, "c1") == granted
        assert granted <= 12_000
        assert granted > 12_000 - 1000  # what is left does not pay for another one
        # Whoever comes now is not offered what could not be paid.
        assert come(world, "m2", kept, times=1000.0) == (None, 0)
    assert_balanced(world)


def test_a_cent_becomes_dear_as_the_budget_goes(world: Database) -> None:
    dear = plan(cent_price=0.05)
    assert come(world, MEMBERS[0], dear)[0] == "five"
    with world.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO coupon_counters (kind, owner, subject, used, at) VALUES ('committed', 'c1', '', 11000, 0)"
            " ON CONFLICT (kind, owner, subject) DO UPDATE SET used = 11000"
        )
    assert come(world, MEMBERS[1], dear) == (None, 0)


def test_a_campaign_that_is_over_has_no_pace(world: Database) -> None:
    with world.read() as connection:
        assert pace_of(turn(connection, NOW + timedelta(days=60)), "c1") is None
        assert pace_of(turn(connection), "nothing") is None
        halfway = pace_of(turn(connection, NOW + timedelta(days=14, hours=12)), "c1")
    assert halfway is not None
    assert (halfway.budget_cents, halfway.used_cents, halfway.elapsed) == (12_000, 0, 0.5)

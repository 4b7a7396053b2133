from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.engine import Connection

from recommender.coupons.counters import Count, used
from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.ledger import count_breaches
from recommender.coupons.offline import Breach, OfflineRedemption, follow_external, record_offline
from recommender.coupons.refusals import Refusal
from recommender.coupons.supervision import freeze_runaways, frozen_offers
from recommender.coupons.undoing import expire, void
from recommender.coupons.using import lock, redeem
from recommender.coupons.wallet import Outcome, Status
from recommender.errors import ConflictError
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from tests.factories import NOW
from tests.recommender.coupons.test_using import budget
from tests.recommender.coupons.world import RULES, assert_balanced, buy, coupon_of, give, reason, settle_in, turn, use

DAY = timedelta(days=1)


def written(coupon_id: str, redemption_id: str = "t1", **fields: object) -> OfflineRedemption:
    plain = OfflineRedemption(redemption_id, coupon_id, "o1", NOW - timedelta(hours=1), 1000, "s1", "pos")
    return replace(plain, **fields)  # type: ignore[arg-type]


def give_in(connection: Connection) -> Outcome:
    return issue(turn(connection), [IssueRequest("ten", "m1", "c1")])[0]


def test_an_offline_redemption_is_recorded_once(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        first = record_offline(turn(connection), [written(coupon_id)])[0]
        again = record_offline(turn(connection), [written(coupon_id)])[0]
        told_twice = record_offline(turn(connection), [written(coupon_id, "t2")])[0]
        with pytest.raises(ConflictError):
            record_offline(turn(connection), [written(coupon_id, discount_cents=5)])
    assert [(one.repeated, one.breaches) for one in (first, again, told_twice)] == [(False, ()), (True, ()), (True, ())]
    assert budget(database) == (1000, 1000)
    with database.read() as connection:
        rows = fetch(connection, "SELECT redemption_id, order_id, discount_cents, store_id FROM redemptions")
    assert rows == [(coupon_id, "o1", 1000, "s1")]
    assert_balanced(database)


def test_what_went_too_far_is_recorded_as_a_breach(database: Database) -> None:
    settle_in(database, budget=1500)
    used_up, gone, free, dear = (coupon_of(give(database)) for _ in range(4))
    with database.write() as connection:
        redeem(turn(connection), use(used_up, order_id="o9", purchase=buy()))
        void(turn(connection), [gone], "fraud")
        rows = [written(one, f"t{number}") for number, one in enumerate((used_up, gone, free, "nothing"))]
        found = record_offline(turn(connection), [*rows, written(dear, "t9", discount_cents=1001)])
    assert [one.breaches for one in found] == [
        (Breach.ALREADY_REDEEMED, Breach.BUDGET_SPENT),
        (Breach.VOIDED, Breach.BUDGET_SPENT),
        (Breach.BUDGET_SPENT,),
        (Breach.UNKNOWN_COUPON,),
        (Breach.BUDGET_SPENT, Breach.ABOVE_WORTH),
    ]
    # Nothing is hidden: 10.00 in the shop and 40.01 offline were spent of 15.00.
    assert budget(database) == (5001, 5001)
    with database.read() as connection:
        assert count_breaches(connection) == 8
        assert len(fetch(connection, "SELECT 1 FROM redemptions")) == 5
    assert_balanced(database)


def test_a_coupon_used_in_time_and_told_late_is_no_breach(database: Database) -> None:
    settle_in(database)
    in_time, late = (coupon_of(give(database, expires_at=NOW + DAY)) for _ in range(2))
    with database.write() as connection:
        lock(turn(connection), use(in_time, order_id="o5", purchase=buy()))
        expire(turn(connection, NOW + DAY))
        after = turn(connection, NOW + 2 * DAY)
        found = record_offline(after, [written(in_time), written(late, "t2", redeemed_at=NOW + DAY)])
    assert [one.breaches for one in found] == [(), (Breach.EXPIRED,)]
    assert_balanced(database)


def test_an_offline_redemption_takes_a_coupon_that_another_order_holds(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        lock(turn(connection), use(coupon_id, order_id="o2", purchase=buy()))
        assert record_offline(turn(connection), [written(coupon_id)])[0].breaches == ()
        assert reason(redeem(turn(connection), use(coupon_id, order_id="o2"))[0]) is Refusal.COUPON_REDEEMED
    assert budget(database) == (1000, 1000)
    assert_balanced(database)


def test_what_other_systems_redeem_counts_in_the_budget(database: Database) -> None:
    settle_in(database, budget=2500)
    other = {
        "redemption_id": "x1",
        "member_id": "m2",
        "offer_id": "elsewhere",
        "coupon_id": "wechat-7",
        "campaign_id": "c1",
        "redeemed_at": NOW,
        "discount_cents": 1500,
    }
    first, second = coupon_of(give(database)), coupon_of(give(database))
    with database.write() as connection:
        redeem(turn(connection), use(first, purchase=buy()))
        upsert(connection, "redemptions", [other], NOW)
        follow_external(connection, NOW)
        follow_external(connection, NOW)
        assert used(connection, Count.EXTERNAL, "c1") == 1500
        assert reason(lock(turn(connection), use(second, purchase=buy()))[0]) is Refusal.BUDGET_SPENT
    assert_balanced(database)


def test_an_offer_that_runs_away_is_frozen(database: Database) -> None:
    settle_in(database)
    coupons = [coupon_of(give(database)) for _ in range(3)]
    rules = replace(RULES, breaker_redemptions=2)
    with database.write() as connection:
        for number, coupon_id in enumerate(coupons[:2]):
            assert freeze_runaways(connection, rules, NOW) == []
            redeem(turn(connection), use(coupon_id, order_id=f"o{number}", purchase=buy()))
        assert freeze_runaways(connection, rules, NOW + timedelta(hours=2)) == []
        assert freeze_runaways(connection, rules, NOW) == ["ten"]
        assert freeze_runaways(connection, rules, NOW) == []
        assert list(frozen_offers(connection)) == [("ten", "redemption_speed")]
        assert reason(lock(turn(connection), use(coupons[2], purchase=buy()))[0]) is Refusal.OFFER_FROZEN


def test_an_offer_that_takes_too_much_of_the_goods_is_frozen(sqlite_database: Database) -> None:
    settle_in(sqlite_database, budget=None)
    with sqlite_database.write() as connection:
        for number in range(100):
            coupon_id = coupon_of(give_in(connection))
            assert reason(redeem(turn(connection), use(coupon_id, order_id=f"o{number}", purchase=buy()))[0]) is (
                Status.REDEEMED
            )
        # 10.00 of 30.00 each time.
        assert freeze_runaways(connection, replace(RULES, breaker_share=0.34), NOW) == []
        assert freeze_runaways(connection, replace(RULES, breaker_share=0.33), NOW) == ["ten"]
        assert list(frozen_offers(connection)) == [("ten", "discount_share")]

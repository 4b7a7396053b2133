from __future__ import annotations

from datetime import datetime, timedelta

from recommender.coupons.codes import coupons_of, make_code, prune_codes, with_check_digit
from recommender.coupons.counters import Count, used
from recommender.coupons.coupon_rows import read_coupons
from recommender.coupons.ledger import count_states
from recommender.coupons.refusals import Refusal
from recommender.coupons.undoing import expire, give_back, rollback, void
from recommender.coupons.using import lock, redeem
from recommender.coupons.wallet import Status
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.factories import NOW
from tests.recommender.coupons.test_using import budget
from tests.recommender.coupons.world import TEN_OFF, assert_balanced, buy, coupon_of, give, reason, settle_in, turn, use

DAY = timedelta(days=1)


def spent(database: Database, expires_at: datetime | None = None, request_no: str | None = None) -> str:
    """Return a coupon that the order o1 redeemed."""
    coupon_id = coupon_of(give(database, expires_at=expires_at))
    with database.write() as connection:
        done = redeem(turn(connection, request_no=request_no), use(coupon_id, purchase=buy()))
    assert reason(done[0]) is Status.REDEEMED
    return coupon_id


def redemptions(database: Database) -> int:
    with database.read() as connection:
        return int(fetch(connection, "SELECT COUNT(*) FROM redemptions")[0][0])


def test_a_full_return_restores_coupon_and_budget_once(database: Database) -> None:
    settle_in(database)
    coupon_id = spent(database, NOW + DAY)
    with database.write() as connection:
        found = give_back(turn(connection), [coupon_id, "nothing"], "o1", full=True)
        assert [reason(one) for one in found] == [Status.ISSUED, Refusal.UNKNOWN_COUPON]
        assert found[0].coupon is not None
        assert found[0].coupon.expires_at == NOW + DAY
        assert reason(give_back(turn(connection), [coupon_id], "o1", full=True)[0]) is Refusal.NOT_REDEEMED
    assert budget(database) == (0, 0)
    assert redemptions(database) == 0
    assert_balanced(database)
    with database.write() as connection:
        assert reason(redeem(turn(connection), use(coupon_id, order_id="o2", purchase=buy()))[0]) is Status.REDEEMED
    assert budget(database) == (1000, 1000)
    assert_balanced(database)


def test_a_return_after_the_expiry_gives_the_budget_back_and_no_coupon(database: Database) -> None:
    settle_in(database)
    coupon_id = spent(database, NOW + DAY)
    with database.write() as connection:
        assert reason(give_back(turn(connection, NOW + DAY), [coupon_id], "o1", full=True)[0]) is Status.EXPIRED
    assert budget(database) == (0, 0)
    assert_balanced(database)


def test_a_partial_return_restores_neither(database: Database) -> None:
    settle_in(database)
    coupon_id = spent(database)
    with database.write() as connection:
        assert reason(give_back(turn(connection), [coupon_id], "o1", full=False)[0]) is Status.REDEEMED
        assert reason(give_back(turn(connection), [coupon_id], "o2", full=False)[0]) is Refusal.NOT_REDEEMED
    assert budget(database) == (1000, 1000)
    assert_balanced(database)


def test_a_redemption_is_rolled_back_by_its_request_number(database: Database) -> None:
    settle_in(database)
    first, second = spent(database, request_no="r1"), spent(database, request_no="r2")
    with database.write() as connection:
        assert [one.coupon_id for one in rollback(turn(connection), "r1")] == [first]
        assert [reason(one) for one in rollback(turn(connection), "r1")] == [Refusal.NOT_REDEEMED]
        assert rollback(turn(connection), "nobody") == []
        assert read_coupons(connection, [second])[second].status is Status.REDEEMED
        redeem(turn(connection, request_no="r3"), use(first, order_id="o9", purchase=buy()))
        assert [reason(one) for one in rollback(turn(connection), "r1")] == [Refusal.NOT_REDEEMED]
    assert budget(database) == (2000, 2000)
    assert_balanced(database)


def test_voiding_gives_stock_and_limit_back_once(database: Database) -> None:
    settle_in(database, TEN_OFF | {"stock": 2, "per_member_limit": 2})
    issued, locked = coupon_of(give(database)), coupon_of(give(database))
    with database.write() as connection:
        lock(turn(connection), use(locked, purchase=buy()))
        assert [reason(one) for one in void(turn(connection), [issued, locked], "fraud")] == [Status.VOIDED] * 2
        assert void(turn(connection), [issued], "fraud")[0].repeated
        assert used(connection, Count.STOCK, "ten") == 0
        assert used(connection, Count.MEMBER, "ten", "m1") == 0
    assert budget(database) == (0, 0)
    redeemed = spent(database)
    with database.write() as connection:
        assert reason(void(turn(connection), [redeemed], "fraud")[0]) is Refusal.COUPON_REDEEMED
    assert_balanced(database)


def test_locks_and_coupons_end_when_their_time_is_over(database: Database) -> None:
    settle_in(database)
    short, long, free = (
        coupon_of(give(database, expires_at=end)) for end in (NOW + timedelta(minutes=5), NOW + DAY, None)
    )
    with database.write() as connection:
        lock(turn(connection), use(short, long, purchase=buy(4)))
        assert expire(turn(connection)) == 0
        # Both locks end; one coupon's time is over too.
        assert expire(turn(connection, NOW + timedelta(minutes=15))) == 3
        assert expire(turn(connection, NOW + timedelta(minutes=15))) == 0
        found = read_coupons(connection, [short, long, free])
    assert [found[one].status for one in (short, long, free)] == [Status.EXPIRED, Status.ISSUED, Status.ISSUED]
    assert budget(database) == (0, 0)
    with database.read() as connection:
        assert count_states(connection)[Status.EXPIRED] == 1
    assert_balanced(database)


def test_codes_stand_for_a_coupon_for_a_short_while(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        first, second = make_code(turn(connection), coupon_id), make_code(turn(connection), coupon_id)
        assert not isinstance(first, Refusal)
        assert not isinstance(second, Refusal)
        assert make_code(turn(connection), "nothing") is Refusal.UNKNOWN_COUPON
        found = coupons_of(connection, [first.code, second.code, second.digits], NOW)
        assert found == {first.code: Refusal.UNKNOWN_CODE, second.code: coupon_id, second.digits: coupon_id}
        late = NOW + timedelta(minutes=5)
        assert coupons_of(connection, [second.code], late) == {second.code: Refusal.CODE_EXPIRED}
        prune_codes(connection, late + timedelta(hours=1))
        assert coupons_of(connection, [second.code], late) == {second.code: Refusal.UNKNOWN_CODE}
    assert (len(second.code), second.code[:2]) == (13, "29")


def test_the_check_digit_of_a_barcode() -> None:
    # 4 006381 33393 1 is the example of GS1.
    assert with_check_digit("400638133393") == "4006381333931"
    assert with_check_digit("290000000000") == "2900000000001"

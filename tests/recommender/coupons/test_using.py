from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from recommender.coupons.counters import Count, used
from recommender.coupons.discount import Refused
from recommender.coupons.purchases import Purchase, PurchaseLine
from recommender.coupons.refusals import Refusal
from recommender.coupons.supervision import freeze
from recommender.coupons.undoing import expire, void
from recommender.coupons.using import lock, qualify, redeem, release, validate
from recommender.coupons.wallet import Status
from recommender.errors import InputError
from recommender.storage.database import Database
from recommender.storage.statements import execute, fetch
from recommender.storage.upserts import upsert
from tests.factories import NOW
from tests.recommender.coupons.world import (
    RULES,
    TEN_OFF,
    assert_balanced,
    buy,
    coupon_of,
    give,
    reason,
    settle_in,
    turn,
    use,
)

FIVE_PERCENT = {"offer_id": "five", "kind": "percent_off", "value": 500, "exclusive_group": "g"}
LATER = NOW + timedelta(minutes=16)


def budget(database: Database) -> tuple[int, int]:
    """Return what is committed and what is spent of the campaign's budget."""
    with database.read() as connection:
        return used(connection, Count.COMMITTED, "c1"), used(connection, Count.SPENT, "c1")


def test_lock_then_redeem_settles_what_was_reserved(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        locked = lock(turn(connection), use(coupon_id, purchase=buy()))[0]
    assert locked.coupon is not None
    assert locked.discount is not None
    assert (locked.coupon.status, locked.coupon.locked_until) == (Status.LOCKED, NOW + RULES.lock)
    assert (locked.discount.line_cents, locked.coupon.discount_cents) == ((1000,), 1000)
    assert budget(database) == (1000, 0)
    with database.write() as connection:
        assert reason(redeem(turn(connection), use(coupon_id))[0]) is Status.REDEEMED
    assert budget(database) == (1000, 1000)
    with database.read() as connection:
        chosen = (
            "SELECT redemption_id, member_id, campaign_id, order_id, discount_cents, store_id, channel FROM redemptions"
        )
        rows = fetch(connection, chosen)
    assert rows == [(coupon_id, "m1", "c1", "o1", 1000, "s1", "pos")]
    assert_balanced(database)


def test_a_redemption_that_is_sent_again_spends_nothing_more(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        first = redeem(turn(connection), use(coupon_id, purchase=buy()))[0]
    with database.write() as connection:
        again = redeem(turn(connection), use(coupon_id, purchase=buy()))[0]
        other = redeem(turn(connection), use(coupon_id, order_id="o2", purchase=buy()))[0]
    assert (reason(first), first.repeated) == (Status.REDEEMED, False)
    assert (reason(again), again.repeated) == (Status.REDEEMED, True)
    assert reason(other) is Refusal.COUPON_REDEEMED
    assert budget(database) == (1000, 1000)
    assert_balanced(database)


def test_a_locked_coupon_is_kept_from_other_orders_until_the_lock_ends(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        lock(turn(connection), use(coupon_id, purchase=buy()))
        assert reason(lock(turn(connection), use(coupon_id, order_id="o2", purchase=buy()))[0]) is Refusal.COUPON_LOCKED
        assert reason(redeem(turn(connection), use(coupon_id, order_id="o2"))[0]) is Refusal.COUPON_LOCKED
        assert reason(release(turn(connection), [coupon_id], "o2")[0]) is Refusal.COUPON_LOCKED
        taken = lock(turn(connection, LATER), use(coupon_id, order_id="o2", purchase=buy()))[0]
    assert reason(taken) is Status.LOCKED
    assert budget(database) == (1000, 0)
    assert_balanced(database)


def test_a_lock_is_renewed_for_another_basket(database: Database) -> None:
    settle_in(database, {"offer_id": "ten", "kind": "percent_off", "value": 1000})
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        lock(turn(connection), use(coupon_id, purchase=buy(2)))
        again = lock(turn(connection), use(coupon_id, purchase=buy(4)))[0]
    assert again.coupon is not None
    assert again.coupon.discount_cents == 600
    assert budget(database) == (600, 0)
    assert_balanced(database)


def test_a_late_order_still_gets_what_it_locked_if_nobody_took_it(sqlite_database: Database) -> None:
    settle_in(sqlite_database)
    coupon_id = coupon_of(give(sqlite_database))
    with sqlite_database.write() as connection:
        lock(turn(connection), use(coupon_id, purchase=buy()))
        assert reason(redeem(turn(connection, LATER), use(coupon_id))[0]) is Status.REDEEMED
    assert_balanced(sqlite_database)


def test_release_gives_the_budget_back(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        lock(turn(connection), use(coupon_id, purchase=buy()))
        found = release(turn(connection), [coupon_id, "nothing"], "o1")
        assert [reason(one) for one in found] == [Status.ISSUED, Refusal.UNKNOWN_COUPON]
        assert reason(release(turn(connection), [coupon_id], "o1")[0]) is Refusal.NOT_LOCKED
        assert reason(redeem(turn(connection), use(coupon_id))[0]) is Refusal.NOT_LOCKED
    assert budget(database) == (0, 0)
    assert_balanced(database)


def test_the_budget_is_a_hard_cap(database: Database) -> None:
    settle_in(database, budget=2500)
    coupons = [coupon_of(give(database)) for _ in range(3)]
    for number, coupon_id in enumerate(coupons):
        with database.write() as connection:
            found = redeem(turn(connection), use(coupon_id, order_id=f"o{number}", purchase=buy()))[0]
        assert reason(found) is (Status.REDEEMED if number < 2 else Refusal.BUDGET_SPENT)
    assert budget(database) == (2000, 2000)
    assert_balanced(database)


def test_what_has_no_budget_leaves_room_for_the_others(database: Database) -> None:
    half = {"offer_id": "half", "kind": "percent_off", "value": 5000}
    settle_in(database, half | {"scope": {"items": ["wine"]}}, FIVE_PERCENT, TEN_OFF, budget=999)
    ten, five = coupon_of(give(database)), coupon_of(give(database, offer_id="five"))
    with database.write() as connection:
        found = lock(turn(connection), use(ten, five, purchase=buy(2)))
    # The ten is worth most and has no room; five per cent then are of the whole 30.00.
    assert [reason(one) for one in found] == [Refusal.BUDGET_SPENT, Status.LOCKED]
    assert budget(database) == (150, 0)
    assert_balanced(database)


def test_several_coupons_apply_one_after_the_other(sqlite_database: Database) -> None:
    settle_in(sqlite_database, TEN_OFF, FIVE_PERCENT, FIVE_PERCENT | {"offer_id": "six", "value": 600})
    coupons = [coupon_of(give(sqlite_database, offer_id=one)) for one in ("ten", "five", "six")]
    with sqlite_database.write() as connection:
        asked = validate(turn(connection), use(*coupons, purchase=buy(2)))
        found = redeem(turn(connection), use(*coupons, purchase=buy(2)))
    assert [reason(one) for one in found] == [Status.REDEEMED, Refusal.EXCLUSIVE_GROUP, Status.REDEEMED]
    assert [one.coupon.discount_cents for one in found if one.refused is None and one.coupon] == [1000, 120]
    assert [one.discount for one in asked] == [one.discount for one in found]
    assert_balanced(sqlite_database)


def test_questions_spend_nothing(database: Database) -> None:
    settle_in(database, TEN_OFF, FIVE_PERCENT, FIVE_PERCENT | {"offer_id": "six", "value": 600}, budget=1100)
    coupons = {one: coupon_of(give(database, offer_id=one)) for one in ("five", "ten", "six")}
    with database.read() as connection:
        alone, together = qualify(turn(connection), "m1", buy(2))
        refused = validate(turn(connection), use(coupons["ten"], "nothing", purchase=buy(1)))
    assert [(one.coupon_id, one.discount.total_cents) for one in alone if one.discount] == [
        (coupons["ten"], 1000),
        (coupons["six"], 180),
        (coupons["five"], 150),
    ]
    # Together the six per cent of what is left, 1.20, find 1.00 of budget; the five per cent find it too.
    assert [reason(one) for one in together] == [Status.ISSUED, Status.ISSUED, Refusal.BUDGET_SPENT]
    assert [one.refused for one in refused] == [
        Refused(Refusal.BELOW_MINIMUM_SPEND, 500),
        Refused(Refusal.UNKNOWN_COUPON),
    ]
    assert budget(database) == (0, 0)
    assert_balanced(database)


def spoil(database: Database, coupon_id: str, how: str) -> None:
    with database.write() as connection:
        if how == "voided":
            void(turn(connection), [coupon_id], "stolen")
        elif how == "expired":
            expire(turn(connection, NOW + timedelta(days=2)))
        elif how == "frozen":
            freeze(connection, "ten", "redemption_speed", NOW)
        elif how == "erased":
            execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES ('member:m1', 0)")
        elif how == "blocked":
            execute(connection, "UPDATE members SET kind = 'blocked' WHERE member_id = 'm1'")
        elif how == "no campaign":
            execute(connection, "DELETE FROM campaigns")
        else:
            assert how == "no offer"
            execute(connection, "DELETE FROM offers")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("voided", Refusal.COUPON_VOIDED),
        ("expired", Refusal.COUPON_EXPIRED),
        ("frozen", Refusal.OFFER_FROZEN),
        ("erased", Refusal.MEMBER_NOT_ELIGIBLE),
        ("blocked", Refusal.MEMBER_NOT_ELIGIBLE),
        ("no campaign", Refusal.BUDGET_SPENT),
        ("no offer", Refusal.UNKNOWN_OFFER),
    ],
)
def test_what_happened_since_it_was_issued(sqlite_database: Database, how: str, expected: Refusal) -> None:
    settle_in(sqlite_database)
    coupon_id = coupon_of(give(sqlite_database, expires_at=NOW + timedelta(days=1)))
    spoil(sqlite_database, coupon_id, how)
    with sqlite_database.write() as connection:
        for question in (validate, lock, redeem):
            assert reason(question(turn(connection), use(coupon_id, purchase=buy()))[0]) is expected
    assert_balanced(sqlite_database)


@pytest.mark.parametrize(
    ("terms", "purchase", "expected"),
    [
        ({}, buy(item_id="wine"), Refusal.RESTRICTED_GOODS_ONLY),
        ({}, buy(item_id="nobody knows it"), Refusal.RESTRICTED_GOODS_ONLY),
        ({"stores": ["s2"]}, buy(), Refusal.WRONG_STORE),
        ({"points_cost": 51}, buy(), Refusal.NOT_ENOUGH_POINTS),
        ({"valid_from": NOW + timedelta(days=1)}, buy(), Refusal.NOT_STARTED),
    ],
)
def test_terms_are_held_against_the_catalogue_and_the_member(
    sqlite_database: Database, terms: dict[str, Any], purchase: Any, expected: Refusal
) -> None:
    settle_in(sqlite_database, TEN_OFF | terms)
    coupon_id = coupon_of(give(sqlite_database))
    with sqlite_database.write() as connection:
        assert reason(lock(turn(connection), use(coupon_id, purchase=purchase))[0]) is expected


def test_recalled_goods_do_not_count(sqlite_database: Database) -> None:
    settle_in(sqlite_database)
    coupon_id = coupon_of(give(sqlite_database))
    with sqlite_database.write() as connection:
        execute(connection, "INSERT INTO recalls VALUES ('milk', 'glass', 0, 'boss')")
        found = lock(turn(connection), use(coupon_id, purchase=buy()))[0]
    assert reason(found) is Refusal.RESTRICTED_GOODS_ONLY


def test_coupons_of_two_members_do_not_go_on_one_order(sqlite_database: Database) -> None:
    settle_in(sqlite_database)
    mine, theirs = coupon_of(give(sqlite_database)), coupon_of(give(sqlite_database, "m2"))
    with sqlite_database.write() as connection:
        found = lock(turn(connection), use(mine, theirs, purchase=buy(4)))
        named = lock(turn(connection), use(mine, purchase=buy(), member_id="m2"))
    assert [reason(one) for one in found] == [Status.LOCKED, Refusal.WRONG_MEMBER]
    assert reason(named[0]) is Refusal.WRONG_MEMBER


def test_a_risk_hook_is_asked_before_a_redemption(sqlite_database: Database) -> None:
    settle_in(sqlite_database)
    coupon_id = coupon_of(give(sqlite_database))
    rules = replace(RULES, risk=lambda question: question.action != "redeem")
    with sqlite_database.write() as connection:
        assert reason(redeem(turn(connection, rules=rules), use(coupon_id, purchase=buy()))[0]) is Refusal.RISK_REFUSED
    assert budget(sqlite_database) == (0, 0)
    assert_balanced(sqlite_database)


def test_an_order_out_of_range_is_an_error(sqlite_database: Database) -> None:
    settle_in(sqlite_database)
    coupon_id = coupon_of(give(sqlite_database))
    with sqlite_database.write() as connection, pytest.raises(InputError, match="quantity"):
        lock(turn(connection), use(coupon_id, purchase=buy(0)))


def test_coupons_that_come_to_an_order_one_by_one_are_applied_like_those_that_come_together(database: Database) -> None:
    settle_in(database, TEN_OFF, FIVE_PERCENT, FIVE_PERCENT | {"offer_id": "six", "value": 600}, budget=None)
    coupons = [coupon_of(give(database, offer_id=one)) for one in ("ten", "six", "five")]
    for way in (lock, redeem):
        found = []
        for coupon_id in coupons:
            with database.write() as connection:
                found += way(turn(connection), use(coupon_id, order_id=way.__name__, purchase=buy(2)))
                asked = validate(turn(connection), use(coupon_id, order_id=way.__name__, purchase=buy(2)))
        assert [reason(one) for one in found][2] is Refusal.EXCLUSIVE_GROUP
        assert [one.discount.total_cents for one in found if one.discount] == [1000, 120]
        assert reason(asked[0]) is Refusal.EXCLUSIVE_GROUP
        with database.write() as connection:
            release(turn(connection), coupons, way.__name__)
    assert_balanced(database)


def test_an_order_never_gets_more_than_it_costs_however_often_it_asks(database: Database) -> None:
    settle_in(database, {"offer_id": "ten", "kind": "amount_off", "value": 1000}, budget=None)
    with database.write() as connection:
        execute(connection, "UPDATE items SET cost_cents = 0")
    coupons = [coupon_of(give(database)) for _ in range(3)]
    granted = []
    for coupon_id in coupons:
        with database.write() as connection:
            found = redeem(turn(connection), use(coupon_id, purchase=buy(1)))[0]
            granted.append(found.discount.total_cents if found.discount else reason(found))
    assert granted == [1000, 500, Refusal.NOTHING_TO_TAKE_OFF]
    assert_balanced(database)


def test_what_an_order_took_before_is_taken_of_its_own_items_first(sqlite_database: Database) -> None:
    two = {"scope": {"items": ["bread"]}, "kind": "amount_off", "value": 400}
    settle_in(sqlite_database, TEN_OFF, {"offer_id": "bread", **two}, {"offer_id": "loaf", **two}, budget=None)
    with sqlite_database.write() as connection:
        upsert(connection, "items", [{"item_id": "bread", "price_cents": 500}], NOW)
    both = Purchase((PurchaseLine("milk", 2, 1500), PurchaseLine("bread", 1, 500)), "s1", "pos")
    bread, ten, loaf = (coupon_of(give(sqlite_database, offer_id=one)) for one in ("bread", "ten", "loaf"))
    with sqlite_database.write() as connection:
        first, second, third = (
            lock(turn(connection), use(one, purchase=both))[0].discount for one in (bread, ten, loaf)
        )
    assert first is not None
    assert second is not None
    assert third is not None
    # Of 5.00 bread 1.00 is left for the ten, spread over 30.00 and 1.00: 9.68 and 0.32; then 0.68 for the loaf.
    assert (first.line_cents, second.line_cents, third.line_cents) == ((0, 400), (968, 32), (0, 68))


def test_one_delivery_fee_is_waived_once_per_order(sqlite_database: Database) -> None:
    settle_in(sqlite_database, {"offer_id": "fee", "kind": "free_delivery"}, budget=None)
    purchase = buy(1, fulfilment="delivery", delivery_fee_cents=300)
    first, second = (coupon_of(give(sqlite_database, offer_id="fee")) for _ in range(2))
    with sqlite_database.write() as connection:
        assert reason(lock(turn(connection), use(first, purchase=purchase))[0]) is Status.LOCKED
        assert reason(lock(turn(connection), use(second, purchase=purchase))[0]) is Refusal.NOTHING_TO_TAKE_OFF

"""Households, stores and merged members: limits hold over all of them, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from recommender.coupons.counters import Count, used
from recommender.coupons.coupon_rows import held_coupons, read_coupons
from recommender.coupons.eligibility import read_eligibility
from recommender.coupons.issuing import IssueRequest, could_issue
from recommender.coupons.ledger import count_breaches
from recommender.coupons.merging import Merged, merge_wallets
from recommender.coupons.offline import Breach, OfflineRedemption, record_offline
from recommender.coupons.refusals import Refusal
from recommender.coupons.store import read_offers
from recommender.coupons.undoing import void
from recommender.coupons.using import lock, redeem
from recommender.coupons.wallet import Status, WalletRules
from recommender.errors import InputError, NotFoundError
from recommender.ids import IdIndex
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.factories import NOW, put_rows
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

TWO_EACH = TEN_OFF | {"per_member_limit": 2}


def family(database: Database, *member_ids: str) -> None:
    put_rows(database, "members", *({"member_id": one, "household_id": "h1"} for one in member_ids))


def merge(database: Database, from_id: str = "m2", into_id: str = "m1") -> Merged:
    with database.write() as connection:
        return merge_wallets(turn(connection), from_id, into_id)


def test_a_household_has_one_limit(database: Database) -> None:
    settle_in(database, TWO_EACH)
    family(database, "m1", "m2")
    put_rows(database, "coupons", {"coupon_id": "x", "offer_id": "ten", "member_id": "m2", "status": "issued"})
    first = coupon_of(give(database))
    assert reason(give(database)) is Refusal.HOUSEHOLD_LIMIT
    assert reason(give(database, "m2")) is Refusal.HOUSEHOLD_LIMIT
    asked = [IssueRequest("ten", "m1", "c1"), IssueRequest("ten", "m2", "c1")]
    with database.read() as connection:
        assert could_issue(turn(connection), asked) == [Refusal.HOUSEHOLD_LIMIT] * 2
        offers = tuple(read_offers(connection, ["ten"]).offers.values())
        members = IdIndex.of(["m1", "m2", "staff"])
        assert read_eligibility(connection, members, offers, "c1", NOW).allowed[:2, 0].tolist() == [False, False]
        alone = read_eligibility(connection, members, offers, "c1", NOW, by_household=False)
        assert alone.allowed[:2, 0].tolist() == [True, True]
        by_member = replace(RULES, household_limits=False)
        assert could_issue(turn(connection, rules=by_member), asked) == [None, None]
    with database.write() as connection:
        void(turn(connection), [first], "test")
    assert reason(give(database, "m2")) is Status.ISSUED  # a withdrawn coupon makes room
    put_rows(database, "members", {"member_id": "m1", "household_id": "h2"})
    assert reason(give(database)) is Status.ISSUED  # who moved out counts alone
    assert_balanced(database)


def test_of_many_callers_in_a_household_as_many_succeed_as_it_may_have(database: Database) -> None:
    settle_in(database, TEN_OFF | {"per_member_limit": 3})
    names = [f"f{number}" for number in range(8)]
    family(database, *names)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: reason(give(database, names[number % 8])), range(24)))
    assert found.count(Status.ISSUED) == 3
    assert set(found) <= {Status.ISSUED, Refusal.HOUSEHOLD_LIMIT, Refusal.MEMBER_LIMIT}
    assert_balanced(database)


def test_tills_accept_offline_up_to_a_limit_per_store_and_day(database: Database) -> None:
    settle_in(database, budget=None)
    rules = replace(RULES, offline_limit=2, zone=ZoneInfo("Asia/Shanghai"))
    ids = [coupon_of(give(database)) for _ in range(5)]
    at = NOW.replace(hour=3)

    def written(number: int, store_id: str | None = "s1", days: int = 0) -> OfflineRedemption:
        return OfflineRedemption(f"t{number}", ids[number], f"o{number}", at - timedelta(days=days), 1000, store_id)

    rows = [written(0), written(1), written(2), written(3, "s2"), written(4, days=1)]
    with database.write() as connection:
        found = record_offline(turn(connection, rules=rules), rows)
        again = record_offline(turn(connection, rules=rules), rows)
    assert [one.breaches for one in found] == [(), (), (Breach.STORE_LIMIT,), (), ()]
    assert all(one.repeated for one in again)
    with database.read() as connection:
        assert count_breaches(connection) == 1  # which the figure memberwise_coupon_breaches alarms on
        assert used(connection, Count.OFFLINE, "s1", at.date().isoformat()) == 3
        assert len(fetch(connection, "SELECT 1 FROM redemptions")) == 5  # it happened, and is recorded
    with database.write() as connection:
        # 00:30 in Shanghai is another day than 23:30 before it, though the same one in UTC.
        evening = OfflineRedemption("t8", "nothing", "o8", at, 1000, "s1")
        assert record_offline(turn(connection, rules=rules), [evening])[0].breaches == (Breach.UNKNOWN_COUPON,)
    assert_balanced(database)


def test_a_merge_moves_everything_once(database: Database) -> None:
    settle_in(database, TWO_EACH)
    put_rows(database, "members", {"member_id": "m2"})
    put_rows(database, "coupons", {"coupon_id": "x", "offer_id": "wx", "member_id": "m2", "status": "issued"})
    held_out = {"campaign_id": "c9", "member_id": "m2", "offer_id": "o", "sent_at": NOW, "arm": "holdout"}
    put_rows(database, "sends", held_out, held_out | {"member_id": "m1"}, held_out | {"campaign_id": "c8"})
    locked = coupon_of(give(database, "m2"))
    with database.write() as connection:
        lock(turn(connection), use(locked, purchase=buy()))
    assert merge(database) == Merged(coupons=2, withdrawn=0)
    assert merge(database) == Merged(coupons=0, withdrawn=0)
    with database.write() as connection:
        assert [one.coupon_id for one in held_coupons(connection, "m1")] == [locked]
        assert used(connection, Count.MEMBER, "ten", "m1") == 1
        assert used(connection, Count.MEMBER, "ten", "m2") == 0
        assert fetch(connection, "SELECT member_id FROM coupons") == [("m1",)]
        sends = fetch(connection, "SELECT campaign_id, member_id FROM sends ORDER BY 1, 2")
        assert sends == [("c8", "m1"), ("c9", "m1"), ("c9", "m2")]
        (done,) = redeem(turn(connection), use(locked))
        assert reason(done) is Status.REDEEMED
    assert fetch_members(database) == ["m1"]
    assert reason(give(database)) is Status.ISSUED
    assert reason(give(database)) is Refusal.MEMBER_LIMIT
    assert_balanced(database)


def fetch_members(database: Database) -> list[str]:
    with database.read() as connection:
        return [row[0] for row in fetch(connection, "SELECT member_id FROM redemptions")]


def test_what_is_beyond_the_limit_together_is_withdrawn(database: Database) -> None:
    settle_in(database, TWO_EACH)
    first, second = (coupon_of(give(database)) for _ in range(2))
    by_hand = coupon_of(give(database, "m2", campaign_id=None, service=True))
    late = coupon_of(give(database, "m2"))
    with database.write() as connection:
        redeem(turn(connection), use(first, purchase=buy()))
    assert merge(database) == Merged(coupons=2, withdrawn=2)
    with database.read() as connection:
        found = read_coupons(connection, [first, second, by_hand, late])
    states = {one.coupon_id: one.status for one in found.values()}
    assert states[first] is Status.REDEEMED
    assert states[by_hand] is Status.ISSUED
    assert sorted(states.values()) == ["issued", "redeemed", "voided", "voided"]
    assert reason(give(database)) is Refusal.MEMBER_LIMIT
    assert_balanced(database)


def test_a_merge_needs_two_members(database: Database) -> None:
    settle_in(database)
    with pytest.raises(InputError):
        merge(database, "m1", "m1")
    with pytest.raises(NotFoundError):
        merge(database, "m1", "nobody")


def test_while_members_are_merged_nothing_is_given_twice(database: Database) -> None:
    settle_in(database, TWO_EACH)
    tasks: list[Callable[[], object]] = []
    for _ in range(6):
        tasks += [lambda: give(database), lambda: give(database, "m2")]
    tasks.insert(5, lambda: merge(database))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda task: task(), tasks))
    merge(database)
    with database.read() as connection:
        assert used(connection, Count.MEMBER, "ten", "m1") <= 2
        rows = fetch(connection, "SELECT COUNT(*) FROM wallet_coupons WHERE status <> 'voided' AND member_id = 'm1'")
        assert rows[0][0] == used(connection, Count.MEMBER, "ten", "m1")
        assert fetch(connection, "SELECT 1 FROM wallet_coupons WHERE member_id = 'm2'") == []
    assert_balanced(database)


def test_the_rules_default_to_households() -> None:
    assert WalletRules().household_limits

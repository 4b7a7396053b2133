"""Many callers at one limit: exactly as many succeed as it allows, on both databases, round after round."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.refusals import Refusal
from recommender.coupons.using import redeem
from recommender.coupons.wallet import Outcome, Status
from recommender.errors import StoreBusyError
from recommender.storage.database import Database
from tests.recommender.coupons.world import TEN_OFF, assert_balanced, buy, coupon_of, reason, settle_in, turn, use

ROUNDS = int(os.environ.get("MEMBERWISE_TEST_WALLET_ROUNDS", "20"))
CALLERS = 64
LIMIT = 7

Act = Callable[[int], Outcome]


def all_at_once(act: Act, callers: int = CALLERS) -> Counter[Refusal | Status]:
    """Have callers act at the same moment; one that finds the database busy tries again, as a till would."""
    results: list[Refusal | Status] = []
    barrier = threading.Barrier(callers)

    def run(number: int) -> None:
        barrier.wait()
        while True:
            try:
                results.append(reason(act(number)))
            except StoreBusyError:
                continue
            return

    threads = [threading.Thread(target=run, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(results)


def issuer(database: Database, request: IssueRequest) -> Act:
    def act(_number: int) -> Outcome:
        with database.write(durable=True) as connection:
            return issue(turn(connection), [request])[0]

    return act


def spender(database: Database, coupons: Sequence[str]) -> Act:
    def act(number: int) -> Outcome:
        with database.write(durable=True) as connection:
            order = use(coupons[number % len(coupons)], order_id=f"{coupons[0]}-{number}", purchase=buy())
            return redeem(turn(connection), order)[0]

    return act


def many(database: Database, count: int) -> list[str]:
    with database.write() as connection:
        return [coupon_of(one) for one in issue(turn(connection), [IssueRequest("ten", "m2", "c1")] * count)]


@pytest.mark.slow
def test_exactly_as_many_succeed_as_the_limit_allows(database: Database) -> None:
    for number in range(ROUNDS):
        offers = [TEN_OFF | {"offer_id": f"stock-{number}", "stock": LIMIT}]
        offers.append(TEN_OFF | {"offer_id": f"limit-{number}", "per_member_limit": LIMIT})
        settle_in(database, TEN_OFF, *offers, budget=1000 * LIMIT * (number + 1) + 999)
        request = IssueRequest(f"stock-{number}", "m1")
        assert all_at_once(issuer(database, request)) == {
            Status.ISSUED: LIMIT,
            Refusal.OUT_OF_STOCK: CALLERS - LIMIT,
        }
        request = IssueRequest(f"limit-{number}", "m1")
        assert all_at_once(issuer(database, request), 16) == {Status.ISSUED: LIMIT, Refusal.MEMBER_LIMIT: 16 - LIMIT}
        assert all_at_once(spender(database, many(database, CALLERS))) == {
            Status.REDEEMED: LIMIT,
            Refusal.BUDGET_SPENT: CALLERS - LIMIT,
        }
    assert_balanced(database)


def test_everybody_gets_what_there_is_room_for(database: Database) -> None:
    settle_in(database, TEN_OFF | {"stock": 2 * CALLERS, "per_member_limit": CALLERS}, budget=1000 * CALLERS)
    coupons = many(database, CALLERS)
    assert all_at_once(issuer(database, IssueRequest("ten", "m1"))) == {Status.ISSUED: CALLERS}
    assert all_at_once(spender(database, coupons)) == {Status.REDEEMED: CALLERS}
    assert_balanced(database)


def test_one_coupon_is_spent_once_whoever_asks(database: Database) -> None:
    settle_in(database, budget=None)
    found = all_at_once(spender(database, many(database, 1)))
    assert found == {Status.REDEEMED: 1, Refusal.COUPON_REDEEMED: CALLERS - 1}
    assert_balanced(database)

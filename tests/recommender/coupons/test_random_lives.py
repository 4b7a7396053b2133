"""Whatever happens to coupons in whatever order: the books balance, and no limit is passed."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy.engine import Connection

from recommender.coupons.counters import Count, used
from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.ledger import check_books
from recommender.coupons.undoing import expire, give_back, rollback, void
from recommender.coupons.using import lock, qualify, redeem, release, validate
from recommender.coupons.wallet import Outcome, Status, Turn
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.factories import NOW
from tests.recommender.coupons.world import RULES, TEN_OFF, buy, settle_in, use

STEPS = 250
BUDGET, STOCK, EACH = 6_000, 40, 25
OFFERS = (
    TEN_OFF | {"stock": STOCK, "per_member_limit": EACH},
    {"offer_id": "part", "kind": "percent_off", "value": 1234, "exclusive_group": "g", "maximum_discount_cents": 700},
    {"offer_id": "group", "kind": "fixed_price", "value": 1400, "exclusive_group": "g"},
    {"offer_id": "gift", "kind": "gift", "minimum_spend_cents": 3000},
    {"offer_id": "fee", "kind": "free_delivery"},
)


class Shop:
    """Takes random steps on one wallet."""

    def __init__(self, connection: Connection, seed: int) -> None:
        self.chance = random.Random(seed)
        self.connection, self.now = connection, NOW
        self.coupons: list[str] = []
        self.numbers = count()

    def step(self) -> list[Outcome]:
        self.now += timedelta(minutes=self.chance.choice((0, 0, 1, 10)))
        steps: list[Callable[[], list[Outcome]]] = [
            self.issue,
            self.lock,
            self.redeem,
            self.redeem,
            self.undo,
            self.ask,
        ]
        return self.chance.choice(steps)()

    def turn(self, request_no: str | None = None) -> Turn:
        return Turn(self.connection, RULES, self.now, "test", request_no)

    def some(self) -> list[str]:
        return self.chance.sample(self.coupons, min(len(self.coupons), self.chance.randint(1, 4)))

    def order(self) -> str:
        return f"o{self.chance.randint(0, 5)}"

    def issue(self) -> list[Outcome]:
        ends: list[datetime | None] = [None, self.now + timedelta(minutes=30), self.now + timedelta(hours=5)]
        requests = [
            IssueRequest(
                str(self.chance.choice(OFFERS)["offer_id"]),
                self.chance.choice(("m1", "m1", "m1", "m2", "staff")),
                self.chance.choice(("c1", "c1", None)),
                expires_at=self.chance.choice(ends),
            )
            for _ in range(3)
        ]
        found = issue(self.turn(), requests)
        self.coupons += [one.coupon_id for one in found if one.coupon_id is not None]
        return found

    def lock(self) -> list[Outcome]:
        purchase = buy(self.chance.randint(1, 5), fulfilment="delivery", delivery_fee_cents=300)
        return lock(self.turn(), use(*self.some(), order_id=self.order(), purchase=purchase))

    def redeem(self) -> list[Outcome]:
        purchase = self.chance.choice((None, buy(self.chance.randint(1, 5))))
        numbered = self.turn(f"r{next(self.numbers)}")
        return redeem(numbered, use(*self.some(), order_id=self.order(), purchase=purchase))

    def undo(self) -> list[Outcome]:
        ways: list[Callable[[], list[Outcome]]] = [
            lambda: release(self.turn(), self.some(), self.order()),
            lambda: give_back(self.turn(), self.some(), self.order(), full=self.chance.random() < 0.7),
            lambda: rollback(self.turn(), f"r{self.chance.randint(0, 40)}"),
            lambda: void(self.turn(), self.some()[:1], "test"),
            self.end,
        ]
        return self.chance.choice(ways)()

    def end(self) -> list[Outcome]:
        expire(self.turn())
        return []

    def ask(self) -> list[Outcome]:
        alone, together = qualify(self.turn(), "m1", buy(2))
        return alone + together + validate(self.turn(), use(*self.some(), purchase=buy(3)))


@pytest.mark.parametrize("seed", range(6))
def test_books_balance_after_every_step(sqlite_database: Database, seed: int) -> None:
    settle_in(sqlite_database, *OFFERS, budget=BUDGET)
    states: set[Status] = set()
    for number in range(STEPS):
        with sqlite_database.write() as connection:
            if number == 0:
                shop = Shop(connection, seed)
            shop.connection = connection
            for one in shop.step():
                assert (one.refused is None) or one.discount is None
                states |= {one.coupon.status} if one.coupon is not None else set()
            assert check_books(connection) == []
            assert 0 <= used(connection, Count.SPENT, "c1") <= used(connection, Count.COMMITTED, "c1") <= BUDGET
            assert used(connection, Count.STOCK, "ten") <= STOCK
            assert used(connection, Count.MEMBER, "ten", "m1") <= EACH
            told = "SELECT COUNT(*), COALESCE(SUM(discount_cents), 0) FROM"
            kept = fetch(connection, f"{told} wallet_coupons WHERE status = 'redeemed'")
            assert fetch(connection, f"{told} redemptions") == kept
    assert states >= {Status.ISSUED, Status.LOCKED, Status.REDEEMED, Status.EXPIRED}

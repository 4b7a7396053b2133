"""A small world for tests of the wallet: goods, members, one campaign with a budget, and offers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.ledger import check_books
from recommender.coupons.purchases import Purchase, PurchaseLine
from recommender.coupons.refusals import Refusal
from recommender.coupons.using import Use
from recommender.coupons.wallet import Outcome, Status, Turn, WalletRules
from recommender.storage.database import Database
from recommender.storage.upserts import upsert
from tests.factories import NOW

RULES = WalletRules()
TEN_OFF: dict[str, Any] = {"offer_id": "ten", "kind": "amount_off", "value": 1000, "minimum_spend_cents": 2000}
ITEMS = (
    {"item_id": "milk", "category": "food > dairy", "brand": "Acme", "price_cents": 1500, "cost_cents": 700},
    {"item_id": "wine", "category": "drinks", "price_cents": 9000, "restricted_class": "alcohol"},
)
MEMBERS = (
    {"member_id": "m1", "tier": "gold", "points_balance": 50, "attributes": {"segments": ["parents"]}},
    {"member_id": "m2"},
    {"member_id": "staff", "kind": "employee"},
    {"member_id": "bad", "kind": "blocked"},
)


def settle_in(
    database: Database, *offers: dict[str, Any], budget: int | None = 5000, offers_of: Sequence[str] = ("ten",)
) -> None:
    """Fill the tables; the campaign c1 runs now."""
    campaign = {
        "campaign_id": "c1",
        "starts_at": NOW - timedelta(days=1),
        "ends_at": NOW + timedelta(days=30),
        "budget_cents": budget,
        "offers": list(offers_of),
    }
    with database.write() as connection:
        for table, rows in (
            ("items", ITEMS),
            ("members", MEMBERS),
            ("campaigns", (campaign,)),
            ("offers", offers or (TEN_OFF,)),
        ):
            upsert(connection, table, rows, NOW)


def turn(
    connection: Connection, now: datetime = NOW, rules: WalletRules = RULES, request_no: str | None = None
) -> Turn:
    return Turn(connection, rules, now, "till", request_no)


def give(database: Database, member_id: str = "m1", offer_id: str = "ten", **terms: Any) -> Outcome:
    """Issue one coupon, by default of the campaign."""
    request = IssueRequest(offer_id, member_id, **{"campaign_id": "c1"} | terms)
    with database.write() as connection:
        return issue(turn(connection), [request])[0]


def coupon_of(found: Outcome) -> str:
    assert found.refused is None, found
    assert found.coupon_id is not None
    return found.coupon_id


def buy(quantity: float = 2, item_id: str = "milk", **fields: Any) -> Purchase:
    """Milk at 15.00."""
    return Purchase((PurchaseLine(item_id, quantity, 1500),), store_id="s1", channel="pos", **fields)


def use(*coupon_ids: str, order_id: str = "o1", purchase: Purchase | None = None, **fields: Any) -> Use:
    return Use(coupon_ids, order_id, purchase, **fields)


def reason(found: Outcome) -> Refusal | Status:
    """Return why it was refused, else how the coupon stands."""
    if found.refused is not None:
        return found.refused.reason
    assert found.coupon is not None
    return found.coupon.status


def assert_balanced(database: Database) -> None:
    with database.read(snapshot=True) as connection:
        assert check_books(connection) == []

"""What the coupons of one order took already: coupons that come to it later only get what these left."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson
from sqlalchemy.engine import Connection

from recommender.coupons.basket import Basket
from recommender.coupons.coupon_rows import select_coupons
from recommender.coupons.discount import Discount, apportion
from recommender.coupons.purchases import Purchase
from recommender.coupons.stacking import Before
from recommender.coupons.store import read_offers
from recommender.coupons.wallet import Coupon
from recommender.storage.statements import fetch

_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))"
_LOCK = """
SELECT details, store_id FROM coupon_ledger WHERE coupon_id = ? AND entry = 'lock' ORDER BY sequence DESC LIMIT 1"""


def hold_order(connection: Connection, order_id: str) -> None:
    """Keep others from using coupons for an order until the end of the write transaction; SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        fetch(connection, _HOLD, (order_id,))


def lock_details(purchase: Purchase, discount: Discount) -> str:
    """Return what the ledger keeps of a lock: the channel, and what was taken off each item and the delivery fee."""
    items: dict[str, int] = {}
    for line, cents in zip(purchase.lines, discount.line_cents, strict=True):
        if cents:
            items[line.item_id] = items.get(line.item_id, 0) + cents
    kept = {"channel": purchase.channel, "items": items, "delivery": discount.delivery_cents}
    return orjson.dumps(kept).decode()


def locked_where(connection: Connection, coupon_id: str) -> tuple[str | None, str | None]:
    """Return the channel and the store in which a coupon was last locked."""
    rows = fetch(connection, _LOCK, (coupon_id,))
    return (orjson.loads(rows[0][0])["channel"], rows[0][1]) if rows else (None, None)


def taken_before(connection: Connection, order_id: str, basket: Basket, without: Collection[str]) -> Before:
    """Return what other coupons that an order locked or redeemed took off a basket.

    Args:
        without: coupons that are looked at anew.
    """
    where = "order_id = ? AND status IN ('locked', 'redeemed') ORDER BY coupon_id"
    others = [one for one in select_coupons(connection, where, (order_id,)) if one.coupon_id not in without]
    if not others:
        return Before()
    left, fee = [line.amount_cents for line in basket.lines], 0
    for coupon in others:
        left, delivery = _take(connection, coupon, basket, left)
        fee += delivery
    offers = read_offers(connection, {one.offer_id for one in others}).offers.values()
    groups = frozenset(offer.exclusive_group for offer in offers if offer.exclusive_group is not None)
    lines = tuple(line.amount_cents - rest for line, rest in zip(basket.lines, left, strict=True))
    return Before(lines, min(fee, basket.delivery_fee_cents), groups)


def _take(connection: Connection, coupon: Coupon, basket: Basket, left: Sequence[int]) -> tuple[list[int], int]:
    """Take a coupon's discount off what is left of each line: of its items, and where these are gone, of all lines."""
    rows = fetch(connection, _LOCK, (coupon.coupon_id,))
    kept = orjson.loads(rows[0][0]) if rows else {}
    items: dict[str, int] = dict(kept.get("items", {}))
    delivery, after = int(kept.get("delivery", 0)), list(left)
    missing = coupon.discount_cents - delivery
    for place, line in enumerate(basket.lines):
        cents = min(items.get(line.item_id, 0), after[place], missing)
        if cents > 0:
            items[line.item_id] -= cents
            after[place] -= cents
            missing -= cents
    rest = apportion(min(max(missing, 0), sum(after)), after)
    return [amount - less for amount, less in zip(after, rest, strict=True)], delivery

"""reconcile(): a till's settlement file beside the wallet's redemptions, difference by difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from recommender.coupons.coupon_rows import read_coupons
from recommender.coupons.wallet import Coupon, Status
from recommender.storage.statements import fetch
from recommender.storage.types import from_micros, to_micros

_REDEEMED = """
SELECT r.coupon_id, COALESCE(r.order_id, ''), COALESCE(r.discount_cents, 0), r.redeemed_at, COALESCE(r.store_id, '')
FROM redemptions r JOIN wallet_coupons c ON c.coupon_id = r.coupon_id
WHERE r.redeemed_at >= ? AND r.redeemed_at < ? ORDER BY r.redeemed_at, r.redemption_id"""


class Kind(StrEnum):
    """How a settlement and the wallet differ."""

    UNKNOWN_COUPON = "unknown_coupon"
    NOT_REDEEMED_HERE = "not_redeemed_here"
    NOT_SETTLED = "not_settled"
    OTHER_ORDER = "other_order"
    OTHER_DISCOUNT = "other_discount"
    SETTLED_TWICE = "settled_twice"


@dataclass(frozen=True, slots=True)
class Settled:
    """One coupon of one order, as a till settled it or as the wallet redeemed it."""

    coupon_id: str
    order_id: str
    discount_cents: int
    redeemed_at: datetime
    store_id: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: what the till says beside what the wallet says; None: nothing."""

    kind: Kind
    coupon_id: str
    settled: Settled | None
    redeemed: Settled | None
    status: Status | None = None

    @property
    def cents(self) -> int:
        """By how much the till settled more than the wallet granted."""
        there, here = (0 if one is None else one.discount_cents for one in (self.settled, self.redeemed))
        return there - here


def reconcile(
    settled: Sequence[Settled], redeemed: Sequence[Settled], coupons: Mapping[str, Coupon]
) -> list[Difference]:
    """Compare a settlement with the wallet's redemptions of the same time and stores; each pair counts once.

    Args:
        settled: lines of the till's file.
        redeemed: the wallet's redemptions in question.
        coupons: those the file names, as they stand, by id.
    Returns: differences, those of the file in its order, then what the file lacks.
    """
    left: dict[str, list[Settled]] = {}
    for one in redeemed:
        left.setdefault(one.coupon_id, []).append(one)
    differences, seen = [], set()
    for line in settled:
        found = _take(left.get(line.coupon_id, []), line.order_id)
        if found is None:
            differences.append(_unmatched(line, coupons.get(line.coupon_id), line.coupon_id in seen))
        elif found.order_id != line.order_id:
            differences.append(Difference(Kind.OTHER_ORDER, line.coupon_id, line, found, Status.REDEEMED))
        elif found.discount_cents != line.discount_cents:
            differences.append(Difference(Kind.OTHER_DISCOUNT, line.coupon_id, line, found, Status.REDEEMED))
        seen.add(line.coupon_id)
    for one in (one for some in left.values() for one in some):
        differences.append(Difference(Kind.NOT_SETTLED, one.coupon_id, None, one, Status.REDEEMED))
    return differences


def redemptions_between(
    connection: Connection, start: datetime, end: datetime, stores: frozenset[str] = frozenset()
) -> list[Settled]:
    """Return the wallet's redemptions from `start` to before `end`, of some stores; none named: of all."""
    rows = fetch(connection, _REDEEMED, (to_micros(start), to_micros(end)))
    found = [Settled(row[0], row[1], int(row[2]), from_micros(row[3]), row[4]) for row in rows]
    return [one for one in found if not stores or one.store_id in stores or not one.store_id]


def named_coupons(connection: Connection, settled: Sequence[Settled]) -> dict[str, Coupon]:
    """Return the coupons that a settlement names, as they stand."""
    return read_coupons(connection, {one.coupon_id for one in settled})


def _take(candidates: list[Settled], order_id: str) -> Settled | None:
    """Take the redemption of an order out of a coupon's, or else any."""
    place = next((place for place, one in enumerate(candidates) if one.order_id == order_id), 0)
    return candidates.pop(place) if candidates else None


def _unmatched(line: Settled, coupon: Coupon | None, again: bool) -> Difference:
    if again:
        return Difference(Kind.SETTLED_TWICE, line.coupon_id, line, None, None if coupon is None else coupon.status)
    if coupon is None:
        return Difference(Kind.UNKNOWN_COUPON, line.coupon_id, line, None)
    return Difference(Kind.NOT_REDEEMED_HERE, line.coupon_id, line, None, coupon.status)

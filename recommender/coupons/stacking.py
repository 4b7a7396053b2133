"""stack(): which of several coupons one basket gets together, in which order, and what each takes off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from recommender.coupons.basket import Basket
from recommender.coupons.discount import Discount, Refused, assess
from recommender.coupons.offers import Offer
from recommender.coupons.refusals import Refusal

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """A coupon that somebody holds: its id, its terms, and when it expires; None: never."""

    coupon_id: str
    offer: Offer
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stacked:
    """What became of one of the coupons of a basket."""

    coupon_id: str
    outcome: Discount | Refused


@dataclass(frozen=True, slots=True)
class Before:
    """What other coupons of the same order took already.

    line_cents: of each line, aligned with the basket's; empty: nothing.  delivery_cents: of the delivery fee.
    groups: exclusive groups that are used up.
    """

    line_cents: tuple[int, ...] = ()
    delivery_cents: int = 0
    groups: frozenset[str] = frozenset()


NOTHING = Before()


def stack(basket: Basket, coupons: Sequence[Held], before: Before = NOTHING) -> list[Stacked]:
    """Apply coupons to one basket, the one that is worth most first, each to what those before it left to be paid.

    Of each exclusive group only the first applied counts; all other offers go together. Each coupon's conditions,
    its minimum spend among them, are looked at on what is left. Ties go to the coupon that expires first, then to
    the lower coupon id, so that the order of `coupons` does not matter.

    Returns: one entry per coupon: those that apply in order of application, then the refused ones by coupon id.
    """
    left = sorted(coupons, key=lambda one: one.coupon_id)
    taken = before.line_cents or (0,) * len(basket.lines)
    fee = basket.delivery_fee_cents - before.delivery_cents
    groups = set(before.groups)
    applied: list[Stacked] = []
    while True:
        now = replace(basket, delivery_fee_cents=fee)
        assessed = [(one, _outcome(one.offer, now, taken, groups)) for one in left]
        possible = [(one, found) for one, found in assessed if isinstance(found, Discount)]
        if not possible:
            return applied + [Stacked(one.coupon_id, found) for one, found in assessed]
        best, discount = min(possible, key=lambda pair: (-pair[1].total_cents, *_rank(pair[0])))
        applied.append(Stacked(best.coupon_id, discount))
        left.remove(best)
        taken = tuple(more + less for more, less in zip(taken, discount.line_cents, strict=True))
        fee -= discount.delivery_cents
        if best.offer.exclusive_group is not None:
            groups.add(best.offer.exclusive_group)


def _outcome(offer: Offer, basket: Basket, taken: Sequence[int], groups: set[str]) -> Discount | Refused:
    if offer.exclusive_group is not None and offer.exclusive_group in groups:
        return Refused(Refusal.EXCLUSIVE_GROUP)
    return assess(offer, basket, taken)


def _rank(held: Held) -> tuple[datetime, str]:
    return held.expires_at or NEVER, held.coupon_id

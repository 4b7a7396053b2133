"""place_beside(): which coupon stands beside which item of a slate, decided for the whole slate at once.

A coupon stands beside the item where what it adds is worth most: what an extra purchase earns, times the chance of one,
less what is given away to purchases that would be made anyway. The slate itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recommender.coupons.basket import Basket, BasketLine, MemberFacts
from recommender.coupons.discount import Discount, Refused, assess
from recommender.coupons.offers import Offer
from recommender.coupons.prospects import Origin, Prospect
from recommender.coupons.refusals import Refusal

ANYWAY = 0.5
"""Chance from which on an item counts as bought anyway: no offer is shown beside it."""
USUAL_RESPONSE = 0.1
"""Chance that a coupon is redeemed, where no model says."""
_CAN_STILL = frozenset({Refusal.BELOW_MINIMUM_SPEND, Refusal.NOTHING_TO_TAKE_OFF})


@dataclass(frozen=True, slots=True)
class Shown:
    """One item of a slate as coupons see it.

    price_cents: in the store asked about, None if unknown.  margin_cents: of one unit at that price; None with it.
    anyway: chance that the member buys it anyway while a coupon lasts.
    """

    item_id: str
    category: str | None
    brand: str | None
    restricted_class: str | None
    price_cents: int | None
    margin_cents: float | None
    anyway: float


@dataclass(frozen=True, slots=True)
class Counter:
    """Where and by whom a slate would be bought: store and channel None if not known."""

    when: datetime
    store_id: str | None
    channel: str | None
    member: MemberFacts


@dataclass(frozen=True, slots=True)
class Beside:
    """A coupon beside an item.

    price_after_cents: of one unit, None where its price is unknown or one unit is not enough.
    short_by_cents: what one unit lacks of the minimum spend; None if nothing, or unknown.
    """

    prospect: Prospect
    price_after_cents: int | None
    short_by_cents: int | None


def place_beside(prospects: Sequence[Prospect], items: Sequence[Shown], counter: Counter) -> list[Beside | None]:
    """Choose at most one coupon per item and at most one item per coupon.

    Offers do not stand beside what is bought anyway; coupons that are held may, after all others. Only discounts on
    goods stand beside items.

    Returns: aligned with the items.
    """
    choices: list[tuple[float, int, str, Beside]] = []
    for prospect in prospects:
        if not prospect.offer.takes_off_goods or prospect.refused is not None:
            continue
        for place, item in enumerate(items):
            held = prospect.origin is Origin.HELD
            if item.anyway >= ANYWAY and not held:
                continue
            beside = _beside(prospect, item, counter)
            if beside is not None:
                choices.append((_worth(beside, item), place, prospect.key, beside))
    found: list[Beside | None] = [None] * len(items)
    used: set[str] = set()
    for _, place, key, beside in sorted(choices, key=lambda one: (-one[0], one[1], one[2])):
        if found[place] is None and key not in used:
            found[place] = beside
            used.add(key)
    return found


def one_unit(offer: Offer, item: Shown, counter: Counter) -> Discount | Refused:
    """Say what an offer takes off one unit of an item, by the function that decides at the till.

    What the request does not tell, the conditions in words name: a channel or a way of receiving that fits is assumed.
    """
    price = item.price_cents or 0
    line = BasketLine(item.item_id, 1.0, price, item.category, item.brand, item.restricted_class)
    channel = counter.channel or min(offer.channels, default=None)
    fulfilment = min(offer.fulfilment, default=None)
    return assess(offer, Basket((line,), counter.when, counter.store_id, channel, fulfilment, member=counter.member))


def _beside(prospect: Prospect, item: Shown, counter: Counter) -> Beside | None:
    """Return the coupon beside an item, None if it is not for it here and now, or takes nothing off it."""
    result = one_unit(prospect.offer, item, counter)
    if isinstance(result, Discount):
        price = item.price_cents
        return Beside(prospect, None if price is None else price - result.total_cents, None)
    if item.price_cents is None:
        return Beside(prospect, None, None) if result.reason in _CAN_STILL else None
    if result.reason is Refusal.BELOW_MINIMUM_SPEND:
        return Beside(prospect, None, result.short_by)
    return None


def _worth(beside: Beside, item: Shown) -> float:
    """Return what showing the coupon here is expected to add, in cents; 0 where the price is unknown."""
    if item.price_cents is None or item.margin_cents is None:
        return 0.0
    offer, decided = beside.prospect.offer, beside.prospect.decided
    response = USUAL_RESPONSE if decided is None else decided.redemption
    granted = float(item.price_cents - (beside.price_after_cents or 0))
    if beside.price_after_cents is None:
        # More than one unit has to be bought: each bears its part of the discount.
        granted = item.price_cents / max(offer.minimum_spend_cents, 1) * float(offer.worst_case_cents or 0)
    own = granted * offer.retailer_share
    extra = response * (1.0 - item.anyway)
    return extra * (item.margin_cents - own) - item.anyway * own

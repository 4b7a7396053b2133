"""assess(): whether an offer applies to a basket and what exactly it takes off; used by every part that asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recommender.coupons.basket import Basket, times
from recommender.coupons.offers import WHOLE_BASIS_POINTS, Offer, OfferKind
from recommender.coupons.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Discount:
    """What an offer takes off a basket.

    line_cents: of each line, aligned with the basket's.  delivery_cents: of the delivery fee.
    assumed: computed with a face value that stands in for an unknown one.
    """

    line_cents: tuple[int, ...]
    delivery_cents: int
    assumed: bool

    @property
    def total_cents(self) -> int:
        """All that is taken off; 0 for a gift."""
        return sum(self.line_cents) + self.delivery_cents


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an offer does not apply; `short_by`: what is missing, in cents of spend or in points, where that is it."""

    reason: Refusal
    short_by: int | None = None


@dataclass(frozen=True, slots=True)
class OfferUse:
    """How often an offer was given out: in all, and to this member."""

    total: int = 0
    by_member: int = 0


def assess(
    offer: Offer, basket: Basket, taken_cents: Sequence[int] = (), use: OfferUse | None = None
) -> Discount | Refused:
    """Decide whether an offer applies to a basket, and the exact discount in cents.

    Restricted goods count neither for the minimum spend nor for the discount. Of the rest in scope, E cents:
    amount_off takes its value, at most E; percent_off takes value / 10000 of E, rounded once, half up; fixed_price
    takes from each line what it costs above quantity times value; free_delivery takes the delivery fee; a gift takes
    nothing. maximum_discount_cents then caps the sum. The sum is spread over the lines in proportion to what they
    cost (fixed_price: to what each would lose), by largest remainder, the earlier line first.

    Args:
        offer: the terms.
        basket: what is bought, where, when and by whom.
        taken_cents: what other coupons took off each line already, aligned with the lines; empty: nothing.
        use: how often the offer was given out; None: its stock and limit are not looked at, as for a coupon that
            is held.
    Returns: the discount, or the first reason against it.
    """
    refused = _refused_terms(offer, basket) or (None if use is None else _refused_use(offer, use))
    if refused is not None:
        return refused
    amounts = _eligible(offer, basket, taken_cents)
    if isinstance(amounts, Refused):
        return amounts
    missing = offer.minimum_spend_cents - sum(amounts)
    if missing > 0:
        return Refused(Refusal.BELOW_MINIMUM_SPEND, missing)
    found = _discount(offer, basket, amounts)
    if found.total_cents == 0 and offer.kind is not OfferKind.GIFT:
        return Refused(Refusal.NOTHING_TO_TAKE_OFF)
    return found


def apportion(total_cents: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Spread an amount over lines in proportion to weights, exactly, by largest remainder; the earlier line first.

    Args:
        total_cents: 0 to sum(weights).
        weights: of each line, >= 0.
    Returns: parts that add up to `total_cents`, each from 0 to its weight.
    """
    whole = sum(weights)
    if whole == 0:
        return (0,) * len(weights)
    parts = [total_cents * weight // whole for weight in weights]
    remainders = [total_cents * weight % whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (-remainders[place], place))
    for place in order[: total_cents - sum(parts)]:
        parts[place] += 1
    return tuple(parts)


def _refused_terms(offer: Offer, basket: Basket) -> Refused | None:
    """Return what speaks against an offer whatever is in the basket."""
    if offer.valid_from is not None and basket.when < offer.valid_from:
        return Refused(Refusal.NOT_STARTED)
    if offer.valid_until is not None and basket.when >= offer.valid_until:
        return Refused(Refusal.ENDED)
    if offer.stores and basket.store_id not in offer.stores:
        return Refused(Refusal.WRONG_STORE)
    if offer.channels and basket.channel not in offer.channels:
        return Refused(Refusal.WRONG_CHANNEL)
    wanted = offer.fulfilment or (frozenset({"delivery"}) if offer.kind is OfferKind.FREE_DELIVERY else frozenset())
    if wanted and basket.fulfilment not in wanted:
        return Refused(Refusal.WRONG_FULFILMENT)
    if offer.segments and offer.segments.isdisjoint(basket.member.segments):
        return Refused(Refusal.NOT_IN_SEGMENT)
    missing = offer.points_cost - (basket.member.points or 0)
    if offer.points_cost and missing > 0:
        return Refused(Refusal.NOT_ENOUGH_POINTS, missing)
    return None


def _refused_use(offer: Offer, use: OfferUse) -> Refused | None:
    if offer.stock is not None and use.total >= offer.stock:
        return Refused(Refusal.OUT_OF_STOCK)
    if offer.per_member_limit is not None and use.by_member >= offer.per_member_limit:
        return Refused(Refusal.MEMBER_LIMIT)
    return None


def _eligible(offer: Offer, basket: Basket, taken_cents: Sequence[int]) -> list[int] | Refused:
    """Return what counts of each line, in cents, 0 for those that do not."""
    covered = [offer.scope.covers(line.item_id, line.category, line.brand) for line in basket.lines]
    if not any(covered):
        return Refused(Refusal.NOTHING_IN_SCOPE)
    counts = [one and not line.restricted_class for one, line in zip(covered, basket.lines, strict=True)]
    if not any(counts):
        return Refused(Refusal.RESTRICTED_GOODS_ONLY)
    taken = taken_cents or (0,) * len(basket.lines)
    return [line.amount_cents - less if one else 0 for one, line, less in zip(counts, basket.lines, taken, strict=True)]


def _discount(offer: Offer, basket: Basket, amounts: Sequence[int]) -> Discount:
    most = offer.maximum_discount_cents
    if offer.kind is OfferKind.FREE_DELIVERY:
        fee = basket.delivery_fee_cents
        return Discount((0,) * len(amounts), fee if most is None else min(fee, most), assumed=False)
    weights = _weights(offer, basket, amounts)
    total = min(_wanted(offer, weights), sum(weights))
    if most is not None:
        total = min(total, most)
    return Discount(apportion(total, weights), 0, offer.assumed)


def _weights(offer: Offer, basket: Basket, amounts: Sequence[int]) -> list[int]:
    """Return what each line can lose, in cents."""
    if offer.kind is not OfferKind.FIXED_PRICE or offer.value is None:
        return list(amounts)
    price = offer.value
    return [max(0, amount - times(price, line.quantity)) for amount, line in zip(amounts, basket.lines, strict=True)]


def _wanted(offer: Offer, weights: Sequence[int]) -> int:
    """Return what the offer takes off before it is capped; an assumed value is always one in cents."""
    whole = sum(weights)
    if offer.kind is OfferKind.GIFT:
        return 0
    if offer.value is None:
        return offer.assumed_value_cents or 0
    if offer.kind is OfferKind.PERCENT_OFF:
        return (whole * offer.value + WHOLE_BASIS_POINTS // 2) // WHOLE_BASIS_POINTS
    return whole if offer.kind is OfferKind.FIXED_PRICE else offer.value

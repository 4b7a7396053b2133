"""Basket: what somebody is about to buy, where, how and when, and what of them an offer may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from recommender.coupons.offers import MAX_CENTS
from recommender.errors import InputError

MAX_QUANTITY = 1e9


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One line of an order.

    category: a path.  quantity: above 0, weighed goods in fractions.  unit_price_cents: of one unit, here and now.
    discount_cents: what promotions that are no coupons took off the line already.

    Raises: InputError naming the field, for what is out of range.
    """

    item_id: str
    quantity: float
    unit_price_cents: int
    category: str | None = None
    brand: str | None = None
    restricted_class: str | None = None
    discount_cents: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.quantity <= MAX_QUANTITY:
            raise InputError(
                "A quantity is out of range.",
                field="quantity",
                value=self.quantity,
                accepted=f"above 0, up to {MAX_QUANTITY:g}",
            )
        _check_cents("unit_price_cents", self.unit_price_cents)
        _check_cents("discount_cents", self.discount_cents, times(self.unit_price_cents, self.quantity))

    @property
    def amount_cents(self) -> int:
        """What is to be paid for the line before coupons, >= 0."""
        return times(self.unit_price_cents, self.quantity) - self.discount_cents


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What offers may ask of a member.

    segments: those the member is in, the tier among them.  points: their balance; None: unknown.
    """

    segments: frozenset[str] = frozenset()
    points: int | None = None


@dataclass(frozen=True, slots=True)
class Basket:
    """An order that is not paid yet.

    when: aware.  store_id, channel, fulfilment: None if not known, which fits no offer that asks for one.
    delivery_fee_cents: what delivery costs the member.

    Raises: InputError naming the field, for what is out of range.
    """

    lines: tuple[BasketLine, ...]
    when: datetime
    store_id: str | None = None
    channel: str | None = None
    fulfilment: str | None = None
    delivery_fee_cents: int = 0
    member: MemberFacts = field(default_factory=MemberFacts)

    def __post_init__(self) -> None:
        _check_cents("delivery_fee_cents", self.delivery_fee_cents)
        _check_cents("lines", self.amount_cents)
        if self.when.tzinfo is None:
            raise InputError("A time has no offset from UTC.", field="when", value=self.when.isoformat())

    @property
    def amount_cents(self) -> int:
        """What is to be paid for the goods before coupons."""
        return sum(line.amount_cents for line in self.lines)


def times(unit_cents: int, quantity: float) -> int:
    """Return what a quantity costs, in cents; the quantity is meant as it is written, halves are rounded up."""
    if quantity == int(quantity):
        return unit_cents * int(quantity)
    return int((Decimal(unit_cents) * Decimal(str(quantity))).to_integral_value(ROUND_HALF_UP))


def _check_cents(name: str, value: int, most: int = MAX_CENTS) -> None:
    if not 0 <= value <= most:
        raise InputError("An amount of money is out of range.", field=name, value=value, accepted=f"0 to {most}")

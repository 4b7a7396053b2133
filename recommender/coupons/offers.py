"""Offer and Scope: the terms of a discount, checked when they are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from recommender.columns import FULFILMENTS
from recommender.errors import InputError
from recommender.ids import check_id
from recommender.item_facts import CATEGORY_SEPARATOR, normal_path

MAX_CENTS = 10**15
"""Largest amount of money anywhere: sums of many still fit into 64 bits."""
MAX_COUNT = 10**12
"""Largest stock, limit or number of points."""
WHOLE_BASIS_POINTS = 10_000
"""All of an amount, in basis points."""


class OfferKind(StrEnum):
    """What an offer takes off: see `discount.assess` for the arithmetic of each."""

    AMOUNT_OFF = "amount_off"
    PERCENT_OFF = "percent_off"
    FIXED_PRICE = "fixed_price"
    FREE_DELIVERY = "free_delivery"
    GIFT = "gift"


class Wallet(StrEnum):
    """Who keeps the coupons of an offer: this wallet, or another system that is followed."""

    MEMBERWISE = "memberwise"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Scope:
    """What goods an offer is for: those named by item, category or brand, each naming adds to the others.

    items: item ids.  categories: paths in normal spacing; each covers everything below it.  brands: names.
    All empty: everything.
    """

    items: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()

    @classmethod
    def of(cls, items: Iterable[str] = (), categories: Iterable[str] = (), brands: Iterable[str] = ()) -> Scope:
        """Make a scope; categories may be spaced in any way."""
        paths = frozenset(normal_path(path) for path in categories) - {""}
        return cls(frozenset(items), paths, frozenset(brands) - {""})

    @property
    def everything(self) -> bool:
        """Whether no goods are named, so that all are meant."""
        return not (self.items or self.categories or self.brands)

    def covers(self, item_id: str, category: str | None, brand: str | None) -> bool:
        """Tell whether an item of a category and a brand is meant."""
        if self.everything or item_id in self.items or (brand is not None and brand in self.brands):
            return True
        if not self.categories or category is None:
            return False
        path = normal_path(category)
        while path and path not in self.categories:
            path = path.rpartition(f" {CATEGORY_SEPARATOR} ")[0]
        return bool(path)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Offer:
    """A discount and its conditions, as in the table `offers`; an empty set or None sets no condition.

    value: cents (amount_off, fixed_price: of one unit), basis points (percent_off), None for free_delivery, gift and
        imports without a face value.
    assumed_value_cents: stands in for a missing `value`; what is computed with it is flagged `assumed`.
    minimum_spend_cents: of the goods in scope that are not restricted, before this discount.
    maximum_discount_cents: of one use.
    segments: the member must be in one of them; tiers count as segments.
    points_cost: points that one use costs the member.
    valid_from, valid_until: aware; first moment, and first moment after.
    stock: coupons there are in all.  per_member_limit: coupons for one member.
    funded_share: part of the discount that a supplier pays, 0 to 1.
    exclusive_group: of the offers of one group one basket gets at most one.

    Raises: InputError naming the field, for terms that are out of range or can never apply.
    """

    offer_id: str
    kind: OfferKind
    title: str | None = None
    value: int | None = None
    assumed_value_cents: int | None = None
    minimum_spend_cents: int = 0
    maximum_discount_cents: int | None = None
    scope: Scope = field(default=EVERYTHING)
    stores: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    fulfilment: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    points_cost: int = 0
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    stock: int | None = None
    per_member_limit: int | None = None
    funded_share: float = 0.0
    wallet: Wallet = Wallet.MEMBERWISE
    exclusive_group: str | None = None

    def __post_init__(self) -> None:
        check_id(self.offer_id)
        _check_value(self)
        _check_range("minimum_spend_cents", self.minimum_spend_cents, 0, MAX_CENTS)
        _check_range("maximum_discount_cents", self.maximum_discount_cents, 1, MAX_CENTS)
        _check_range("points_cost", self.points_cost, 0, MAX_COUNT)
        _check_range("stock", self.stock, 0, MAX_COUNT)
        _check_range("per_member_limit", self.per_member_limit, 1, MAX_COUNT)
        if not 0.0 <= self.funded_share <= 1.0:
            raise InputError(
                "A share is out of range.", field="funded_share", value=self.funded_share, accepted="0 to 1"
            )
        unknown = sorted(self.fulfilment.difference(FULFILMENTS))
        if unknown:
            raise InputError(
                "There is no such fulfilment.", field="fulfilment", value=unknown[0], accepted=", ".join(FULFILMENTS)
            )
        if self.kind is OfferKind.FREE_DELIVERY and self.fulfilment and "delivery" not in self.fulfilment:
            raise InputError(
                "Free delivery can never apply to what is not delivered.",
                field="fulfilment",
                value=", ".join(sorted(self.fulfilment)),
                accepted="delivery among them, or none named",
            )
        _check_times(self)

    @property
    def face_value(self) -> int | None:
        """`value`, or what stands in for it: cents, or basis points of percent_off; None if there is none."""
        return self.assumed_value_cents if self.value is None else self.value

    @property
    def assumed(self) -> bool:
        """Whether the face value stands in for one that nobody told."""
        return self.value is None and self.assumed_value_cents is not None

    @property
    def takes_off_goods(self) -> bool:
        """Whether the discount is one on goods, so that it needs a face value."""
        return self.kind not in (OfferKind.FREE_DELIVERY, OfferKind.GIFT)

    @property
    def worst_case_cents(self) -> int | None:
        """The most that one use can take off, in cents, on any basket; None: nothing limits it."""
        if self.kind is OfferKind.GIFT:
            return 0
        if self.assumed or self.kind is OfferKind.AMOUNT_OFF:
            face = self.face_value or 0
            return face if self.maximum_discount_cents is None else min(face, self.maximum_discount_cents)
        return self.maximum_discount_cents

    @property
    def retailer_share(self) -> float:
        """The part of the discount that the retailer pays, 0 to 1."""
        return 1.0 - self.funded_share


def _check_range(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InputError("A value of an offer is out of range.", field=name, value=value, accepted=f"{least} to {most}")


def _check_value(offer: Offer) -> None:
    """Check that the value fits the kind, and that it can take anything off."""
    _check_range("assumed_value_cents", offer.assumed_value_cents, 1, MAX_CENTS)
    if not offer.takes_off_goods:
        if offer.value is not None:
            raise InputError(f"Offers of kind {offer.kind} have no value.", field="value", value=offer.value)
        return
    if offer.value is None and offer.assumed_value_cents is None:
        raise InputError(
            "An offer on goods needs a value.", field="value", accepted="a whole number, or assumed_value_cents"
        )
    if offer.kind is OfferKind.PERCENT_OFF:
        _check_range("value", offer.value, 1, WHOLE_BASIS_POINTS)
    else:
        _check_range("value", offer.value, 0 if offer.kind is OfferKind.FIXED_PRICE else 1, MAX_CENTS)


def _check_times(offer: Offer) -> None:
    for name, time in (("valid_from", offer.valid_from), ("valid_until", offer.valid_until)):
        if time is not None and time.tzinfo is None:
            raise InputError("A time has no offset from UTC.", field=name, value=time.isoformat())
    if offer.valid_from is not None and offer.valid_until is not None and offer.valid_until <= offer.valid_from:
        raise InputError(
            "The offer ends before it starts.",
            field="valid_until",
            value=offer.valid_until.isoformat(),
            accepted=f"a time after {offer.valid_from.isoformat()}",
        )

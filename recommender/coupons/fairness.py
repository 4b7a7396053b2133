"""Fairness, a rule of every plan and decision: a published range of face values, and a floor for loyal members.

An *eligibility class* are members to whom the segments of offers open the same offers. Inside a class

- whatever is given on purpose has a face value within the published range;
- *new* members, those registered within the last quarter, are not given more per head than all others, who are loyal:
  what was taken off for them in the quarter by coupons of campaigns, and what the plan expects to take off now.

Gender, age, city and device are no part of either rule, and unknown to the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from recommender.coupons.limits import MOST, IntArray, IntVector, Limit, Unit
from recommender.coupons.offers import Offer, OfferKind
from recommender.errors import SettingsError
from recommender.settings import CoreSettings

BoolVector = npt.NDArray[np.bool_]

BASIS_POINTS_PER_PERCENT = 100
FLOOR = "loyalty_floor"
"""The name of the limit that holds the floor."""


@dataclass(frozen=True, slots=True)
class FairnessRules:
    """What is published: the range of face values, and how long a member is new.

    least_cents, most_cents: of what a coupon takes off.  least_percent, most_percent: of offers in per cent.
    new_days: days from the registration on; also the quarter that is looked back on.  0: no floor.

    Raises: SettingsError if a range is empty.
    """

    least_cents: int = 0
    most_cents: int = 10_000_000
    least_percent: float = 0.0
    most_percent: float = 100.0
    new_days: int = 90

    def __post_init__(self) -> None:
        for field, least, most in (
            ("MEMBERWISE_COUPON_LEAST_CENTS", self.least_cents, self.most_cents),
            ("MEMBERWISE_COUPON_LEAST_PERCENT", self.least_percent, self.most_percent),
        ):
            if least > most:
                raise SettingsError("A range of face values is empty.", field=field, value=least, accepted=f"<= {most}")

    @classmethod
    def of(cls, settings: CoreSettings) -> FairnessRules:
        """Return the rules of an installation. Raises: SettingsError."""
        return cls(
            settings.coupon_least_cents,
            settings.coupon_most_cents,
            settings.coupon_least_percent,
            settings.coupon_most_percent,
            settings.coupon_new_days,
        )

    @property
    def new(self) -> timedelta:
        """How long a member is new."""
        return timedelta(days=self.new_days)

    def is_new(self, registered_at: datetime | None, now: datetime) -> bool:
        """Tell whether a member is new; one whose registration is not known is loyal."""
        return self.new_days > 0 and registered_at is not None and registered_at > now - self.new

    def described(self) -> dict[str, float]:
        """Return the rules as they are published."""
        return {
            "least_cents": self.least_cents,
            "most_cents": self.most_cents,
            "least_percent": self.least_percent,
            "most_percent": self.most_percent,
            "new_days": self.new_days,
        }


def out_of_range(offer: Offer, rules: FairnessRules) -> bool:
    """Tell whether the face value of an offer lies outside the published range.

    Gifts, free delivery and prices fixed have no face value; their maximum discount counts, where they have one.
    """
    most = offer.worst_case_cents
    if most is not None and most > rules.most_cents:
        return True
    if offer.kind is OfferKind.PERCENT_OFF and offer.value is not None:
        percent = offer.value / BASIS_POINTS_PER_PERCENT
        return not rules.least_percent <= percent <= rules.most_percent
    plain = offer.kind is OfferKind.AMOUNT_OFF or offer.assumed
    return plain and most is not None and most < rules.least_cents


@dataclass(frozen=True, slots=True, eq=False)
class Tenure:
    """Who is new, of n members of a plan.

    group: int32, (n,), the eligibility class of each member, from 0 on; -1: may be given nothing.
    new: bool, (n,).
    granted_cents: int64, (n,), taken off for each in the last quarter by coupons of campaigns.
    open_to: by class, the offers bound to segments that are open to it.
    """

    group: npt.NDArray[np.int32]
    new: BoolVector
    granted_cents: IntVector
    open_to: tuple[frozenset[str], ...]

    def of(self, rows: IntArray) -> Tenure:
        """Return it for some of the members."""
        return Tenure(self.group[rows], self.new[rows], self.granted_cents[rows], self.open_to)


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """What members of one eligibility class are given per head, in cents: granted in the quarter and planned now.

    open_to: the offers bound to segments that are open to it.  kept: whether the loyal are not behind.
    """

    open_to: frozenset[str]
    loyal: int
    new: int
    loyal_cents: float
    new_cents: float
    kept: bool


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """Sums by class, int64, (c,): members, and what they are given, in parts of a cent; past and planned."""

    tenure: Tenure
    parts: int
    loyal: IntVector
    new: IntVector
    loyal_past: IntVector
    new_past: IntVector
    loyal_planned: IntVector
    new_planned: IntVector

    @classmethod
    def of(cls, tenure: Tenure, member_row: IntArray, cost: IntVector, parts: int) -> Balance:
        """Add up a plan.

        Args:
            member_row, cost: (p,), of its coupons; cost in parts of a cent.
            parts: of a cent.
        """
        classes = len(tenure.open_to)
        planned = np.zeros(len(tenure.group), np.int64)
        np.add.at(planned, member_row, cost)

        def summed(who: BoolVector, amount: IntVector) -> IntVector:
            total = np.zeros(classes, np.int64)
            np.add.at(total, tenure.group[who], amount[who])
            return total

        known = tenure.group >= 0
        loyal, new = known & ~tenure.new, known & tenure.new
        one, past = np.ones(len(planned), np.int64), tenure.granted_cents * parts
        return cls(
            tenure,
            parts,
            summed(loyal, one),
            summed(new, one),
            summed(loyal, past),
            summed(new, past),
            summed(loyal, planned),
            summed(new, planned),
        )

    def room(self) -> list[int]:
        """Return by class the most that may be planned for all its new members together, in parts of a cent.

        Per head no more than the loyal are given, the past of both included; without loyal members, anything.
        """
        return [
            MOST if not loyal or not new else max(new * (past + planned) // loyal - before, 0)
            for loyal, new, past, planned, before in zip(
                self.loyal.tolist(),
                self.new.tolist(),
                self.loyal_past.tolist(),
                self.loyal_planned.tolist(),
                self.new_past.tolist(),
                strict=True,
            )
        ]

    def kept(self) -> list[bool]:
        """Tell by class whether nothing is planned for new members beyond the room."""
        return [planned <= room for planned, room in zip(self.new_planned.tolist(), self.room(), strict=True)]

    def classes(self) -> tuple[ClassBalance, ...]:
        """Return what each class is given per head, in cents."""
        loyal = (self.loyal_past + self.loyal_planned) / (np.maximum(self.loyal, 1) * self.parts)
        new = (self.new_past + self.new_planned) / (np.maximum(self.new, 1) * self.parts)
        behind = (self.loyal > 0) & (self.new > 0) & (new > loyal)
        return tuple(
            ClassBalance(open_to, *row)
            for open_to, *row in zip(
                self.tenure.open_to,
                self.loyal.tolist(),
                self.new.tolist(),
                loyal.tolist(),
                new.tolist(),
                (~behind).tolist(),
                strict=True,
            )
        )


def floor_limit(tenure: Tenure, most: list[int]) -> Limit:
    """Return the limit that holds new members of each class to what was found to be room for them."""
    amounts = np.array([min(amount, MOST) for amount in most], np.int64)
    return Limit(FLOOR, Unit.COST, amounts, member_row=floor_rows(tenure, len(most)))


def floor_rows(tenure: Tenure, classes: int) -> npt.NDArray[np.int32]:
    """Return the row of the floor's limit for each member, int32, (n,): the class of new ones, none for others."""
    return np.where(tenure.new & (tenure.group >= 0), tenure.group, classes).astype(np.int32)


Floors = Mapping[frozenset[str], float]
"""By the offers bound to segments that are open to a class: what its loyal members are given per head, in cents."""


def floors_of(classes: tuple[ClassBalance, ...]) -> dict[frozenset[str], float]:
    """Return what decisions between plans are held against, of classes that have loyal members."""
    return {one.open_to: one.loyal_cents for one in classes if one.loyal}

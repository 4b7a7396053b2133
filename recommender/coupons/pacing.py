"""Pacing: offers for one member between plans, from a plan's shadow prices, with the budget's pace under control.

A plan leaves prices behind: what a cent of budget and a coupon of each offer are worth to those they were planned for.
Someone who comes later is offered what is worth most after these charges, which is what the plan would have given them
(Devanur and Hayes, 2009, "The adwords problem: online keyword matching with budgeted bidders under random
permutations"). Since the future is never as planned, the price of a cent rises while less money than time is left and
falls while more is. Pacing only decides: that no budget is overspent is the work of the wallet's conditional updates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from recommender.errors import InputError

GAIN = 3.0
"""Of the control: a cent becomes dearer by this power of the strain."""
LEAST_PART = 1e-4
"""Smaller parts of time or money count as this."""
LEAST_PRICE = 0.05
"""Where budget was ample in the plan a cent had no price; control begins from this one, in cents of profit."""
MOST_CHANGE = 50.0
"""Largest factor by which control raises or lowers a price."""


@dataclass(frozen=True, slots=True)
class Multipliers:
    """What a plan keeps for decisions between plans.

    campaign_id: None: the plan was of no campaign.
    at: the time of the plan.  bundle_id: whose scores it was made with.
    offer_id: the offers of the plan.  coupon_cents: the price of one coupon of each, in cents of profit.
    cent_price: cents of profit that one more cent of budget would earn.
    """

    campaign_id: str | None
    at: datetime
    bundle_id: str
    offer_id: tuple[str, ...]
    coupon_cents: tuple[float, ...]
    cent_price: float

    def as_json(self) -> dict[str, Any]:
        """Return values for JSON."""
        return asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Multipliers:
        """Read what as_json() has written.

        Raises: InputError if it is not that.
        """
        try:
            values = {part.name: document[part.name] for part in fields(cls)}
            return cls(
                **values
                | {
                    "at": datetime.fromisoformat(document["at"]),
                    "offer_id": tuple(document["offer_id"]),
                    "coupon_cents": tuple(float(cents) for cents in document["coupon_cents"]),
                    "cent_price": float(document["cent_price"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("These are not the multipliers of a plan.", value=error) from error


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a budget is.

    budget_cents: of the whole time; None: there is no budget.  used_cents: reserved or spent so far.
    elapsed: the part of the campaign's time that has gone by, 0 to 1.
    """

    budget_cents: int | None
    used_cents: int
    elapsed: float

    @property
    def left_cents(self) -> float:
        """What is left, in cents; infinite without a budget."""
        return math.inf if self.budget_cents is None else self.budget_cents - self.used_cents

    @property
    def strain(self) -> float:
        """The part of the time that is left, over the part of the budget that is left; 1 = an even pace."""
        if not self.budget_cents:
            return 1.0
        return max(1.0 - self.elapsed, LEAST_PART) / max(self.left_cents / self.budget_cents, LEAST_PART)


def paced_price(cent_price: float, pace: Pace) -> float:
    """Return the price of a cent now: the plan's, dearer while less money than time is left, cheaper while more is."""
    if pace.budget_cents is None:
        return 0.0
    factor = min(max(float(pace.strain**GAIN), 1 / MOST_CHANGE), MOST_CHANGE)
    return (cent_price + LEAST_PRICE) * factor - LEAST_PRICE * min(factor, 1.0)


def decide(
    multipliers: Multipliers, pace: Pace, value_cents: Sequence[float], cost_cents: Sequence[float]
) -> int | None:
    """Choose the offer for one member, or none.

    Args:
        value_cents: expected profit of each offer of the multipliers, NaN = not eligible.
        cost_cents: expected cost of each.
    Returns: the place of the offer; None where giving nothing is best, or the budget left does not cover the cost.
    """
    price, left = paced_price(multipliers.cent_price, pace), pace.left_cents
    best, chosen = 0.0, None
    for place, charge in enumerate(multipliers.coupon_cents):
        worth = value_cents[place] - price * cost_cents[place] - charge
        if worth > best and cost_cents[place] <= left:
            best, chosen = worth, place
    return chosen

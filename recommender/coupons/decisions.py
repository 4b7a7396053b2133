"""Why each member of a plan was given an offer, or was not: one code per member and offer, kept with the plan.

Codes are worked out from the plan itself: from the reasons against eligibility, the lots, and the plan's prices. They
are what `GET /v1/members/{member_id}/coupon-decisions` answers with, and what plans are counted by.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recommender.coupons.allocation import Plan
from recommender.coupons.eligibility import CodeMatrix, LeftOut
from recommender.coupons.fairness import FLOOR
from recommender.coupons.limits import MOST, BoolVector, Charge, FloatVector, IntVector, Limit, LimitTable
from recommender.coupons.matrices import Costs
from recommender.coupons.offers import Offer
from recommender.coupons.planning import OfferPlan

FloatMatrix = npt.NDArray[np.float64]


class Decision(StrEnum):
    """Why an offer was given to a member, or was not. Kept as numbers: new ones go to the end."""

    BEST_WORTH = "best_worth"
    DRAWN = "drawn"
    KIND = "kind"
    OPTED_OUT = "opted_out"
    HELD_OUT = "held_out"
    MEMBER_LIMIT = "member_limit"
    SEGMENT = "segment"
    STORE = "store"
    POINTS = "points"
    NOT_SCORED = "not_scored"
    NO_GAIN = "no_gain"
    LOST_THE_DRAW = "lost_the_draw"
    OTHER_OFFER = "other_offer"
    LOYALTY_FLOOR = "loyalty_floor"
    OUTBID = "outbid"
    SOLD_OUT = "sold_out"
    CHANNEL = "channel"

    @property
    def code(self) -> int:
        """Its number in a kept plan."""
        return _ORDER[self]

    @property
    def gives(self) -> bool:
        """Whether the offer was given."""
        return self in (Decision.BEST_WORTH, Decision.DRAWN)


DECISIONS = tuple(Decision)
_ORDER = {decision: code for code, decision in enumerate(DECISIONS)}
_FROM_LEFT_OUT = np.array([Decision.BEST_WORTH.code, *(Decision(reason.value).code for reason in LeftOut)], np.uint8)


def decide_why(plan: OfferPlan, against: CodeMatrix, offers: tuple[Offer, ...]) -> CodeMatrix:
    """Return the code of the reason of every member and offer, uint8, (n, k).

    Args:
        plan: with its matrices.
        against: as in Eligibility.
    """
    explored, done = plan.explored, plan.explored.plan
    found = np.empty(against.shape, np.uint8)
    held = np.zeros(len(found), bool)
    held[done.member_row] = True
    drew = np.zeros(len(found), bool)
    drew[explored.explorers] = True
    floored = _floored(done, len(found))
    for first, last, worth, value in _worths(plan, offers):
        part = found[first:last]
        part[:] = Decision.OUTBID.code
        part[(worth > 0) & floored[first:last, None]] = Decision.LOYALTY_FLOOR.code
        part[held[first:last]] = Decision.OTHER_OFFER.code
        part[value <= 0] = Decision.NO_GAIN.code
        part[drew[first:last]] = Decision.LOST_THE_DRAW.code
        part[np.isnan(value)] = Decision.NOT_SCORED.code
    forbidden = against != 0
    found[forbidden] = _FROM_LEFT_OUT[against[forbidden]]
    found[done.member_row, done.offer_row] = np.where(
        drew[done.member_row], Decision.DRAWN.code, Decision.BEST_WORTH.code
    )
    return found


def tally(codes: CodeMatrix) -> dict[Decision, int]:
    """Count members and offers by reason; reasons that nobody has are left out."""
    counts = np.bincount(codes.ravel(), minlength=len(DECISIONS)).tolist()
    return {decision: count for decision, count in zip(DECISIONS, counts, strict=True) if count}


def _worths(plan: OfferPlan, offers: tuple[Offer, ...]) -> Iterator[tuple[int, int, FloatMatrix, FloatMatrix]]:
    """Yield rows from and to, what offers are worth there at the prices of all limits but the floor, and at none."""
    done = plan.explored.plan
    worst = np.array([offer.worst_case_cents or 0 for offer in offers], np.int64)
    start = 0
    for value, cost in plan.matrices.chunks():
        last = start + len(value)
        at_none = value.astype(np.float64)
        yield start, last, _net(at_none, cost, _charge(done, worst, np.arange(start, last)), worst), at_none
        start = last


def _floored(plan: Plan, n_members: int) -> BoolVector:
    """Tell who is new in a class whose loyal members would be behind, bool, (n,)."""
    found = np.zeros(n_members, bool)
    for limit in plan.limits:
        if limit.name == FLOOR and limit.member_row is not None:
            found = np.append(limit.amounts < MOST, False)[limit.member_row]
    return found


def _charge(plan: Plan, worst: IntVector, member: IntVector) -> Charge:
    """Return what the prices of all limits but the floor take from offers of some members."""
    chosen = [pair for pair in zip(plan.limits, plan.prices, strict=True) if pair[0].name != FLOOR]
    table = LimitTable.of([limit for limit, _ in chosen], _n_members(chosen), worst)
    price = np.concatenate([np.zeros(0), *(np.append(prices, 0.0) for _, prices in chosen)])
    return table.charge(price, member)


def _n_members(chosen: list[tuple[Limit, FloatVector]]) -> int:
    return next((len(limit.member_row) for limit, _ in chosen if limit.member_row is not None), 0)


def _net(value: FloatMatrix, cost: Costs, charge: Charge, worst: IntVector) -> FloatMatrix:
    by_member = [np.reshape(part, (-1, 1)) for part in (charge.cent, charge.coupon, charge.liability)]
    taken = (by_member[0] + charge.cent_offer) * cost + by_member[1] + charge.coupon_offer + by_member[2] * worst
    found: FloatMatrix = value - taken
    return found

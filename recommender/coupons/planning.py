"""A plan of who gets which offer, from scores, eligibility and money; and what it is expected to earn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.coupons.allocation import Terms
from recommender.coupons.curve import SHARES, CurvePoint, profit_curve
from recommender.coupons.eligibility import BoolMatrix
from recommender.coupons.exploring import ExploringPlan, allocate_exploring
from recommender.coupons.fairness import Balance, ClassBalance, Tenure, floor_limit
from recommender.coupons.limits import MOST, IntVector, Limit, budget, liability, stock
from recommender.coupons.matrices import Arrays
from recommender.coupons.offers import Offer
from recommender.coupons.pacing import Multipliers
from recommender.coupons.scores import OfferScores
from recommender.errors import InputError

PARTS = 1000
"""Plans are held against budgets in thousandths of a cent: expected costs of a few cents could not be rounded to whole
cents without losing a tenth of the budget."""
TWO_SIDED_95 = 1.96
FLOOR_TRIES = 4
"""Plans made until loyal members are not behind; then new ones are given nothing."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan must keep to.

    budget_cents: discount that may be granted; None: any.  liability_cents: discount if every coupon is redeemed.
    stock_left: coupons left of each offer; None: any number.
    per_member: most coupons of one member.  explore: share of members for whom lots are drawn.
    pessimism: standard errors by which every profit is lowered.  seed: of the lots.
    tenure: who is new, for the loyalty floor; None: no floor.
    """

    offers: tuple[Offer, ...]
    budget_cents: int | None
    stock_left: tuple[int | None, ...]
    liability_cents: int | None = None
    per_member: int = 1
    explore: float = 0.0
    pessimism: float = 0.0
    seed: int = 0
    tenure: Tenure | None = None


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """A plan in numbers, cents where nothing else is said.

    members: who were considered.  reach: members with a coupon.  explorers: members for whom lots were drawn.
    planned_cost: discount at the upper confidence bound, against which the budget is held.  expected_cost: of the
    discount, the retailer's share.  profit, low, high: expected incremental profit, and its 95 % interval.
    value, bound, gap: what was maximised, which differs from the profit by pessimism; no plan has more than `bound`.
    price: what one more cent of budget would earn; None without a budget.  assumed: coupons whose profit is assumed.
    """

    members: int
    reach: int
    coupons: int
    explorers: int
    planned_cost: int
    expected_cost: float
    profit: float
    low: float
    high: float
    value: float
    bound: float
    gap: float
    price: float | None
    assumed: int


@dataclass(frozen=True, slots=True, eq=False)
class OfferPlan:
    """A plan with its figures and the profit curve, which is empty without a budget.

    explored: costs, and what is used of a budget and its price, are in thousandths of a cent.
    matrices: value and cost as they were allocated.
    balance: what new and loyal members are given per head, by eligibility class; empty without a floor.
    """

    explored: ExploringPlan
    figures: PlanFigures
    curve: tuple[CurvePoint, ...]
    matrices: Arrays
    balance: tuple[ClassBalance, ...] = ()


def make_plan(scores: OfferScores, allowed: BoolMatrix, request: PlanRequest) -> OfferPlan:
    """Allocate offers to members.

    Args:
        scores: of the request's offers, in their order.
        allowed: bool, (n, k), who may be given what.
    Raises: InputError if an offer has no worst case but the liability is limited, or as allocate().
    """
    profit = np.where(allowed, scores.expected_profit_cents, np.nan).astype(np.float32)
    arrays = Arrays(profit, plan_cost(scores, request.offers), scores.standard_error_cents, request.pessimism)
    return plan_arrays(arrays, scores, request)


def plan_arrays(arrays: Arrays, scores: OfferScores, request: PlanRequest) -> OfferPlan:
    """Allocate offers to members, where profits and costs are prepared: in memory, or mapped from files.

    Args:
        arrays: profits, NaN where an offer may not be given, and costs as plan_cost() makes them.
        scores: of the same pairs; looked at where coupons are given.
    Raises: as make_plan().
    """
    explored, terms, balance = _above_floor(arrays, plan_terms(request), request)
    curve = _curve(arrays, terms, request.budget_cents)
    return OfferPlan(explored, _figures(scores, explored, request, curve), curve, arrays, balance)


def _above_floor(
    arrays: Arrays, terms: Terms, request: PlanRequest
) -> tuple[ExploringPlan, Terms, tuple[ClassBalance, ...]]:
    """Allocate, and again with less for new members of a class while they would be given more than the loyal ones.

    Returns: the plan, the terms it keeps to, and who is given what.
    """
    tenure, own = request.tenure, terms
    room: list[int] | None = None
    for tries in range(FLOOR_TRIES + 1):
        explored = allocate_exploring(arrays, own, request.explore, np.random.default_rng(request.seed))
        if tenure is None:
            return explored, own, ()
        plan = explored.plan
        balance = Balance.of(tenure, plan.member_row, plan.cost_cents, PARTS)
        kept = balance.kept()
        if all(kept):
            break
        before = room or [MOST] * len(kept)
        last = tries == FLOOR_TRIES - 1
        found = zip(before, balance.room(), kept, strict=True)
        room = [most if fine else 0 if last else min(most, new) for most, new, fine in found]
        own = replace(terms, limits=(*terms.limits, floor_limit(tenure, room)))
    return explored, own, balance.classes()


def _curve(arrays: Arrays, terms: Terms, budget_cents: int | None) -> tuple[CurvePoint, ...]:
    """Return the profit curve, in cents."""
    if budget_cents is None:
        return ()
    budgets = sorted({int(part * budget_cents) for part in SHARES}) if budget_cents else [0]
    points = profit_curve(arrays, terms, [cents * PARTS for cents in budgets])
    return tuple(
        CurvePoint(cents, point.profit_cents, PARTS * point.price) for cents, point in zip(budgets, points, strict=True)
    )


def plan_cost(scores: OfferScores, offers: Sequence[Offer]) -> npt.NDArray[np.int64]:
    """Return the discount to plan with, int64 (n, k), thousandths of a cent: all of it, as budgets count all granted.

    Scores hold the retailer's share; of an offer that others pay for the discount is its worst case, as likely as it is
    redeemed.
    """
    cost = np.empty(scores.cost_bound_cents.shape, np.int64)
    for column, offer in enumerate(offers):
        if offer.retailer_share > 0:
            granted = scores.cost_bound_cents[:, column] / offer.retailer_share
        else:
            granted = scores.redemption_probability[:, column] * (offer.worst_case_cents or 0)
        cost[:, column] = np.rint(PARTS * np.nan_to_num(granted.astype(np.float64)))
    return np.maximum(cost, 0)


def multipliers_of(plan: OfferPlan, scores: OfferScores, campaign_id: str | None, bundle_id: str) -> Multipliers:
    """Return what a plan keeps for decisions between plans."""
    done = plan.explored.plan
    by_offer = np.zeros(len(scores.offer_id))
    for limit, price in zip(done.limits, done.prices, strict=True):
        if limit.offer_row is not None:
            by_offer += np.append(price, 0.0)[limit.offer_row]
    return Multipliers(
        campaign_id, scores.at, bundle_id, scores.offer_id, tuple(by_offer.tolist()), plan.figures.price or 0.0
    )


def plan_terms(request: PlanRequest) -> Terms:
    """Return what allocation keeps to; budgets are in thousandths of a cent."""
    limits: list[Limit] = [stock(request.stock_left)]
    if request.budget_cents is not None:
        limits.insert(0, budget(PARTS * request.budget_cents))
    worst: list[int] | None = None
    if request.liability_cents is not None:
        limits.append(liability(request.liability_cents))
        worst = [_worst_case(offer) for offer in request.offers]
    names = {offer.exclusive_group for offer in request.offers}
    numbers = {name: number for number, name in enumerate(sorted(names - {None}, key=str))}
    group = [
        len(numbers) + column if offer.exclusive_group is None else numbers[offer.exclusive_group]
        for column, offer in enumerate(request.offers)
    ]
    return Terms(tuple(limits), request.per_member, group, worst)


def _worst_case(offer: Offer) -> int:
    if offer.worst_case_cents is None:
        raise InputError(
            "The liability cannot be limited: nothing limits what one coupon of this offer can cost.",
            field="maximum_discount_cents",
            value=offer.offer_id,
            accepted="a maximum discount",
        )
    return offer.worst_case_cents


def _figures(
    scores: OfferScores, explored: ExploringPlan, request: PlanRequest, curve: Sequence[CurvePoint]
) -> PlanFigures:
    plan = explored.plan
    at = (plan.member_row, plan.offer_row)
    profit = float(scores.expected_profit_cents[at].sum(dtype=np.float64))
    spread = TWO_SIDED_95 * _error(scores.standard_error_cents[at], plan.offer_row)
    price = None
    if request.budget_cents is not None:
        # A budget below every coupon has no price in the plan, since no coupon is possible; the curve has one.
        here = next(point.price for point in curve if point.budget_cents == request.budget_cents)
        price = PARTS * float(plan.prices[0][0]) or here
    return PlanFigures(
        members=len(scores.members),
        reach=len(np.unique(plan.member_row)),
        coupons=len(plan.member_row),
        explorers=len(explored.explorers),
        planned_cost=-(-plan.total_cost_cents // PARTS),
        expected_cost=float(scores.expected_cost_cents[at].sum(dtype=np.float64)),
        profit=profit,
        low=profit - spread,
        high=profit + spread,
        value=plan.total_value_cents,
        bound=plan.bound_cents,
        gap=plan.gap,
        price=price,
        assumed=int(scores.assumed[plan.offer_row].sum()),
    )


def _error(errors: npt.NDArray[np.floating], offer: npt.NDArray[np.int32] | IntVector) -> float:
    """Return the standard error of a sum: errors of one offer go together, those of different offers do not.

    The estimates of one offer come from one fit and share its error; taking them as independent would make the interval
    of a large plan vanish.
    """
    together = np.bincount(offer, errors.astype(np.float64))
    return float(np.sqrt((together**2).sum()))

"""The figures of a campaign's plan: whom it reaches, what it costs and should earn, and what its report could tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recommender.campaigns.holdout import ARMS, HOLDOUT, TREATED
from recommender.campaigns.power import design_of, remedies, smallest_effect
from recommender.campaigns.settings import Kind
from recommender.coupons.order_lines import MINUTES_PER_DAY
from recommender.experiments import BUCKETS
from recommender.storage.holdouts import Period

if TYPE_CHECKING:
    from training.campaign_plan import CampaignPlan

LEAST_UNITS = 2
_UNKNOWN: dict[str, Any] = {
    "mean_cents": None,
    "smallest_effect_cents": None,
    "smallest_effect_total_cents": None,
    "smallest_effect_relative": None,
    "power": None,
    "remedies": [],
}
FloatVector = npt.NDArray[np.float64]


def figures_of(made: CampaignPlan, now: datetime) -> dict[str, Any]:
    """Return the figures as JSON values, cents where nothing else is said."""
    figures, terms = made.plan.figures, made.terms
    campaign = terms.campaign.settings
    contacts = figures.reach * campaign.contact_cents
    power = _power(made)
    return {
        "members": len(made.drawn.members),
        "groups": {name.value: int((made.drawn.arms == code).sum()) for code, name in enumerate(ARMS)},
        "holdout_share": campaign.holdout_share,
        "global_holdout": _period(terms.draw.period),
        "propensity": terms.draw.propensity,
        "reach": figures.reach,
        "control": int((made.would.offer_row >= 0).sum()),
        "explorers": figures.explorers,
        "budget_cents": terms.budget_cents,
        "planned_cost_cents": figures.planned_cost,
        "expected_cost_cents": figures.expected_cost,
        "contact_cents": contacts,
        "expected_profit_cents": {"mean": figures.profit, "low": figures.low, "high": figures.high},
        "bound_cents": figures.bound,
        "gap": figures.gap,
        "shadow_price": figures.price,
        "assumed_coupons": figures.assumed,
        "by_offer": _by_offer(made),
        "left_out": {**made.drawn.audience.left_out, **{one.value: count for one, count in made.left_out.items()}},
        "unusable_offers": dict(terms.unusable),
        "curve": [
            {"budget_cents": point.budget_cents, "profit_cents": point.profit_cents, "shadow_price": point.price}
            for point in made.plan.curve
        ],
        "power": power,
        "warnings": _warnings(made, power, now),
    }


def _period(period: Period | None) -> dict[str, Any] | None:
    """Return which global holdout counts, without its salt."""
    if period is None:
        return None
    return {
        "period": period.name,
        "share": period.share / BUCKETS,
        "ends_at": period.ends_at.isoformat(),
        "measured_from": period.measured_from.isoformat(),
    }


def _by_offer(made: CampaignPlan) -> list[dict[str, Any]]:
    """Return for each offer how many members get it, and what it costs and should earn."""
    plan, scores = made.plan.explored.plan, made.scores
    at, k = (plan.member_row, plan.offer_row), len(scores.offer_id)
    parts = [
        np.bincount(plan.offer_row, weights, k)
        for weights in (None, scores.expected_profit_cents[at], scores.expected_cost_cents[at])
    ]
    return [
        {
            "offer_id": name,
            "coupons": int(count),
            "expected_profit_cents": float(profit),
            "expected_cost_cents": float(cost),
        }
        for name, count, profit, cost in zip(scores.offer_id, *parts, strict=True)
    ]


def _power(made: CampaignPlan) -> dict[str, Any] | None:
    """Return the smallest effect on margin that the groups can tell from chance, None where they cannot be compared.

    Those who get an offer are compared with those kept back who would have got one, over the window of the report, by
    what their units earned in the window before now.
    """
    window = made.terms.campaign.settings.window_days
    treated, control = made.drawn.places
    got = np.unique(treated[made.plan.explored.plan.member_row])
    kept = control[made.would.offer_row >= 0]
    own = kept[made.drawn.arms[kept] == HOLDOUT]
    kept = own if len(own) else kept  # as the report compares
    rows = np.sort(np.concatenate((got, kept)))
    unit = np.unique([made.drawn.units[row] for row in rows.tolist()], return_inverse=True)[1] if len(rows) else rows
    arms = made.drawn.arms[rows] == TREATED
    units = [len(np.unique(unit[mine])) for mine in (arms, ~arms)]
    if min(units) < LEAST_UNITS:
        return None
    outcome, before = (_earned(made, rows, unit, window, back) for back in (0, 1))
    return {
        "measure": "margin_cents",
        "window_days": window,
        "treated_units": units[0],
        "control_units": units[1],
        **told_from_chance(outcome, before, units[0] / sum(units)),
    }


def told_from_chance(outcome: FloatVector, before: FloatVector, treated_share: float) -> dict[str, Any]:
    """Return the smallest effect that can be told from chance, and what would make it smaller.

    Where all units earned the same, nothing says how much they vary, and nothing is claimed.

    Args:
        outcome, before: float64, (units,), cents, in the last window and in the one before it.
        treated_share: of the units, in (0, 1).
    """
    if np.ptp(outcome) == 0:
        return dict(_UNKNOWN)
    design = design_of(outcome, before, treated_share)
    found = smallest_effect(design)
    return {
        "mean_cents": design.mean,
        "smallest_effect_cents": found.per_unit,
        "smallest_effect_total_cents": found.total,
        "smallest_effect_relative": found.relative,
        "power": found.power,
        "remedies": [
            {"change": one.change.value, "size": one.size, "relative": one.relative}
            for one in remedies(design, design.correlation)
        ],
    }


def _earned(
    made: CampaignPlan, rows: npt.NDArray[np.intp], unit: npt.NDArray[np.intp], window: int, back: int
) -> FloatVector:
    """Return what units earned in a window that ended `back` windows ago, float64 (units,), cents."""
    spending, scorer = made.scorer.spending, made.scorer
    until = scorer.minute - back * window * MINUTES_PER_DAY
    minute = spending.purchases.minute
    here = (minute >= until - window * MINUTES_PER_DAY) & (minute < until)
    by_member = np.bincount(
        spending.purchases.member_row[here], spending.margin_cents[here].astype(np.float64), len(spending.members)
    )
    chosen = made.drawn.audience.rows
    mine = by_member[rows] if chosen is None else by_member[chosen[rows]]
    return np.bincount(unit, mine).astype(np.float64)


def _warnings(made: CampaignPlan, power: dict[str, Any] | None, now: datetime) -> list[str]:
    """Return codes of what a marketer should know before going on."""
    campaign, figures, told = made.terms.campaign, made.plan.figures, []
    if figures.reach == 0:
        told.append("nobody_gets_an_offer")
    if campaign.kind is Kind.TRIGGERED:
        told.append("only_whom_the_event_meets_gets_an_offer")
    if made.terms.unusable:
        told.append("some_offers_cannot_be_given")
    if any(offer.valid_until is not None and offer.valid_until < campaign.ends_at for offer in made.terms.offers):
        told.append("an_offer_ends_before_the_campaign")
    if figures.assumed:
        told.append("profits_are_assumed")
    if power is None:
        told.append("the_effect_cannot_be_measured")
    elif power["mean_cents"] is None:
        told.append("the_smallest_effect_is_unknown")
    elif power["smallest_effect_cents"] is None or figures.profit < power["smallest_effect_total_cents"]:
        told.append("the_expected_effect_is_too_small_to_be_told_from_chance")
    if campaign.starts_at - now > timedelta(days=14):
        told.append("the_campaign_starts_long_after_the_plan")
    return told

"""Report of a campaign: what it changed, cost and earned, computed from what was observed of it.

What each figure means is in report_texts.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from recommender.campaigns.assigned import GLOBAL_HOLDOUT, Assigned, Funnel
from recommender.campaigns.bought import MICROS_PER_DAY
from recommender.campaigns.effect import (
    RATIO_ALARM,
    Effect,
    FloatMatrix,
    FloatVector,
    Measured,
    Units,
    Verdict,
    adjust,
    measure,
    ratio_p,
    sum_units,
)
from recommender.campaigns.observed import Observed, read_observed
from recommender.campaigns.outbox import TREATED, State
from recommender.campaigns.power import POWER, Change, Design, correlation_of, remedies, smallest_effect
from recommender.campaigns.report_texts import FIGURES, HEADLINE, Document, Segmentation
from recommender.campaigns.returns import Ratio, bought_anyway, return_on_cost
from recommender.campaigns.segments import SegmentEffects, effect_by_segment
from recommender.events import EventKind
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.types import from_micros


def read_report(
    database: Database,
    settings: CoreSettings,
    campaign_id: str,
    now: datetime,
    segmentation: Segmentation = Segmentation.HISTORY,
) -> Document:
    """Return the report of a campaign as JSON values.

    Raises: NotFoundError if there is no such campaign; EventLogError if a file of the log is missing.
    """
    observed = read_observed(database, settings, campaign_id, now, segmentation)
    return report_of(observed, np.random.default_rng(_seed(campaign_id)))


def report_of(observed: Observed, rng: np.random.Generator) -> Document:
    """Return the report of what was read."""
    units = _units(observed.assigned)
    outcomes, before = _by_unit(observed)
    covariates = {name: _covariates(name, before) for name in FIGURES}
    found = {name: measure(units, outcomes[name], covariates[name]) for name in FIGURES}
    margin = adjust(units, outcomes["margin"], covariates["margin"]) if len(units.treated) else outcomes["margin"]
    headline = adjust(units, outcomes[HEADLINE], covariates[HEADLINE]) if len(units.treated) else outcomes[HEADLINE]
    ratio = ratio_p(units)
    alarm = ratio is not None and ratio < RATIO_ALARM
    reasons = _reasons(observed, found[HEADLINE].adjusted, alarm)
    return {
        **_about(observed),
        "groups": _groups(observed, units),
        "sample_ratio": {"p_value": ratio, "alarm": alarm, "expected_treated": float(units.propensity.sum())},
        "verdict": {"figure": HEADLINE, "says": _said(found[HEADLINE].adjusted, alarm), "because": reasons},
        "effects": {name: _measured(one) for name, one in found.items()},
        "costs": _costs_document(observed),
        "planned": _planned(observed.planned),
        "return_on_cost": {
            "adjusted": _ratio(return_on_cost(units, margin, outcomes["cost"], rng)),
            "raw": _ratio(return_on_cost(units, outcomes["margin"], outcomes["cost"], rng)),
        },
        "bought_anyway": _anyway(units, outcomes),
        "segments": _segment_document(observed, units, headline),
        "detectable": _detectable(units, outcomes, before, found["sales"]),
        "funnel": funnel_document(observed.funnel),
    }


def _units(assigned: Assigned) -> Units:
    treated = np.zeros(assigned.units, bool)
    chance = np.zeros(assigned.units)
    treated[assigned.unit] = assigned.treated
    chance[assigned.unit] = assigned.propensity
    members = sum_units(assigned.unit, assigned.units, np.ones(len(assigned.unit)))
    return Units(treated, members, chance)


def _by_unit(observed: Observed) -> tuple[dict[str, FloatVector], dict[str, FloatVector]]:
    """Return the sums over each unit's members: in the window, and before it.

    Margin is before what the campaign cost: lines hold what was paid, so that its discounts are added to them again.
    """
    assigned, bought, costs = observed.assigned, observed.bought, observed.costs
    cost = costs.own + costs.contact
    after = dict(bought.after)
    after["margin"] = after["margin"] + costs.discount
    after |= {
        "profit": after["margin"] - cost,
        "cost": cost,
        "buyers": bought.covered.astype(np.float64),
        "redeemers": costs.redeemed,
    }
    before = dict(bought.before) | {"profit": bought.before["margin"]}
    by_unit = [
        {name: sum_units(assigned.unit, assigned.units, values) for name, values in part.items()}
        for part in (after, before)
    ]
    return by_unit[0], by_unit[1]


def _covariates(name: str, before: Mapping[str, FloatVector]) -> FloatMatrix:
    """Return the same measure and the sales of the time before, and on how many days was bought."""
    names = dict.fromkeys((name, "sales", "visits"))
    return np.column_stack([before[one] for one in names])


def _reasons(observed: Observed, effect: Effect, alarm: bool) -> list[str]:
    """Return why no more is said, or what is to be kept in mind."""
    assigned = observed.assigned
    found = []
    if not len(assigned.member_ids):
        found.append("nobody_reached")
    elif effect.error is None:
        found.append("too_few_units")
    elif effect.verdict is Verdict.UNDETERMINED:
        found.append("interval_holds_zero")
    if alarm:
        found.append("sample_ratio")
    if len(assigned.member_ids) and assigned.control == GLOBAL_HOLDOUT:
        found.append("global_control")
    if _ends(observed) > observed.until:
        found.append("window_open")
    return found


def _said(effect: Effect, alarm: bool) -> str:
    return str(Verdict.UNDETERMINED if alarm else effect.verdict)


def _ends(observed: Observed) -> int:
    starts = observed.assigned.starts
    length = observed.campaign.settings.window_days * MICROS_PER_DAY
    return int(starts.max()) + length if len(starts) else observed.until


def _about(observed: Observed) -> Document:
    campaign, starts = observed.campaign, observed.assigned.starts
    first = int(starts.min()) if len(starts) else None
    return {
        "campaign_id": campaign.campaign_id,
        "name": campaign.name,
        "status": str(campaign.status),
        "made_at": from_micros(observed.until).isoformat(),
        "window": {
            "from": None if first is None else from_micros(first).isoformat(),
            "to": from_micros(_ends(observed)).isoformat() if len(starts) else None,
            "days": campaign.settings.window_days,
            "days_before": campaign.settings.window_days,
            "complete": len(starts) > 0 and _ends(observed) <= observed.until,
        },
        "assumed_margin_share": observed.bought.assumed,
    }


def _groups(observed: Observed, units: Units) -> Document:
    sizes = {
        name: {"units": int(inside.sum()), "members": int(units.members[inside].sum())}
        for name, inside in (("treated", units.treated), ("control", ~units.treated))
    }
    left = [
        {"reason": reason, "treated": counts[0], "control": counts[1]}
        for reason, counts in observed.assigned.left_out.items()
    ]
    return {**sizes, "control_arm": observed.assigned.control, "left_out": left}


def _measured(found: Measured) -> Document:
    return {
        "adjusted": _effect(found.adjusted),
        "raw": _effect(found.raw),
        "winsorised": _effect(found.winsorised) | {"cut": found.cut},
        "narrowed": found.narrowed,
        "skewed": found.skewed,
    }


def _effect(found: Effect) -> Document:
    return {
        "treated_mean": found.treated_mean,
        "control_mean": found.control_mean,
        "per_member": asdict(found.per_member),
        "total": asdict(found.total),
        "relative": asdict(found.relative),
        "p_value": found.p_value,
        "verdict": str(found.verdict),
    }


def _ratio(found: Ratio) -> Document:
    return asdict(found.estimate) | {"method": str(found.method), "verdict": str(found.verdict)}


def _costs_document(observed: Observed) -> Document:
    campaign, costs, treated = observed.campaign, observed.costs, observed.assigned.treated
    return {
        "discount_cents": round(float(costs.discount[treated].sum())),
        "own_discount_cents": round(float(costs.own[treated].sum())),
        "contact_cents": round(float(costs.contact[treated].sum())),
        "total_cents": round(float((costs.own + costs.contact)[treated].sum())),
        "control_cents": round(float((costs.own + costs.contact)[~treated].sum())),
        "budget_cents": campaign.budget_cents,
    }


def _planned(figures: Mapping[str, Any]) -> Document | None:
    """Return what the plan expected; None where there is none."""
    profit = figures.get("expected_profit_cents")
    if not isinstance(profit, Mapping):
        return None
    bounds = {"value": profit["mean"], "low": profit["low"], "high": profit["high"]}
    return {"profit_cents": bounds, "cost_cents": figures.get("expected_cost_cents")}


def _anyway(units: Units, outcomes: Mapping[str, FloatVector]) -> Document:
    found = bought_anyway(units, outcomes["buyers"], outcomes["redeemers"])
    redeemers = int(outcomes["redeemers"][units.treated].sum())
    share = found.estimate.value
    return {
        "redeemers": redeemers,
        "share": asdict(found.estimate),
        "members": None if share is None else share * redeemers,
        "method": str(found.method),
    }


def _segment_document(observed: Observed, units: Units, headline: FloatVector) -> Document:
    found: SegmentEffects = effect_by_segment(units, headline, observed.segment, observed.segment_names)
    return {
        "by": str(observed.segmentation),
        "figure": HEADLINE,
        "comparisons": found.comparisons,
        "expected_by_chance": found.by_chance,
        "any_by_chance": found.any_by_chance,
        "differ_p_value": found.differ_p,
        "rows": [
            {
                "segment": row.name,
                "treated_units": row.treated_units,
                "control_units": row.control_units,
                "per_member": asdict(row.effect.per_member),
                "p_value": row.effect.p_value,
                "corrected_p_value": row.corrected_p,
                "verdict": str(row.verdict),
            }
            for row in found.rows
        ],
    }


def _detectable(
    units: Units, outcomes: Mapping[str, FloatVector], before: Mapping[str, FloatVector], found: Measured
) -> Document:
    """Return the smallest effect on sales that these groups could tell from chance, and what would make it smaller."""
    error, treated = found.adjusted.error, float(units.treated.sum())
    control = len(units.treated) - treated
    if not error or min(treated, control) < 1:
        return {"figure": "sales", "power": POWER, "per_member": None, "relative": None, "remedies": []}
    mean = found.adjusted.control_mean or 0.0
    deviation = error / float(np.sqrt(1 / treated + 1 / control))
    smallest = smallest_effect(Design(treated, control, mean, deviation))
    control_rows = ~units.treated
    lasting = correlation_of(outcomes["sales"][control_rows], before["sales"][control_rows])
    could = remedies(Design(treated, control, mean, deviation), max(lasting, 0.0))
    return {
        "figure": "sales",
        "power": POWER,
        "per_member": smallest.per_unit,
        "relative": smallest.relative,
        "remedies": [
            {"change": str(one.change), "size": one.size, "relative": one.relative}
            for one in could
            if one.change is not Change.CUPED
        ],
    }


_ANSWERS = {"opened": EventKind.PUSH_OPEN, "clicked": EventKind.PUSH_CLICK}
_STEPS: Sequence[tuple[str, tuple[State, ...]]] = (
    ("queued", ()),
    ("waiting", (State.PENDING, State.HELD, State.TASKED)),
    ("skipped", (State.SKIPPED,)),
    ("failed", (State.FAILED,)),
    ("sent", (State.SENT, State.DELIVERED)),
    ("delivered", (State.DELIVERED,)),
)


def funnel_document(funnel: Funnel) -> Document:
    """Return what became of messages and coupons, with losses by reason, the most frequent first."""
    lost: dict[tuple[str, str, str], int] = {}
    for (arm, state, reason), count in funnel.messages.items():
        if state in (State.SKIPPED, State.FAILED):
            key = (TREATED if arm == TREATED else "control", state, reason)
            lost[key] = lost.get(key, 0) + count
    return {
        "treated": {name: funnel.count(True, states) for name, states in _STEPS}
        | {name: funnel.answers.get(kind, 0) for name, kind in _ANSWERS.items()},
        "control": {
            "queued": funnel.count(False),
            "withheld": funnel.count(False, [State.WITHHELD]),
            "skipped": funnel.count(False, [State.SKIPPED]),
        },
        "lost": [
            {"group": group, "state": state, "reason": reason, "messages": count}
            for (group, state, reason), count in sorted(lost.items(), key=lambda one: (-one[1], one[0]))
        ],
        "coupons": dict(sorted(funnel.coupons.items())),
    }


def _seed(campaign_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(campaign_id.encode(), digest_size=8).digest(), "big")

"""The demo's campaign: from an audience to a plan on the real data, and a report on outcomes that are simulated.

The campaign is planned as of the end of the data and cancelled at once: its offers have ended since. What it would
have changed nobody knows. So that a report can be shown, what households really earned in the weeks before stands in
for what they would earn without it, and those treated are given what the plan expects of them in addition, at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.bundle import Bundle
from recommender.campaigns.assignments import Assignment, all_assignments
from recommender.campaigns.campaign import By, CampaignTerms
from recommender.campaigns.effect import Measured, Units, measure
from recommender.campaigns.holdout import Arm
from recommender.campaigns.lifecycle import Action
from recommender.campaigns.plans import request_plan, take_plan
from recommender.campaigns.store import create_campaign, move
from recommender.coupons.models import CouponModels
from recommender.coupons.order_lines import MINUTES_PER_DAY
from recommender.coupons.store import read_offers
from recommender.intervals import Estimate
from recommender.storage.statements import execute, fetch
from training.campaign_plan import plan_campaign
from training.place import Place
from training.progress import Progress
from training.spending import Spending, read_spending

CAMPAIGN = "demo"
CALLER = "demo"
DAYS = 14
WINDOW_DAYS = 28
HOLDOUT = 0.3
MOST_OFFERS = 8
AUDIENCE = {"orders": {"min": 4, "within_days": 60}}
SEED = 7
_TABLES = ("campaign_states", "campaign_transitions", "campaign_plans", "campaigns")
FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated outcome, margin in cents.  truth: what the simulation added in total."""

    measured: Measured
    treated: int
    control: int
    truth: float


def campaign_lines(place: Place, bundle: Bundle, budget_cents: int, progress: Progress) -> list[str]:
    """Plan a small campaign; return what its plan says, and a report on simulated outcomes; empty without coupons."""
    at = bundle.trained_until
    offers = _offers(place, at)
    if CouponModels.from_bundle(bundle) is None or not offers:
        return []
    with progress.stage("plan a campaign"):
        figures = make_demo_plan(place, bundle, offers, budget_cents)
        rows = [row for page in all_assignments(place.database, CAMPAIGN) for row in page if row.offer_id is not None]
        spending = read_spending(place.database, place.settings, at)
    found = simulate(rows, spending, int(at.timestamp() // 60), np.random.default_rng(SEED))
    return ["", *plan_lines(figures, len(offers)), *([] if found is None else report_lines(found))]


def make_demo_plan(place: Place, bundle: Bundle, offers: tuple[str, ...], budget_cents: int) -> dict[str, Any]:
    """Create the campaign anew, plan it as of the end of the data, and cancel it; return the plan's figures."""
    at = bundle.trained_until
    terms = CampaignTerms(
        "Demo",
        at,
        at + timedelta(days=DAYS),
        budget_cents,
        offers,
        {"audience": {"expression": AUDIENCE}, "holdout_share": HOLDOUT, "window_days": WINDOW_DAYS},
    )
    by = By(CALLER, at)
    with place.database.write() as connection:
        _forget(connection)
        create_campaign(connection, CAMPAIGN, terms, by)
        request_plan(connection, CAMPAIGN, by)
        job = take_plan(connection, at)
    assert job is not None, "it was asked for in the same transaction"
    figures = dict(plan_campaign(place, bundle, job, lambda: at))
    with place.database.write() as connection:
        move(connection, CAMPAIGN, Action.CANCEL, by, {"reason": "Its offers have ended since."})
    return figures


def simulate(rows: list[Assignment], spending: Spending, minute: int, rng: np.random.Generator) -> Simulated | None:
    """Measure a simulated outcome; None where one group is too small to be compared.

    As in a report, the treated are compared with those that the campaign itself kept back.

    Args:
        rows: members with an offer, or who would have got one.
        minute: the end of the data.
    """
    rows = [row for row in rows if row.arm is not Arm.GLOBAL_HOLDOUT]
    known, found = spending.members.rows([row.member_id for row in rows])
    mine = [row for row, here in zip(rows, found.tolist(), strict=True) if here]
    treated = np.array([row.arm is Arm.TREATED for row in mine], bool)
    if min(int(treated.sum()), int((~treated).sum())) < 2:
        return None
    now, before = (_earned(spending, minute, back)[known] for back in (0, 1))
    expected = np.array([row.profit_cents or 0.0 for row in mine])
    added = np.where(treated, expected * rng.exponential(1.0, len(mine)), 0.0)
    units = Units(treated, np.ones(len(mine)), np.full(len(mine), 1 - HOLDOUT))
    measured = measure(units, now + added, before[:, None])
    return Simulated(measured, int(treated.sum()), int((~treated).sum()), float(added.sum()))


def plan_lines(figures: dict[str, Any], offers: int) -> list[str]:
    """Say what the plan says."""
    profit = figures["expected_profit_cents"]
    lines = [
        f"A campaign planned as of the end of the data: {offers} offers, households with four orders in 60 days.",
        f"Audience: {figures['members']:,} households; {HOLDOUT:.0%} of them, and the global holdout, are kept back.",
        f"Reach: {figures['reach']:,} get an offer; {figures['control']:,} kept back would have got one.",
        f"Cost: at most {_money(figures['planned_cost_cents'])} of {_money(figures['budget_cents'])}.",
        f"Expected extra profit: {_money(profit['mean'])}, 95 % interval {_money(profit['low'])} to"
        f" {_money(profit['high'])}{' (assumed)' if figures['assumed_coupons'] else ''}.",
    ]
    power = figures["power"]
    if power and power["smallest_effect_total_cents"] is not None:
        lines.append(f"Its report could tell {_money(power['smallest_effect_total_cents'])} and more from chance.")
    return lines


def report_lines(found: Simulated) -> list[str]:
    """Say what the report of the simulated outcome says."""
    total, raw = found.measured.adjusted.total, found.measured.raw.total
    return [
        "",
        "SIMULATED OUTCOMES, to show what a report looks like: the real margin of the last four weeks stands in for",
        "the next ones, and the treated are given what the plan expects of them, at random. Nothing of it was earned.",
        f"Compared: {found.treated:,} treated and {found.control:,} kept back.",
        f"Extra margin: {_interval(total)} with CUPED, {_interval(raw)} without;"
        f" the simulation gave {_money(found.truth)}.",
        f"Verdict: {found.measured.adjusted.verdict}.",
    ]


def _offers(place: Place, at: datetime) -> tuple[str, ...]:
    """Return some of the offers that are valid at the end of the data."""
    with place.database.read() as connection:
        offers = read_offers(connection).offers.values()
    valid = [
        one
        for one in offers
        if (one.valid_from is None or one.valid_from <= at) and (one.valid_until is None or one.valid_until > at)
    ]
    return tuple(sorted(one.offer_id for one in valid)[:MOST_OFFERS])


def _forget(connection: Connection) -> None:
    """Remove the campaign of an earlier run; its groups go when it is planned again."""
    if fetch(connection, "SELECT 1 FROM campaign_states WHERE campaign_id = ? AND author = ?", (CAMPAIGN, CALLER)):
        for table in _TABLES:
            execute(connection, f"DELETE FROM {table} WHERE campaign_id = ?", (CAMPAIGN,))


def _earned(spending: Spending, minute: int, back: int) -> FloatVector:
    """Return what each member earned in a window that ended `back` windows before the end of the data, in cents."""
    until = minute - back * WINDOW_DAYS * MINUTES_PER_DAY
    lines = spending.purchases
    here = (lines.minute >= until - WINDOW_DAYS * MINUTES_PER_DAY) & (lines.minute < until)
    margin = spending.margin_cents[here].astype(np.float64)
    return np.bincount(lines.member_row[here], margin, len(spending.members)).astype(np.float64)


def _interval(one: Estimate) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "unknown"
    return f"{_money(one.value)} ({_money(one.low)} to {_money(one.high)})"


def _money(cents: float) -> str:
    return f"{cents / 100:,.2f}"

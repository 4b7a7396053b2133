"""The plan of a campaign: its audience drawn into groups, scored, allocated within the budget, and written down.

Groups are drawn before anything else is looked at. The treated are planned for; to those kept back the same prices are
applied, so that they are the members who would have been sent something, and like is compared with like.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.bundle import Bundle
from recommender.campaigns.assignments import clear_offers, forget_assignments, read_arms, served_often
from recommender.campaigns.campaign import Campaign
from recommender.campaigns.holdout import ARMS, TREATED, Arms, Draw, read_units
from recommender.campaigns.plans import PlanJob, finish_plan, tell_progress
from recommender.campaigns.settings import Kind
from recommender.campaigns.store import get_campaign
from recommender.coupons.decisions import Decision, decide_why
from recommender.coupons.eligibility import BoolMatrix, CodeMatrix, LeftOut, read_eligibility, read_tenure
from recommender.coupons.fairness import FairnessRules
from recommender.coupons.kept_plans import Reasons, keep_plan
from recommender.coupons.matrices import Arrays
from recommender.coupons.offers import Offer
from recommender.coupons.plan_files import write_multipliers
from recommender.coupons.plan_log import log_plan
from recommender.coupons.planning import OfferPlan, PlanRequest, multipliers_of, plan_arrays, plan_cost, plan_terms
from recommender.coupons.reach import within_reach
from recommender.coupons.scores import OfferScores
from recommender.coupons.would_have import WouldHave, would_have_got
from recommender.errors import InputError
from recommender.experiments import BUCKETS
from recommender.ids import IdIndex
from recommender.storage.holdouts import draw_period
from training.campaign_audience import Audience, find_audience
from training.campaign_figures import figures_of
from training.campaign_rows import write_rows
from training.campaign_scratch import Scored, Scratch
from training.offer_plan import PlanAsk, budget_left, no_offer, reach_of, seed_of, stock_left, usable_offers
from training.offer_scores import OfferScorer
from training.place import Place

GROUPS = ("treated", "control")
RowVector = npt.NDArray[np.int32]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a campaign's plan is made of, as read at its start.

    contact_cents: what a message costs beyond what the models take off already.
    """

    campaign: Campaign
    ask: PlanAsk
    offers: tuple[Offer, ...]
    unusable: Mapping[str, str]
    budget_cents: int | None
    stock_left: tuple[int | None, ...]
    draw: Draw
    contact_cents: float
    fairness: FairnessRules

    @property
    def offer_ids(self) -> list[str]:
        """Ids of the offers."""
        return [offer.offer_id for offer in self.offers]

    @property
    def request(self) -> PlanRequest:
        """What the allocation keeps to; one offer for a member."""
        ask = self.ask
        return PlanRequest(
            self.offers,
            self.budget_cents,
            self.stock_left,
            ask.liability_cents,
            1,
            ask.explore,
            ask.pessimism,
            seed_of(ask),
        )


@dataclass(frozen=True)
class Drawn:
    """An audience in groups.

    members: all of them.  units, arms: of each, in order.  audience: where they are from.
    """

    members: IdIndex
    units: list[str]
    arms: Arms
    audience: Audience

    @cached_property
    def places(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Rows of the treated, and of those kept back."""
        return np.flatnonzero(self.arms == TREATED), np.flatnonzero(self.arms != TREATED)


@dataclass(frozen=True, slots=True, eq=False)
class CampaignPlan:
    """A plan before it is written.

    scored: by group.  plan: of the treated.  scores: theirs.  would: what those kept back would have got.
    why: uint8, (n, k), the code of the reason of every member and offer.
    """

    terms: Terms
    drawn: Drawn
    scored: tuple[Scored, Scored]
    plan: OfferPlan
    scores: OfferScores
    would: WouldHave
    left_out: Mapping[LeftOut, int]
    scorer: OfferScorer
    why: CodeMatrix


def plan_campaign(place: Place, bundle: Bundle, job: PlanJob, clock: Clock) -> Mapping[str, Any]:
    """Make the plan that a job asks for, and keep it as the campaign's; return its figures.

    Raises: InputError if no offer can be given, the audience holds nobody, or the bundle knows nothing of coupons;
        ConflictError if the plan is not wanted any more.
    """

    def tell(step: str, progress: float) -> None:
        with place.database.write() as connection:
            tell_progress(connection, job.plan_id, step, progress, clock())

    now = clock()
    terms = read_terms(place, job.campaign_id, now)
    tell("reading", 0.05)
    scorer = OfferScorer(place, bundle, now)
    tell("audience", 0.15)
    drawn = draw_audience(place, bundle, terms, scorer, now)
    if job.occasion is not None:
        drawn = as_assigned(place, drawn, job.campaign_id)
    with tempfile.TemporaryDirectory(prefix="plan-", dir=place.settings.home) as folder:
        made = make(place, terms, drawn, scorer, Path(folder), tell)
        figures = figures_of(made, now)
        tell("writing", 0.85)
        again = job.occasion is not None
        (clear_offers if again else forget_assignments)(place.database, job.campaign_id)
        write_rows(place.database, made, now, again, lambda part: tell("writing", 0.85 + 0.14 * part))
        keep(place, bundle, made, job.plan_id, now)
    with place.database.write(durable=True) as connection:
        finish_plan(connection, job, bundle.bundle_id, figures, clock())
    return figures


def read_terms(place: Place, campaign_id: str, now: datetime) -> Terms:
    """Read what a campaign is planned with, drawing the quarter's global holdout if nobody has yet.

    Raises: NotFoundError; InputError if no offer can be given then.
    """
    fairness = FairnessRules.of(place.settings)
    with place.database.write() as connection:
        period = draw_period(connection, now, place.settings.global_holdout_share)
    with place.database.read() as connection:
        campaign = get_campaign(connection, campaign_id)
        settings = campaign.settings
        ask = PlanAsk(
            campaign_id,
            now,
            liability_cents=settings.liability_cents,
            explore=settings.explore,
            pessimism=settings.pessimism,
        )
        offers, unusable = usable_offers(connection, ask, FairnessRules.of(place.settings))
        if not offers:
            raise no_offer(ask, unusable)
        left = tuple(stock_left(connection, offer) for offer in offers)
        # Of a triggered campaign everybody's best offer is kept; what the budget allows is decided at the event.
        budget = None if campaign.kind is Kind.TRIGGERED else budget_left(connection, ask)
    draw = Draw(campaign.salt, round(settings.holdout_share * BUCKETS), period)
    contact = settings.contact_cents - place.settings.contact_cost_cents if settings.contact_cents else 0.0
    return Terms(campaign, ask, offers, unusable, budget, left, draw, contact, fairness)


def draw_audience(place: Place, bundle: Bundle, terms: Terms, scorer: OfferScorer, now: datetime) -> Drawn:
    """Find the audience among the members who are learned from, and draw their groups.

    Raises: InputError if it holds nobody.
    """
    audience = find_audience(place, bundle, terms.campaign, scorer.members, now)
    members = scorer.members if audience.rows is None else IdIndex(scorer.members.keys[audience.rows])
    if len(members) == 0:
        raise InputError(
            "The audience holds nobody whom a plan could be made for.",
            field="settings.audience",
            value=", ".join(f"{reason}: {count}" for reason, count in sorted(audience.left_out.items())) or None,
            accepted="an audience that holds members with purchases",
        )
    with place.database.read() as connection:
        units = read_units(connection, members.ids(np.arange(len(members))))
    return Drawn(members, units, terms.draw.arms(units), audience)


def as_assigned(place: Place, drawn: Drawn, campaign_id: str) -> Drawn:
    """Return an audience in which whoever was assigned on an earlier occasion is in that group still."""
    with place.database.read() as connection:
        known = read_arms(connection, campaign_id)
    codes = {arm: code for code, arm in enumerate(ARMS)}
    arms = drawn.arms.copy()
    for place_of, member in enumerate(drawn.members.ids(np.arange(len(drawn.members)))):
        if member in known:
            arms[place_of] = codes[known[member]]
    return Drawn(drawn.members, drawn.units, arms, drawn.audience)


def make(
    place: Place, terms: Terms, drawn: Drawn, scorer: OfferScorer, folder: Path, tell: Callable[[str, float], None]
) -> CampaignPlan:
    """Score the members and allocate the offers."""
    with place.database.read() as connection:
        eligibility = read_eligibility(
            connection,
            drawn.members,
            terms.offers,
            terms.campaign.campaign_id,
            terms.ask.at,
            grouped=True,
            by_household=place.settings.coupon_household_limits,
        )
        reach = reach_of(place, scorer.spending.items)
        eligibility = within_reach(connection, eligibility, drawn.members, terms.offers, reach)
        treated_rows, control_rows = drawn.places
        tenure = read_tenure(connection, eligibility, drawn.members, terms.offers, terms.fairness, terms.ask.at)
        served = served_often(connection, terms.campaign.campaign_id, terms.campaign.settings.per_member)
    enough, allowed = drawn.members.rows(served)[0], eligibility.allowed
    allowed[enough] = False
    against = np.where(~allowed & (eligibility.against == 0), LeftOut.MEMBER_LIMIT.code, eligibility.against)
    left_out = {**eligibility.left_out}
    if len(enough):
        left_out[LeftOut.MEMBER_LIMIT] = left_out.get(LeftOut.MEMBER_LIMIT, 0) + len(enough)
    scratch = Scratch(folder, len(terms.offers))
    tell("scoring", 0.2)
    score(scratch, terms, drawn, scorer, allowed, lambda part: tell("scoring", 0.2 + 0.4 * part))
    treated, control = (scratch.read(group) for group in GROUPS)
    tell("allocating", 0.6)
    request = replace(terms.request, tenure=tenure.of(treated_rows) if terms.fairness.new_days else None)
    scores = _offer_scores(drawn, terms, scorer, treated)
    plan = plan_arrays(_arrays(treated, terms), scores, request)
    rng = np.random.default_rng((request.seed, 1))
    others = tenure.of(control_rows)
    would = would_have_got(
        _arrays(control, terms), plan.explored, plan_terms(request), len(treated.profit), rng, others
    )
    why = np.full_like(against, Decision.HELD_OUT.code)
    why[treated_rows] = decide_why(plan, against[treated_rows], terms.offers)
    return CampaignPlan(terms, drawn, (treated, control), plan, scores, would, left_out, scorer, why)


def score(
    scratch: Scratch,
    terms: Terms,
    drawn: Drawn,
    scorer: OfferScorer,
    allowed: BoolMatrix,
    tell: Callable[[float], None],
) -> None:
    """Score all members, some at a time, and write the groups apart from each other."""
    start = 0
    for part in scorer.chunks(terms.offer_ids, drawn.audience.rows):
        here = slice(start, start + len(part.members))
        profit = np.where(allowed[here], part.expected_profit_cents - terms.contact_cents, np.nan).astype(np.float32)
        cost = plan_cost(part, terms.offers)
        arms = drawn.arms[here]
        for group, mine in zip(GROUPS, (arms == TREATED, arms != TREATED), strict=True):
            scratch.add(
                group,
                Scored(
                    profit[mine],
                    cost[mine],
                    part.standard_error_cents[mine].astype(np.float32),
                    part.expected_cost_cents[mine].astype(np.float32),
                    part.redemption_probability[mine].astype(np.float32),
                ),
            )
        start += len(part.members)
        tell(start / max(len(drawn.members), 1))


def keep(place: Place, bundle: Bundle, made: CampaignPlan, plan_id: str, now: datetime) -> None:
    """Keep the plan for slates, and for decisions on whom it did not consider where its audience is open."""
    campaign = made.terms.campaign
    multipliers = multipliers_of(made.plan, made.scores, campaign.campaign_id, bundle.bundle_id)
    facts = made.scorer.facts(made.terms.offer_ids) if campaign.settings.audience.everybody else None
    write_multipliers(place.settings.home, multipliers)
    with place.database.write() as connection:
        log_plan(connection, plan_id, made.plan, made.why, multipliers, made.terms.fairness, now)
    reasons = Reasons(plan_id, made.why)
    keep_plan(place.settings.home, made.plan, made.scores, multipliers, facts, made.drawn.members, reasons)


def _arrays(scored: Scored, terms: Terms) -> Arrays:
    return Arrays(scored.profit, scored.cost, scored.error, terms.ask.pessimism)


def _offer_scores(drawn: Drawn, terms: Terms, scorer: OfferScorer, scored: Scored) -> OfferScores:
    """Return the scores of the treated; the bound of the cost stands in the arrays that are planned with."""
    return OfferScores(
        members=IdIndex(drawn.members.keys[drawn.places[0]]),
        offer_id=tuple(terms.offer_ids),
        at=terms.ask.at,
        expected_profit_cents=scored.profit,
        standard_error_cents=scored.error,
        expected_cost_cents=scored.expected,
        cost_bound_cents=scored.expected,
        redemption_probability=scored.redemption,
        assumed=np.full(len(terms.offers), scorer.models.profit.assumed, bool),
    )

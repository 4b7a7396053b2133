"""Plans of offers for all learned members: what is asked, read from the tables, scored and allocated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from sqlalchemy.engine import Connection

from recommender.coupons.applying import budget_limit
from recommender.coupons.counters import Count, used
from recommender.coupons.decisions import decide_why
from recommender.coupons.eligibility import CodeMatrix, LeftOut, read_eligibility, read_tenure
from recommender.coupons.fairness import FairnessRules, out_of_range
from recommender.coupons.offers import Offer
from recommender.coupons.planning import OfferPlan, PlanRequest, make_plan
from recommender.coupons.reach import Reach, within_reach
from recommender.coupons.scores import OfferScores
from recommender.coupons.store import read_offers, without_goods
from recommender.errors import InputError, NotFoundError
from recommender.ids import IdIndex
from recommender.storage.database import Database
from recommender.storage.live import LiveState
from recommender.storage.statements import fetch
from recommender.storage.types import from_micros
from training.place import Place

Scorer = Callable[[Sequence[str]], OfferScores]
"""Scores all learned members and some offers."""

PUBLISHED = FairnessRules()
"""The rules where no setting says otherwise."""
_CAMPAIGN = "SELECT starts_at, ends_at, offers FROM campaigns WHERE campaign_id = ?"
_ELSEWHERE = "SELECT COUNT(*) FROM coupons WHERE offer_id = ? AND status <> 'voided'"


@dataclass(frozen=True, slots=True)
class PlanAsk:
    """What a plan is asked to be.

    campaign_id: whose offers and budget; None: all offers valid then.  at: the time of the plan.
    budget_cents, liability_cents: None: the campaign's, or none.  per_member, explore, pessimism: see PlanRequest.
    """

    campaign_id: str | None
    at: datetime
    budget_cents: int | None = None
    liability_cents: int | None = None
    per_member: int = 1
    explore: float = 0.0
    pessimism: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PlannedOffers:
    """A plan, what it was made from, and what could not be part of it.

    budget_cents: what the plan was held against; None: no budget.
    left_out: members left out of some or all offers, by reason.  unusable: offers that cannot be given, and why.
    why: uint8, (n, k), the code of each decision.  fairness: the rules that it was held to.
    """

    plan: OfferPlan
    scores: OfferScores
    budget_cents: int | None
    left_out: Mapping[LeftOut, int]
    unusable: Mapping[str, str]
    why: CodeMatrix
    fairness: FairnessRules


def plan_offers(
    database: Database,
    ask: PlanAsk,
    scorer: Scorer,
    fairness: FairnessRules = PUBLISHED,
    reach: Callable[[], Reach] | None = None,
    by_household: bool = True,
) -> PlannedOffers:
    """Plan who gets which offer.

    Args:
        scorer: scores members and offers.
        fairness: what holds for all.
        reach: where offers can be used now, asked after the scorer; None: stock and channels are not looked at.
        by_household: a limit per member counts the coupons of the household.
    Raises: NotFoundError if there is no such campaign; InputError if no offer can be given then, or as make_plan().
    """
    with database.read() as connection:
        offers, unusable = usable_offers(connection, ask, fairness)
        budget = budget_left(connection, ask)
        left = tuple(stock_left(connection, offer) for offer in offers)
    if not offers:
        raise no_offer(ask, unusable)
    scores = scorer([offer.offer_id for offer in offers])
    with database.read() as connection:
        eligibility = read_eligibility(
            connection, scores.members, offers, ask.campaign_id, ask.at, by_household=by_household
        )
        if reach is not None:
            eligibility = within_reach(connection, eligibility, scores.members, offers, reach())
        tenure = read_tenure(connection, eligibility, scores.members, offers, fairness, ask.at)
    request = PlanRequest(
        offers,
        budget,
        left,
        ask.liability_cents,
        ask.per_member,
        ask.explore,
        ask.pessimism,
        seed_of(ask),
        tenure if fairness.new_days else None,
    )
    plan = make_plan(scores, eligibility.allowed, request)
    why = decide_why(plan, eligibility.against, offers)
    return PlannedOffers(plan, scores, budget, eligibility.left_out, unusable, why, fairness)


def reach_of(place: Place, items: IdIndex) -> Reach:
    """Return where offers can be used now, by stores and stock as they are.

    Args:
        items: those of the history; all others of the catalogue are known too.
    """
    live = LiveState(place.database, items, place.settings.zone).current(datetime.now(UTC))
    return Reach(live, place.settings.channel_kinds)


def no_offer(ask: PlanAsk, unusable: Mapping[str, str]) -> InputError:
    """Return the error that no offer can be given."""
    return InputError(
        "There is no offer that can be given at this time.",
        field="campaign" if ask.campaign_id else "at",
        value=ask.campaign_id or ask.at.isoformat(),
        accepted="; ".join(f"{offer}: {why}" for offer, why in sorted(unusable.items())) or "offers valid then",
    )


def usable_offers(
    connection: Connection, ask: PlanAsk, fairness: FairnessRules = PUBLISHED
) -> tuple[tuple[Offer, ...], dict[str, str]]:
    """Return the offers of a plan, and why others of the campaign are not among them."""
    wanted: list[str] | None = None
    begins = ask.at
    if ask.campaign_id is not None:
        starts, wanted = _campaign(connection, ask.campaign_id)
        begins = max(ask.at, starts)
    book = read_offers(connection, wanted)
    unusable = {offer_id: error.message for offer_id, error in book.unusable.items()}
    unusable |= dict.fromkeys(set(wanted or ()) - book.offers.keys() - unusable.keys(), "There is no such offer.")
    offers = []
    for offer in book.offers.values():
        why = _not_then(offer, begins) or _not_fair(offer, fairness)
        if why is None:
            offers.append(offer)
        elif wanted is not None:
            unusable[offer.offer_id] = why
    never = without_goods(connection, offers)
    unusable |= dict.fromkeys(never, "None of its goods may be discounted: they are restricted, or not in `items`.")
    return tuple(offer for offer in offers if offer.offer_id not in never), unusable


def _campaign(connection: Connection, campaign_id: str) -> tuple[datetime, list[str] | None]:
    """Return when a campaign starts, and its offers; None: all."""
    rows = fetch(connection, _CAMPAIGN, (campaign_id,))
    if not rows:
        raise NotFoundError("There is no such campaign.", field="campaign", value=campaign_id)
    starts, _, offers = rows[0]
    return from_micros(starts), (orjson.loads(offers) if offers else None) or None


def _not_then(offer: Offer, at: datetime) -> str | None:
    """Say why an offer cannot be given at a time."""
    if offer.valid_until is not None and offer.valid_until <= at:
        return f"It ended at {offer.valid_until.isoformat()}."
    if offer.valid_from is not None and offer.valid_from > at:
        return f"It begins at {offer.valid_from.isoformat()}."
    return None


def _not_fair(offer: Offer, rules: FairnessRules) -> str | None:
    """Say why an offer may be given to nobody on purpose."""
    return "Its face value lies outside the published range." if out_of_range(offer, rules) else None


def budget_left(connection: Connection, ask: PlanAsk) -> int | None:
    """Return what may be granted: the budget asked for, but no more than what is left of the campaign's."""
    if ask.campaign_id is None:
        return ask.budget_cents
    limit = budget_limit(connection, ask.campaign_id)
    if limit is None:
        return ask.budget_cents
    left = max(limit - used(connection, Count.COMMITTED, ask.campaign_id), 0)
    return left if ask.budget_cents is None else min(ask.budget_cents, left)


def stock_left(connection: Connection, offer: Offer) -> int | None:
    """Return how many coupons of an offer are left; None: any number."""
    if offer.stock is None:
        return None
    elsewhere = int(fetch(connection, _ELSEWHERE, (offer.offer_id,))[0][0])
    return max(offer.stock - used(connection, Count.STOCK, offer.offer_id) - elsewhere, 0)


def seed_of(ask: PlanAsk) -> int:
    """Return the seed of the lots: a plan made again for the same campaign and day draws the same."""
    text = f"{ask.campaign_id or ''}\0{ask.at.date().isoformat()}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())

"""Prospects: the coupons that a member holds, and the offers that may be claimed now; reading them spends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import orjson
from sqlalchemy.engine import Connection

from recommender.columns import LEARNED_KINDS
from recommender.coupons.applying import budget_limit, hindrance
from recommender.coupons.counters import Count, used
from recommender.coupons.coupon_rows import held_coupons
from recommender.coupons.issuing import IssueRequest, could_issue
from recommender.coupons.kept_plans import Decided, KeptPlan
from recommender.coupons.offers import Offer
from recommender.coupons.refusals import Refusal
from recommender.coupons.store import OfferBook, read_offers
from recommender.coupons.supervision import peek_state
from recommender.coupons.wallet import Coupon, Turn
from recommender.storage.members import MemberRow
from recommender.storage.statements import fetch, marks
from recommender.storage.types import to_micros

MOST_PUBLIC = 20
"""Public offers that are looked at, those that end first: each costs a look at its limits in every such slate."""
_PUBLIC = f"""
SELECT offer_id FROM offers
WHERE COALESCE(wallet, 'memberwise') <> 'external' AND COALESCE(segments, '') IN ('', '[]', 'null')
  AND (valid_from IS NULL OR valid_from <= ?) AND (valid_until IS NULL OR valid_until > ?)
ORDER BY CASE WHEN valid_until IS NULL THEN 1 ELSE 0 END, valid_until, offer_id LIMIT {MOST_PUBLIC}"""
_NOT_RUNNING = "SELECT campaign_id FROM campaign_states WHERE status <> 'running' AND campaign_id IN ({marks})"
_NAMED = "SELECT offers FROM campaigns WHERE offers IS NOT NULL"


class Origin(StrEnum):
    """Why a member is shown a coupon or an offer."""

    HELD = "held"
    PLAN = "plan"
    ONLINE = "online"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Prospect:
    """A coupon or an offer for one member.

    coupon: for HELD.  decided: for PLAN and ONLINE.  refused: why a held coupon cannot be used right now.
    """

    origin: Origin
    offer: Offer
    coupon: Coupon | None = None
    decided: Decided | None = None
    refused: Refusal | None = None

    @property
    def key(self) -> str:
        """What tells it from others of the same member."""
        return self.offer.offer_id if self.coupon is None else self.coupon.coupon_id


@dataclass(frozen=True, slots=True)
class Prospects:
    """All of one member; and of offers that were decided or public and cannot be claimed, why, by offer id."""

    found: Sequence[Prospect] = ()
    left_out: Mapping[str, Refusal] = field(default_factory=dict)


Why = tuple[Origin, Decided | None]
Between = Callable[[Turn, KeptPlan], Sequence[Decided]]
"""Decides for a member whom a plan did not consider."""


def read_prospects(turn: Turn, member: MemberRow | None, plans: Sequence[KeptPlan], between: Between) -> Prospects:
    """Return what a member holds and may claim, inside a read transaction.

    Who opted out of personal offers gets the public ones only; who is of a kind that is not learned from gets none.
    What cannot be claimed, as issue() would say now, is left out: what was held out of a campaign above all.

    Args:
        member: None: unknown or erased, who has nothing.
        plans: campaigns' first.
        between: asked for plans that did not consider the member.
    """
    if member is None:
        return Prospects()
    held = _held(turn, member)
    if member.kind not in LEARNED_KINDS:
        return Prospects([one for one in held if one.coupon is not None and one.coupon.service])
    decided = _decided(turn, plans, member.member_id, between) if member.personalised else {}
    allocated = {offer_id for plan in plans for offer_id in plan.multipliers.offer_id}
    public = dict.fromkeys(_public_ids(turn) - allocated, (Origin.PUBLIC, None))
    owned = {one.offer.offer_id for one in held}
    wanted = {offer_id: why for offer_id, why in (public | decided).items() if offer_id not in owned}
    offered = _claimable(turn, member.member_id, wanted)
    return Prospects([*held, *offered.found], offered.left_out)


def _held(turn: Turn, member: MemberRow) -> list[Prospect]:
    """Return the coupons in the wallet whose time is not over; a lock that ended counts as none."""
    coupons = [one for one in held_coupons(turn.connection, member.member_id) if not one.expired_at(turn.now)]
    book = read_offers(turn.connection, {one.offer_id for one in coupons})
    return [
        Prospect(
            Origin.HELD,
            book.offers[one.offer_id],
            one,
            refused=_use_against(turn, one, book, book.offers[one.offer_id]),
        )
        for one in coupons
        if one.offer_id in book.offers
    ]


def _use_against(turn: Turn, coupon: Coupon, book: OfferBook, offer: Offer) -> Refusal | None:
    against = hindrance(coupon, None, turn)
    if against is None and offer.assumed:
        against = Refusal.VALUE_UNKNOWN
    return against or peek_state(turn.connection, offer).refusal or _budget_against(turn, coupon.campaign_id)


def _decided(turn: Turn, plans: Sequence[KeptPlan], member_id: str, between: Between) -> dict[str, Why]:
    """Return what plans give the member, by offer; what the first of several says of an offer holds."""
    found: dict[str, Why] = {}
    silent = _silent(turn.connection, plans)
    for plan in plans:
        if plan.multipliers.campaign_id in silent:
            continue
        given = plan.of(member_id)
        origin = Origin.ONLINE if given is None else Origin.PLAN
        for one in between(turn, plan) if given is None else given:
            found.setdefault(one.offer_id, (origin, one))
    return found


def _silent(connection: Connection, plans: Sequence[KeptPlan]) -> set[str]:
    """Return the campaigns of plans that do not run: what they would give stands in nobody's way."""
    named = sorted({plan.multipliers.campaign_id for plan in plans if plan.multipliers.campaign_id is not None})
    if not named:
        return set()
    rows = fetch(connection, _NOT_RUNNING.replace("{marks}", marks(len(named))), named)
    return {str(row[0]) for row in rows}


def _claimable(turn: Turn, member_id: str, wanted: Mapping[str, Why]) -> Prospects:
    """Return those of some offers that the member could claim now, and why not the others."""
    asked = [
        IssueRequest(offer_id, member_id, None if one is None else one.campaign_id)
        for offer_id, (_, one) in sorted(wanted.items())
    ]
    left_out: dict[str, Refusal] = {}
    for request, refused in zip(asked, could_issue(turn, asked), strict=True):
        reason = refused or _budget_against(turn, request.campaign_id)
        if reason is not None:
            left_out[request.offer_id] = reason
    book = read_offers(turn.connection, wanted.keys() - left_out.keys())
    found = []
    for offer_id, offer in book.offers.items():
        if offer.valid_from is not None and offer.valid_from > turn.now:
            left_out[offer_id] = Refusal.NOT_STARTED
        else:
            found.append(Prospect(wanted[offer_id][0], offer, decided=wanted[offer_id][1]))
    return Prospects(found, left_out)


def _budget_against(turn: Turn, campaign_id: str | None) -> Refusal | None:
    if campaign_id is None:
        return None
    limit = budget_limit(turn.connection, campaign_id)
    spent = limit is not None and used(turn.connection, Count.COMMITTED, campaign_id) >= limit
    return Refusal.BUDGET_SPENT if spent else None


def _public_ids(turn: Turn) -> set[str]:
    """Return the offers open to everybody: without segments, and named by no campaign."""
    now = to_micros(turn.now)
    offers = [str(row[0]) for row in fetch(turn.connection, _PUBLIC, (now, now))]
    return set(offers) - _named_by_campaigns(turn.connection) if offers else set()


def _named_by_campaigns(connection: Connection) -> set[str]:
    return {
        offer_id for (text,) in fetch(connection, _NAMED) for offer_id in (orjson.loads(text) if text else None) or ()
    }

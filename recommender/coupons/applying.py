"""examine(): what coupons would take off a purchase, and why others would not; the same for questions and for locks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from recommender.coupons.basket import Basket, MemberFacts
from recommender.coupons.counters import Count, used
from recommender.coupons.discount import Discount, Refused
from recommender.coupons.offers import Offer, OfferKind
from recommender.coupons.orders import taken_before
from recommender.coupons.purchases import Holder, Purchase, make_basket, read_holders
from recommender.coupons.refusals import Refusal
from recommender.coupons.stacking import NOTHING, Before, Held, stack
from recommender.coupons.store import OfferBook, read_offers
from recommender.coupons.supervision import OfferState
from recommender.coupons.wallet import Coupon, Outcome, Status, Turn, refusal
from recommender.storage.statements import fetch

Grant = Callable[[Sequence[tuple[Coupon, int]]], str | None]
"""Asked for the budget of discounts in cents, all or none; returns the id of the first coupon that has no room."""
StateOf = Callable[[Connection, Offer], OfferState]

_BUDGET = "SELECT budget_cents FROM campaigns WHERE campaign_id = ?"


@dataclass(frozen=True, slots=True)
class Examination:
    """What to hold coupons against.

    purchase: what is bought.  member_id: who buys; None: whose the first coupon is.  order_id: whose locks are no
    hindrance.  state_of: looks up an offer's state.
    """

    turn: Turn
    purchase: Purchase
    member_id: str | None
    order_id: str | None
    state_of: StateOf


@dataclass(frozen=True, slots=True)
class Examined:
    """Outcomes aligned with the coupons; what the goods of the basket cost."""

    outcomes: list[Outcome]
    goods_cents: int


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A purchase and coupons with all that is known of them.

    before: what other coupons of the order took already.  refused: what speaks against some coupons beforehand.
    """

    basket: Basket
    before: Before
    offers: Mapping[str, Offer]
    refused: Mapping[str, Refusal]


def examine(question: Examination, coupons: Sequence[Coupon], grant: Grant) -> Examined:
    """Decide which coupons apply together, best first, and what each takes off; see `apply_together`.

    Raises: InputError naming the field, if the purchase is out of range.
    """
    laid_out = lay_out(question, coupons)
    return Examined(apply_together(laid_out, coupons, grant), laid_out.basket.amount_cents)


def lay_out(question: Examination, coupons: Sequence[Coupon]) -> LaidOut:
    """Look up purchase, member, offers and budgets, once for all coupons.

    Raises: InputError naming the field, if the purchase is out of range.
    """
    turn = question.turn
    member_id = question.member_id or (coupons[0].member_id if coupons else None)
    holder = None if member_id is None else read_holders(turn.connection, [member_id]).get(member_id)
    facts = MemberFacts() if holder is None else holder.facts
    basket = make_basket(turn.connection, question.purchase, facts, turn.now)
    book = read_offers(turn.connection, {coupon.offer_id for coupon in coupons})
    against = {offer_id: _offer_hindrance(question, offer_id, book) for offer_id in {one.offer_id for one in coupons}}
    spent = _spent_budgets(turn.connection, coupons)
    refused: dict[str, Refusal] = {}
    for coupon in coupons:
        reason = hindrance(coupon, question.order_id, turn) or _not_for(coupon, member_id, holder)
        reason = reason or against[coupon.offer_id]
        if reason is None and coupon.campaign_id in spent and book.offers[coupon.offer_id].kind is not OfferKind.GIFT:
            reason = Refusal.BUDGET_SPENT
        if reason is not None:
            refused[coupon.coupon_id] = reason
    before = NOTHING
    if question.order_id is not None:
        before = taken_before(turn.connection, question.order_id, basket, {one.coupon_id for one in coupons})
    return LaidOut(basket, before, book.offers, refused)


def apply_together(laid_out: LaidOut, coupons: Sequence[Coupon], grant: Grant) -> list[Outcome]:
    """Return what coupons that were laid out take off together, aligned with them.

    A coupon whose budget has no room is left out, and the others are worked out anew without it.
    """
    refused = dict(laid_out.refused)
    by_id = {coupon.coupon_id: coupon for coupon in coupons}
    while True:
        left = [one for one in coupons if one.coupon_id not in refused]
        held = [Held(one.coupon_id, laid_out.offers[one.offer_id], one.expires_at) for one in left]
        granted = {one.coupon_id: one.outcome for one in stack(laid_out.basket, held, laid_out.before)}
        applied = [(by_id[name], one.total_cents) for name, one in granted.items() if isinstance(one, Discount)]
        short = grant(applied)
        if short is None:
            return [_outcome(one, granted.get(one.coupon_id), refused.get(one.coupon_id)) for one in coupons]
        refused[short] = Refusal.BUDGET_SPENT


def hindrance(coupon: Coupon, order_id: str | None, turn: Turn) -> Refusal | None:
    """Return what in a coupon's own state speaks against its use by an order."""
    by_state = {
        Status.REDEEMED: Refusal.COUPON_REDEEMED,
        Status.EXPIRED: Refusal.COUPON_EXPIRED,
        Status.VOIDED: Refusal.COUPON_VOIDED,
    }
    if coupon.status in by_state:
        return by_state[coupon.status]
    if coupon.status is Status.LOCKED and not coupon.overdue(turn.now):
        return Refusal.COUPON_LOCKED if coupon.order_id != order_id else None
    return Refusal.COUPON_EXPIRED if coupon.expired_at(turn.now) else None


def reserved_for(coupons: Sequence[Coupon]) -> dict[str, int]:
    """Return the cents that are reserved for coupons, by campaign."""
    own: dict[str, int] = {}
    for coupon in coupons:
        if coupon.status is Status.LOCKED and coupon.campaign_id is not None:
            own[coupon.campaign_id] = own.get(coupon.campaign_id, 0) + coupon.discount_cents
    return own


def room_for(connection: Connection, coupons: Sequence[Coupon]) -> Grant:
    """Return a grant that only looks; what is reserved for the coupons already is theirs."""
    own = reserved_for(coupons)

    def grant(wanted: Sequence[tuple[Coupon, int]]) -> str | None:
        asked: dict[str, int] = {}
        for coupon, cents in wanted:
            if coupon.campaign_id is None:
                continue
            asked[coupon.campaign_id] = asked.get(coupon.campaign_id, -own.get(coupon.campaign_id, 0)) + cents
            limit = budget_limit(connection, coupon.campaign_id)
            taken = used(connection, Count.COMMITTED, coupon.campaign_id)
            if limit is not None and taken + asked[coupon.campaign_id] > limit:
                return coupon.coupon_id
        return None

    return grant


def budget_limit(connection: Connection, campaign_id: str) -> int | None:
    """Return what coupons of this wallet may take of a campaign's budget, in cents; None: no limit.

    What other systems redeemed comes off; a campaign that is not known has nothing to give.
    """
    rows = fetch(connection, _BUDGET, (campaign_id,))
    if not rows:
        return 0
    budget: int | None = rows[0][0]
    return None if budget is None else budget - used(connection, Count.EXTERNAL, campaign_id)


def _not_for(coupon: Coupon, member_id: str | None, holder: Holder | None) -> Refusal | None:
    if coupon.member_id != member_id:
        return Refusal.WRONG_MEMBER
    if holder is None:
        return Refusal.MEMBER_NOT_ELIGIBLE
    return None if holder.eligible or (coupon.service and holder.kind != "blocked") else Refusal.MEMBER_NOT_ELIGIBLE


def _spent_budgets(connection: Connection, coupons: Sequence[Coupon]) -> set[str]:
    """Return the campaigns that have nothing left, what is locked for these very coupons being theirs."""
    own = reserved_for(coupons)
    found = set()
    for campaign_id in {one.campaign_id for one in coupons if one.campaign_id is not None}:
        limit = budget_limit(connection, campaign_id)
        taken = used(connection, Count.COMMITTED, campaign_id) - own.get(campaign_id, 0)
        if limit is not None and taken >= limit:
            found.add(campaign_id)
    return found


def _offer_hindrance(question: Examination, offer_id: str, book: OfferBook) -> Refusal | None:
    if offer_id in book.unusable:
        return Refusal.OFFER_UNUSABLE
    offer = book.offers.get(offer_id)
    if offer is None:
        return Refusal.UNKNOWN_OFFER
    if offer.assumed:
        return Refusal.VALUE_UNKNOWN
    return question.state_of(question.turn.connection, offer).refusal


def _outcome(coupon: Coupon, found: Discount | Refused | None, reason: Refusal | None) -> Outcome:
    if reason is not None:
        return refusal(reason, coupon)
    if isinstance(found, Refused):
        return replace(refusal(found.reason, coupon), refused=found)
    return Outcome(coupon.coupon_id, coupon, discount=found)

"""issue(): gives coupons out, each only if everything allows it; what cannot be looked up counts against it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from sqlalchemy.engine import Connection

from recommender.coupons.counters import Count, move, take, used
from recommender.coupons.coupon_rows import add_coupons
from recommender.coupons.fairness import out_of_range
from recommender.coupons.ledger import Entry, note
from recommender.coupons.member_limits import household_against, member_full, own_limit
from recommender.coupons.offers import Offer, Wallet
from recommender.coupons.purchases import Holder, read_holders
from recommender.coupons.refusals import Refusal
from recommender.coupons.store import OfferBook, read_offers
from recommender.coupons.supervision import peek_state, state_of
from recommender.coupons.wallet import Coupon, Outcome, RiskQuestion, Status, Turn, refusal
from recommender.storage.holdouts import Holdouts, Kept, read_holdouts
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

_CAMPAIGN = """
SELECT c.starts_at, c.ends_at, s.status FROM campaigns c LEFT JOIN campaign_states s ON s.campaign_id = c.campaign_id
WHERE c.campaign_id = ?"""
_NAMED = "SELECT offers FROM campaigns WHERE offers IS NOT NULL"
_HELD_OUT = """
SELECT DISTINCT campaign_id FROM sends WHERE arm = 'holdout' AND (member_id = ? OR member_id IN (
  SELECT o.member_id FROM members m JOIN members o ON o.household_id = m.household_id WHERE m.member_id = ?))"""
_OFFERS_OF = "SELECT offers FROM campaigns WHERE campaign_id = ?"
_CLAIMS = (
    ("device", Count.DEVICE, Refusal.DEVICE_LIMIT),
    ("payer", Count.PAYER, Refusal.PAYER_LIMIT),
    ("phone", Count.PHONE, Refusal.PHONE_LIMIT),
)


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """A coupon that somebody wants to give to a member.

    campaign_id: whose budget pays, and whose holdout counts.  service: given by hand, outside of campaigns.
    expires_at: aware; the offer's end if that is earlier.  device, payer, phone: keyed hashes of who claims it.
    """

    offer_id: str
    member_id: str
    campaign_id: str | None = None
    service: bool = False
    expires_at: datetime | None = None
    device: str | None = None
    payer: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What was looked up for a call: offers, members, campaigns by id (times in microseconds, state), and groups."""

    book: OfferBook
    holders: Mapping[str, Holder]
    campaigns: Mapping[str, tuple[int, int, str | None]]
    holdouts: Holdouts
    kept: dict[str, Kept] = field(default_factory=dict)

    def kept_from(self, connection: Connection, member_id: str) -> Kept:
        """Return from what a member is kept back, looked up once for a call."""
        found = self.kept.get(member_id)
        if found is None:
            found = self.kept[member_id] = self.holdouts.of(connection, member_id)
        return found


def issue(turn: Turn, requests: Sequence[IssueRequest]) -> list[Outcome]:
    """Give out coupons, inside a write transaction; one outcome per request, in order.

    Stock and limits move by conditional updates: of N callers at a limit of L exactly L succeed.
    """
    known = _look_up(turn, requests)
    return [_issue_one(turn, request, known) for request in requests]


def could_issue(turn: Turn, requests: Sequence[IssueRequest]) -> list[Refusal | None]:
    """Say what speaks against giving out coupons, as issue() would, without writing; one answer per request, in order.

    The risk hook, and claims by device, payer and phone, are only looked at when a coupon is claimed.
    """
    known = _look_up(turn, requests)
    return [_would_refuse(turn, request, known) for request in requests]


def _would_refuse(turn: Turn, request: IssueRequest, known: _Known) -> Refusal | None:
    offer = known.book.offers.get(request.offer_id)
    if offer is None:
        return Refusal.OFFER_UNUSABLE if request.offer_id in known.book.unusable else Refusal.UNKNOWN_OFFER
    connection = turn.connection
    reason = (
        _terms_against(turn, request, offer)
        or peek_state(connection, offer).refusal
        or _member_against(connection, request, offer, known)
        or _campaign_against(turn, request, known)
    )
    if reason is not None:
        return reason
    if offer.stock is not None and used(connection, Count.STOCK, offer.offer_id) >= offer.stock:
        return Refusal.OUT_OF_STOCK
    if member_full(connection, request.member_id, offer):
        return Refusal.MEMBER_LIMIT
    return household_against(connection, request.member_id, offer, None) if turn.rules.household_limits else None


def _look_up(turn: Turn, requests: Sequence[IssueRequest]) -> _Known:
    connection = turn.connection
    campaigns = {}
    for campaign_id in sorted({one.campaign_id for one in requests if one.campaign_id is not None}):
        rows = fetch(connection, _CAMPAIGN, (campaign_id,))
        if rows:
            campaigns[campaign_id] = (int(rows[0][0]), int(rows[0][1]), rows[0][2])
    book = read_offers(connection, {one.offer_id for one in requests})
    holders = read_holders(connection, [one.member_id for one in requests])
    return _Known(book, holders, campaigns, read_holdouts(connection, turn.now))


def _issue_one(turn: Turn, request: IssueRequest, known: _Known) -> Outcome:
    offer = known.book.offers.get(request.offer_id)
    if offer is None:
        unusable = request.offer_id in known.book.unusable
        return refusal(Refusal.OFFER_UNUSABLE if unusable else Refusal.UNKNOWN_OFFER)
    reason = (
        _terms_against(turn, request, offer)
        or state_of(turn.connection, offer).refusal
        or _member_against(turn.connection, request, offer, known)
        or _campaign_against(turn, request, known)
        or _risk_against(turn, request)
        or _limits_against(turn, request, offer)
    )
    if reason is not None:
        return refusal(reason)
    ends = [time for time in (request.expires_at, offer.valid_until) if time is not None]
    coupon = Coupon(
        coupon_id=secrets.token_hex(16),
        offer_id=offer.offer_id,
        member_id=request.member_id,
        campaign_id=request.campaign_id,
        status=Status.ISSUED,
        service=request.service,
        issued_at=turn.now,
        expires_at=min(ends) if ends else None,
    )
    add_coupons(turn.connection, [coupon])
    note(turn, coupon, Entry.ISSUE, details="service" if request.service else None)
    return Outcome(coupon.coupon_id, coupon)


def _terms_against(turn: Turn, request: IssueRequest, offer: Offer) -> Refusal | None:
    if offer.wallet is Wallet.EXTERNAL:
        return Refusal.EXTERNAL_WALLET
    if offer.assumed:
        return Refusal.VALUE_UNKNOWN
    if offer.valid_until is not None and offer.valid_until <= turn.now:
        return Refusal.ENDED
    by_hand = request.service and request.campaign_id is None
    return Refusal.OUTSIDE_RANGE if not by_hand and out_of_range(offer, turn.rules.fairness) else None


def _member_against(connection: Connection, request: IssueRequest, offer: Offer, known: _Known) -> Refusal | None:
    holder = known.holders.get(request.member_id)
    if holder is None:
        return Refusal.UNKNOWN_MEMBER
    if holder.kind == "blocked" or not (holder.eligible or request.service):
        return Refusal.MEMBER_NOT_ELIGIBLE
    if offer.segments and offer.segments.isdisjoint(holder.facts.segments):
        return Refusal.NOT_IN_SEGMENT
    if request.service and request.campaign_id is None:
        return None
    if _held_by_sends(connection, request):
        return Refusal.HELD_OUT
    return _group_against(connection, request, known)


def _held_by_sends(connection: Connection, request: IssueRequest) -> bool:
    """Tell whether the member, or one of their household, is kept from the campaign or from one with this offer."""
    for (campaign_id,) in fetch(connection, _HELD_OUT, (request.member_id, request.member_id)):
        if campaign_id == request.campaign_id:
            return True
        rows = fetch(connection, _OFFERS_OF, (campaign_id,))
        if rows and rows[0][0] and request.offer_id in orjson.loads(rows[0][0]):
            return True
    return False


def _group_against(connection: Connection, request: IssueRequest, known: _Known) -> Refusal | None:
    """Say whether the groups of campaigns speak against a coupon, whatever was sent yet."""
    kept, drawn = known.kept_from(connection, request.member_id), known.holdouts.campaigns
    if kept.everything and (request.campaign_id is not None or _named_by_campaign(connection, request.offer_id)):
        return Refusal.HELD_OUT
    for campaign_id in kept.campaigns:
        if campaign_id == request.campaign_id or request.offer_id in drawn[campaign_id].offers:
            return Refusal.HELD_OUT
    own = drawn.get(request.campaign_id or "")
    if own is not None and not own.open and own.campaign_id not in kept.assigned:
        return Refusal.NOT_IN_AUDIENCE
    return None


def _named_by_campaign(connection: Connection, offer_id: str) -> bool:
    return any(offer_id in orjson.loads(text) for (text,) in fetch(connection, _NAMED) if text)


def _campaign_against(turn: Turn, request: IssueRequest, known: _Known) -> Refusal | None:
    if request.campaign_id is None:
        return None
    if request.campaign_id not in known.campaigns:
        return Refusal.UNKNOWN_CAMPAIGN
    start, end, status = known.campaigns[request.campaign_id]
    running = status in (None, "running") and start <= to_micros(turn.now) < end
    return None if running else Refusal.CAMPAIGN_NOT_RUNNING


def _risk_against(turn: Turn, request: IssueRequest) -> Refusal | None:
    question = RiskQuestion("issue", request.member_id, request.offer_id, device=request.device)
    return None if allowed(turn, question) else Refusal.RISK_REFUSED


def allowed(turn: Turn, question: RiskQuestion) -> bool:
    """Ask the risk hook; one that fails has refused."""
    try:
        return bool(turn.rules.risk(question))
    except Exception:  # somebody else's code: whatever it raises, no coupon
        return False


def _limits_against(turn: Turn, request: IssueRequest, offer: Offer) -> Refusal | None:
    """Count the coupon against every limit; where one has no room, give back what was counted before."""
    if turn.rules.household_limits:
        against = household_against(turn.connection, request.member_id, offer, turn.now)
        if against is not None:
            return Refusal.MEMBER_LIMIT if member_full(turn.connection, request.member_id, offer) else against
    wanted = [(Count.STOCK, "", offer.stock, Refusal.OUT_OF_STOCK)]
    own = own_limit(turn.connection, request.member_id, offer)
    wanted.append((Count.MEMBER, request.member_id, own, Refusal.MEMBER_LIMIT))
    for name, kind, reason in _CLAIMS:
        claimed: str | None = getattr(request, name)
        if claimed is not None and turn.rules.claim_limit:
            wanted.append((kind, claimed, turn.rules.claim_limit, reason))
    for place, (kind, subject, limit, reason) in enumerate(wanted):
        if not take(turn.connection, kind, offer.offer_id, subject, 1, limit, turn.now):
            for before, held, _, _ in wanted[:place]:
                move(turn.connection, before, offer.offer_id, held, -1, turn.now)
            return reason
    return None

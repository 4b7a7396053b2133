"""Supervision of offers: a second approval where goods may go below cost, and a breaker that freezes what runs away."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from recommender.coupons.offers import WHOLE_BASIS_POINTS, Offer, OfferKind
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import WalletRules
from recommender.errors import ConflictError, NotFoundError
from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros

BREAKER_LEAST = 100
"""Redemptions below which the share of discounts says nothing."""
BREAKER_SPAN = timedelta(hours=1)

_READ = "SELECT terms, below_cost, requested_by, approved_by, frozen_reason FROM offer_states WHERE offer_id = ?"
_WRITE = """
INSERT INTO offer_states (offer_id, terms, below_cost, requested_by) VALUES (?, ?, ?, ?)
ON CONFLICT (offer_id) DO UPDATE SET terms = excluded.terms, below_cost = excluded.below_cost,
  requested_by = excluded.requested_by, approved_by = NULL, approved_at = NULL
WHERE offer_states.terms <> excluded.terms"""
_APPROVE = "UPDATE offer_states SET approved_by = ?, approved_at = ? WHERE offer_id = ?"
_FREEZE = "UPDATE offer_states SET frozen_at = ?, frozen_reason = ? WHERE offer_id = ?"
_BELOW = """
SELECT item_id, category, brand FROM items
WHERE cost_cents > 0 AND price_cents IS NOT NULL AND restricted_class IS NULL AND price_cents * ? - ? < cost_cents"""
_PACE = """
SELECT offer_id, SUM(CASE WHEN entry = 'redeem' THEN 1 ELSE 0 END),
  SUM(CASE WHEN entry = 'lock' THEN reserved_cents ELSE 0 END),
  SUM(CASE WHEN entry = 'lock' THEN goods_cents ELSE 0 END)
FROM coupon_ledger WHERE entry IN ('redeem', 'lock') AND at >= ? GROUP BY offer_id ORDER BY offer_id"""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OfferState:
    """What the wallet knows of an offer: whether its terms need an approval and have one, and why it is frozen."""

    below_cost: bool
    requested_by: str
    approved_by: str | None
    frozen_reason: str | None

    @property
    def refusal(self) -> Refusal | None:
        """What speaks against giving or taking its coupons."""
        if self.frozen_reason is not None:
            return Refusal.OFFER_FROZEN
        return Refusal.APPROVAL_MISSING if self.below_cost and self.approved_by is None else None


def terms_of(offer: Offer) -> str:
    """Return a checksum of all that decides what an offer costs; its title and stock may change freely."""
    free = {"title", "stock"}
    parts = [(one.name, getattr(offer, one.name)) for one in fields(Offer) if one.name not in free]
    scope = [sorted(part) for part in (offer.scope.items, offer.scope.categories, offer.scope.brands)]
    plain = [
        (name, sorted(part) if isinstance(part, frozenset) else str(part)) for name, part in parts if name != "scope"
    ]
    return hashlib.sha256(repr((plain, scope)).encode()).hexdigest()


def state_of(connection: Connection, offer: Offer, requested_by: str = "") -> OfferState:
    """Return the state of an offer, inside a write transaction; terms not seen yet are examined first.

    Args:
        requested_by: who puts new terms; somebody else must approve them where they go below cost.
    """
    terms = terms_of(offer)
    rows = fetch(connection, _READ, (offer.offer_id,))
    if not rows or rows[0][0] != terms:
        execute(connection, _WRITE, (offer.offer_id, terms, goes_below_cost(connection, offer), requested_by))
        rows = fetch(connection, _READ, (offer.offer_id,))
    _, below_cost, requested, approved_by, frozen_reason = rows[0]
    return OfferState(bool(below_cost), requested, approved_by, frozen_reason)


def peek_state(connection: Connection, offer: Offer) -> OfferState:
    """Return the state of an offer without writing; terms not seen yet are examined for this answer only."""
    rows = fetch(connection, _READ, (offer.offer_id,))
    frozen_reason = rows[0][4] if rows else None
    if not rows or rows[0][0] != terms_of(offer):
        return OfferState(goes_below_cost(connection, offer), "", None, frozen_reason)
    return OfferState(bool(rows[0][1]), rows[0][2], rows[0][3], frozen_reason)


def goes_below_cost(connection: Connection, offer: Offer) -> bool:
    """Tell whether goods in scope may be sold below their cost: at catalogue prices, on the smallest basket allowed.

    What a supplier funds is no loss; a maximum discount is left out of account.
    """
    kept, taken = _price_kept(offer)
    rows = fetch(connection, _BELOW, (kept, taken))
    return any(offer.scope.covers(item_id, category, brand) for item_id, category, brand in rows)


def _price_kept(offer: Offer) -> tuple[float, float]:
    """Return (a, b) so that a unit at price p brings in at least p * a - b cents, the supplier's part included."""
    share = offer.retailer_share
    value = float(offer.value or 0)
    if offer.kind is OfferKind.PERCENT_OFF:
        return 1.0 - share * value / WHOLE_BASIS_POINTS, 0.0
    if offer.kind is OfferKind.FIXED_PRICE:
        return 1.0 - share, -share * value
    if offer.kind is OfferKind.AMOUNT_OFF:
        spend = max(float(offer.minimum_spend_cents), value, 1.0)
        return 1.0 - share * value / spend, 0.0
    return 1.0, 0.0


def approve(connection: Connection, offer: Offer, approver: str, now: datetime) -> OfferState:
    """Approve the present terms of an offer, inside a write transaction.

    Raises: ConflictError if whoever put the terms approves them.
    """
    state = state_of(connection, offer)
    if state.requested_by == approver:
        raise ConflictError("Terms cannot be approved by the key that put them.", field="Authorization", value=approver)
    execute(connection, _APPROVE, (approver, to_micros(now), offer.offer_id))
    return state_of(connection, offer)


def freeze(connection: Connection, offer_id: str, reason: str, now: datetime) -> None:
    """Let no coupon of an offer be given out or locked any more, inside a write transaction; locked ones can finish.

    Raises: NotFoundError if the wallet never saw the offer.
    """
    if execute(connection, _FREEZE, (to_micros(now), reason, offer_id)) == 0:
        raise NotFoundError("The wallet has not seen this offer.", field="offer_id", value=offer_id)


def unfreeze(connection: Connection, offer_id: str) -> None:
    """Let the coupons of an offer be used again. Raises: NotFoundError if the wallet never saw the offer."""
    if execute(connection, _FREEZE, (None, None, offer_id)) == 0:
        raise NotFoundError("The wallet has not seen this offer.", field="offer_id", value=offer_id)


def freeze_runaways(connection: Connection, rules: WalletRules, now: datetime) -> list[str]:
    """Freeze offers whose last hour ran away, inside a write transaction; return which."""
    found = []
    for offer_id, redeemed, reserved, goods in fetch(connection, _PACE, (to_micros(now - BREAKER_SPAN),)):
        reason = _runaway(rules, int(redeemed), int(reserved or 0), int(goods or 0))
        rows = fetch(connection, _READ, (offer_id,)) if reason else []
        if reason and rows and rows[0][4] is None:
            freeze(connection, offer_id, reason, now)
            logger.warning("offer_frozen offer_id=%s reason=%s", offer_id, reason)
            found.append(offer_id)
    return found


def _runaway(rules: WalletRules, redeemed: int, reserved: int, goods: int) -> str | None:
    if rules.breaker_redemptions and redeemed >= rules.breaker_redemptions:
        return "redemption_speed"
    if redeemed >= BREAKER_LEAST and reserved > rules.breaker_share * goods:
        return "discount_share"
    return None


def frozen_offers(connection: Connection) -> list[tuple[str, str]]:
    """Return the frozen offers with the reason of each, by id."""
    return [
        (row[0], row[1])
        for row in fetch(
            connection, "SELECT offer_id, frozen_reason FROM offer_states WHERE frozen_at IS NOT NULL ORDER BY offer_id"
        )
    ]

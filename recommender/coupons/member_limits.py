"""The limit of an offer on coupons of one member: counted for the household where it is known, over all wallets."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.coupons.counters import Count, hold, used
from recommender.coupons.offers import Offer
from recommender.coupons.refusals import Refusal
from recommender.storage.statements import fetch

_ELSEWHERE = """
SELECT COUNT(*) FROM coupons c WHERE c.member_id = ? AND c.offer_id = ? AND c.status <> 'voided'
  AND NOT EXISTS (SELECT 1 FROM wallet_coupons w WHERE w.coupon_id = c.coupon_id)"""
_HOUSEHOLD = "SELECT household_id FROM members WHERE member_id = ?"
_OF_HOUSEHOLD = """
SELECT (SELECT COALESCE(SUM(used), 0) FROM coupon_counters
    WHERE kind = 'member' AND owner = ? AND subject IN (SELECT member_id FROM members WHERE household_id = ?))
  + (SELECT COUNT(*) FROM coupons c WHERE c.offer_id = ? AND c.status <> 'voided'
    AND c.member_id IN (SELECT member_id FROM members WHERE household_id = ?)
    AND NOT EXISTS (SELECT 1 FROM wallet_coupons w WHERE w.coupon_id = c.coupon_id))"""


def own_limit(connection: Connection, member_id: str, offer: Offer) -> int | None:
    """Return the limit less the coupons of this offer that other systems gave the member; None: no limit."""
    if offer.per_member_limit is None:
        return None
    return offer.per_member_limit - int(fetch(connection, _ELSEWHERE, (member_id, offer.offer_id))[0][0])


def member_full(connection: Connection, member_id: str, offer: Offer) -> bool:
    """Tell whether the member alone has as many coupons as allowed."""
    limit = own_limit(connection, member_id, offer)
    return limit is not None and used(connection, Count.MEMBER, offer.offer_id, member_id) >= limit


def household_against(connection: Connection, member_id: str, offer: Offer, now: datetime | None) -> Refusal | None:
    """Return HOUSEHOLD_LIMIT if the members of the household together have as many coupons as allowed.

    Args:
        now: inside a write transaction: others who issue the offer in this household wait until its end; None: reads
            only.
    """
    rows = [] if offer.per_member_limit is None else fetch(connection, _HOUSEHOLD, (member_id,))
    household = rows[0][0] if rows else None
    if household is None or offer.per_member_limit is None:
        return None
    if now is not None:
        hold(connection, Count.HOUSEHOLD, offer.offer_id, household, now)
    values = (offer.offer_id, household, offer.offer_id, household)
    full = int(fetch(connection, _OF_HOUSEHOLD, values)[0][0]) >= offer.per_member_limit
    return Refusal.HOUSEHOLD_LIMIT if full else None

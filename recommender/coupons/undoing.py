"""rollback(), give_back() and void() take coupons and redemptions back; expire() ends what is over."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.coupons.counters import Count, move
from recommender.coupons.coupon_rows import move_coupon, read_coupons, select_coupons, skip_locked
from recommender.coupons.ledger import Entry, note
from recommender.coupons.refusals import Refusal
from recommender.coupons.using import unlock
from recommender.coupons.wallet import Coupon, Outcome, Status, Turn, refusal
from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros

CHUNK_COUPONS = 200
"""Coupons that end in one transaction."""

_UNDONE = "DELETE FROM redemptions WHERE redemption_id = ?"
_REDEEMED_BY = """
SELECT DISTINCT coupon_id FROM coupon_ledger WHERE request_no = ? AND entry = 'redeem' ORDER BY coupon_id"""
_LAST_REDEMPTION = """
SELECT request_no FROM coupon_ledger WHERE coupon_id = ? AND entry = 'redeem' ORDER BY sequence DESC LIMIT 1"""


def rollback(turn: Turn, redeemed_by: str) -> list[Outcome]:
    """Undo what one request redeemed, inside a write transaction; coupons that moved on since are left alone.

    Args:
        redeemed_by: the business request number of the redemption.
    """
    coupon_ids = [row[0] for row in fetch(turn.connection, _REDEEMED_BY, (redeemed_by,))]
    coupons = read_coupons(turn.connection, coupon_ids, hold=True)
    outcomes = []
    for coupon in coupons.values():
        last = fetch(turn.connection, _LAST_REDEMPTION, (coupon.coupon_id,))
        if coupon.status is Status.REDEEMED and last[0][0] == redeemed_by:
            outcomes.append(Outcome(coupon.coupon_id, _restore(turn, coupon, Entry.ROLLBACK)))
        else:
            outcomes.append(refusal(Refusal.NOT_REDEEMED, coupon))
    return outcomes


def give_back(turn: Turn, coupon_ids: Sequence[str], order_id: str, full: bool) -> list[Outcome]:
    """Take note that an order was returned, inside a write transaction; aligned with the coupons.

    A full return makes its coupons issued again, or expired if their time is over meanwhile, and gives the budget back,
    once. A partial one is noted and changes nothing.
    """
    coupons = read_coupons(turn.connection, coupon_ids, hold=True)
    outcomes = []
    for coupon_id in coupon_ids:
        coupon = coupons.get(coupon_id)
        if coupon is None:
            outcomes.append(refusal(Refusal.UNKNOWN_COUPON, coupon_id=coupon_id))
        elif coupon.status is not Status.REDEEMED or coupon.order_id != order_id:
            outcomes.append(refusal(Refusal.NOT_REDEEMED, coupon))
        elif full:
            outcomes.append(Outcome(coupon_id, _restore(turn, coupon, Entry.RETURN)))
        else:
            note(turn, coupon, Entry.PARTIAL_RETURN)
            outcomes.append(Outcome(coupon_id, coupon))
    return outcomes


def void(turn: Turn, coupon_ids: Sequence[str], reason: str) -> list[Outcome]:
    """Withdraw coupons that are not redeemed, inside a write transaction; aligned with them.

    Stock and the member's limit get them back.
    """
    coupons = read_coupons(turn.connection, coupon_ids, hold=True)
    outcomes = []
    for coupon_id in coupon_ids:
        coupon = coupons.get(coupon_id)
        against = {Status.REDEEMED: Refusal.COUPON_REDEEMED, Status.EXPIRED: Refusal.COUPON_EXPIRED}
        if coupon is None:
            outcomes.append(refusal(Refusal.UNKNOWN_COUPON, coupon_id=coupon_id))
        elif coupon.status in against:
            outcomes.append(refusal(against[coupon.status], coupon))
        elif coupon.status is Status.VOIDED:
            outcomes.append(Outcome(coupon_id, coupon, repeated=True))
        else:
            outcomes.append(Outcome(coupon_id, _void_one(turn, coupon, reason)))
    return outcomes


def expire(turn: Turn) -> int:
    """End locks and coupons whose time is over, inside a write transaction; return how many, at most CHUNK_COUPONS."""
    where = "status = '{status}' AND {time} <= ? ORDER BY {time}, coupon_id LIMIT ?" + skip_locked(turn.connection)
    values = (to_micros(turn.now), CHUNK_COUPONS)
    overdue = select_coupons(turn.connection, where.format(status="locked", time="locked_until"), values)
    for coupon in overdue:
        unlock(turn, coupon, Entry.LOCK_ENDED)
    over = select_coupons(turn.connection, where.format(status="issued", time="expires_at"), values)
    for coupon in over:
        note(turn, move_coupon(turn.connection, coupon, Status.EXPIRED), Entry.EXPIRE)
    return len(overdue) + len(over)


def _restore(turn: Turn, coupon: Coupon, entry: Entry) -> Coupon:
    """Make a redeemed coupon issued again, with the expiry it had, and give its budget back."""
    status = Status.EXPIRED if coupon.expired_at(turn.now) else Status.ISSUED
    restored = move_coupon(turn.connection, coupon, status)
    note(turn, restored, entry, spent=-coupon.discount_cents, order_id=coupon.order_id)
    execute(turn.connection, _UNDONE, (coupon.coupon_id,))
    return restored


def _void_one(turn: Turn, coupon: Coupon, reason: str) -> Coupon:
    voided = move_coupon(turn.connection, coupon, Status.VOIDED)
    note(turn, voided, Entry.VOID, reserved=-coupon.discount_cents, order_id=coupon.order_id, details=reason)
    move(turn.connection, Count.STOCK, coupon.offer_id, "", -1, turn.now)
    move(turn.connection, Count.MEMBER, coupon.offer_id, coupon.member_id, -1, turn.now)
    return voided

"""Redemptions that happened while a till was offline, and those of other systems: taken as facts, breaches included."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from recommender.coupons.applying import budget_limit
from recommender.coupons.counters import Count, move, take, used
from recommender.coupons.coupon_rows import move_coupon, read_coupons
from recommender.coupons.ledger import Entry, note
from recommender.coupons.requests import earlier_request, keep_request
from recommender.coupons.store import read_offers
from recommender.coupons.using import record_redemption, unlock
from recommender.coupons.wallet import Coupon, Status, Turn
from recommender.storage.statements import execute, fetch, marks, next_sequence
from recommender.storage.types import to_micros

OPERATION = "offline"

_EXTERNAL = """
SELECT r.campaign_id, SUM(COALESCE(r.discount_cents, 0)) FROM redemptions r
WHERE r.campaign_id {chosen}
  AND NOT EXISTS (SELECT 1 FROM coupon_ledger l WHERE l.coupon_id = r.coupon_id) GROUP BY r.campaign_id"""
_SET = """
INSERT INTO coupon_counters (kind, owner, subject, used, at) VALUES (?, ?, '', ?, ?)
ON CONFLICT (kind, owner, subject) DO UPDATE SET used = excluded.used, at = excluded.at"""


class Breach(StrEnum):
    """What a redemption that happened went against."""

    UNKNOWN_COUPON = "unknown_coupon"
    ALREADY_REDEEMED = "already_redeemed"
    EXPIRED = "expired"
    VOIDED = "voided"
    BUDGET_SPENT = "budget_spent"
    ABOVE_WORTH = "above_worth"
    STORE_LIMIT = "store_limit"


@dataclass(frozen=True, slots=True)
class OfflineRedemption:
    """A redemption as a till wrote it down: the same `redemption_id` is the same redemption."""

    redemption_id: str
    coupon_id: str
    order_id: str
    redeemed_at: datetime
    discount_cents: int
    store_id: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one: whether it was known before, and what it went against."""

    redemption_id: str
    repeated: bool
    breaches: tuple[Breach, ...] = ()


def record_offline(turn: Turn, redemptions: Sequence[OfflineRedemption]) -> list[Recorded]:
    """Record redemptions that happened, inside a write transaction; each once, in order.

    The money is gone: what was not allowed is recorded all the same, spends the budget, and is a breach in the ledger.

    Raises: ConflictError if a `redemption_id` was recorded with other content.
    """
    next_sequence(turn.connection)  # of two imports at once one waits for the other
    return [_record_one(turn, one) for one in redemptions]


def follow_external(connection: Connection, now: datetime, campaign_ids: Collection[str] | None = None) -> None:
    """Count what other systems redeemed against the budgets of campaigns, inside a write transaction.

    Args:
        campaign_ids: only these; None: all.
    """
    chosen = "IS NOT NULL" if campaign_ids is None else f"IN ({marks(len(campaign_ids))})"
    for campaign_id, cents in fetch(connection, _EXTERNAL.replace("{chosen}", chosen), sorted(campaign_ids or ())):
        if used(connection, Count.EXTERNAL, campaign_id) != cents:
            execute(connection, _SET, (Count.EXTERNAL, campaign_id, int(cents), to_micros(now)))


def _record_one(turn: Turn, one: OfflineRedemption) -> Recorded:
    content = f"{one.coupon_id}\n{one.order_id}\n{to_micros(one.redeemed_at)}\n{one.discount_cents}"
    if earlier_request(turn.connection, OPERATION, one.redemption_id, content) is not None:
        return Recorded(one.redemption_id, repeated=True)
    coupon = read_coupons(turn.connection, [one.coupon_id], hold=True).get(one.coupon_id)
    same = coupon is not None and coupon.status is Status.REDEEMED and coupon.order_id == one.order_id
    breaches = () if same else _spend(turn, one, coupon)
    keep_request(turn.connection, OPERATION, one.redemption_id, content, ",".join(breaches), turn.now)
    return Recorded(one.redemption_id, repeated=same, breaches=breaches)


def _spend(turn: Turn, one: OfflineRedemption, coupon: Coupon | None) -> tuple[Breach, ...]:
    if coupon is None:
        stranger = Coupon(one.coupon_id, "", "", None, Status.REDEEMED, False, turn.now, None, one.order_id)
        _note_breach(turn, stranger, one, Breach.UNKNOWN_COUPON, 0)
        return (Breach.UNKNOWN_COUPON,)
    if coupon.status is Status.LOCKED:
        coupon = unlock(turn, coupon, Entry.LOCK_ENDED)
    over = {
        Status.REDEEMED: Breach.ALREADY_REDEEMED,
        Status.VOIDED: Breach.VOIDED,
        Status.EXPIRED: Breach.EXPIRED,
    }.get(coupon.status)
    if over is Breach.EXPIRED and not coupon.expired_at(one.redeemed_at):
        over = None  # it was used in time, and told late
    elif over is None and coupon.expired_at(one.redeemed_at):
        over = Breach.EXPIRED
    beyond = (_over_budget(turn, coupon, one), _over_worth(turn, coupon, one), _over_store(turn, one))
    breaches = [found for found in beyond if found]
    if over is None:
        coupon = move_coupon(
            turn.connection, coupon, Status.REDEEMED, order_id=one.order_id, discount_cents=one.discount_cents
        )
        note(turn, coupon, Entry.OFFLINE, spent=one.discount_cents, store_id=one.store_id)
        _redemption(turn, coupon, one, coupon.coupon_id)
    else:
        _note_breach(turn, coupon, one, over, one.discount_cents)
        _redemption(turn, replace(coupon, order_id=one.order_id), one, f"{coupon.coupon_id}:{one.redemption_id}"[:128])
    for breach in breaches:
        _note_breach(turn, coupon, one, breach, 0)
    return tuple(([over] if over else []) + breaches)


def _over_budget(turn: Turn, coupon: Coupon, one: OfflineRedemption) -> Breach | None:
    """Take the discount out of the budget, though there be no room."""
    if coupon.campaign_id is None:
        return None
    limit = budget_limit(turn.connection, coupon.campaign_id)
    if take(turn.connection, Count.COMMITTED, coupon.campaign_id, "", one.discount_cents, limit, turn.now):
        return None
    move(turn.connection, Count.COMMITTED, coupon.campaign_id, "", one.discount_cents, turn.now)
    return Breach.BUDGET_SPENT


def _over_worth(turn: Turn, coupon: Coupon, one: OfflineRedemption) -> Breach | None:
    offer = read_offers(turn.connection, [coupon.offer_id]).offers.get(coupon.offer_id)
    most = None if offer is None else offer.worst_case_cents
    return Breach.ABOVE_WORTH if most is not None and one.discount_cents > most else None


def _over_store(turn: Turn, one: OfflineRedemption) -> Breach | None:
    """Count the redemption among those that tills of the store accepted on its day without a connection."""
    if one.store_id is None or not turn.rules.offline_limit:
        return None
    day = one.redeemed_at.astimezone(turn.rules.zone).date().isoformat()
    if take(turn.connection, Count.OFFLINE, one.store_id, day, 1, turn.rules.offline_limit, turn.now):
        return None
    move(turn.connection, Count.OFFLINE, one.store_id, day, 1, turn.now)
    return Breach.STORE_LIMIT


def _note_breach(turn: Turn, coupon: Coupon, one: OfflineRedemption, breach: Breach, cents: int) -> None:
    note(turn, coupon, Entry.BREACH, spent=cents, order_id=one.order_id, store_id=one.store_id, details=str(breach))


def _redemption(turn: Turn, coupon: Coupon, one: OfflineRedemption, redemption_id: str) -> None:
    record_redemption(turn, coupon, redemption_id, one.channel, one.store_id, one.discount_cents, one.redeemed_at)

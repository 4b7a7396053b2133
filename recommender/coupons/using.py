"""lock(), redeem(), release(), and the questions qualify() and validate() that spend nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from recommender.coupons.applying import (
    Examination,
    Examined,
    apply_together,
    budget_limit,
    examine,
    hindrance,
    lay_out,
    room_for,
)
from recommender.coupons.counters import Count, move, take
from recommender.coupons.coupon_rows import held_coupons, move_coupon, read_coupons
from recommender.coupons.discount import Discount
from recommender.coupons.issuing import allowed
from recommender.coupons.ledger import Entry, note
from recommender.coupons.orders import hold_order, lock_details, locked_where
from recommender.coupons.purchases import Purchase
from recommender.coupons.refusals import Refusal
from recommender.coupons.supervision import peek_state, state_of
from recommender.coupons.wallet import Coupon, Outcome, RiskQuestion, Status, Turn, refusal
from recommender.storage.statements import execute
from recommender.storage.types import to_micros

_REDEMPTION = """
INSERT INTO redemptions (redemption_id, member_id, offer_id, coupon_id, campaign_id, order_id, redeemed_at, channel,
  store_id, discount_cents) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (redemption_id) DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Use:
    """Coupons that an order wants to use.

    coupon_ids: distinct.  order_id: whose lock it is; None only for questions.  purchase: what is bought; None: what
    was locked.  member_id: who buys; None: whose the first coupon is.  hold: how long a lock lasts; None: as the rules
    say.
    """

    coupon_ids: Sequence[str]
    order_id: str | None
    purchase: Purchase | None
    member_id: str | None = None
    hold: timedelta | None = None


def qualify(turn: Turn, member_id: str, purchase: Purchase) -> tuple[list[Outcome], list[Outcome]]:
    """Return what a member's coupons are worth on a purchase, without spending.

    Returns: each coupon on its own, the one that is worth most first, refused ones last; and all of them together,
        in the order in which they would be applied.
    """
    coupons = held_coupons(turn.connection, member_id)
    question = Examination(turn, purchase, member_id, None, peek_state)
    laid_out = lay_out(question, coupons)
    alone = [apply_together(laid_out, [one], room_for(turn.connection, [one]))[0] for one in coupons]
    together = apply_together(laid_out, coupons, room_for(turn.connection, coupons))
    alone.sort(key=lambda one: (one.refused is not None, -_worth(one)))
    return alone, sorted(together, key=lambda one: (one.refused is not None, -_worth(one)))


def validate(turn: Turn, use: Use) -> list[Outcome]:
    """Return what coupons would take off a purchase together, without spending; aligned with them."""
    assert use.purchase is not None
    coupons = read_coupons(turn.connection, use.coupon_ids)
    found = [coupons[one] for one in use.coupon_ids if one in coupons]
    question = Examination(turn, use.purchase, use.member_id, use.order_id, peek_state)
    return _aligned(use, examine(question, found, room_for(turn.connection, found)).outcomes)


def lock(turn: Turn, use: Use) -> list[Outcome]:
    """Reserve coupons and their budgets for an order, inside a write transaction; aligned with the coupons.

    A coupon that the order holds already is released first and locked anew; coupons that it locked or redeemed beside
    those named count as applied before. Other orders get a coupon when its lock ends.

    Raises: InputError naming the field, if the purchase is out of range.
    """
    assert use.purchase is not None
    assert use.order_id is not None
    hold_order(turn.connection, use.order_id)
    coupons = read_coupons(turn.connection, use.coupon_ids, hold=True)
    found = [_free(turn, coupons[one], use.order_id) for one in use.coupon_ids if one in coupons]
    question = Examination(turn, use.purchase, use.member_id, use.order_id, state_of)
    examined = examine(question, found, lambda wanted: _reserve(turn, wanted))
    locked = [_lock_one(turn, use, one, examined) for one in examined.outcomes]
    return _aligned(use, locked)


def redeem(turn: Turn, use: Use) -> list[Outcome]:
    """Spend coupons for an order, inside a write transaction; aligned with the coupons.

    With a purchase, coupons are locked on it first; without, those are spent that the order has locked, for what was
    reserved. What the order redeemed before is not spent again and counts as done.
    """
    assert use.order_id is not None
    hold_order(turn.connection, use.order_id)
    before = read_coupons(turn.connection, use.coupon_ids, hold=True)
    repeated = {
        one.coupon_id: Outcome(one.coupon_id, one, repeated=True)
        for one in before.values()
        if one.status is Status.REDEEMED and one.order_id == use.order_id
    }
    left = [one for one in use.coupon_ids if one not in repeated]
    if use.purchase is None:
        ready = _aligned(use, [_held_by(turn, before[one], use.order_id) for one in left if one in before], left)
    else:
        ready = lock(turn, replace(use, coupon_ids=left))
    done = {one.coupon_id: _settle(turn, use, one) for one in ready}
    return [repeated.get(one) or done[one] for one in use.coupon_ids]


def release(turn: Turn, coupon_ids: Sequence[str], order_id: str) -> list[Outcome]:
    """Give locks of an order back, inside a write transaction; aligned with the coupons."""
    coupons = read_coupons(turn.connection, coupon_ids, hold=True)
    outcomes = []
    for coupon_id in coupon_ids:
        coupon = coupons.get(coupon_id)
        if coupon is None:
            outcomes.append(refusal(Refusal.UNKNOWN_COUPON, coupon_id=coupon_id))
        elif coupon.status is Status.LOCKED and coupon.order_id == order_id:
            outcomes.append(Outcome(coupon_id, unlock(turn, coupon, Entry.RELEASE)))
        else:
            outcomes.append(refusal(hindrance(coupon, order_id, turn) or Refusal.NOT_LOCKED, coupon))
    return outcomes


def unlock(turn: Turn, coupon: Coupon, entry: Entry, status: Status = Status.ISSUED) -> Coupon:
    """End a lock and give its budget back; return the coupon as it stands then."""
    freed = move_coupon(turn.connection, coupon, status)
    note(turn, freed, entry, reserved=-coupon.discount_cents, order_id=coupon.order_id)
    return freed


def _free(turn: Turn, coupon: Coupon, order_id: str) -> Coupon:
    """End a lock that is over, or that the same order renews."""
    if coupon.overdue(turn.now):
        return unlock(turn, coupon, Entry.LOCK_ENDED)
    if coupon.status is Status.LOCKED and coupon.order_id == order_id:
        return unlock(turn, coupon, Entry.RELEASE)
    return coupon


def _reserve(turn: Turn, wanted: Sequence[tuple[Coupon, int]]) -> str | None:
    """Take discounts out of their budgets, all or none."""
    taken: list[tuple[str, int]] = []
    for coupon, cents in wanted:
        campaign_id = coupon.campaign_id
        if campaign_id is None:
            continue
        limit = budget_limit(turn.connection, campaign_id)
        if not take(turn.connection, Count.COMMITTED, campaign_id, "", cents, limit, turn.now):
            for owner, held in taken:
                move(turn.connection, Count.COMMITTED, owner, "", -held, turn.now)
            return coupon.coupon_id
        taken.append((campaign_id, cents))
    return None


def _lock_one(turn: Turn, use: Use, found: Outcome, examined: Examined) -> Outcome:
    if found.coupon is None or found.discount is None:
        return found
    assert use.purchase is not None
    cents = found.discount.total_cents
    locked = move_coupon(
        turn.connection,
        found.coupon,
        Status.LOCKED,
        order_id=use.order_id,
        locked_until=turn.now + (use.hold or turn.rules.lock),
        discount_cents=cents,
    )
    store_id = use.purchase.store_id
    note(
        turn,
        locked,
        Entry.LOCK,
        reserved=cents,
        goods_cents=examined.goods_cents,
        store_id=store_id,
        details=lock_details(use.purchase, found.discount),
    )
    return replace(found, coupon=locked)


def _held_by(turn: Turn, coupon: Coupon, order_id: str) -> Outcome:
    """Return a coupon if the order has it locked, though its time be over while nobody took it."""
    if coupon.status is Status.LOCKED and coupon.order_id == order_id:
        return Outcome(coupon.coupon_id, coupon)
    return refusal(hindrance(coupon, order_id, turn) or Refusal.NOT_LOCKED, coupon)


def _settle(turn: Turn, use: Use, found: Outcome) -> Outcome:
    """Spend one locked coupon."""
    coupon = found.coupon
    if coupon is None or found.refused is not None:
        return found
    channel, store_id = _place(turn.connection, use, coupon)
    question = RiskQuestion("redeem", coupon.member_id, coupon.offer_id, coupon.coupon_id, store_id=store_id)
    if not allowed(turn, question):
        return refusal(Refusal.RISK_REFUSED, unlock(turn, coupon, Entry.RELEASE))
    cents = coupon.discount_cents
    spent = move_coupon(turn.connection, coupon, Status.REDEEMED, order_id=use.order_id, discount_cents=cents)
    note(turn, spent, Entry.REDEEM, reserved=-cents, spent=cents, store_id=store_id)
    record_redemption(turn, spent, spent.coupon_id, channel, store_id, cents)
    return replace(found, coupon=spent)


def _place(connection: Connection, use: Use, coupon: Coupon) -> tuple[str | None, str | None]:
    """Return the channel and the store of a redemption: of the purchase, or of the lock."""
    if use.purchase is not None:
        return use.purchase.channel, use.purchase.store_id
    return locked_where(connection, coupon.coupon_id)


def record_redemption(
    turn: Turn,
    coupon: Coupon,
    redemption_id: str,
    channel: str | None,
    store_id: str | None,
    cents: int,
    at: datetime | None = None,
) -> None:
    """Add a redemption to the table that training and reports read; `at`: when it was, now if None."""
    values = (
        *(redemption_id, coupon.member_id, coupon.offer_id, coupon.coupon_id, coupon.campaign_id, coupon.order_id),
        *(to_micros(at or turn.now), channel, store_id, cents),
    )
    execute(turn.connection, _REDEMPTION, values)


def _aligned(use: Use, outcomes: Sequence[Outcome], coupon_ids: Sequence[str] | None = None) -> list[Outcome]:
    """Put outcomes in the order of the coupons asked for, with a refusal for those that do not exist."""
    found = {one.coupon_id: one for one in outcomes}
    return [
        found.get(one) or refusal(Refusal.UNKNOWN_COUPON, coupon_id=one)
        for one in (use.coupon_ids if coupon_ids is None else coupon_ids)
    ]


def _worth(found: Outcome) -> int:
    return found.discount.total_cents if isinstance(found.discount, Discount) else 0

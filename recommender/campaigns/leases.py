"""Leases: messages that one worker has in hand, and what becomes of them; a worker that dies loses them in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from recommender.campaigns.outbox import CONTROL_ARMS, WAITING, State
from recommender.storage.statements import execute, execute_many, fetch, marks
from recommender.storage.types import from_day_number, from_micros, to_day_number, to_micros

LEASE = timedelta(seconds=90)
"""How long a worker has what it takes unless the settings say otherwise; afterwards others may take it."""
LONGEST_LEASE = timedelta(minutes=10)
"""A lease that ends later was written by a clock that was wrong."""
_COLUMNS = (
    "delivery_id, campaign_id, occasion, member_id, unit, arm, propensity, offer_id, coupon_id, transport, test,"
    " worth_cents, expires_at, attempts, day, created_at"
)
_DUE = f"""
SELECT {_COLUMNS} FROM deliveries WHERE campaign_id = ? AND transport = ? AND state = ? AND due_at <= ?
  AND NOT test AND (lease_until IS NULL OR lease_until <= ? OR lease_until > ?)
ORDER BY due_at, worth_cents DESC LIMIT ?"""
_NAMED = f"""
SELECT {_COLUMNS}, state FROM deliveries WHERE delivery_id = ? AND transport = ?
  AND (state IN ('sent', 'tasked', 'failed') OR lease_owner IS NOT NULL OR attempts > 0)"""
_LEASE = "UPDATE deliveries SET lease_until = ?, lease_owner = ?, day = ? WHERE delivery_id IN ({marks})"
_COUPON = "UPDATE deliveries SET coupon_id = ? WHERE delivery_id = ?"
_END = """
UPDATE deliveries SET state = ?, reason = ?, due_at = COALESCE(?, due_at), day = COALESCE(?, day), finished_at = ?,
  lease_until = NULL, lease_owner = NULL WHERE delivery_id IN ({marks})"""
_SENT = "UPDATE deliveries SET sent_at = ?, attempts = attempts + 1 WHERE delivery_id IN ({marks})"
_REFERENCE = "UPDATE deliveries SET provider_ref = ? WHERE delivery_id = ?"
_TRIED = "UPDATE deliveries SET attempts = attempts + 1 WHERE delivery_id IN ({marks})"
_MINE = "SELECT delivery_id FROM deliveries WHERE lease_owner = ? AND delivery_id IN ({marks})"
_SEND = """
INSERT INTO sends (campaign_id, member_id, offer_id, sent_at, arm, propensity)
SELECT d.campaign_id, d.member_id, COALESCE(d.offer_id, ''), ?, 'treated', d.propensity * COALESCE(
  (SELECT m.offer_propensity FROM campaign_members m WHERE m.campaign_id = d.campaign_id AND m.member_id = d.member_id),
  1) FROM deliveries d WHERE d.delivery_id IN ({marks}) ON CONFLICT DO NOTHING"""
_WITHHELD = """
INSERT INTO sends (campaign_id, member_id, offer_id, sent_at, arm, propensity)
SELECT d.campaign_id, d.member_id, COALESCE(d.offer_id, ''), ?, 'holdout', 1 - d.propensity
FROM deliveries d WHERE d.delivery_id IN ({marks}) ON CONFLICT DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message whose time has come, as it stands in the outbox.

    day: the calendar day in which it is counted already; None: it is not.
    """

    delivery_id: str
    campaign_id: str
    occasion: str
    member_id: str
    unit: str
    arm: str
    propensity: float
    offer_id: str | None
    coupon_id: str | None
    transport: str
    test: bool
    worth_cents: float
    expires_at: datetime | None
    attempts: int
    day: date | None
    created_at: datetime

    @property
    def control(self) -> bool:
        """Whether the message is withheld, to have somebody to compare with."""
        return self.arm in CONTROL_ARMS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message.

    state: PENDING: it is tried again.  due_at: not before; None: as it was.  day: it is counted in; None: as it was.
    """

    waiting: Waiting
    state: State
    reason: str | None = None
    due_at: datetime | None = None
    day: date | None = None


def is_due(connection: Connection, campaign_id: str, transport: str, state: State, now: datetime) -> bool:
    """Tell whether the time of a message has come."""
    return bool(fetch(connection, _DUE, _due(campaign_id, transport, state, 1, now)))


def take_due(
    connection: Connection, campaign_id: str, transport: str, state: State, limit: int, now: datetime
) -> list[Waiting]:
    """Return messages whose time has come, the most worth first, and keep other workers from them until the end of the
    write transaction.
    """
    skip = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
    return [_waiting(row) for row in fetch(connection, _DUE + skip, _due(campaign_id, transport, state, limit, now))]


def _due(campaign_id: str, transport: str, state: State, limit: int, now: datetime) -> tuple[object, ...]:
    micros, wrong = to_micros(now), to_micros(now + LONGEST_LEASE)
    return (campaign_id, transport, state.value, micros, micros, wrong, limit)


def lease(
    connection: Connection, owner: str, until: datetime, rows: Sequence[tuple[Waiting, str | None, date]]
) -> None:
    """Have messages in hand until a time, each with its coupon and the day it is counted in."""
    days: dict[date, list[str]] = {}
    for one, _, day in rows:
        days.setdefault(day, []).append(one.delivery_id)
    for day, ids in days.items():
        _update(connection, _LEASE, (to_micros(until), owner, to_day_number(day)), ids)
    fresh = [(coupon, one.delivery_id) for one, coupon, _ in rows if coupon != one.coupon_id]
    execute_many(connection, _COUPON, fresh)


def settle(connection: Connection, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Write what becomes of messages, inside a write transaction that holds them."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for one in verdicts:
        ended = None if one.state in WAITING else to_micros(now)
        due = None if one.due_at is None else to_micros(one.due_at)
        day = None if one.day is None else to_day_number(one.day)
        key = (one.state.value, one.reason, due, day, ended)
        alike.setdefault(key, []).append(one.waiting.delivery_id)
    for values, ids in alike.items():
        _update(connection, _END, values, ids)


def still_mine(connection: Connection, owner: str, delivery_ids: Sequence[str]) -> set[str]:
    """Return which messages a worker still has in hand, and keep them until the end of the write transaction."""
    if not delivery_ids:
        return set()
    hold = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    statement = _MINE.format(marks=marks(len(delivery_ids))) + hold
    return {row[0] for row in fetch(connection, statement, (owner, *delivery_ids))}


def note_sends(connection: Connection, rows: Sequence[Waiting], now: datetime) -> None:
    """Write down who was sent to and from whom it was withheld, for coupons, training and reports.

    With the chance of what happened: to be treated and get this offer, or not to be treated. Members are named as they
    stand in the outbox: one who was erased while the message was on its way has a pseudonym there.
    """
    for statement, control in ((_SEND, False), (_WITHHELD, True)):
        ids = [one.delivery_id for one in rows if one.control == control]
        _update(connection, statement, (to_micros(now),), ids)


def mark_sent(connection: Connection, rows: Sequence[tuple[Waiting, str | None]], now: datetime) -> None:
    """Write when messages left, by an attempt, and how the provider calls them."""
    _update(connection, _SENT, (to_micros(now),), [one.delivery_id for one, _ in rows])
    execute_many(connection, _REFERENCE, [(ref, one.delivery_id) for one, ref in rows if ref is not None])


def mark_heard(connection: Connection, row: Waiting, now: datetime) -> None:
    """Write when a message left that is heard of before its answer, or in place of it."""
    statement = "UPDATE deliveries SET sent_at = COALESCE(sent_at, ?) WHERE delivery_id = ?"
    execute(connection, statement, (to_micros(now), row.delivery_id))


def count_attempts(connection: Connection, rows: Sequence[Waiting]) -> None:
    """Count an attempt that failed."""
    _update(connection, _TRIED, (), [one.delivery_id for one in rows])


def read_tried(connection: Connection, delivery_id: str, transport: str) -> tuple[Waiting, State] | None:
    """Return a message that a transport has, or may have, and its state; None if there is none.

    Inside a write transaction that holds it then.
    """
    hold = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    rows = fetch(connection, _NAMED + hold, (delivery_id, transport))
    return (_waiting(rows[0][:-1]), State(rows[0][-1])) if rows else None


def release(connection: Connection, owner: str) -> int:
    """Give back what a worker has in hand and did not try, inside a write transaction; return how many."""
    return execute(
        connection, "UPDATE deliveries SET lease_until = NULL, lease_owner = NULL WHERE lease_owner = ?", (owner,)
    )


def _update(connection: Connection, statement: str, values: Sequence[object], ids: Sequence[str]) -> None:
    """Run one statement for many messages: several times quicker than once for each."""
    if ids:
        execute(connection, statement.format(marks=marks(len(ids))), (*values, *ids))


def _waiting(row: Sequence[Any]) -> Waiting:
    named = dict(zip(Waiting.__slots__, row, strict=True))
    named["test"] = bool(named["test"])
    named["created_at"] = from_micros(named["created_at"])
    if named["expires_at"] is not None:
        named["expires_at"] = from_micros(named["expires_at"])
    if named["day"] is not None:
        named["day"] = from_day_number(named["day"])
    return Waiting(**named)

"""The outbox: messages are put into it in the transaction that decides on them, and sent from it later.

pending <-> held (quiet hours)
   |
   +--> skipped, withheld (control groups), failed (dead letter, can be replayed)
   +--> tasked (a guide must confirm) --> sent --> delivered
   +--> sent --> delivered
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from recommender.errors import InputError
from recommender.storage.statements import execute, marks
from recommender.storage.types import to_micros

CHUNK_ROWS = 200
"""Rows added by one statement."""
MOST_WORTH_CENTS = 1e12
"""Bounds what a message may be said to be worth, so that all databases order it alike."""

TREATED = "treated"
CONTROL_ARMS = ("holdout", "global_holdout")
"""Arms whose messages are withheld: of the campaign, and of all campaigns."""
ARMS = (TREATED, *CONTROL_ARMS)


class State(StrEnum):
    """Where a message stands."""

    PENDING = "pending"
    HELD = "held"
    SKIPPED = "skipped"
    TASKED = "tasked"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    WITHHELD = "withheld"


WAITING = (State.PENDING, State.HELD)
"""States of messages that are still to be sent."""

_COLUMNS = (
    "delivery_id, campaign_id, occasion, member_id, unit, arm, propensity, offer_id, transport, state, test,"
    " worth_cents, due_at, expires_at, attempts, created_at"
)
_CANCEL = f"""
UPDATE deliveries SET state = 'skipped', reason = ?, finished_at = ?, lease_until = NULL, lease_owner = NULL
WHERE campaign_id = ? AND state IN ({marks(len(WAITING))}) AND (lease_until IS NULL OR lease_until <= ?)"""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A message to be sent to a member, or to be withheld from one of a control group.

    unit: the household where known, else the member.  arm: one of ARMS.  propensity: the chance to be treated.
    due_at: not before.  expires_at: not at or after; None: whenever the campaign runs.
    occasion: '' of a one-off campaign; the date of a recurring one; the event that triggered one.
    worth_cents: expected incremental profit, by which the scarce go first.
    """

    campaign_id: str
    member_id: str
    unit: str
    arm: str
    propensity: float
    transport: str
    due_at: datetime
    offer_id: str | None = None
    occasion: str = ""
    worth_cents: float = 0.0
    expires_at: datetime | None = None

    @property
    def delivery_id(self) -> str:
        """The id of the message, the same however often it is put into the outbox or sent."""
        return delivery_id(self.campaign_id, self.member_id, self.occasion)


def delivery_id(campaign_id: str, member_id: str, occasion: str = "") -> str:
    """Return the id of the message of a campaign to a member on an occasion."""
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in map(str.encode, (campaign_id, member_id)))
    return "msg_" + hashlib.blake2b(parts + occasion.encode(), digest_size=16).hexdigest()


def enqueue(connection: Connection, rows: Sequence[NewDelivery], now: datetime, test: bool = False) -> int:
    """Put messages into the outbox, inside the caller's write transaction; return how many were not in it yet.

    What is in it already stays as it stands.

    Args:
        test: to seed contacts, of a campaign that need not run.
    Raises: InputError if an arm is unknown or a propensity is no probability.
    """
    added = 0
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = [_values(row, now, test) for row in rows[start : start + CHUNK_ROWS]]
        places = ", ".join([f"({marks(len(chunk[0]))})"] * len(chunk))
        statement = f"INSERT INTO deliveries ({_COLUMNS}) VALUES {places} ON CONFLICT (delivery_id) DO NOTHING"
        added += execute(connection, statement, [value for row in chunk for value in row])
    return added


def cancel(connection: Connection, campaign_id: str, reason: str, now: datetime) -> int:
    """Skip what is not sent yet of a campaign, inside a write transaction; return how many messages that are.

    A message that is just being sent is not taken back.
    """
    micros = to_micros(now)
    return execute(connection, _CANCEL, (reason, micros, campaign_id, *WAITING, micros))


def _values(row: NewDelivery, now: datetime, test: bool) -> tuple[object, ...]:
    if row.arm not in ARMS:
        raise InputError("The arm is not known.", field="arm", value=row.arm, accepted=", ".join(ARMS))
    if not 0.0 <= row.propensity <= 1.0:
        raise InputError("The propensity is no probability.", field="propensity", value=row.propensity, accepted="0-1")
    worth = min(max(row.worth_cents, -MOST_WORTH_CENTS), MOST_WORTH_CENTS)
    expires_at = None if row.expires_at is None else to_micros(row.expires_at)
    return (
        *(row.delivery_id, row.campaign_id, row.occasion, row.member_id, row.unit, row.arm, row.propensity),
        *(row.offer_id, row.transport, State.PENDING, test, worth, to_micros(row.due_at), expires_at, 0),
        to_micros(now),
    )

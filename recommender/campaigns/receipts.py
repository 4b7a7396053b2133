"""Receipts: what is heard of messages after they left, by events or signed callbacks, and what it changes.

Every change is one that can be made again without harm: states only go forward, consents are only added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.campaigns.leases import Verdict, Waiting, mark_heard, note_sends, read_tried, settle
from recommender.campaigns.outbox import State
from recommender.campaigns.recipients import PUSH
from recommender.events import MEMBER_NAMESPACE, Event, EventKind, member_subject
from recommender.storage.events import append_events
from recommender.storage.statements import execute, fetch, marks
from recommender.storage.types import to_micros
from recommender.storage.upserts import upsert

MESSAGE_ID = "message_id"
"""Names the message in the attributes of an event."""
REPLY = "reply"
"""The source of a consent that a reply to a message withdrew."""
ON_THE_WAY = (State.PENDING, State.HELD, State.FAILED)
"""States of messages of which a receipt says more than we know: it comes before the answer, or in its place."""

_OWNER = "SELECT delivery_id, member_id, campaign_id FROM deliveries WHERE transport = ? AND delivery_id IN ({marks})"
_TRANSPORTS = "SELECT delivery_id, transport, member_id FROM deliveries WHERE delivery_id IN ({marks})"
_ACCEPT = """
INSERT INTO message_quotas (member_id, template, accepted, used, at) VALUES (?, ?, ?, 0, ?)
ON CONFLICT (member_id, template)
DO UPDATE SET accepted = message_quotas.accepted + excluded.accepted, at = excluded.at"""


class ReceiptKind(StrEnum):
    """What is heard.

    CONFIRMED, DECLINED: by the guide who had the message as a task.  PROMPT_ACCEPTED: the member agreed to one more
    message of a template.
    """

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    FAILED = "failed"
    OPTED_OUT = "opted_out"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    PROMPT_ACCEPTED = "prompt_accepted"


_ARRIVED = {
    ReceiptKind.DELIVERED: EventKind.PUSH_DELIVERED,
    ReceiptKind.OPENED: EventKind.PUSH_OPEN,
    ReceiptKind.CLICKED: EventKind.PUSH_CLICK,
}
"""Receipts that say that a message arrived, and the event of each."""
_BY_EVENT = {
    **{event: kind for kind, event in _ARRIVED.items()},
    EventKind.GUIDE_DONE: ReceiptKind.CONFIRMED,
    EventKind.GUIDE_SKIP: ReceiptKind.DECLINED,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """One thing that is heard of a message, or of a member.

    at: when it happened.  count: accepted prompts.
    """

    kind: ReceiptKind
    at: datetime
    message_id: str | None = None
    member_id: str | None = None
    template: str | None = None
    count: int = 1
    reason: str | None = None


class Heard(StrEnum):
    """What became of a receipt: it changed something, or was known; or it names no message or member of ours."""

    APPLIED = "applied"
    KNOWN = "known"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Line:
    """Through what receipts come: the transport, whose consents replies withdraw, and the channel of their events."""

    transport: str
    consent_channel: str
    event_channel: str


def apply_receipts(connection: Connection, line: Line, receipts: Sequence[Receipt], now: datetime) -> list[Heard]:
    """Take note of receipts of one transport, inside a write transaction; one answer each, in order."""
    named = [one.message_id for one in receipts if one.message_id is not None]
    owners = _owners(connection, line.transport, named)
    return [_apply(connection, line, one, owners, now) for one in receipts]


def receipts_of(events: Sequence[Event]) -> list[tuple[str, Receipt]]:
    """Return the receipts among posted events, each with the subject that the event names."""
    found = []
    for event in events:
        kind = _BY_EVENT.get(event.kind)
        told = orjson.loads(event.attributes) if kind is not None and event.attributes else {}
        message_id = told.get(MESSAGE_ID)
        if kind is not None and isinstance(message_id, str):
            found.append((event.subject or "", Receipt(kind, event.occurred_at, message_id)))
    return found


def note_events(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Take note of what posted events say of messages, inside the transaction that records them.

    An event that names a member other than the message's own changes nothing.
    """
    told = receipts_of(events)
    if not told:
        return
    ids = sorted({str(one.message_id) for _, one in told})
    rows = fetch(connection, _TRANSPORTS.format(marks=marks(len(ids))), ids)
    known = {row[0]: (row[1], member_subject(row[2])) for row in rows}
    for subject, receipt in told:
        transport, owner = known.get(str(receipt.message_id), ("", ""))
        foreign = subject.startswith(f"{MEMBER_NAMESPACE}:") and subject != owner
        if transport and not foreign:
            _move(connection, transport, receipt, now)


def _apply(
    connection: Connection, line: Line, receipt: Receipt, owners: Mapping[str, tuple[str, str]], now: datetime
) -> Heard:
    member_id, campaign_id = owners.get(receipt.message_id or "", (None, None))
    who = receipt.member_id or member_id
    if receipt.kind is ReceiptKind.OPTED_OUT:
        return Heard.UNKNOWN if who is None else _opt_out(connection, line, who, receipt, now)
    if receipt.kind is ReceiptKind.PROMPT_ACCEPTED:
        if who is None or receipt.template is None:
            return Heard.UNKNOWN
        execute(connection, _ACCEPT, (who, receipt.template, receipt.count, to_micros(now)))
        return Heard.APPLIED
    if member_id is None:
        return Heard.UNKNOWN
    fresh = _record(connection, line, receipt, member_id, campaign_id, now)
    return Heard.APPLIED if _move(connection, line.transport, receipt, now) or fresh else Heard.KNOWN


def _opt_out(connection: Connection, line: Line, member_id: str, receipt: Receipt, now: datetime) -> Heard:
    """Withdraw the consent; a member who is not known, or was erased, has none."""
    if not fetch(connection, "SELECT 1 FROM members WHERE member_id = ?", (member_id,)):
        return Heard.UNKNOWN
    row = {
        "member_id": member_id,
        "purpose": PUSH,
        "channel": line.consent_channel,
        "granted": False,
        "at": min(receipt.at, now),
        "source": REPLY,
    }
    return Heard.APPLIED if upsert(connection, "consents", [row], now).added else Heard.KNOWN


def _record(
    connection: Connection, line: Line, receipt: Receipt, member_id: str, campaign_id: str | None, now: datetime
) -> bool:
    """Write the event of a receipt, once per message and kind; return whether it is new."""
    kind = _ARRIVED.get(receipt.kind)
    if kind is None:
        return False
    told = {MESSAGE_ID: receipt.message_id, "campaign_id": campaign_id}
    event = Event(
        event_id=f"{kind}:{receipt.message_id}",
        occurred_at=min(receipt.at, now),
        kind=kind,
        channel=line.event_channel,
        subject=member_subject(member_id),
        attributes=orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode(),
    )
    return append_events(connection, [event], now)[0].status == "accepted"


def _move(connection: Connection, transport: str, receipt: Receipt, now: datetime) -> bool:
    """Move a message's state forward; return whether it moved."""
    tried = read_tried(connection, receipt.message_id or "", transport)
    verdict = None if tried is None else _verdict(*tried, receipt)
    if tried is None or verdict is None:
        return False
    waiting, state = tried
    settle(connection, [verdict], now)
    if verdict.state in (State.SENT, State.DELIVERED) and state is not State.SENT:
        mark_heard(connection, waiting, now)
        note_sends(connection, [waiting], now)
    return True


def _verdict(waiting: Waiting, state: State, receipt: Receipt) -> Verdict | None:
    """Return what a receipt makes of a message, None if nothing."""
    if receipt.kind in _ARRIVED and (state is State.SENT or state in ON_THE_WAY):
        return Verdict(waiting, State.DELIVERED)
    if receipt.kind is ReceiptKind.FAILED and state is State.SENT:
        return Verdict(waiting, State.FAILED, f"receipt_{receipt.reason or 'failed'}")
    if receipt.kind is ReceiptKind.CONFIRMED and state is State.TASKED:
        return Verdict(waiting, State.SENT)
    if receipt.kind is ReceiptKind.DECLINED and state is State.TASKED:
        return Verdict(waiting, State.SKIPPED, "guide_declined")
    return None


def _owners(connection: Connection, transport: str, message_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return member and campaign of messages of a transport, by id."""
    if not message_ids:
        return {}
    rows: list[Any] = fetch(connection, _OWNER.format(marks=marks(len(message_ids))), (transport, *message_ids))
    return {row[0]: (row[1], row[2]) for row in rows}

"""What guides say of follow-ups: accepted, done or skipped, kept as events; a contact that was made counts in caps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import orjson
from sqlalchemy.engine import Connection

from recommender.campaigns.contacts import ALL, Contacts
from recommender.campaigns.receipts import MESSAGE_ID, note_events
from recommender.errors import ConflictError, NotFoundError
from recommender.events import Event, EventKind, member_subject, subject_key
from recommender.storage.events import append_events
from recommender.storage.holdouts import units_of
from recommender.storage.statements import fetch, marks
from recommender.storage.types import from_micros, to_day_number, to_micros

GUIDE = "guide"
"""The channel of what guides do, the transport that their contacts are counted under, and the namespace of guides."""
ACTS = (EventKind.GUIDE_ACCEPT, EventKind.GUIDE_DONE, EventKind.GUIDE_SKIP)
MOST_TASKS = 200
_OF_MEMBERS = """
SELECT subject, kind, occurred_at, attributes FROM events
WHERE subject IN ({marks}) AND kind IN ('guide_accept', 'guide_done', 'guide_skip') AND occurred_at >= ?
ORDER BY occurred_at, sequence"""
_MESSAGES = """
SELECT member_id, MAX(sent_at) FROM deliveries
WHERE member_id IN ({marks}) AND state IN ('sent', 'delivered') AND NOT test GROUP BY member_id"""
_TASKS = """
SELECT d.delivery_id, d.member_id, d.campaign_id, d.offer_id, d.coupon_id, d.due_at
FROM deliveries d JOIN members m ON m.member_id = d.member_id
WHERE d.state = 'tasked' AND NOT d.test AND m.guide_id = ? ORDER BY d.due_at, d.delivery_id LIMIT ?"""
_BUSY = "SELECT COALESCE(SUM(count), 0) FROM contact_counts WHERE unit = ? AND day = ?"
_OWN = "SELECT guide_id FROM members WHERE member_id = ?"


@dataclass(frozen=True, slots=True)
class GuideAct:
    """What a guide did about a customer.

    reason: in the guide's words, None if none was given.  message_id: of the campaign's task that this was.
    """

    event_id: str
    kind: EventKind
    guide_id: str
    member_id: str
    reason: str | None = None
    recommendation_id: str | None = None
    coupon_id: str | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class GuideTask:
    """A message of a campaign that waits for the guide."""

    message_id: str
    member_id: str
    campaign_id: str
    offer_id: str | None
    coupon_id: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class LatestAct:
    """The latest thing that a guide did about a customer."""

    kind: EventKind
    at: datetime
    guide_id: str | None
    reason: str | None


def record_act(connection: Connection, act: GuideAct, consented: bool, today: date, now: datetime) -> None:
    """Record what a guide did, inside a write transaction.

    Args:
        consented: whether the customer agreed to be contacted, as it stands now.
        today: the local day, which caps and the guide's capacity count in.
    Raises: NotFoundError if it is no customer of the guide; ConflictError if the customer did not agree.
    """
    rows = fetch(connection, _OWN, (act.member_id,))
    if not rows or rows[0][0] != act.guide_id:
        raise NotFoundError("This is no customer of this guide.", field="member_id", value=act.member_id)
    if not consented and act.kind is not EventKind.GUIDE_SKIP:
        raise ConflictError("The customer does not agree to be contacted.", field="member_id", value=act.member_id)
    told = {"guide_id": act.guide_id, "reason": act.reason, MESSAGE_ID: act.message_id}
    attributes = {name: value for name, value in told.items() if value is not None}
    event = Event(
        event_id=act.event_id,
        occurred_at=now,
        kind=act.kind,
        channel=GUIDE,
        subject=member_subject(act.member_id),
        coupon_id=act.coupon_id,
        recommendation_id=act.recommendation_id,
        attributes=orjson.dumps(attributes).decode(),
    )
    append_events(connection, [event], now)
    note_events(connection, [event], now)
    # A task was counted when it was given.
    if act.kind is EventKind.GUIDE_DONE and act.message_id is None:
        unit = units_of(connection, act.member_id)[-1]
        contacts = Contacts(connection, (), (), ())
        contacts.count(((unit, today, ALL), (unit, today, GUIDE), (subject_key(GUIDE, act.guide_id), today, GUIDE)))
        contacts.save()


def tasks_of(connection: Connection, guide_id: str) -> list[GuideTask]:
    """Return the messages of campaigns that wait for a guide, the oldest first."""
    rows = fetch(connection, _TASKS, (guide_id, MOST_TASKS))
    return [
        GuideTask(message_id, member_id, campaign_id, offer_id, coupon_id, from_micros(due))
        for message_id, member_id, campaign_id, offer_id, coupon_id, due in rows
    ]


def contacts_of(connection: Connection, guide_id: str, today: date) -> int:
    """Return how many customers a guide has contacted today, or has tasks of campaigns for."""
    return int(fetch(connection, _BUSY, (subject_key(GUIDE, guide_id), to_day_number(today)))[0][0])


def latest_acts(connection: Connection, member_ids: Sequence[str], since: datetime) -> dict[str, LatestAct]:
    """Return the latest thing that guides did about each of some members since a time."""
    if not member_ids:
        return {}
    prefix = member_subject("")
    statement = _OF_MEMBERS.replace("{marks}", marks(len(member_ids)))
    rows = fetch(connection, statement, (*(member_subject(one) for one in member_ids), to_micros(since)))
    found = {}
    for subject, kind, at, attributes in rows:
        told = orjson.loads(attributes) if attributes else {}
        act = LatestAct(EventKind(kind), from_micros(at), told.get("guide_id"), told.get("reason"))
        found[subject.removeprefix(prefix)] = act
    return found


def latest_messages(connection: Connection, member_ids: Sequence[str]) -> dict[str, datetime]:
    """Return when each of some members got their last message of a campaign."""
    if not member_ids:
        return {}
    rows = fetch(connection, _MESSAGES.replace("{marks}", marks(len(member_ids))), member_ids)
    return {row[0]: from_micros(row[1]) for row in rows if row[1] is not None}

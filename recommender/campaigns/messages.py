"""Messages of the outbox as operators see them: listed, dead letters replayed, what is over swept, tests sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from recommender.campaigns.campaign import Campaign
from recommender.campaigns.composing import compose
from recommender.campaigns.delivery.base import Answer, Result, Transport
from recommender.campaigns.delivery.kinds import KINDS, TransportSettings
from recommender.campaigns.leases import Waiting, mark_sent, settle
from recommender.campaigns.outbox import TREATED, WAITING, NewDelivery, State, cancel, enqueue
from recommender.campaigns.outcomes import Attempt, judge
from recommender.campaigns.recipients import Against, Recipient, read_recipients
from recommender.campaigns.sending import DeliveryRules, terms_of
from recommender.coupons.store import read_offers
from recommender.errors import InputError
from recommender.events import member_subject
from recommender.storage.database import Database
from recommender.storage.statements import execute, fetch, marks
from recommender.storage.types import from_micros, to_micros

TEST = "test:"
"""Begins the occasion of a message to a seed contact."""
SWEPT = timedelta(days=1)
"""How long after its end a campaign is still looked at for messages that were in a worker's hand then."""
MOST_REPLAYED = 10_000

_COLUMNS = (
    "delivery_id, campaign_id, occasion, member_id, arm, offer_id, coupon_id, transport, state, reason, test, due_at,"
    " attempts, created_at, sent_at, finished_at, provider_ref"
)
_TIMES = frozenset({"due_at", "created_at", "sent_at", "finished_at"})
_REPLAY = """
UPDATE deliveries SET state = 'pending', reason = NULL, attempts = 0, due_at = ?, finished_at = NULL
WHERE delivery_id IN ({marks}) AND state = 'failed' AND NOT test"""
_FAILED = "SELECT delivery_id FROM deliveries WHERE campaign_id = ? AND state = 'failed' AND NOT test LIMIT ?"
_OVER = f"""
SELECT s.campaign_id, s.status FROM campaign_states s WHERE s.status IN ('finished', 'cancelled') AND s.updated_at > ?
  AND EXISTS (SELECT 1 FROM deliveries d WHERE d.campaign_id = s.campaign_id AND d.state IN ({marks(len(WAITING))}))"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages: each that is given narrows it down.  after_id: of the page before."""

    campaign_id: str | None = None
    member_id: str | None = None
    state: State | None = None
    after_id: str = ""


def list_deliveries(connection: Connection, choice: Choice, limit: int) -> list[dict[str, Any]]:
    """Return messages in order of id, with the columns of the table; times aware."""
    wanted = [
        (name, value)
        for name, value in (
            ("campaign_id", choice.campaign_id),
            ("member_id", choice.member_id),
            ("state", None if choice.state is None else choice.state.value),
        )
        if value is not None
    ]
    where = "".join(f" AND {name} = ?" for name, _ in wanted)
    statement = f"SELECT {_COLUMNS} FROM deliveries WHERE delivery_id > ?{where} ORDER BY delivery_id LIMIT ?"
    rows = fetch(connection, statement, (choice.after_id, *(value for _, value in wanted), limit))
    return [_shown(dict(zip(_COLUMNS.split(", "), row, strict=True))) for row in rows]


def failed_ids(connection: Connection, campaign_id: str) -> list[str]:
    """Return the dead letters of a campaign, at most MOST_REPLAYED."""
    return [row[0] for row in fetch(connection, _FAILED, (campaign_id, MOST_REPLAYED))]


def replay(connection: Connection, delivery_ids: Sequence[str], now: datetime) -> int:
    """Have dead letters sent again, inside a write transaction; return how many of them were dead letters.

    Each is looked at anew as any message, and keeps its id and its coupon.
    """
    done = 0
    for start in range(0, len(delivery_ids), 400):
        chunk = delivery_ids[start : start + 400]
        done += execute(connection, _REPLAY.format(marks=marks(len(chunk))), (to_micros(now), *chunk))
    return done


def sweep_over(database: Database, now: datetime) -> int:
    """Skip what was in a worker's hand when its campaign ended, and was given back; return how many messages."""
    with database.read() as connection:
        over = fetch(connection, _OVER, (to_micros(now - SWEPT), *WAITING))
    total = 0
    for campaign_id, status in over:
        with database.write() as connection:
            reason = "campaign_cancelled" if status == "cancelled" else "campaign_over"
            total += cancel(connection, campaign_id, reason, now)
    return total


def send_tests(
    database: Database,
    campaign: Campaign,
    settings: TransportSettings,
    transport: Transport,
    rules: DeliveryRules,
    members: Sequence[str],
    now: datetime,
) -> list[dict[str, str | None]]:
    """Send a campaign's message to seed contacts, at once; return what became of each.

    They need no consent and are of any kind, since the retailer names them; who refused gets nothing all the same.
    Tests have no coupon, count for no cap, and are in no report.
    """
    if campaign.settings.message is None:
        raise InputError("The campaign has no message.", field="settings.message", accepted="a message")
    terms = terms_of(campaign, campaign.settings, settings, rules)
    with database.read() as connection:
        wanted = [*KINDS[settings.kind].contacts, *settings.options.get("contacts", ())]
        known = read_recipients(connection, members, settings.channel, now, wanted)
        offers = read_offers(connection, campaign.offers[:1]).offers
    content = replace(terms.content, offers=offers)
    offer_id = next(iter(offers), None)
    rows = [_test(campaign, settings, one, offer_id, now) for one in members]
    attempts = []
    for row in rows:
        waiting = _as_waiting(row, now)
        reason = _no_test(known[row.member_id])
        if reason is None:
            (answer,) = transport.send([compose(waiting, None, content, known[row.member_id])], now)
        else:
            answer = Answer(Result.REFUSED, reason)
        attempts.append(Attempt(waiting, answer))
    verdicts = [judge(one, (), now, np.random.default_rng(0)) for one in attempts]
    with database.write() as connection:
        enqueue(connection, rows, now, test=True)
        settle(connection, verdicts, now)
        done = [(one.waiting, one.answer.provider_ref) for one in attempts if one.answer.result is Result.ACCEPTED]
        mark_sent(connection, done, now)
    return [
        {
            "member_id": one.waiting.member_id,
            "delivery_id": one.waiting.delivery_id,
            "state": one.state.value,
            "reason": one.reason,
        }
        for one in verdicts
    ]


def _no_test(recipient: Recipient) -> str | None:
    never = (Against.ERASED, Against.UNKNOWN_MEMBER, Against.CONSENT_WITHDRAWN)
    return recipient.against.value if recipient.against in never else None


def _test(
    campaign: Campaign, settings: TransportSettings, member_id: str, offer_id: str | None, now: datetime
) -> NewDelivery:
    return NewDelivery(
        campaign_id=campaign.campaign_id,
        member_id=member_id,
        unit=member_subject(member_id),
        arm=TREATED,
        propensity=1.0,
        transport=settings.name,
        due_at=now,
        offer_id=offer_id,
        occasion=TEST + secrets.token_hex(8),
    )


def _as_waiting(row: NewDelivery, now: datetime) -> Waiting:
    return Waiting(
        delivery_id=row.delivery_id,
        campaign_id=row.campaign_id,
        occasion=row.occasion,
        member_id=row.member_id,
        unit=row.unit,
        arm=row.arm,
        propensity=row.propensity,
        offer_id=row.offer_id,
        coupon_id=None,
        transport=row.transport,
        test=True,
        worth_cents=0.0,
        expires_at=None,
        attempts=0,
        day=None,
        created_at=now,
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: None if row[name] is None else from_micros(row[name]) for name in _TIMES}
    return {**row, **times, "test": bool(row["test"])}

"""Triggered campaigns: an event of a member, or a day on which something is due, makes a campaign speak to them.

The plan scored everybody in the audience and left the offer that is worth most with each; whether it is given is
decided when the event comes, at the price that a cent of the budget has then (coupons/pacing.py). Control members are
decided for alike. Each event is looked at once: the place in the stream moves in the transaction that decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from recommender.campaigns.assignments import Assignment, find_assignments
from recommender.campaigns.campaign import By, Campaign
from recommender.campaigns.lifecycle import Status
from recommender.campaigns.occasions import Event, Trigger
from recommender.campaigns.outbox import enqueue
from recommender.campaigns.running import ENQUEUED, WORKER, messages
from recommender.campaigns.settings import Kind
from recommender.campaigns.store import find_step, get_campaign, list_campaigns, note
from recommender.coupons.applying import budget_limit
from recommender.coupons.counters import Count, used
from recommender.coupons.pacing import Multipliers, Pace, paced_price
from recommender.coupons.plan_files import read_multipliers
from recommender.errors import MemberwiseError
from recommender.storage.database import Database
from recommender.storage.identities import resolve, subjects_of
from recommender.storage.statements import fetch, last_sequence, marks, next_sequence, set_counter
from recommender.storage.types import from_micros, to_micros

logger = logging.getLogger(__name__)

BATCH = 200
"""Events, or members, looked at in one transaction."""
STALE = timedelta(hours=24)
"""Events that became known so much later than they should have made a campaign speak are let go."""
COUNTER = "trigger:"
_EVENTS = """
SELECT sequence, event_id, occurred_at, subject FROM events
WHERE sequence > ? AND kind IN ({kinds}) AND ({only}) AND subject IS NOT NULL ORDER BY sequence LIMIT ?"""
_STREAMS: Mapping[Event, tuple[tuple[str, ...], str]] = {
    Event.BASKET_LEFT: (("basket_add",), "1 = 1"),
    Event.STORE_VISIT: (("view", "purchase"), "store_id IS NOT NULL"),
}
"""Events in the stream that a trigger waits for: their kinds, and a condition."""
_CURSOR = "SELECT value FROM counters WHERE name = ?"
_BOUGHT = "SELECT 1 FROM events WHERE subject IN ({marks}) AND kind = 'purchase' AND occurred_at >= ? LIMIT 1"
_SPOKEN = """
SELECT COUNT(*), MAX(created_at) FROM deliveries
WHERE campaign_id = ? AND member_id = ? AND NOT test AND state NOT IN ('skipped', 'failed')"""

Finder = Callable[[Trigger, Campaign, datetime], Sequence[str]]
"""Returns the members for whom something is due on a day: due to buy again, or lapsed."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened to a member; occasion: what tells it from other times."""

    member_id: str
    occasion: str


def trigger(database: Database, home: Path, day_of: Callable[[datetime], str], find: Finder, now: datetime) -> int:
    """Let every running triggered campaign speak where its event came; return how many messages were decided on.

    Args:
        home: where plans leave their prices.
        day_of: returns the local day of a moment.
        find: for triggers that look at all members once a day.
    """
    with database.read() as connection:
        running = [one for one in list_campaigns(connection, [Status.RUNNING]) if one.kind is Kind.TRIGGERED]
    total = 0
    for campaign in running:
        try:
            total += _speak(database, campaign, _Prices(campaign, home), day_of(now), find, now)
        except MemberwiseError as error:
            logger.warning("trigger_failed campaign=%s reason=%s", campaign.campaign_id, error)
    return total


def _speak(database: Database, campaign: Campaign, prices: _Prices, day: str, find: Finder, now: datetime) -> int:
    settings = campaign.settings
    assert settings.trigger is not None
    if settings.transport is None:
        return 0
    if settings.trigger.event in _STREAMS:
        return _follow(database, campaign, settings.trigger, prices, now)
    with database.read() as connection:
        if find_step(connection, campaign.campaign_id, ENQUEUED, day):
            return 0
    members, total = find(settings.trigger, campaign, now), 0
    for start in range(0, len(members), BATCH):
        happened = [Happened(member, day) for member in members[start : start + BATCH]]
        with database.write(durable=True) as connection:
            next_sequence(connection)
            if get_campaign(connection, campaign.campaign_id).status is not Status.RUNNING:
                return total
            total += _decide(connection, campaign, happened, prices, now)
    with database.write(durable=True) as connection:
        note(connection, campaign, By(WORKER, now), ENQUEUED, {"occasion": day, "messages": total})
    return total


def _follow(database: Database, campaign: Campaign, trigger: Trigger, prices: _Prices, now: datetime) -> int:
    """Look at the events that came since, up to the first whose time has not come."""
    name, total = COUNTER + campaign.campaign_id, 0
    while True:
        with database.write(durable=True) as connection:
            next_sequence(connection)
            if get_campaign(connection, campaign.campaign_id).status is not Status.RUNNING:
                return total
            kept = fetch(connection, _CURSOR, (name,))
            if not kept:  # what happened before the campaign ran is not its business
                set_counter(connection, name, last_sequence(connection))
                return total
            rows, ripe = _ripe(connection, int(kept[0][0]), trigger, now)
            if ripe:
                happened = _members(connection, [row for row in ripe if not _stale(row, trigger, now)], trigger)
                total += _decide(connection, campaign, happened, prices, now)
                set_counter(connection, name, int(ripe[-1][0]))
        if len(ripe) < BATCH or rows < BATCH:
            return total


def _ripe(connection: Connection, after: int, trigger: Trigger, now: datetime) -> tuple[int, list[tuple[Any, ...]]]:
    """Return how many events wait, and those at their head whose time has come."""
    kinds, only = _STREAMS[trigger.event]
    statement = _EVENTS.format(kinds=marks(len(kinds)), only=only)
    rows = fetch(connection, statement, (after, *kinds, BATCH))
    until = to_micros(now - timedelta(minutes=trigger.after_minutes))
    head = next((place for place, row in enumerate(rows) if row[2] > until), len(rows))
    return len(rows), rows[:head]


def _stale(row: Sequence[Any], trigger: Trigger, now: datetime) -> bool:
    return from_micros(row[2]) < now - timedelta(minutes=trigger.after_minutes) - STALE


def _members(connection: Connection, rows: Sequence[Sequence[Any]], trigger: Trigger) -> list[Happened]:
    """Return whose events these are; a basket that was bought since is none that was left."""
    found: dict[str, Happened] = {}
    for _, event_id, occurred_at, subject in rows:
        member_id = resolve(connection, *str(subject).split(":", 1)).member_id
        if member_id is None or member_id in found:
            continue
        subjects = subjects_of(connection, member_id)
        if not subjects:
            continue
        if trigger.event is Event.BASKET_LEFT:
            statement = _BOUGHT.replace("{marks}", marks(len(subjects)))
            if fetch(connection, statement, (*subjects, occurred_at)):
                continue
        found[member_id] = Happened(member_id, str(event_id))
    return list(found.values())


def _decide(
    connection: Connection, campaign: Campaign, happened: Sequence[Happened], prices: _Prices, now: datetime
) -> int:
    """Put messages into the outbox for those whose offer is worth its price now; inside a write transaction."""
    rows = find_assignments(connection, campaign.campaign_id, [one.member_id for one in happened])
    settings, added = campaign.settings, 0
    assert settings.trigger is not None
    assert settings.transport is not None
    price = prices.now(connection, now)
    for one in happened:
        row = rows.get(one.member_id)
        if row is None or not prices.worth(row, price):
            continue
        count, last = fetch(connection, _SPOKEN, (campaign.campaign_id, one.member_id))[0]
        rested = last is None or from_micros(last) + timedelta(days=settings.trigger.again_days) <= now
        if int(count) < settings.per_member and rested:
            new = messages(campaign, [row], settings.transport, one.occasion, now)
            added += enqueue(connection, new, now)
    return added


class _Prices:
    """What offers of a campaign's plan must be worth."""

    def __init__(self, campaign: Campaign, home: Path) -> None:
        self._campaign = campaign
        self._kept: Multipliers | None = read_multipliers(home, campaign.campaign_id)

    def now(self, connection: Connection, now: datetime) -> float:
        """Return what a cent costs now: more while less of the budget than of the time is left."""
        campaign = self._campaign
        whole = (campaign.ends_at - campaign.starts_at) / timedelta(seconds=1)
        elapsed = min(max((now - campaign.starts_at) / timedelta(seconds=1) / whole, 0.0), 1.0)
        spent = used(connection, Count.COMMITTED, campaign.campaign_id)
        pace = Pace(budget_limit(connection, campaign.campaign_id), spent, elapsed)
        if pace.left_cents <= 0:
            return float("inf")
        return paced_price(0.0 if self._kept is None else self._kept.cent_price, pace)

    def worth(self, row: Assignment, price: float) -> bool:
        """Tell whether an offer is worth what it takes from the budget."""
        if row.offer_id is None or row.profit_cents is None or price == float("inf"):
            return False
        charge = 0.0
        if self._kept is not None and row.offer_id in self._kept.offer_id:
            charge = self._kept.coupon_cents[self._kept.offer_id.index(row.offer_id)]
        return row.profit_cents - price * (row.cost_cents or 0.0) - charge > 0

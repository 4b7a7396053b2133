"""What moves campaigns by itself: launches whose time to undo is over start, messages go out, campaigns end.

Everything here may be stopped at any point and done again: steps are compare-and-set, messages have the same id however
often they are put into the outbox.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from recommender.campaigns.assignments import Assignment, read_assignments
from recommender.campaigns.campaign import By, Campaign
from recommender.campaigns.lifecycle import Action, Status
from recommender.campaigns.occasions import Schedule
from recommender.campaigns.outbox import NewDelivery, cancel, enqueue
from recommender.campaigns.plans import PlanStatus, find_occasion, request_occasion
from recommender.campaigns.settings import CampaignSettings, Kind
from recommender.campaigns.store import find_step, get_campaign, list_campaigns, move, note
from recommender.errors import ConflictError
from recommender.storage.database import Database
from recommender.storage.statements import fetch, next_sequence

logger = logging.getLogger(__name__)

WORKER = "worker"
"""Who is on the timeline for what happens by itself."""
ENQUEUED = "enqueued"
"""On the timeline when all messages of an occasion are in the outbox."""
CALLED_OFF = "campaign_cancelled"
OVER = "campaign_over"
"""Why messages are skipped that were not sent while their campaign ran."""
CHUNK_ROWS = 500
MOST_CHUNKS = 100
"""Chunks of one look, so that the worker comes to its other tasks."""
LATE = timedelta(hours=24)
"""How long after its time an occasion still comes."""
UTC_ZONE = ZoneInfo("UTC")
_LAST = "SELECT MAX(member_id) FROM deliveries WHERE campaign_id = ? AND occasion = ? AND NOT test"


def advance(database: Database, now: datetime, zone: ZoneInfo = UTC_ZONE) -> int:
    """Start, feed and end campaigns as the time says; return how many steps and chunks of messages that took.

    Args:
        zone: of campaigns that name none.
    """
    with database.read() as connection:
        waiting = list_campaigns(connection, [Status.SCHEDULED, Status.RUNNING, Status.PAUSED])
    done = 0
    for campaign in waiting:
        try:
            done += _advance_one(database, campaign, now, zone)
        except ConflictError as error:  # somebody else took a step meanwhile; the next round sees it
            logger.info("campaign_not_advanced reason=%s", error)
    return done


def finish(connection: Connection, campaign: Campaign, by: By) -> None:
    """End a campaign, inside a write transaction; what was not sent is skipped."""
    left = cancel(connection, campaign.campaign_id, OVER, by.now)
    move(connection, campaign.campaign_id, Action.FINISH, by, {"not_sent": left})


def call_off(connection: Connection, campaign_id: str, by: By, details: Mapping[str, Any]) -> Campaign:
    """Cancel a campaign, inside a write transaction; what was not sent is skipped.

    Raises: as store.move().
    """
    moved = move(connection, campaign_id, Action.CANCEL, by, details)
    cancel(connection, campaign_id, CALLED_OFF, by.now)
    return moved


def _advance_one(database: Database, campaign: Campaign, now: datetime, zone: ZoneInfo) -> int:
    by = By(WORKER, now, campaign.version)
    if campaign.ends_at <= now:
        with database.write(durable=True) as connection:
            finish(connection, campaign, by)
        return 1
    if campaign.status is Status.SCHEDULED:
        if campaign.launch_at is None or max(campaign.launch_at, campaign.starts_at) > now:
            return 0
        with database.write(durable=True) as connection:
            campaign = move(connection, campaign.campaign_id, Action.START, by)
        feed(database, campaign, now, zone)
        return 1
    return feed(database, campaign, now, zone) if campaign.status is Status.RUNNING else 0


def feed(database: Database, campaign: Campaign, now: datetime, zone: ZoneInfo) -> int:
    """Put what is missing of a running campaign's messages into the outbox; return how many chunks."""
    settings = campaign.settings
    if campaign.kind is Kind.RECURRING:
        return _feed_recurring(database, campaign, settings, now, zone)
    if campaign.kind is not Kind.ONE_OFF or settings.transport is None:
        return 0
    return feed_occasion(database, campaign, settings.transport, "", now)


def due_occasion(campaign: Campaign, schedule: Schedule, now: datetime, zone: ZoneInfo) -> str | None:
    """Return the latest occasion whose time has come, by its local day; None if there is none.

    What is later than LATE is left out: after a long pause, or when the clock jumps ahead, only the last one counts.
    """
    at = schedule.next_after(max(campaign.starts_at, now - LATE) - timedelta.resolution, zone)
    found = None
    while at <= now and at < campaign.ends_at:
        found = at
        at = schedule.next_after(at, zone)
    return None if found is None else found.astimezone(zone).date().isoformat()


def _feed_recurring(
    database: Database, campaign: Campaign, settings: CampaignSettings, now: datetime, zone: ZoneInfo
) -> int:
    """Have the occasion whose time has come planned, for whoever is in the audience now, and send when it is."""
    assert settings.schedule is not None
    occasion = due_occasion(campaign, settings.schedule, now, settings.zone or zone)
    if occasion is None:
        return 0
    with database.read() as connection:
        job = find_occasion(connection, campaign.campaign_id, occasion)
    if job is None:
        with database.write() as connection:
            request_occasion(connection, campaign, occasion, By(WORKER, now))
        return 1
    if job.status is not PlanStatus.DONE or settings.transport is None:
        return 0
    return feed_occasion(database, campaign, settings.transport, occasion, now)


def feed_occasion(database: Database, campaign: Campaign, transport: str, occasion: str, now: datetime) -> int:
    """Put the messages of one occasion into the outbox, in short transactions, from where it was left."""
    with database.read() as connection:
        if find_step(connection, campaign.campaign_id, ENQUEUED, occasion):
            return 0
        after = str(fetch(connection, _LAST, (campaign.campaign_id, occasion))[0][0] or "")
    for chunks in range(MOST_CHUNKS):
        with database.read() as connection:
            page = read_assignments(connection, campaign.campaign_id, after, CHUNK_ROWS)
        with database.write(durable=True) as connection:
            next_sequence(connection)  # keeps a pause or an end waiting, so that what is read here stays
            if get_campaign(connection, campaign.campaign_id).status is not Status.RUNNING:
                return chunks
            if not page:
                if not find_step(connection, campaign.campaign_id, ENQUEUED, occasion):
                    note(connection, campaign, By(WORKER, now), ENQUEUED, {"occasion": occasion})
                return chunks
            enqueue(connection, messages(campaign, page, transport, occasion, now), now)
        after = page[-1].member_id
    return MOST_CHUNKS


def messages(
    campaign: Campaign, rows: Sequence[Assignment], transport: str, occasion: str, now: datetime
) -> list[NewDelivery]:
    """Return the messages to those who get an offer, and to those who would have got one, which will be withheld."""
    return [
        NewDelivery(
            campaign_id=campaign.campaign_id,
            member_id=row.member_id,
            unit=row.unit,
            arm=row.arm.value,
            propensity=row.propensity,
            transport=transport,
            due_at=max(now, campaign.starts_at),
            offer_id=row.offer_id,
            occasion=occasion,
            worth_cents=row.profit_cents or 0.0,
            expires_at=campaign.ends_at,
        )
        for row in rows
        if row.offer_id is not None
    ]

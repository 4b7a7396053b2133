"""Plans as jobs in SQL: requested by a person, leased by one planner at a time, with progress, until done or failed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.campaigns.campaign import By, Campaign
from recommender.campaigns.checks import check_transport
from recommender.campaigns.lifecycle import Action
from recommender.campaigns.store import get_campaign, move, note, planned
from recommender.errors import ConflictError, MemberwiseError, NotFoundError
from recommender.storage.statements import execute, fetch, next_sequence
from recommender.storage.types import from_micros, to_micros

OCCASION_PLANNED = "occasion_planned"
"""On the timeline when the plan of an occasion is there."""
LEASE = timedelta(seconds=300)
"""How long a planner that does not report counts as alive."""
_COLUMNS = (
    "plan_id, campaign_id, status, version, requested_at, requested_by, step, progress, lease_until, finished_at,"
    " bundle_id, figures, error, occasion"
)
_READ = f"SELECT {_COLUMNS} FROM campaign_plans"
_ADD = """
INSERT INTO campaign_plans (plan_id, campaign_id, status, version, requested_at, requested_by, step, progress)
VALUES (?, ?, 'requested', ?, ?, ?, 'waiting', 0.0)"""
_ADD_OCCASION = """
INSERT INTO campaign_plans (plan_id, campaign_id, status, version, requested_at, requested_by, step, progress, occasion)
VALUES (?, ?, 'requested', ?, ?, ?, 'waiting', 0.0, ?)"""
_NEXT = f"""
{_READ} WHERE status = 'requested' OR (status = 'running' AND lease_until <= ?)
ORDER BY requested_at, plan_id LIMIT 1"""
_TAKE = (
    "UPDATE campaign_plans SET status = 'running', lease_until = ?, step = 'reading', progress = 0.0 WHERE plan_id = ?"
)
_TELL = "UPDATE campaign_plans SET step = ?, progress = ?, lease_until = ? WHERE plan_id = ? AND status = 'running'"
_FINISH = """
UPDATE campaign_plans SET status = 'done', step = 'done', progress = 1.0, finished_at = ?, lease_until = NULL,
  bundle_id = ?, figures = ? WHERE plan_id = ? AND status = 'running'"""
_FAIL = """
UPDATE campaign_plans SET status = 'failed', finished_at = ?, lease_until = NULL, error = ?
WHERE plan_id = ? AND status IN ('requested', 'running')"""
_OPEN = f"{_READ} WHERE campaign_id = ? AND occasion IS NULL AND status IN ('requested', 'running')"


class PlanStatus(StrEnum):
    """Where a plan's job is."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PlanJob:
    """One plan; version: of the campaign it is made for.  progress: 0 to 1.  figures: of a plan that is done.

    occasion: of a recurring campaign that runs; None: the plan that is approved.
    """

    plan_id: str
    campaign_id: str
    status: PlanStatus
    version: int
    requested_at: datetime
    requested_by: str
    step: str
    progress: float
    lease_until: datetime | None
    finished_at: datetime | None
    bundle_id: str | None
    figures: Mapping[str, Any]
    error: str | None
    occasion: str | None = None


def request_plan(connection: Connection, campaign_id: str, by: By) -> PlanJob:
    """Ask for a plan, inside a write transaction; one that waits for the campaign as it stands is asked for once.

    A plan that was there before is void from now on.

    Raises: NotFoundError; ConflictError if the campaign was launched already, or changed meanwhile; as
        check_transport().
    """
    next_sequence(connection)
    campaign = get_campaign(connection, campaign_id)
    check_transport(connection, campaign.settings)
    waiting = [_job(row) for row in fetch(connection, _OPEN, (campaign_id,))]
    for job in waiting:
        if job.version == campaign.version:
            return job
        fail_plan(connection, job.plan_id, "The campaign was changed while it was planned.", by.now)
    plan_id = secrets.token_hex(8)
    campaign = move(connection, campaign_id, Action.PLAN, by, {"plan_id": plan_id})
    values = (plan_id, campaign_id, campaign.version, to_micros(by.now), by.caller)
    execute(connection, _ADD, values)
    return get_plan(connection, plan_id)


def request_occasion(connection: Connection, campaign: Campaign, occasion: str, by: By) -> PlanJob:
    """Ask for the plan of one occasion of a recurring campaign, once, inside a write transaction; return it."""
    next_sequence(connection)
    found = find_occasion(connection, campaign.campaign_id, occasion)
    if found is not None:
        return found
    plan_id = secrets.token_hex(8)
    values = (plan_id, campaign.campaign_id, campaign.version, to_micros(by.now), by.caller, occasion)
    execute(connection, _ADD_OCCASION, values)
    return get_plan(connection, plan_id)


def find_occasion(connection: Connection, campaign_id: str, occasion: str) -> PlanJob | None:
    """Return the plan of one occasion, None if nobody asked for it."""
    rows = fetch(connection, f"{_READ} WHERE campaign_id = ? AND occasion = ?", (campaign_id, occasion))
    return _job(rows[0]) if rows else None


def waiting_plans(connection: Connection, now: datetime) -> int:
    """Return how many plans wait for a planner, those of planners that are gone included."""
    micros = to_micros(now)
    count = (
        "SELECT COUNT(*) FROM campaign_plans WHERE status = 'requested' OR (status = 'running' AND lease_until <= ?)"
    )
    return int(fetch(connection, count, (micros,))[0][0])


def take_plan(connection: Connection, now: datetime) -> PlanJob | None:
    """Lease the oldest plan that waits, inside a write transaction; None if there is none."""
    next_sequence(connection)  # two planners never take the same
    rows = fetch(connection, _NEXT, (to_micros(now),))
    if not rows:
        return None
    execute(connection, _TAKE, (to_micros(now + LEASE), rows[0][0]))
    return get_plan(connection, rows[0][0])


def tell_progress(connection: Connection, plan_id: str, step: str, progress: float, now: datetime) -> None:
    """Say how far a plan is, and renew its lease. Raises: ConflictError if it was given up meanwhile."""
    if execute(connection, _TELL, (step, progress, to_micros(now + LEASE), plan_id)) == 0:
        raise ConflictError("The plan is not wanted any more.", field="plan_id", value=plan_id)


def finish_plan(
    connection: Connection, job: PlanJob, bundle_id: str, figures: Mapping[str, Any], now: datetime
) -> None:
    """Keep the figures of a plan, which is the campaign's from now on; inside a write transaction.

    Raises: ConflictError if the campaign was changed, or the plan given up, while it was made.
    """
    if execute(connection, _FINISH, (to_micros(now), bundle_id, orjson.dumps(figures).decode(), job.plan_id)) == 0:
        raise ConflictError("The plan is not wanted any more.", field="plan_id", value=job.plan_id)
    if job.occasion is not None:
        campaign = get_campaign(connection, job.campaign_id)
        told = {"occasion": job.occasion, "reach": figures.get("reach"), "plan_id": job.plan_id}
        note(connection, campaign, By(job.requested_by, now), OCCASION_PLANNED, told)
        return
    details = {name: figures[name] for name in ("reach", "members") if name in figures} | {"plan_id": job.plan_id}
    planned(connection, job.campaign_id, job.plan_id, By(job.requested_by, now, job.version), details)


def fail_plan(connection: Connection, plan_id: str, error: MemberwiseError | str, now: datetime) -> None:
    """Note why nothing came of a plan, inside a write transaction; one that is over stays as it is."""
    execute(connection, _FAIL, (to_micros(now), str(error)[:2000], plan_id))


def get_plan(connection: Connection, plan_id: str) -> PlanJob:
    """Return a plan. Raises: NotFoundError."""
    rows = fetch(connection, f"{_READ} WHERE plan_id = ?", (plan_id,))
    if not rows:
        raise NotFoundError("There is no such plan.", field="plan_id", value=plan_id)
    return _job(rows[0])


def latest_plan(connection: Connection, campaign_id: str) -> PlanJob | None:
    """Return the plan that was asked for last, None if none ever was."""
    rows = fetch(
        connection,
        f"{_READ} WHERE campaign_id = ? AND occasion IS NULL ORDER BY requested_at DESC, plan_id LIMIT 1",
        (campaign_id,),
    )
    return _job(rows[0]) if rows else None


def _job(row: Sequence[Any]) -> PlanJob:
    plan_id, campaign_id, status, version, requested_at, requested_by, step, progress = row[:8]
    lease_until, finished_at, bundle_id, figures, error, occasion = row[8:]
    return PlanJob(
        plan_id=plan_id,
        campaign_id=campaign_id,
        status=PlanStatus(status),
        version=version,
        requested_at=from_micros(requested_at),
        requested_by=requested_by,
        step=step,
        progress=progress,
        lease_until=None if lease_until is None else from_micros(lease_until),
        finished_at=None if finished_at is None else from_micros(finished_at),
        bundle_id=bundle_id,
        figures=orjson.loads(figures) if figures else {},
        error=error,
        occasion=occasion,
    )

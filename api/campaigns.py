"""Campaigns as answers tell them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.campaigns.assignments import Assignment, all_assignments
from recommender.campaigns.campaign import Campaign, CampaignTerms, Step
from recommender.campaigns.checks import spent_cents
from recommender.campaigns.delivery.spreadsheet import write_csv
from recommender.campaigns.lifecycle import possible
from recommender.campaigns.plans import PlanJob
from recommender.storage.database import Database

Body = dict[str, object]
EXPORTED = (
    "member_id",
    "unit",
    "arm",
    "propensity",
    "offer_id",
    "offer_propensity",
    "profit_cents",
    "cost_cents",
)
"""Columns of the members of a plan."""


def campaign_body(connection: Connection, campaign: Campaign) -> Body:
    """Return a campaign as it is answered."""
    return {
        "campaign_id": campaign.campaign_id,
        "name": campaign.name,
        "starts_at": campaign.starts_at.isoformat(),
        "ends_at": campaign.ends_at.isoformat(),
        "budget_cents": campaign.budget_cents,
        "spent_cents": spent_cents(connection, campaign.campaign_id),
        "offers": list(campaign.offers),
        "settings": dict(campaign.document),
        "kind": campaign.kind.value,
        "status": campaign.status.value,
        "version": campaign.version,
        "possible": [action.value for action in possible(campaign.status)],
        "plan_id": campaign.plan_id,
        "author": campaign.author,
        "approved_by": campaign.approved_by,
        "launch_at": None if campaign.launch_at is None else campaign.launch_at.isoformat(),
        "created_at": campaign.created_at.isoformat(),
        "updated_at": campaign.updated_at.isoformat(),
    }


def terms_of(body: Any) -> CampaignTerms:
    """Return what a body says a campaign is about."""
    return CampaignTerms(
        body.name, body.starts_at, body.ends_at, body.budget_cents, tuple(body.offers), dict(body.settings)
    )


def plan_body(job: PlanJob) -> Body:
    """Return a plan as it is answered."""
    return {
        "plan_id": job.plan_id,
        "campaign_id": job.campaign_id,
        "status": job.status.value,
        "step": job.step,
        "progress": job.progress,
        "version": job.version,
        "requested_at": job.requested_at.isoformat(),
        "requested_by": job.requested_by,
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
        "bundle_id": job.bundle_id,
        "error": job.error,
        "figures": dict(job.figures),
    }


def step_body(step: Step) -> Body:
    """Return one entry of a timeline as it is answered."""
    return {
        "sequence": step.sequence,
        "at": step.at.isoformat(),
        "caller": step.caller,
        "action": step.action,
        "status": step.status,
        "details": dict(step.details),
    }


def export_lines(database: Database, campaign_id: str, form: str) -> Iterator[bytes]:
    """Yield the members of a campaign's plan as CSV that spreadsheets cannot take for formulas, or as NDJSON."""
    first = True
    for page in all_assignments(database, campaign_id):
        rows = list(map(_columns, page))
        if form == "csv":
            text = write_csv(EXPORTED, [list(row.values()) for row in rows])
            yield (text if first else text.partition("\r\n")[2]).encode()
        else:
            yield b"".join(orjson.dumps(row) + b"\n" for row in rows)
        first = False
    if first and form == "csv":
        yield write_csv(EXPORTED, []).encode()


def _columns(row: Assignment) -> dict[str, Any]:
    return {name: getattr(row, name) for name in EXPORTED} | {"arm": row.arm.value}

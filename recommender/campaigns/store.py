"""Campaigns in SQL: created, changed by compare-and-set, moved through their life; every step on the timeline."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.campaigns.campaign import By, Campaign, CampaignTerms, Step
from recommender.campaigns.checks import check_approval, check_budget, check_campaign_id, check_launch, check_terms
from recommender.campaigns.lifecycle import Action, Status, after
from recommender.campaigns.settings import CampaignSettings, Kind
from recommender.errors import ConflictError, InputError, NotFoundError
from recommender.storage.audit import record
from recommender.storage.statements import execute, fetch, marks, next_sequence
from recommender.storage.types import from_micros, to_micros

_COLUMNS = (
    "c.campaign_id, c.name, c.starts_at, c.ends_at, c.budget_cents, c.offers, s.kind, s.status, s.version, s.settings,"
    " s.salt, s.plan_id, s.author, s.approved_by, s.launch_at, s.created_at, s.updated_at"
)
_READ = f"SELECT {_COLUMNS} FROM campaign_states s JOIN campaigns c ON c.campaign_id = s.campaign_id"
_NAMED = "SELECT 1 FROM campaigns WHERE campaign_id = ?"
_ADD = "INSERT INTO campaigns (campaign_id, name, starts_at, ends_at, budget_cents, offers) VALUES (?, ?, ?, ?, ?, ?)"
_ADD_STATE = f"""
INSERT INTO campaign_states (campaign_id, kind, status, version, settings, salt, author, created_at, updated_at)
VALUES ({marks(9)})"""
_CHANGE = (
    "UPDATE campaigns SET name = ?, starts_at = ?, ends_at = ?, budget_cents = ?, offers = ? WHERE campaign_id = ?"
)
_MOVE = """
UPDATE campaign_states SET kind = ?, status = ?, version = ?, settings = ?, plan_id = ?, approved_by = ?, launch_at = ?,
  updated_at = ? WHERE campaign_id = ? AND version = ?"""
_NOTE = "INSERT INTO campaign_transitions (sequence, campaign_id, at, caller, action, status, details) VALUES ({marks})"
_STEPS = "SELECT details FROM campaign_transitions WHERE campaign_id = ? AND action = ?"
_TIMELINE = """
SELECT sequence, at, caller, action, status, details FROM campaign_transitions WHERE campaign_id = ?
ORDER BY sequence LIMIT ?"""


def create_campaign(connection: Connection, campaign_id: str, terms: CampaignTerms, by: By) -> Campaign:
    """Create a draft, inside a write transaction.

    Raises: InputError; ConflictError if there is a campaign of that id.
    """
    check_campaign_id(campaign_id)
    settings = check_terms(connection, terms, by.now)
    next_sequence(connection)  # keeps other writers waiting, so that what is read here stays
    if fetch(connection, _NAMED, (campaign_id,)):
        raise ConflictError(
            "There is a campaign of this id.", field="campaign_id", value=campaign_id, accepted="a new id"
        )
    salt, now = f"{campaign_id}-{secrets.token_hex(8)}", to_micros(by.now)
    execute(connection, _ADD, (campaign_id, *_values(terms)))
    state = (campaign_id, settings.kind, Status.DRAFT, 1, _text(terms, settings), salt, by.caller, now, now)
    execute(connection, _ADD_STATE, state)
    _note(connection, campaign_id, by, Action.CREATE, Status.DRAFT, {})
    return get_campaign(connection, campaign_id)


def get_campaign(connection: Connection, campaign_id: str) -> Campaign:
    """Return a campaign. Raises: NotFoundError if there is none, or it was only loaded from a file."""
    rows = fetch(connection, f"{_READ} WHERE s.campaign_id = ?", (campaign_id,))
    if not rows:
        raise NotFoundError("There is no such campaign.", field="campaign_id", value=campaign_id)
    return _campaign(rows[0])


def list_campaigns(
    connection: Connection, status: Sequence[Status] = (), limit: int = 1000, after_id: str = ""
) -> list[Campaign]:
    """Return campaigns in the order of their ids.

    Args:
        status: only in one of these states; none: in any.
        after_id: only those with a later id.
    """
    where = f" AND s.status IN ({marks(len(status))})" if status else ""
    values = (after_id, *(one.value for one in status), limit)
    rows = fetch(connection, f"{_READ} WHERE s.campaign_id > ?{where} ORDER BY s.campaign_id LIMIT ?", values)
    return [_campaign(row) for row in rows]


def change_terms(connection: Connection, campaign_id: str, terms: CampaignTerms, by: By) -> Campaign:
    """Change what a campaign is about, before its launch, inside a write transaction; it is a draft again.

    Raises: NotFoundError; InputError; ConflictError if it was launched or changed meanwhile.
    """
    old = _locked(connection, campaign_id, by)
    status = after(Action.EDIT, old.status)
    settings = check_terms(connection, terms, by.now)
    check_budget(connection, campaign_id, terms.budget_cents)
    execute(connection, _CHANGE, (*_values(terms), campaign_id))
    document = orjson.loads(_text(terms, settings))
    new = replace(old, kind=settings.kind, status=status, document=document, plan_id=None, approved_by=None)
    return _moved(connection, new, by, Action.EDIT, {})


def change_budget(connection: Connection, campaign_id: str, budget_cents: int | None, by: By) -> Campaign:
    """Change the budget by compare-and-set, inside a write transaction; `by` names the version it was decided on.

    A plan that was made stays as it is: what it may spend is decided when coupons are locked.

    Raises: NotFoundError; ConflictError if the campaign is over, was changed meanwhile, or has spent more already.
    """
    if by.version is None:
        raise InputError("A budget is changed from a version.", field="version", accepted="the campaign's version")
    old = _locked(connection, campaign_id, by)
    status = after(Action.BUDGET, old.status)
    check_budget(connection, campaign_id, budget_cents)
    execute(connection, "UPDATE campaigns SET budget_cents = ? WHERE campaign_id = ?", (budget_cents, campaign_id))
    details = {"from_cents": old.budget_cents, "to_cents": budget_cents}
    return _moved(connection, replace(old, status=status), by, Action.BUDGET, details)


def move(
    connection: Connection, campaign_id: str, action: Action, by: By, details: Mapping[str, Any] | None = None
) -> Campaign:
    """Take a step of a campaign's life, inside a write transaction.

    Raises: NotFoundError; ConflictError that says why the step is refused, or that the campaign was changed meanwhile.
    """
    old = _locked(connection, campaign_id, by)
    new = replace(old, status=after(action, old.status))
    if action is Action.APPROVE:
        check_approval(connection, old, by)
        new = replace(new, approved_by=by.caller)
    elif action is Action.LAUNCH:
        check_launch(connection, old, by)
        new = replace(new, launch_at=by.now + _undo(old))
    elif action is Action.PLAN:
        new = replace(new, plan_id=None, approved_by=None)
    elif action is Action.UNDO:
        new = replace(new, launch_at=None)
    return _moved(connection, new, by, action, details or {})


def planned(connection: Connection, campaign_id: str, plan_id: str, by: By, details: Mapping[str, Any]) -> Campaign:
    """Make a finished plan the one that holds, inside a write transaction; an approval of another plan is void.

    Raises: as move().
    """
    old = _locked(connection, campaign_id, by)
    new = replace(old, status=after(Action.PLANNED, old.status), plan_id=plan_id, approved_by=None)
    return _moved(connection, new, by, Action.PLANNED, details)


def note(connection: Connection, campaign: Campaign, by: By, action: str, details: Mapping[str, Any]) -> None:
    """Put something on the timeline that changes nothing of the campaign, inside a write transaction."""
    _note(connection, campaign.campaign_id, by, action, campaign.status, details)


def find_step(connection: Connection, campaign_id: str, action: str, occasion: str) -> bool:
    """Tell whether a step of an occasion is on the timeline."""
    rows = fetch(connection, _STEPS, (campaign_id, action))
    return any(orjson.loads(row[0] or "{}").get("occasion") == occasion for row in rows)


def read_timeline(connection: Connection, campaign_id: str, limit: int = 10_000) -> list[Step]:
    """Return the steps of a campaign's life, the first one first."""
    rows = fetch(connection, _TIMELINE, (campaign_id, limit))
    return [
        Step(sequence, from_micros(at), caller, action, status, orjson.loads(details) if details else {})
        for sequence, at, caller, action, status, details in rows
    ]


def _locked(connection: Connection, campaign_id: str, by: By) -> Campaign:
    """Return a campaign that nobody else changes until the end of the transaction."""
    next_sequence(connection)
    found = get_campaign(connection, campaign_id)
    if by.version is not None and by.version != found.version:
        raise ConflictError(
            "The campaign was changed meanwhile.",
            field="version",
            value=by.version,
            accepted=f"{found.version}, after a look at what changed",
        )
    return found


def _moved(connection: Connection, new: Campaign, by: By, action: Action, details: Mapping[str, Any]) -> Campaign:
    """Write a campaign's new state in place of the version it was made from."""
    launch = None if new.launch_at is None else to_micros(new.launch_at)
    values = (new.kind.value, new.status.value, new.version + 1, _dump(new.document), new.plan_id, new.approved_by)
    changed = execute(connection, _MOVE, (*values, launch, to_micros(by.now), new.campaign_id, new.version))
    assert changed == 1, "the sequence keeps other writers waiting"
    _note(connection, new.campaign_id, by, action, new.status, details)
    return get_campaign(connection, new.campaign_id)


def _note(
    connection: Connection, campaign_id: str, by: By, action: str, status: Status, details: Mapping[str, Any]
) -> None:
    text = _dump(details) if details else None
    values = (next_sequence(connection), campaign_id, to_micros(by.now), by.caller, str(action), status.value, text)
    execute(connection, _NOTE.replace("{marks}", marks(len(values))), values)
    record(connection, by.caller, f"campaigns.{action}", campaign_id, by.now, text)


def _undo(campaign: Campaign) -> timedelta:
    return timedelta(seconds=campaign.settings.undo_seconds)


def _values(terms: CampaignTerms) -> tuple[object, ...]:
    offers = orjson.dumps(list(terms.offers)).decode()
    return (terms.name, to_micros(terms.starts_at), to_micros(terms.ends_at), terms.budget_cents, offers)


def _text(terms: CampaignTerms, settings: CampaignSettings) -> str:
    """Return the settings to store; the share of the holdout is always told, since other parts go by it."""
    return _dump({**terms.settings, "holdout_share": settings.holdout_share})


def _dump(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _campaign(row: Sequence[Any]) -> Campaign:
    campaign_id, name, starts, ends, budget, offers, kind, status, version, settings, salt, plan_id = row[:12]
    author, approved_by, launch_at, created_at, updated_at = row[12:]
    return Campaign(
        campaign_id=campaign_id,
        name=name,
        starts_at=from_micros(starts),
        ends_at=from_micros(ends),
        budget_cents=budget,
        offers=tuple(orjson.loads(offers) if offers else ()),
        kind=Kind(kind),
        status=Status(status),
        version=version,
        document=orjson.loads(settings),
        salt=salt,
        plan_id=plan_id,
        author=author,
        approved_by=approved_by,
        launch_at=None if launch_at is None else from_micros(launch_at),
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
    )

"""Who is in which group and what the plan gives them, in SQL: written in short transactions, read in pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from recommender.campaigns.holdout import Arm
from recommender.storage.database import Database
from recommender.storage.holdouts import Period
from recommender.storage.statements import execute, execute_many, fetch, marks
from recommender.storage.types import to_micros

CHUNK_ROWS = 2000
"""Rows of one transaction."""
PAGE_ROWS = 5000
_COLUMNS = (
    "campaign_id, member_id, unit, arm, propensity, offer_id, offer_propensity, profit_cents, cost_cents, assigned_at"
)
_ADD = f"INSERT INTO campaign_members ({_COLUMNS}) VALUES ({marks(10)}) ON CONFLICT (campaign_id, member_id) DO NOTHING"
_UPDATE = f"""
INSERT INTO campaign_members ({_COLUMNS}) VALUES ({marks(10)}) ON CONFLICT (campaign_id, member_id)
DO UPDATE SET offer_id = excluded.offer_id, offer_propensity = excluded.offer_propensity,
  profit_cents = excluded.profit_cents, cost_cents = excluded.cost_cents"""
_CLEAR = """
UPDATE campaign_members SET offer_id = NULL, offer_propensity = NULL, profit_cents = NULL, cost_cents = NULL
WHERE campaign_id = ? AND member_id IN (SELECT member_id FROM campaign_members
  WHERE campaign_id = ? AND offer_id IS NOT NULL ORDER BY member_id LIMIT ?)"""
_ARMS = "SELECT member_id, arm FROM campaign_members WHERE campaign_id = ?"
_OFTEN = """
SELECT member_id FROM deliveries WHERE campaign_id = ? AND NOT test AND state NOT IN ('skipped', 'failed')
GROUP BY member_id HAVING COUNT(*) >= ?"""
_KEEP = """
INSERT INTO holdout_units (scope, unit, arm, assigned_at) VALUES (?, ?, ?, ?) ON CONFLICT (scope, unit) DO NOTHING"""
_FORGET = """
DELETE FROM campaign_members WHERE campaign_id = ? AND member_id IN (
  SELECT member_id FROM campaign_members WHERE campaign_id = ? ORDER BY member_id LIMIT ?)"""
_FORGET_UNITS = """
DELETE FROM holdout_units WHERE scope = ? AND unit IN (
  SELECT unit FROM holdout_units WHERE scope = ? ORDER BY unit LIMIT ?)"""
_PAGE = """
SELECT member_id, unit, arm, propensity, offer_id, offer_propensity, profit_cents, cost_cents FROM campaign_members
WHERE campaign_id = ? AND member_id > ? ORDER BY member_id LIMIT ?"""
_NAMED = """
SELECT member_id, unit, arm, propensity, offer_id, offer_propensity, profit_cents, cost_cents FROM campaign_members
WHERE campaign_id = ? AND member_id IN ({marks})"""
MOST_NAMED = 400
_COUNT = "SELECT arm, COUNT(*), COUNT(offer_id) FROM campaign_members WHERE campaign_id = ? GROUP BY arm"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One member of a campaign.

    unit: what was drawn.  propensity: its chance to be treated.  offer_id: what they get, or, of a control group, would
    have got; None: nothing.  offer_propensity: the chance of that.  profit_cents: expected, net of the contact.
    cost_cents: expected discount, the retailer's share.
    """

    member_id: str
    unit: str
    arm: Arm
    propensity: float
    offer_id: str | None = None
    offer_propensity: float | None = None
    profit_cents: float | None = None
    cost_cents: float | None = None


def add_assignments(
    connection: Connection, campaign_id: str, rows: Sequence[Assignment], now: datetime, again: bool = False
) -> None:
    """Write assignments, inside a write transaction; a member who has a group keeps it.

    Args:
        again: those who are there already get the offers of now.
    """
    at = to_micros(now)
    values = [
        (
            *(campaign_id, one.member_id, one.unit, one.arm.value, one.propensity),
            *(one.offer_id, one.offer_propensity, one.profit_cents, one.cost_cents, at),
        )
        for one in rows
    ]
    execute_many(connection, _UPDATE if again else _ADD, values)


def keep_units(
    connection: Connection, campaign_id: str, period: Period | None, rows: Sequence[Assignment], now: datetime
) -> None:
    """Write down which units are kept back, inside a write transaction; what was written first stays."""
    at, scopes = to_micros(now), {Arm.HOLDOUT: campaign_id}
    if period is not None:
        scopes[Arm.GLOBAL_HOLDOUT] = period.scope
    kept = sorted({(scopes[one.arm], one.unit, one.arm.value) for one in rows if one.arm in scopes})
    execute_many(connection, _KEEP, [(*one, at) for one in kept])


def forget_assignments(database: Database, campaign_id: str) -> None:
    """Remove the groups of a campaign that was not launched yet, in short transactions."""
    for statement in (_FORGET, _FORGET_UNITS):
        removed = CHUNK_ROWS
        while removed == CHUNK_ROWS:
            with database.write() as connection:
                removed = execute(connection, statement, (campaign_id, campaign_id, CHUNK_ROWS))


def clear_offers(database: Database, campaign_id: str) -> None:
    """Take the offers of an earlier occasion away, in short transactions; groups stay."""
    cleared = CHUNK_ROWS
    while cleared == CHUNK_ROWS:
        with database.write() as connection:
            cleared = execute(connection, _CLEAR, (campaign_id, campaign_id, CHUNK_ROWS))


def read_arms(connection: Connection, campaign_id: str) -> dict[str, Arm]:
    """Return the group of every member of a campaign."""
    return {str(member): Arm(arm) for member, arm in fetch(connection, _ARMS, (campaign_id,))}


def served_often(connection: Connection, campaign_id: str, times: int) -> list[str]:
    """Return the members with so many messages of a campaign or more; of control groups those they would have got."""
    return [str(row[0]) for row in fetch(connection, _OFTEN, (campaign_id, times))]


def read_assignments(
    connection: Connection, campaign_id: str, after: str = "", limit: int = PAGE_ROWS
) -> list[Assignment]:
    """Return the members with ids after one, in their order."""
    return [_assignment(row) for row in fetch(connection, _PAGE, (campaign_id, after, limit))]


def find_assignments(connection: Connection, campaign_id: str, member_ids: Sequence[str]) -> dict[str, Assignment]:
    """Return those of some members who have a group in a campaign, by id."""
    found: dict[str, Assignment] = {}
    for start in range(0, len(member_ids), MOST_NAMED):
        named = member_ids[start : start + MOST_NAMED]
        rows = fetch(connection, _NAMED.replace("{marks}", marks(len(named))), (campaign_id, *named))
        found |= {row[0]: _assignment(row) for row in rows}
    return found


def all_assignments(database: Database, campaign_id: str) -> Iterator[list[Assignment]]:
    """Yield all members of a campaign, page by page, each page read by itself."""
    after = ""
    while True:
        with database.read() as connection:
            page = read_assignments(connection, campaign_id, after)
        if not page:
            return
        yield page
        after = page[-1].member_id


def count_assignments(connection: Connection, campaign_id: str) -> dict[Arm, tuple[int, int]]:
    """Return by group how many members there are, and how many of them with an offer."""
    return {Arm(arm): (int(members), int(offers)) for arm, members, offers in fetch(connection, _COUNT, (campaign_id,))}


def _assignment(row: Sequence[Any]) -> Assignment:
    member_id, unit, arm, propensity, offer_id, offer_propensity, profit, cost = row
    return Assignment(member_id, unit, Arm(arm), propensity, offer_id, offer_propensity, profit, cost)

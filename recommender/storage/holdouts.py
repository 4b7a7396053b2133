"""Holdouts in SQL: the global one of each quarter, those of campaigns, and from what one member is kept back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.events import member_subject, subject_key
from recommender.experiments import BUCKETS, bucket_of
from recommender.storage.statements import execute, fetch, marks, next_sequence
from recommender.storage.types import from_micros, to_micros

HOUSEHOLD = "household"
"""Namespace of units that are households."""
TREATED = "treated"
TRIGGERED_KIND = "triggered"
WASH_OUT = timedelta(days=14)
"""Of each quarter: while what units got in the quarter before still works, nothing is concluded from the global
holdout."""
GLOBAL = "global:"
"""Begins the scope of a quarter in `holdout_units`."""
_PERIOD = "SELECT period, starts_at, ends_at, share, salt FROM holdout_periods"
_NOW = f"{_PERIOD} WHERE starts_at <= ? AND ends_at > ?"
_ADD = "INSERT INTO holdout_periods (period, starts_at, ends_at, share, salt) VALUES (?, ?, ?, ?, ?)"
_CAMPAIGNS = """
SELECT s.campaign_id, s.kind, s.status, s.salt, s.settings, c.offers FROM campaign_states s
JOIN campaigns c ON c.campaign_id = s.campaign_id WHERE s.status NOT IN ('draft', 'cancelled', 'finished')"""
_HOUSEHOLD = "SELECT household_id FROM members WHERE member_id = ? AND household_id IS NOT NULL"
_STORED = """
SELECT campaign_id, arm, CASE WHEN member_id = ? THEN 1 ELSE 0 END FROM campaign_members WHERE member_id = ?
  OR member_id IN (SELECT o.member_id FROM members m JOIN members o ON o.household_id = m.household_id
  WHERE m.member_id = ?)"""
_UNITS = "SELECT scope FROM holdout_units WHERE unit IN ({marks})"


@dataclass(frozen=True, slots=True)
class Period:
    """One quarter of the global holdout; share: in buckets."""

    name: str
    starts_at: datetime
    ends_at: datetime
    share: int
    salt: str

    @property
    def scope(self) -> str:
        """What stands for it in `holdout_units`."""
        return GLOBAL + self.name

    @property
    def measured_from(self) -> datetime:
        """When the wash-out is over."""
        return self.starts_at + WASH_OUT

    def holds(self, unit: str) -> bool:
        """Tell whether a unit is kept back."""
        return bucket_of(self.salt, unit) < self.share


@dataclass(frozen=True, slots=True)
class DrawnCampaign:
    """What says whom a campaign keeps back, and whom it may reach.

    share: of the holdout, in buckets.  offers: its offers.
    open: whoever comes may get its coupons; False: only who was found in its audience, or met what triggers it.
    """

    campaign_id: str
    status: str
    salt: str
    share: int
    offers: frozenset[str]
    open: bool

    def holds(self, unit: str) -> bool:
        """Tell whether a unit is kept back."""
        return bucket_of(self.salt, unit) < self.share


@dataclass(frozen=True, slots=True)
class Holdouts:
    """All that is needed to say from what a member is kept back at a time; campaigns: by id, those
    that are planned and not over.
    """

    period: Period | None
    campaigns: Mapping[str, DrawnCampaign]

    def of(self, connection: Connection, member_id: str) -> Kept:
        """Return from what a member is kept back.

        What was stored first holds for the member; what holds for a member of their household, or for their unit by
        the hash, holds for them too.
        """
        if self.period is None and not self.campaigns:
            return NOTHING
        units = units_of(connection, member_id)
        stored = fetch(connection, _STORED, (member_id,) * 3) if self.campaigns else []
        assigned = {campaign for campaign, _, own in stored if own}
        held = {campaign for campaign, arm, _ in stored if arm != TREATED and campaign in self.campaigns}
        held |= {
            one.campaign_id
            for one in self.campaigns.values()
            if one.campaign_id not in assigned and one.holds(units[-1])
        }
        scopes = {str(row[0]) for row in fetch(connection, _UNITS.replace("{marks}", marks(len(units))), units)}
        period = self.period
        everything = period is not None and (period.holds(units[-1]) or period.scope in scopes)
        return Kept(everything, frozenset(held | (scopes & self.campaigns.keys())), frozenset(assigned))


@dataclass(frozen=True, slots=True)
class Kept:
    """From what a member is kept back: everything that campaigns give, or some campaigns; assigned: in which they have
    a group already.
    """

    everything: bool = False
    campaigns: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()


NOTHING = Kept()


def read_holdouts(connection: Connection, now: datetime) -> Holdouts:
    """Return what decides on holdouts at a time."""
    return Holdouts(find_period(connection, now), {row[0]: _campaign(row) for row in fetch(connection, _CAMPAIGNS)})


def find_period(connection: Connection, now: datetime) -> Period | None:
    """Return the quarter's global holdout, None if none was drawn."""
    rows = fetch(connection, _NOW, (to_micros(now), to_micros(now)))
    return _period(rows[0]) if rows else None


def draw_period(connection: Connection, now: datetime, share: float) -> Period:
    """Return the quarter's global holdout, drawing it if it is not there yet; inside a write transaction.

    Args:
        share: of the units; what was drawn keeps the share it was drawn with.
    """
    next_sequence(connection)  # keeps others who would draw it waiting
    found = find_period(connection, now)
    if found is not None:
        return found
    starts, ends, name = quarter(now)
    period = Period(name, starts, ends, round(share * BUCKETS), f"{name}-{secrets.token_hex(8)}")
    values = (name, to_micros(starts), to_micros(ends), period.share, period.salt)
    execute(connection, _ADD, values)
    return period


def list_periods(connection: Connection) -> list[Period]:
    """Return every quarter of the global holdout, the latest first."""
    return [_period(row) for row in fetch(connection, f"{_PERIOD} ORDER BY starts_at DESC")]


def quarter(now: datetime) -> tuple[datetime, datetime, str]:
    """Return the start, the end and the name of the UTC quarter that holds a moment."""
    utc = now.astimezone(UTC)
    number = (utc.month - 1) // 3
    starts = datetime(utc.year, 3 * number + 1, 1, tzinfo=UTC)
    ends = datetime(utc.year + (number == 3), (3 * number + 3) % 12 + 1, 1, tzinfo=UTC)
    return starts, ends, f"{utc.year}Q{number + 1}"


def units_of(connection: Connection, member_id: str) -> tuple[str, ...]:
    """Return what a member is assigned by: last the household if it is known, else the member alone."""
    rows = fetch(connection, _HOUSEHOLD, (member_id,))
    own = member_subject(member_id)
    return (own, subject_key(HOUSEHOLD, rows[0][0])) if rows else (own,)


def _period(row: Sequence[Any]) -> Period:
    name, starts, ends, share, salt = row
    return Period(name, from_micros(starts), from_micros(ends), share, salt)


def _campaign(row: Sequence[Any]) -> DrawnCampaign:
    campaign_id, kind, status, salt, settings, offers = row
    document = orjson.loads(settings)
    return DrawnCampaign(
        campaign_id,
        status,
        salt,
        round(document["holdout_share"] * BUCKETS),
        frozenset(orjson.loads(offers) if offers else ()),
        kind != TRIGGERED_KIND and not document.get("audience"),
    )

"""Who is kept back from which offers, for all members of a plan at once: by past sends, by groups, by the hash."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import orjson
from sqlalchemy.engine import Connection

from recommender.events import member_subject, subject_key
from recommender.experiments import buckets_of
from recommender.ids import IdIndex
from recommender.storage.holdouts import HOUSEHOLD, Holdouts
from recommender.storage.statements import fetch

CHUNK_MEMBERS = 100_000
_OFFERS_OF = "SELECT campaign_id, offers FROM campaigns"
_SENDS = """
SELECT campaign_id, member_id FROM sends WHERE arm = 'holdout'
UNION SELECT s.campaign_id, o.member_id FROM sends s
  JOIN members m ON m.member_id = s.member_id JOIN members o ON o.household_id = m.household_id
  WHERE s.arm = 'holdout' ORDER BY 1, 2"""
_GROUPS = """
SELECT member_id FROM campaign_members WHERE campaign_id = ? AND arm <> 'treated'
UNION SELECT o.member_id FROM campaign_members c
  JOIN members m ON m.member_id = c.member_id JOIN members o ON o.household_id = m.household_id
  WHERE c.campaign_id = ? AND c.arm <> 'treated'"""
_ASSIGNED = "SELECT member_id FROM campaign_members WHERE campaign_id = ?"
_UNITS = "SELECT unit FROM holdout_units WHERE scope = ?"
_HOUSEHOLDS = "SELECT member_id, household_id FROM members WHERE household_id IS NOT NULL"

Held = tuple[set[str], Iterable[str]]
"""Offers, and members who must not be given them."""


def held_by_sends(
    connection: Connection, campaign_id: str | None, offer_ids: set[str], grouped: bool = False
) -> list[Held]:
    """Return who is kept back by control rows of past sends: of the campaign, or of another one with the offer.

    Args:
        grouped: those of the campaign itself do not count.
    """
    offers_of = _offers_of(connection)
    held: dict[str, list[str]] = {}
    for campaign, member in fetch(connection, _SENDS):
        held.setdefault(campaign, []).append(member)
    kept: list[Held] = []
    for campaign, members in sorted(held.items()):
        if grouped and campaign == campaign_id:
            continue
        own = offer_ids if campaign == campaign_id else offers_of.get(campaign, set()) & offer_ids
        if own:
            kept.append((own, members))
    return kept


def held_by_groups(
    connection: Connection, members: IdIndex, campaign_id: str | None, offer_ids: set[str], known: Holdouts
) -> Iterator[Held]:
    """Yield who is kept back by the groups of campaigns, and by the global holdout; both before anything was sent.

    Args:
        members: who is looked at.
        campaign_id: all of whose offers count; None: of no campaign.
        known: what was drawn.
    """
    units = _Units(connection, members)
    for campaign in known.campaigns.values():
        own = offer_ids if campaign.campaign_id == campaign_id else set(campaign.offers) & offer_ids
        if not own:
            continue
        yield own, [row[0] for row in fetch(connection, _GROUPS, (campaign.campaign_id,) * 2)]
        assigned = {row[0] for row in fetch(connection, _ASSIGNED, (campaign.campaign_id,))}
        yield own, [one for one in units.below(campaign.salt, campaign.share) if one not in assigned]
    period = known.period
    if period is not None:
        own = (
            offer_ids
            if campaign_id
            else offer_ids & {one for named in _offers_of(connection).values() for one in named}
        )
        stored = {row[0] for row in fetch(connection, _UNITS, (period.scope,))}
        yield own, [*units.below(period.salt, period.share), *units.among(stored)]


class _Units:
    """The units of members, read when they are needed."""

    def __init__(self, connection: Connection, members: IdIndex) -> None:
        self._connection = connection
        self._members = members
        self._households: dict[str, str] | None = None

    def below(self, salt: str, share: int) -> list[str]:
        """Return the members whose unit's bucket is below a share."""
        found: list[str] = []
        for member_ids, units in self._chunks() if share else ():
            found += [member_ids[at] for at in np.flatnonzero(buckets_of(salt, units) < share).tolist()]
        return found

    def among(self, wanted: Collection[str]) -> list[str]:
        """Return the members who are, by themselves or by household, among some units."""
        if not wanted:
            return []
        return [
            member
            for member_ids, units in self._chunks()
            for member, unit in zip(member_ids, units, strict=True)
            if unit in wanted or member_subject(member) in wanted
        ]

    def _chunks(self) -> Iterator[tuple[list[str], list[str]]]:
        if self._households is None:
            self._households = {str(member): str(found) for member, found in fetch(self._connection, _HOUSEHOLDS)}
        for start in range(0, len(self._members), CHUNK_MEMBERS):
            member_ids = self._members.ids(np.arange(start, min(start + CHUNK_MEMBERS, len(self._members))))
            yield member_ids, [self._unit(one) for one in member_ids]

    def _unit(self, member_id: str) -> str:
        assert self._households is not None
        household = self._households.get(member_id)
        return member_subject(member_id) if household is None else subject_key(HOUSEHOLD, household)


def _offers_of(connection: Connection) -> dict[str, set[str]]:
    return {row[0]: set(orjson.loads(row[1]) if row[1] else ()) for row in fetch(connection, _OFFERS_OF)}

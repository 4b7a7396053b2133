"""Assigned: who is in which group of a campaign and since when, what each cost, and what became of its messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from recommender.campaigns.campaign import Campaign
from recommender.campaigns.effect import BoolVector, FloatVector, IntVector
from recommender.campaigns.lifecycle import Status
from recommender.campaigns.outbox import CONTROL_ARMS, TREATED
from recommender.columns import LEARNED_KINDS
from recommender.events import member_subject
from recommender.experiments import BUCKETS
from recommender.storage.erasure import PSEUDONYM
from recommender.storage.members import member_kinds, unprofiled_members
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

HOLDOUT, GLOBAL_HOLDOUT = CONTROL_ARMS
_PERIODS = "SELECT starts_at, ends_at, share FROM holdout_periods"
_MEMBERS = """
SELECT member_id, unit, arm, propensity, offer_id, assigned_at FROM campaign_members WHERE campaign_id = ?
ORDER BY member_id"""
_MESSAGES = """
SELECT member_id, MIN(unit), MIN(arm), MIN(propensity), MIN(offer_id), MIN(created_at),
  SUM(CASE WHEN state IN ('sent', 'delivered') THEN 1 ELSE 0 END)
FROM deliveries WHERE campaign_id = ? AND NOT test GROUP BY member_id ORDER BY member_id"""
_REDEEMED = """
SELECT c.member_id, c.offer_id, c.discount_cents, (SELECT MAX(l.at) FROM coupon_ledger l
  WHERE l.coupon_id = c.coupon_id AND l.entry IN ('redeem', 'offline'))
FROM wallet_coupons c WHERE c.campaign_id = ? AND c.status = 'redeemed'"""
_BREACHES = """
SELECT c.member_id, l.offer_id, l.spent_cents, l.at FROM coupon_ledger l
JOIN wallet_coupons c ON c.coupon_id = l.coupon_id
WHERE l.campaign_id = ? AND l.entry = 'breach' AND l.spent_cents <> 0"""
_ELSEWHERE = """
SELECT r.member_id, r.offer_id, COALESCE(r.discount_cents, 0), r.redeemed_at FROM redemptions r
WHERE r.campaign_id = ? AND NOT EXISTS (SELECT 1 FROM wallet_coupons w WHERE w.coupon_id = r.coupon_id)"""


@dataclass(frozen=True, slots=True)
class Assigned:
    """Members in order of id, all arrays (members,).

    unit: int64, the row of each one's unit.  units: how many there are.  treated: bool.
    propensity: float64, the chance to be treated.  offer: int64, the place in `offers`, -1: none.
    starts: int64, when each one's window begins, microseconds.  messages: int64, that were sent.
    left_out: members not counted, (treated, controls), by reason.  control: the arm that is compared with.
    """

    member_ids: tuple[str, ...]
    unit: IntVector
    units: int
    treated: BoolVector
    propensity: FloatVector
    offer: IntVector
    offers: tuple[str, ...]
    starts: IntVector
    messages: IntVector
    left_out: Mapping[str, tuple[int, int]]
    control: str = HOLDOUT


@dataclass(frozen=True, slots=True)
class Redemptions:
    """Redemptions of a campaign's coupons, (n,): member ids, offer ids; cents of discount, times in microseconds."""

    members: tuple[str, ...]
    offers: tuple[str, ...]
    cents: IntVector
    times: IntVector


@dataclass(slots=True)
class _Row:
    unit: str
    arm: str
    propensity: float
    offer_id: str | None
    starts: int
    assigned: int
    messages: int = 0


def read_assigned(connection: Connection, campaign: Campaign, now: datetime) -> Assigned:
    """Return who is compared, as the groups were first drawn.

    With messages: members for whom one was put into the outbox, sent or not, since the same rules held for both
    groups; each one's window begins when that was done. Of a campaign that sends none: members with an offer, or all
    where none has one, from its start. The controls are those whom the campaign itself kept back: whoever is in the
    global holdout gets nothing of any campaign, while the treated do, so that they are controls only where a campaign
    has none of its own. Whoever opted out of profiling, is no consumer, was erased, or is one of a household whose
    members are in different groups, is left out and counted.
    """
    rows = _rows(connection, campaign, now)
    control = HOLDOUT if any(row.arm == HOLDOUT for row in rows.values()) else GLOBAL_HOLDOUT
    if control == HOLDOUT:
        _forget_global(connection, rows)
    barred = _barred(connection, rows, now, control)
    kept = {member: row for member, row in rows.items() if member not in barred}
    left_out: dict[str, list[int]] = {}
    for member, reason in barred.items():
        left_out.setdefault(reason, [0, 0])[rows[member].arm != TREATED] += 1
    units = {name: place for place, name in enumerate(sorted({row.unit for row in kept.values()}))}
    offers = tuple(sorted({row.offer_id for row in kept.values() if row.offer_id}))
    places = {name: place for place, name in enumerate(offers)}
    return Assigned(
        member_ids=tuple(kept),
        unit=np.array([units[row.unit] for row in kept.values()], np.int64),
        units=len(units),
        treated=np.array([row.arm == TREATED for row in kept.values()], bool),
        propensity=np.array([row.propensity for row in kept.values()], np.float64),
        offer=np.array([places.get(row.offer_id or "", -1) for row in kept.values()], np.int64),
        offers=offers,
        starts=np.array([row.starts for row in kept.values()], np.int64),
        messages=np.array([row.messages for row in kept.values()], np.int64),
        left_out={reason: (counts[0], counts[1]) for reason, counts in sorted(left_out.items())},
        control=control,
    )


def read_redemptions(connection: Connection, campaign_id: str) -> Redemptions:
    """Return what was redeemed of a campaign's coupons: in the wallet as it stands, and in other systems."""
    found = [
        (member, offer, int(cents), int(at))
        for statement in (_REDEEMED, _BREACHES, _ELSEWHERE)
        for member, offer, cents, at in fetch(connection, statement, (campaign_id,))
        if at is not None
    ]
    return Redemptions(
        tuple(row[0] for row in found),
        tuple(row[1] for row in found),
        np.array([row[2] for row in found], np.int64),
        np.array([row[3] for row in found], np.int64),
    )


def _rows(connection: Connection, campaign: Campaign, now: datetime) -> dict[str, _Row]:
    """Return who is compared, by member id in order."""
    assigned: dict[str, tuple[Any, ...]] = {
        row[0]: row[1:] for row in fetch(connection, _MEMBERS, (campaign.campaign_id,))
    }
    first, limit = to_micros(campaign.launch_at or campaign.starts_at), to_micros(now)
    first = max(first, to_micros(campaign.starts_at))
    rows: dict[str, _Row] = {}
    for member, unit, arm, chance, offer, at, sent in fetch(connection, _MESSAGES, (campaign.campaign_id,)):
        drawn = int(at)
        if member in assigned:
            unit, arm, chance, planned, drawn = assigned[member]
            offer = offer or planned
        rows[member] = _Row(unit, arm, chance, offer, max(int(at), first), int(drawn), int(sent))
    if not rows and campaign.settings.transport is None and _has_started(campaign):
        offered = any(row[3] for row in assigned.values())
        rows = {
            member: _Row(unit, arm, chance, offer, max(int(at), first), int(at))
            for member, (unit, arm, chance, offer, at) in assigned.items()
            if offer or not offered
        }
    return {member: row for member, row in sorted(rows.items()) if row.starts <= limit}


def _has_started(campaign: Campaign) -> bool:
    """Tell whether a campaign ever ran; one that was called off in the time to undo its launch did not."""
    began = campaign.launch_at is not None and campaign.launch_at <= campaign.updated_at
    return began and campaign.status in (Status.RUNNING, Status.PAUSED, Status.FINISHED, Status.CANCELLED)


def _forget_global(connection: Connection, rows: Mapping[str, _Row]) -> None:
    """Make the chances those of units that the global holdout of their quarter did not keep back."""
    periods = [(int(start), int(end), float(share)) for start, end, share in fetch(connection, _PERIODS)]
    for row in rows.values():
        kept = next((share / BUCKETS for start, end, share in periods if start <= row.assigned < end), 0.0)
        row.propensity = min(row.propensity / (1 - kept), 1.0) if kept < 1 else 0.0


def _barred(connection: Connection, rows: Mapping[str, _Row], now: datetime, control: str) -> dict[str, str]:
    """Return who is left out, and why."""
    kinds, opted_out = member_kinds(connection), unprofiled_members(connection, now)
    found: dict[str, str] = {}
    for member, row in rows.items():
        if member.startswith(PSEUDONYM):
            found[member] = "erased"
        elif kinds.get(member, LEARNED_KINDS[0]) not in LEARNED_KINDS:
            found[member] = "no_consumer"
        elif member in opted_out:
            found[member] = "opted_out"
        elif row.arm not in (TREATED, control):
            found[member] = "global_holdout"
        elif not 0 < row.propensity < 1:
            found[member] = "not_randomised"
    arms: dict[str, set[bool]] = {}
    for member, row in rows.items():
        if member not in found:
            arms.setdefault(row.unit, set()).add(row.arm == TREATED)
    found |= {
        member: "mixed_household" for member, row in rows.items() if member not in found and len(arms[row.unit]) > 1
    }
    return found


@dataclass(frozen=True, slots=True)
class Funnel:
    """What became of a campaign's messages: how many, by (group, state, reason); reason "": none.

    coupons: how many of the campaign's coupons are in each state.  answers: how many messages were opened and clicked,
    by kind of event.
    """

    messages: Mapping[tuple[str, str, str], int]
    coupons: Mapping[str, int]
    answers: Mapping[str, int] = field(default_factory=dict)

    def count(self, treated: bool, states: Iterable[str] = ()) -> int:
        """Return how many messages of the treated, or of the controls, are in some states; none named: in any."""
        wanted = set(states)
        return sum(
            count
            for (arm, state, _), count in self.messages.items()
            if (arm == TREATED) == treated and (not wanted or state in wanted)
        )


_STATES = """
SELECT arm, state, COALESCE(reason, ''), COUNT(*) FROM deliveries WHERE campaign_id = ? AND NOT test
GROUP BY arm, state, COALESCE(reason, '')"""
_IDS = "SELECT delivery_id FROM deliveries WHERE campaign_id = ? AND NOT test AND sent_at IS NOT NULL"
_COUPONS = "SELECT status, COUNT(*) FROM wallet_coupons WHERE campaign_id = ? GROUP BY status"


def read_funnel(connection: Connection, campaign_id: str) -> Funnel:
    """Return what became of a campaign's messages and coupons; test messages are left out."""
    states = {(arm, state, reason): int(n) for arm, state, reason, n in fetch(connection, _STATES, (campaign_id,))}
    return Funnel(states, {status: int(n) for status, n in fetch(connection, _COUPONS, (campaign_id,))})


def read_message_ids(connection: Connection, campaign_id: str) -> list[str]:
    """Return the ids of a campaign's messages that left."""
    return [row[0] for row in fetch(connection, _IDS, (campaign_id,))]


def subjects_of_members(members: Iterable[str], links: Mapping[str, str]) -> tuple[list[str], list[int]]:
    """Return every subject of some members, and the place of the member that each belongs to.

    Args:
        members: ids.  links: member id by linked subject.
    """
    places = {member: place for place, member in enumerate(members)}
    subjects = {member_subject(member): place for member, place in places.items()}
    for subject, member in links.items():
        if member in places:
            subjects[subject] = places[member]
        elif subject in subjects:
            del subjects[subject]
    return list(subjects), list(subjects.values())

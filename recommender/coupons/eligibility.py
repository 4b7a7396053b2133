"""Eligibility: who may be given which offer in a plan, as far as the records say, and why others may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.columns import LEARNED_KINDS
from recommender.coupons.basket import MemberFacts
from recommender.coupons.counters import Count
from recommender.coupons.fairness import FairnessRules, Tenure
from recommender.coupons.held import held_by_groups, held_by_sends
from recommender.coupons.offers import Offer
from recommender.coupons.purchases import member_facts
from recommender.ids import IdIndex
from recommender.storage.holdouts import Holdouts, read_holdouts
from recommender.storage.members import member_kinds, unprofiled_members
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

BoolMatrix = npt.NDArray[np.bool_]
CodeMatrix = npt.NDArray[np.uint8]

_ELSEWHERE = """
SELECT member_id, COUNT(*) FROM coupons WHERE offer_id = ? AND status <> 'voided' GROUP BY member_id"""
_HERE = "SELECT subject, used FROM coupon_counters WHERE kind = ? AND owner = ?"
_FACTS = "SELECT member_id, home_store_id, tier, points_balance, attributes FROM members"
_HOUSEHOLDS = "SELECT member_id, household_id FROM members WHERE household_id IS NOT NULL"
_REGISTERED = "SELECT member_id, registered_at FROM members WHERE registered_at > ?"
_GRANTED = """
SELECT member_id, SUM(discount_cents) FROM wallet_coupons
WHERE campaign_id IS NOT NULL AND status IN ('locked', 'redeemed') AND issued_at > ? GROUP BY member_id"""


class LeftOut(StrEnum):
    """Why members are not given some or all offers."""

    KIND = "kind"
    OPTED_OUT = "opted_out"
    HELD_OUT = "held_out"
    MEMBER_LIMIT = "member_limit"
    SEGMENT = "segment"
    STORE = "store"
    POINTS = "points"
    SOLD_OUT = "sold_out"
    CHANNEL = "channel"

    @property
    def code(self) -> int:
        """Its number in a matrix of reasons, where 0 stands for none."""
        return 1 + list(LeftOut).index(self)


@dataclass(frozen=True, slots=True, eq=False)
class Eligibility:
    """Who may be given what, and why not.

    against: uint8, (n, k), the code of the first reason against giving an offer to a member, 0: none.
    left_out: how many members are left out of some or all offers, by reason.
    """

    against: CodeMatrix
    left_out: Mapping[LeftOut, int]

    @property
    def allowed(self) -> BoolMatrix:
        """Who may be given what, bool, (n, k)."""
        found: BoolMatrix = self.against == 0
        return found


def read_eligibility(
    connection: Connection,
    members: IdIndex,
    offers: Sequence[Offer],
    campaign_id: str | None,
    now: datetime,
    grouped: bool = False,
    by_household: bool = True,
) -> Eligibility:
    """Return which of the members may be given which of the offers.

    Kinds that are not learned from get nothing, nor do those who opted out of personal offers, for whom there are
    the public ones, nor those held out, with their household, of the campaign or of another one that has the offer.
    Offers bound to stores go to members whose home store is one of them, or is not known.

    Args:
        campaign_id: of the plan; None: of no campaign.
        now: the time of the plan.
        grouped: whoever plans keeps the groups of this campaign and the global holdout apart, so that these say
            nothing against anybody here.
    """
    table = _Table(members, offers)
    table.forbid(
        LeftOut.KIND, (member for member, kind in member_kinds(connection).items() if kind not in LEARNED_KINDS)
    )
    table.forbid(LeftOut.OPTED_OUT, unprofiled_members(connection, now))
    if any(offer.segments or offer.stores or offer.points_cost for offer in offers):
        _forbid_by_facts(connection, table, offers)
    offer_ids = {offer.offer_id for offer in offers}
    for offers_of, held in held_by_sends(connection, campaign_id, offer_ids, grouped):
        table.forbid(LeftOut.HELD_OUT, held, offers_of)
    known = read_holdouts(connection, now)
    if grouped:
        known = Holdouts(None, {name: one for name, one in known.campaigns.items() if name != campaign_id})
    for offers_of, held in held_by_groups(connection, members, campaign_id, offer_ids, known):
        table.forbid(LeftOut.HELD_OUT, held, offers_of)
    limited = by_household and any(offer.per_member_limit is not None for offer in offers)
    households = {row[0]: row[1] for row in fetch(connection, _HOUSEHOLDS)} if limited else {}
    for offer in offers:
        if offer.per_member_limit is not None:
            held_by = _with_household(_coupons_held(connection, offer.offer_id), households)
            full = (member for member, count in held_by.items() if count >= offer.per_member_limit)
            table.forbid(LeftOut.MEMBER_LIMIT, full, {offer.offer_id})
    return Eligibility(table.against, table.left_out)


def read_tenure(
    connection: Connection,
    found: Eligibility,
    members: IdIndex,
    offers: Sequence[Offer],
    rules: FairnessRules,
    now: datetime,
) -> Tenure:
    """Return who of the members of a plan is new, by eligibility class; see fairness.

    Args:
        found: who may be given what; who may be given nothing is in no class.
        now: the time of the plan.
    """
    since = to_micros(now - rules.new)
    new = _rows_of(members, (row[0] for row in fetch(connection, _REGISTERED, (since,))))
    granted = np.zeros(len(members), np.int64)
    spent = {row[0]: int(row[1]) for row in fetch(connection, _GRANTED, (since,))}
    rows, known = members.rows(list(spent))
    granted[rows] = np.array(list(spent.values()), np.int64)[known]
    bound = [column for column, offer in enumerate(offers) if offer.segments]
    open_to = found.against[:, bound] != LeftOut.SEGMENT.code
    patterns, group = np.unique(open_to, axis=0, return_inverse=True)
    own = np.where(found.allowed.any(axis=1), group.reshape(-1), -1)
    names = tuple(frozenset(offers[bound[at]].offer_id for at in np.flatnonzero(row)) for row in patterns)
    return Tenure(own.astype(np.int32), new, granted, names)


def _rows_of(members: IdIndex, member_ids: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return which members are among some, bool, (n,)."""
    found = np.zeros(len(members), np.bool_)
    found[members.rows(sorted(set(member_ids)))[0]] = True
    return found


class _Table:
    """What is still allowed, while reasons against it come in."""

    def __init__(self, members: IdIndex, offers: Sequence[Offer]) -> None:
        self.members = members
        self.columns = {offer.offer_id: column for column, offer in enumerate(offers)}
        self.against = np.zeros((len(members), len(offers)), np.uint8)
        self.left_out: dict[LeftOut, int] = {}

    def forbid(self, reason: LeftOut, member_ids: Iterable[str], offer_ids: Iterable[str] | None = None) -> None:
        """Forbid some or all offers to some members; only what was still allowed counts for the reason."""
        rows, _ = self.members.rows(sorted(set(member_ids)))
        columns = [self.columns[offer] for offer in (self.columns if offer_ids is None else offer_ids)]
        self.forbid_rows(reason, rows, columns)

    def forbid_rows(self, reason: LeftOut, rows: npt.NDArray[np.int32], columns: Sequence[int]) -> None:
        """Forbid columns to rows."""
        block = np.ix_(rows.astype(np.int64), np.array(columns, np.int64))
        before = self.against[block]
        lost = int((before == 0).any(axis=1).sum()) if len(columns) else 0
        self.against[block] = np.where(before == 0, reason.code, before)
        if lost:
            self.left_out[reason] = self.left_out.get(reason, 0) + lost


def _coupons_held(connection: Connection, offer_id: str) -> dict[str, int]:
    """Return how many coupons of an offer members were given, by any wallet."""
    counts = {str(member): int(count) for member, count in fetch(connection, _ELSEWHERE, (offer_id,))}
    for member, count in fetch(connection, _HERE, (Count.MEMBER.value, offer_id)):
        counts[member] = counts.get(member, 0) + int(count)
    return counts


def _with_household(held_by: dict[str, int], households: Mapping[str, str]) -> dict[str, int]:
    """Return how many coupons the household of each member has; of those in no household, how many they have."""
    together: dict[str, int] = {}
    for member, count in held_by.items():
        if member in households:
            together[households[member]] = together.get(households[member], 0) + count
    alone = {member: count for member, count in held_by.items() if member not in households}
    return alone | {member: together[name] for member, name in households.items() if name in together}


def _forbid_by_facts(connection: Connection, table: _Table, offers: Sequence[Offer]) -> None:
    """Forbid offers by segment, home store and points; of members without a row nothing is known."""
    facts: list[MemberFacts | None] = [None] * len(table.members)
    stores: list[str | None] = [None] * len(table.members)
    rows = fetch(connection, _FACTS)
    at, known = table.members.rows([row[0] for row in rows])
    for place, row in zip(at.tolist(), (row for row, here in zip(rows, known, strict=True) if here), strict=True):
        facts[place], stores[place] = member_facts(*row[2:]), row[1]
    for column, offer in enumerate(offers):
        tests = {
            LeftOut.SEGMENT: [
                bool(offer.segments) and (not own or offer.segments.isdisjoint(own.segments)) for own in facts
            ],
            LeftOut.STORE: [bool(offer.stores) and store is not None and store not in offer.stores for store in stores],
            LeftOut.POINTS: [
                bool(offer.points_cost) and (own is None or (own.points or 0) < offer.points_cost) for own in facts
            ],
        }
        for reason, refused in tests.items():
            table.forbid_rows(reason, np.flatnonzero(refused).astype(np.int32), [column])

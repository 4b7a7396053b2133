"""MemberFeatures: one row per member, and what members did as compact columns, so that audiences need no loop.

Rows of acts lie in the order of their days: a window of days is a slice. Behaviour is as it was when the features were
made; consents, tiers and the like are laid over live by `live_members.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.campaigns.member_columns import BoolVector, IntVector, MemberColumns, RowVector
from recommender.ids import IdIndex
from recommender.item_facts import Labels

CodeVector = npt.NDArray[np.uint8]

GIVEN, REDEEMED = 0, 1
"""What happened to a coupon."""
RFM = ("recency", "frequency", "monetary")


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Which rows belong to which day: those of day `first + i` are start[i]:start[i + 1].

    first: days since 1970-01-01, local.  start: int64, (n_days + 1,).
    """

    first: int
    start: IntVector

    @classmethod
    def of(cls, day: RowVector) -> Days:
        """Return the days of rows in rising order of day."""
        first = int(day[0]) if len(day) else 0
        length = int(day[-1]) - first + 1 if len(day) else 0
        return cls(first, np.searchsorted(day, first + np.arange(length + 1)).astype(np.int64))

    def window(self, today: int, within_days: int | None = None) -> slice:
        """Return the rows of today and the days before it: `within_days` in all, or every one."""
        last = len(self.start) - 1
        stop = min(max(today + 1 - self.first, 0), last)
        begin = 0 if within_days is None else min(max(today + 1 - within_days - self.first, 0), stop)
        return slice(int(self.start[begin]), int(self.start[stop]))

    def expand(self) -> RowVector:
        """Return the day of every row, int32."""
        return np.repeat(self.first + np.arange(len(self.start) - 1), np.diff(self.start)).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Acts:
    """What members did with items, one row per member, item, day, kind and channel; aligned.

    kind: uint8, events.KIND_CODES.  channel: uint8, place in MemberFeatures.channels.  times: uint16, > 0.
    cents: int32, paid; 0 where nothing was bought.
    """

    days: Days
    member_row: RowVector
    item_row: RowVector
    kind: CodeVector
    channel: CodeVector
    times: npt.NDArray[np.uint16]
    cents: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """What members bought at once, one row per order; aligned.  cents: int64, paid.  saved_cents: int64, discounts."""

    days: Days
    member_row: RowVector
    channel: CodeVector
    cents: IntVector
    saved_cents: IntVector


@dataclass(frozen=True, slots=True, eq=False)
class CouponActs:
    """Coupons given to members and redeemed by them; aligned.

    offer: int32, place in MemberFeatures.offers.  act: uint8, GIVEN or REDEEMED.
    """

    days: Days
    member_row: RowVector
    offer: RowVector
    act: CodeVector


@dataclass(frozen=True, slots=True, eq=False)
class Rhythms:
    """How often each member bought each item, one row per pair, rising in item_row; aligned, int32.

    times: days with a purchase, > 0.  first_day, last_day: of a purchase.
    """

    member_row: RowVector
    item_row: RowVector
    times: RowVector
    first_day: RowVector
    last_day: RowVector


@dataclass(frozen=True, slots=True, eq=False)
class Lately:
    """What orders and acts say of each member of the features; aligned with `MemberFeatures.index`.

    first_bought, last_bought, last_browsed: int32 days, NO_DAY if never.
    rfm: uint8, (n, 3): fifths of those who bought in the last year, 5 the best, 0 for the others; in the order of RFM.
    """

    first_bought: RowVector
    last_bought: RowVector
    last_browsed: RowVector
    rfm: CodeVector


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """Where features come from.

    generation: their name.  built_at: when.  sequence: the last that they include.  day_offset: microseconds to add to
    a time so that local days begin at multiples of a day.
    """

    generation: str
    built_at: datetime
    sequence: int
    day_offset: int


@dataclass(frozen=True, slots=True)
class Overlay:
    """What was laid over features: all that was written up to a sequence; members changed and new, consents."""

    upto: int
    members: int = 0
    added: int = 0
    consents: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class MemberFeatures:
    """Members and what they did.

    index: the members when the features were made; rows 0..n-1.  extra: members who came since; the rows after.
    erased: bool, (n,), members erased since.  mix: uint64, (n,), a hash of each member's household or own id.
    items: with their categories, brands and margin_cents, aligned; float32, 0 if no price is known.
    channels, offers: names by code.
    """

    facts: FeatureFacts
    overlay: Overlay
    index: IdIndex
    extra: IdIndex
    columns: MemberColumns
    erased: BoolVector
    mix: npt.NDArray[np.uint64]
    items: IdIndex
    category: Labels
    brand: Labels
    margin_cents: npt.NDArray[np.float32]
    channels: tuple[str, ...]
    offers: tuple[str, ...]
    acts: Acts
    orders: Orders
    coupons: CouponActs
    rhythms: Rhythms
    lately: Lately

    def __len__(self) -> int:
        return len(self.columns)

    def keys(self) -> npt.NDArray[np.bytes_]:
        """Return the ids of all members, bytes, (n,), in the order of rows."""
        return np.concatenate((self.index.keys, self.extra.keys)) if len(self.extra) else self.index.keys

    def find(self, member_ids: Sequence[str]) -> tuple[RowVector, BoolVector]:
        """Look up many members; as IdIndex.rows."""
        rows, known = self.index.rows(member_ids)
        if not len(self.extra):
            return rows, known
        found = np.zeros(len(member_ids), np.int32)
        found[known] = rows
        later, new = self.extra.rows(member_ids)
        found[new] = later + np.int32(len(self.index))
        return found[known | new], known | new

    def rows(self, member_ids: Iterable[str]) -> RowVector:
        """Return the rows of those of some members that are known, int32, in the order given."""
        return self.find(list(member_ids))[0]

    def units(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.bytes_]:
        """Return what is assigned as a whole, of some members: "household:ID" where known, else "member:ID"; bytes."""
        return unit_keys(self.keys()[rows], self.columns.household[rows])

    def of_base(self, values: npt.NDArray[Any], missing: object) -> npt.NDArray[Any]:
        """Return a column of the members of `index` as one of all members."""
        if not len(self.extra):
            return values
        return np.concatenate((values, np.full(len(self.extra), missing, values.dtype)))

    def tally(self, rows: RowVector, weights: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float64]:
        """Return how many of some rows each member has, or the sum of their weights; float64, (n,)."""
        return np.bincount(rows, weights, len(self)).astype(np.float64, copy=False)


def unit_keys(members: npt.NDArray[np.bytes_], households: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bytes_]:
    """Return the subject keys of households, or of members where there is none; bytes, (n,)."""
    alone = np.char.add(b"member:", members)
    return np.where(households != b"", np.char.add(b"household:", households), alone)


def mixed(units: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """Return a hash of each unit, uint64, from which random shares are drawn."""
    found = b"".join(hashlib.blake2b(unit, digest_size=8).digest() for unit in units)
    return np.frombuffer(found, np.uint64)

"""Purchases of members as coupons need them: order lines with money, and what was done with earlier coupons."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]
BoolVector = npt.NDArray[np.bool_]

MINUTES_PER_DAY = 1440


@dataclass(frozen=True, slots=True)
class Purchases:
    """Order lines of members, ordered by member, then time; all but the counts (n,).

    member_row, item_row: int32.  minute: int32, since 1970-01-01 UTC.
    paid_cents: float32, after promotions.  saved_cents: float32, what promotions and coupons took off.
    couponed: bool, a coupon was used on the line.  began: the minute in which the history begins, for everybody.
    """

    members: int
    items: int
    began: int
    member_row: RowVector
    item_row: RowVector
    minute: RowVector
    paid_cents: FloatVector
    saved_cents: FloatVector
    couponed: BoolVector

    def where(self, kept: BoolVector) -> Purchases:
        """Return the lines where `kept` is True."""
        return Purchases(
            self.members,
            self.items,
            self.began,
            self.member_row[kept],
            self.item_row[kept],
            self.minute[kept],
            self.paid_cents[kept],
            self.saved_cents[kept],
            self.couponed[kept],
        )

    def take(self, rows: RowVector) -> Purchases:
        """Return the lines of some members, who get the rows 0 to n - 1; rows of nobody have no lines.

        Args:
            rows: int32, (n,), rising, distinct.
        """
        place = np.full(max(self.members, int(rows.max(initial=-1)) + 1), -1, np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        row = place[self.member_row] if len(self.member_row) else self.member_row
        kept = self.where(row >= 0)
        return replace(kept, members=len(rows), member_row=row[row >= 0])

    def of(self, first: int, last: int) -> Purchases:
        """Return the lines of members first <= row < last, whose rows then begin at 0."""
        part = slice(*np.searchsorted(self.member_row, (first, last)).tolist())
        return Purchases(
            last - first,
            self.items,
            self.began,
            self.member_row[part] - np.int32(first),
            self.item_row[part],
            self.minute[part],
            self.paid_cents[part],
            self.saved_cents[part],
            self.couponed[part],
        )


@dataclass(frozen=True, slots=True)
class CouponPast:
    """What members did with earlier coupons: sends and redemptions before the moment; float32, (n,) each."""

    sent: FloatVector
    redeemed: FloatVector
    average_rate: float

    @classmethod
    def nothing(cls, members: int) -> CouponPast:
        """Return the past of members who never got a coupon."""
        return cls(np.zeros(members, np.float32), np.zeros(members, np.float32), 0.0)


@dataclass(frozen=True, slots=True)
class Goods:
    """The catalogue as coupons need it: category and brand of each item as numbers; int32, (n_items,)."""

    category_row: RowVector
    brand_row: RowVector


def decayed(minute: RowVector, now: int, half_life_days: float) -> FloatVector:
    """Return the weight of each minute, halved with every half-life of age."""
    age = (now - minute.astype(np.float64)) / MINUTES_PER_DAY
    return np.exp2(-age / half_life_days).astype(np.float32)


def exposure(purchases: Purchases, minute: int, half_life_days: float) -> float:
    """Return the days of history, decayed as purchases are."""
    days = max((minute - purchases.began) / MINUTES_PER_DAY, 1.0)
    return float(half_life_days / np.log(2) * (1 - 2 ** (-days / half_life_days)))

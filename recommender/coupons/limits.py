"""Limit and LimitTable: what a plan must not exceed, and who and what counts towards it.

Budget, worst-case liability, stock, store budgets, channel and guide capacity are all the same thing: rows of whole
numbers, each of which bounds a sum over the coupons of a plan. They differ in what a coupon adds (its cost, its worst
case, one) and in which row it adds to (the only one, its member's, its offer's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recommender.errors import InputError

IntVector = npt.NDArray[np.int64]
IntArray = npt.NDArray[np.integer]
FloatVector = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

MOST = 2**53 - 1
"""Largest amount: whole numbers up to here are exact in floating point too."""


class Unit(StrEnum):
    """What one coupon adds to a limit."""

    COST = "cost"
    LIABILITY = "liability"
    COUPONS = "coupons"


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """Rows that bound a sum each.

    name: in messages and reports.
    amounts: int64, (rows,), in cents (cost, liability) or coupons; at least 0.
    member_row: int, (n,), the row to which a member's coupons count; `len(amounts)` = to none.
    offer_row: int, (k,), the row to which an offer's coupons count; `len(amounts)` = to none.
        With neither there is one row, to which everything counts; both at once are not supported.

    Raises: InputError naming the limit.
    """

    name: str
    unit: Unit
    amounts: IntVector
    member_row: IntArray | None = None
    offer_row: IntArray | None = None

    def __post_init__(self) -> None:
        amounts = np.asarray(self.amounts)
        if amounts.ndim != 1 or not np.issubdtype(amounts.dtype, np.integer):
            raise InputError("A limit is a row of whole numbers.", field=self.name, value=amounts.dtype)
        if len(amounts) and (amounts.min() < 0 or amounts.max() > MOST):
            worst = amounts.min() if amounts.min() < 0 else amounts.max()
            raise InputError("A limit is out of range.", field=self.name, value=worst, accepted=f"0 to {MOST}")
        if self.member_row is not None and self.offer_row is not None:
            raise InputError("A limit counts by member or by offer, not by both.", field=self.name)
        row = self.member_row if self.member_row is not None else self.offer_row
        if row is None and len(amounts) != 1:
            raise InputError("A limit on everything has one row.", field=self.name, value=len(amounts), accepted="1")
        if row is not None and len(row) and (row.min() < 0 or row.max() > len(amounts)):
            raise InputError("A limit has no such row.", field=self.name, accepted=f"0 to {len(amounts)}")


def budget(cents: int, name: str = "budget") -> Limit:
    """Return a limit on the cost of all coupons together."""
    return Limit(name, Unit.COST, _amounts(name, [cents]))


def liability(cents: int) -> Limit:
    """Return a limit on what the coupons cost if each is redeemed at its most."""
    return Limit("liability", Unit.LIABILITY, _amounts("liability", [cents]))


def stock(amounts: Sequence[int | None]) -> Limit:
    """Return a limit on the coupons of each offer; None: unlimited."""
    known = [at for at, amount in enumerate(amounts) if amount is not None]
    row = np.full(len(amounts), len(known), np.int32)
    row[known] = np.arange(len(known))
    return Limit("stock", Unit.COUPONS, _amounts("stock", [amounts[at] or 0 for at in known]), offer_row=row)


def store_budgets(cents: Sequence[int], store_row: IntArray) -> Limit:
    """Return a limit on the cost of the coupons of each store's members."""
    return Limit("store_budgets", Unit.COST, _amounts("store_budgets", cents), member_row=store_row)


def _amounts(name: str, values: Sequence[int]) -> IntVector:
    """Return whole numbers as an array; what does not fit into 64 bits is refused by name."""
    try:
        return np.array(values, np.int64)
    except OverflowError as error:
        raise InputError("A limit is out of range.", field=name, accepted=f"0 to {MOST}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Charge:
    """What prices on the rows take from the value of a coupon, for some members.

    cent: per cent of cost; coupon: per coupon; liability: per cent of worst case; each a number, or float64 (m,).
    cent_offer, coupon_offer: float64, (k,), on top, by offer.
    """

    cent: FloatVector | float
    coupon: FloatVector | float
    liability: FloatVector | float
    cent_offer: FloatVector
    coupon_offer: FloatVector


@dataclass(frozen=True, slots=True, eq=False)
class LimitTable:
    """All limits side by side as one vector of rows; after the rows of each limit comes a void one, for "none".

    start: the first row of each limit.  amount: int64, (rows,).  real: bool, (rows,): not void.
    worst: float64, (k + 1,), worst case of each offer in cents, and 0 for no offer.
    """

    limits: tuple[Limit, ...]
    start: tuple[int, ...]
    amount: IntVector
    real: BoolVector
    worst: FloatVector

    @classmethod
    def of(cls, limits: Sequence[Limit], n_members: int, worst: IntVector) -> LimitTable:
        """Lay limits side by side.

        Raises: InputError if a limit speaks of another number of members or offers.
        """
        for limit in limits:
            for row, count, what in ((limit.member_row, n_members, "member"), (limit.offer_row, len(worst), "offer")):
                if row is not None and len(row) != count:
                    raise InputError(
                        f"A limit needs one row per {what}.", field=limit.name, value=len(row), accepted=str(count)
                    )
        sizes = [len(limit.amounts) + 1 for limit in limits]
        ends = np.cumsum(sizes, dtype=np.int64)
        amount = [np.append(limit.amounts, 0) for limit in limits]
        real = np.ones(sum(sizes), np.bool_)
        real[ends - 1] = False
        return cls(
            tuple(limits),
            tuple((ends - sizes).tolist()),
            np.concatenate(amount).astype(np.int64) if amount else np.empty(0, np.int64),
            real,
            np.append(worst, 0).astype(np.float64),
        )

    @property
    def n_offers(self) -> int:
        """Number of offers; also stands for "no offer" where a row of an offer is expected."""
        return len(self.worst) - 1

    def rows(self, at: int, member: IntArray, offer: IntArray) -> IntArray:
        """Return the rows of one limit to which coupons count.

        Args:
            at: number of the limit.
            member, offer: rows of members and offers, of shapes that fit one another.
        Returns: int64 of their common shape; no offer counts to whatever row, with weight 0.
        """
        limit, start = self.limits[at], self.start[at]
        shape = np.broadcast_shapes(member.shape, offer.shape)
        if limit.member_row is not None:
            return np.broadcast_to(start + limit.member_row[member].astype(np.int64), shape)
        if limit.offer_row is not None:
            row = np.append(limit.offer_row, len(limit.amounts)).astype(np.int64)
            return np.broadcast_to(start + row[offer], shape)
        return np.full(shape, start, np.int64)

    def weights(self, at: int, offer: IntArray, cost: FloatVector) -> FloatVector:
        """Return what coupons add to their rows of one limit; no offer adds nothing."""
        unit = self.limits[at].unit
        if unit is Unit.COST:
            return cost
        return self.worst[offer] if unit is Unit.LIABILITY else (offer < self.n_offers).astype(np.float64)

    def row(self, at: int, member: int, offer: int) -> int:
        """Return the row of one limit to which one coupon counts; see rows()."""
        limit = self.limits[at]
        if limit.member_row is not None:
            return self.start[at] + int(limit.member_row[member])
        if limit.offer_row is not None:
            return self.start[at] + (int(limit.offer_row[offer]) if offer < self.n_offers else len(limit.amounts))
        return self.start[at]

    def weight(self, at: int, offer: int, cost: float) -> float:
        """Return what one coupon adds to its row of one limit; see weights()."""
        unit = self.limits[at].unit
        if unit is Unit.COST:
            return cost
        return float(self.worst[offer]) if unit is Unit.LIABILITY else float(offer < self.n_offers)

    def usage(
        self, member: IntArray, offer: IntArray, cost: FloatVector, share: FloatVector | None = None
    ) -> FloatVector:
        """Add up coupons by row.

        Args:
            member, offer, cost: (m,), rows of members and of offers (no offer: cost 0), cents.
            share: how much of each coupon counts; None: all of it.
        Returns: float64, (rows,).
        """
        total = np.zeros(len(self.amount))
        for at in range(len(self.limits)):
            weight = self.weights(at, offer, cost)
            weight = weight if share is None else weight * share
            total += np.bincount(self.rows(at, member, offer), weight, len(total))
        return total

    def charge(self, price: FloatVector, member: IntArray) -> Charge:
        """Turn prices of the rows, float64 (rows,), 0 for void ones, into charges on the coupons of some members."""
        flat: dict[Unit, FloatVector | float] = dict.fromkeys(Unit, 0.0)
        by_offer = {unit: np.zeros(self.n_offers) for unit in Unit}
        for limit, start in zip(self.limits, self.start, strict=True):
            own = price[start : start + len(limit.amounts) + 1]
            if limit.offer_row is not None:
                by_offer[limit.unit] += own[limit.offer_row]
            else:
                flat[limit.unit] = flat[limit.unit] + (
                    float(own[0]) if limit.member_row is None else own[limit.member_row[member]]
                )
        by_coupon = by_offer[Unit.COUPONS] + by_offer[Unit.LIABILITY] * self.worst[:-1]
        return Charge(flat[Unit.COST], flat[Unit.COUPONS], flat[Unit.LIABILITY], by_offer[Unit.COST], by_coupon)

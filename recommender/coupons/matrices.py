"""Matrices: value and cost of every member and offer, in memory, memory-mapped or in chunks, read in passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recommender.coupons.demand import Pool
from recommender.coupons.limits import MOST, IntVector, LimitTable, Unit
from recommender.errors import InputError

TILE = 4096
"""Members handled at a time: few enough for the processor's cache, enough for numpy."""
MOST_OFFERS = 30_000
LOOKED_AT = 1000
MOSTLY_DISTINCT = 0.9
GOLDEN = (5**0.5 - 1) / 2

Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Costs = npt.NDArray[np.integer]
Chunk = tuple[Values, Costs]


class Matrices(Protocol):
    """Value and cost of n_members x n_offers, as chunks of members that can be read again and again."""

    @property
    def n_members(self) -> int:
        """Number of members."""

    @property
    def n_offers(self) -> int:
        """Number of offers."""

    def chunks(self) -> Iterator[Chunk]:
        """Read all members in order, from the first.

        Yields: value, float32 or float64, (m, k), cents of expected profit, NaN = not eligible; cost, integer, (m, k),
            cents; a cost below zero adds to what others may use.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Matrices from two arrays, which may be memory-mapped.

    value, cost: (n, k), see Matrices.chunks.
    standard_error: (n, k), of the value; None = none is known.
    pessimism: standard errors by which every value is lowered.
    """

    value: Values
    cost: Costs
    standard_error: Values | None = None
    pessimism: float = 0.0

    def __post_init__(self) -> None:
        if self.value.ndim != 2 or self.value.shape != self.cost.shape:
            raise InputError(
                "Value and cost need one row per member and one column per offer.",
                field="cost",
                value=self.cost.shape,
                accepted=str(self.value.shape),
            )
        if not 0 <= self.pessimism < np.inf or (self.pessimism and self.standard_error is None):
            raise InputError(
                "Pessimism lowers values by standard errors.",
                field="pessimism",
                value=self.pessimism,
                accepted="0, or more with standard errors",
            )

    @property
    def n_members(self) -> int:
        """Number of members."""
        return int(self.value.shape[0])

    @property
    def n_offers(self) -> int:
        """Number of offers."""
        return int(self.value.shape[1])

    def chunks(self) -> Iterator[Chunk]:
        """Read all members in order."""
        for start in range(0, self.n_members, TILE):
            part = slice(start, start + TILE)
            value = self.value[part]
            if self.pessimism and self.standard_error is not None:
                value = value - self.pessimism * self.standard_error[part]
            yield value, self.cost[part]


@dataclass(frozen=True, slots=True)
class Chunks:
    """Matrices that are read in chunks from wherever they lie.

    read: begins to read from the first member, each time it is called.
    """

    n_members: int
    n_offers: int
    read: Callable[[], Iterable[Chunk]] = field(repr=False)

    def chunks(self) -> Iterator[Chunk]:
        """Read all members in order.

        Raises: InputError if there are not as many members as were announced.
        """
        seen = 0
        for value, cost in self.read():
            seen += len(value)
            yield value, cost
        if seen != self.n_members:
            raise InputError("Chunks hold another number of members.", value=seen, accepted=str(self.n_members))


def check(matrices: Matrices, worst_case: Sequence[int], cap: int) -> tuple[int, float]:
    """Check every value and cost.

    Args:
        worst_case: cents, of each offer.
        cap: most coupons of a member.
    Returns: the lowest cost, at most 0; the mean of the values above zero, 0 if there are none.
    Raises: InputError for other kinds of numbers than promised, infinite values, and amounts that no sum could hold.
    """
    if matrices.n_offers > MOST_OFFERS:
        raise InputError("There are too many offers.", value=matrices.n_offers, accepted=f"at most {MOST_OFFERS}")
    lowest, highest = 0, 0
    total, count = 0.0, 0
    for value, cost in matrices.chunks():
        _check_kind(value, cost, matrices.n_offers)
        if not value.size:
            continue
        worst = float(np.nanmax(np.abs(value), initial=0.0))
        if worst > MOST:
            raise InputError("A value is out of range.", field="value", value=worst, accepted=f"-{MOST} to {MOST}")
        lowest = min(lowest, int(cost.min()))
        highest = max(highest, int(cost.max()))
        positive = value[value > 0]
        total, count = total + float(positive.sum(dtype=np.float64)), count + len(positive)
    _check_sum("cost", highest if highest > -lowest else lowest, matrices.n_members * cap)
    _check_sum("worst_case", max(worst_case, default=0), matrices.n_members * cap)
    return lowest, total / max(count, 1)


def alike(matrices: Matrices) -> bool:
    """Tell whether many members have the same values and costs as others, by those who come first."""
    for value, cost in matrices.chunks():
        seen = np.concatenate((np.nan_to_num(value[:LOOKED_AT]), cost[:LOOKED_AT]), axis=1)
        return len(np.unique(seen, axis=0)) < MOSTLY_DISTINCT * len(seen)
    return False


def _check_sum(name: str, amount: int, coupons: int) -> None:
    if abs(amount) * coupons > MOST:
        raise InputError(
            "An amount is so large that the sum over all members could not be exact.",
            field=name,
            value=amount,
            accepted=f"at most {MOST // coupons} with {coupons} coupons",
        )


def _check_kind(value: Values, cost: Costs, n_offers: int) -> None:
    if value.dtype not in (np.float32, np.float64):
        raise InputError("Values are of another kind.", field="value", value=value.dtype, accepted="float32, float64")
    if not np.issubdtype(cost.dtype, np.integer):
        raise InputError("Costs are whole cents.", field="cost", value=cost.dtype, accepted="integers")
    if value.ndim != 2 or value.shape != cost.shape or value.shape[1] != n_offers:
        raise InputError("A chunk has another shape.", value=(value.shape, cost.shape), accepted=f"(m, {n_offers})")


def tiles(matrices: Matrices, table: LimitTable, give: bool, lift: float) -> Iterator[Pool]:
    """Read all members in order as pools of at most TILE, without what no plan can contain.

    Args:
        give: whether some cost is below zero, so that a coupon above a limit may become possible through others.
        lift: most cents that are added to a value above zero, another part of it for each member and offer. Members
            whose values are equal then differ, so that there are prices at which just as many of them choose an offer
            as there are coupons. Since nothing is taken away, a bound for lifted values is one for the values too.
    """
    weight = 0.5 + 0.5 * _spread(np.arange(table.n_offers))
    start = 0
    most_offer = _largest_by_offer(table)
    for value, cost in matrices.chunks():
        for first in range(0, len(value), TILE):
            part = slice(first, first + TILE)
            own = np.array(value[part].T, np.float64, order="C")
            own[np.isnan(own)] = -np.inf
            paid = np.array(cost[part].T, np.float64, order="C")
            member = np.arange(start, start + own.shape[1])
            own += (lift * weight[:, None] * _spread(member)) * (own > 0)
            if not give:
                _leave_out(own, paid, _largest_cost(table, member), most_offer)
            start += own.shape[1]
            yield Pool(own, paid, member)


def _spread(number: IntVector) -> npt.NDArray[np.float64]:
    """Spread numbers evenly over [0, 1): multiples of the golden ratio, without their whole part."""
    return np.asarray(np.modf(number * GOLDEN)[0])


def _leave_out(
    value: npt.NDArray[np.float64], cost: npt.NDArray[np.float64], most: IntVector, most_offer: IntVector
) -> None:
    """Mark coupons as impossible that alone exceed a limit."""
    value[most_offer < 0] = -np.inf
    value[:, most < 0] = -np.inf
    if len(most) and cost.size and cost.max() > min(most.min(), most_offer.min(initial=MOST)):
        value[cost > np.minimum(most, most_offer[:, None])] = -np.inf


def _largest_by_offer(table: LimitTable) -> IntVector:
    """Return the largest cost that one coupon of each offer may have, int64 (k,); -1: there can be no coupon."""
    largest = np.full(table.n_offers, MOST)
    worst = table.worst[:-1]
    for limit in table.limits:
        if limit.member_row is not None:
            continue
        amount = np.append(limit.amounts, MOST)[0 if limit.offer_row is None else limit.offer_row]
        amount = np.broadcast_to(amount, largest.shape)
        needed = worst if limit.unit is Unit.LIABILITY else np.ones(len(largest))
        largest = np.minimum(largest, amount if limit.unit is Unit.COST else np.where(needed > amount, -1, MOST))
    return largest


def _largest_cost(table: LimitTable, member: IntVector) -> IntVector:
    """Return the largest cost that one coupon of each member may have, int64 (m,); -1: there can be no coupon."""
    largest = np.full(len(member), MOST)
    for limit in table.limits:
        if limit.member_row is None:
            continue
        amount = np.append(limit.amounts, MOST)[limit.member_row[member]]
        if limit.unit is Unit.COST:
            largest = np.minimum(largest, amount)
        elif limit.unit is Unit.COUPONS:
            largest = np.where(amount < 1, -1, largest)
    return largest

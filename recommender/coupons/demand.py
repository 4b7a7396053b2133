"""What members take at given prices: the best coupons of each, and how nearly they would take others.

Prices on the limits turn an allocation of many members into one small choice per member: the offers of highest value
after charges, at most `cap` of them and at most one of an exclusive group, each only if it is worth more than nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.limits import BoolVector, Charge, FloatVector, IntVector, LimitTable

FloatMatrix = npt.NDArray[np.float64]
OfferMatrix = npt.NDArray[np.int16]
OfferVector = npt.NDArray[np.int16]
IMPOSSIBLE = -1e300
"""Stands for minus infinity, whose bits cannot be marked."""
WORTHLESS = 1e-300
"""Zero, marked, is below."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Members side by side.

    value, cost: float64, (k, m), cents; a value of -inf means that the member may not have the offer.
    member: int64, (m,), their rows among all members.
    """

    value: FloatMatrix
    cost: FloatMatrix
    member: IntVector

    def part(self, at: npt.NDArray[np.intp]) -> Pool:
        """Return some of the members."""
        return Pool(self.value[:, at], self.cost[:, at], self.member[at])


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What one member may get: at most `cap` coupons; of offers with the same number in `group`, int (k,), one."""

    cap: int
    group: tuple[int, ...]

    @property
    def shared(self) -> dict[int, list[int]]:
        """The offers of each group that has more than one, if a member can get more than one coupon at all."""
        members: dict[int, list[int]] = {}
        for offer, number in enumerate(self.group):
            members.setdefault(number, []).append(offer)
        return {number: offers for number, offers in members.items() if len(offers) > 1 and self.cap > 1}


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """What m members take; k stands for no offer.

    chosen: int16, (cap, m), by falling worth, no offers last.
    worth: float64, (m,), value after charges of what is chosen; at least 0.
    margin: float64, (m,), by how much that is better than the next best choice; at least 0.
    last, following: float64, (m,), marked values of the last offer chosen and of the next one.
    exchanges, adds: bool, (m,), what the next best choice is: the next offer for the last, or on top; else one less.
    inside: float64, (2, m), marked values of the exchange inside an exclusive group that is closest; None: no groups.
    """

    chosen: OfferMatrix
    worth: FloatVector
    margin: FloatVector
    nothing: int
    last: FloatVector
    following: FloatVector
    exchanges: BoolVector
    adds: BoolVector
    inside: FloatMatrix | None

    def next_best(self, at: npt.NDArray[np.intp]) -> tuple[OfferVector, OfferVector]:
        """Return the offers, int16 (p,), that the next best choice of some members has more, and less."""
        adds, exchanges = self.adds[at], self.exchanges[at]
        none = np.int16(self.nothing)
        enter = np.where(adds | exchanges, _marks(self.following[at], self.nothing), none)
        leave = np.where(adds, none, _marks(self.last[at], self.nothing))
        if self.inside is None:
            return enter, leave
        swapped = self.inside[0, at] - self.inside[1, at] <= self.margin[at]
        return (
            np.where(swapped, _marks(self.inside[1, at], self.nothing), enter),
            np.where(swapped, _marks(self.inside[0, at], self.nothing), leave),
        )


def reduced_values(pool: Pool, charge: Charge, table: LimitTable) -> FloatMatrix:
    """Return the values after charges, float64 (k, m)."""
    by_offer = charge.cent_offer.any()
    cent = np.add.outer(charge.cent_offer, charge.cent).reshape(len(pool.value), -1) if by_offer else charge.cent
    worth = pool.cost * cent
    np.subtract(pool.value, worth, out=worth)
    if charge.coupon_offer.any():
        worth -= charge.coupon_offer[:, None]
    if np.any(charge.coupon):
        worth -= charge.coupon
    if np.any(charge.liability):
        worth -= np.multiply.outer(table.worst[:-1], charge.liability).reshape(len(worth), -1)
    return worth


def answer(pool: Pool, charge: Charge, table: LimitTable, rules: Rules) -> Demand:
    """Return what each member of a pool takes at given charges; of equal offers the first.

    To find the best few offers by comparing numbers only, the lowest bits of each value after charges are replaced by a
    mark of the offer, which changes it by at most `mark_error` of itself.
    """
    worth = reduced_values(pool, charge, table)
    _mark(worth)
    shared = rules.shared
    grouped = {offer for offers in shared.values() for offer in offers}
    inside = {number: _best(worth[offers], 2) for number, offers in shared.items()}
    alone = [offer for offer in range(len(worth)) if offer not in grouped]
    rows = worth if not grouped else [*worth[alone], *(best[0] for best in inside.values())]
    ranked = _best(rows, rules.cap + 1, len(pool.member))
    return _demand(ranked, rules.cap, table.n_offers, list(inside.values()))


def mark_error(n_offers: int) -> float:
    """Return by how much of itself a value may be changed when it is marked with its offer."""
    return float(2.0 ** (n_offers.bit_length() - 51))


def _mark(worth: FloatMatrix) -> None:
    """Write the number of its offer into the lowest bits of each value: of positive ones the first offer is largest."""
    np.maximum(worth, IMPOSSIBLE, out=worth)
    mask = (1 << len(worth).bit_length()) - 1
    bits = worth.view(np.int64)
    bits &= ~mask
    bits |= mask - np.arange(len(worth))[:, None]


def _marks(value: FloatVector, n_offers: int) -> OfferVector:
    """Read the offers that values are marked with."""
    mask = (1 << n_offers.bit_length()) - 1
    return (mask - (np.ascontiguousarray(value).view(np.int64) & mask)).astype(np.int16)


def _best(rows: Iterable[FloatVector], places: int, members: int | None = None) -> FloatMatrix:
    """Return the largest few values of each member, float64 (places, m), by falling value."""
    rows = list(rows)
    best = np.full((places, len(rows[0]) if members is None else members), IMPOSSIBLE)
    lower = np.empty(best.shape[1])
    spare = np.empty(best.shape[1])
    for row in rows:
        value = row
        for place in range(places - 1):
            np.minimum(value, best[place], out=lower)
            np.maximum(value, best[place], out=best[place])
            value, lower, spare = lower, spare, lower
        np.maximum(value, best[-1], out=best[-1])
    return best


def _demand(ranked: FloatMatrix, cap: int, nothing: int, inside: list[FloatMatrix]) -> Demand:
    """Cut the ranking to what is taken, and find the closest alternative: add, drop or exchange the last."""
    taken = ranked > WORTHLESS
    none = np.int16(nothing)
    chosen = np.stack([np.where(taken[place], _marks(ranked[place], nothing), none) for place in range(cap)])
    last, following = np.full(ranked.shape[1], np.inf), ranked[cap]
    worth = np.zeros(ranked.shape[1])
    for place in range(cap):
        last = np.where(taken[place], ranked[place], last)
        worth += np.where(taken[place], ranked[place], 0.0)
    for place in reversed(range(cap)):
        following = np.where(taken[place], following, ranked[place])
    full = taken[cap - 1]
    exchanges = full & taken[cap]
    adds = ~full & (-following < last)
    margin = np.where(exchanges, last - following, np.where(adds, -following, last))
    rival = _closest_inside(chosen, inside, nothing)
    if rival is not None:
        margin = np.minimum(margin, rival[0] - rival[1])
    return Demand(chosen, worth, np.maximum(margin, 0.0), nothing, last, following, exchanges, adds, rival)


def _closest_inside(chosen: OfferMatrix, inside: list[FloatMatrix], nothing: int) -> FloatMatrix | None:
    """Return the best two values of the group where they are closest, of the groups from which something is chosen."""
    if not inside:
        return None
    closest = np.stack((np.full(chosen.shape[1], np.inf), np.zeros(chosen.shape[1])))
    for best in inside:
        own = (chosen == _marks(best[0], nothing)).any(axis=0)
        closer = own & (best[0] - best[1] < closest[0] - closest[1])
        closest = np.where(closer, best, closest)
    return closest

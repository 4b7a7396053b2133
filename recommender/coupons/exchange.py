"""Exchange: coupons of members near a change, moved one by one while every limit is watched.

A place is one of the coupons that a member may hold; it holds an offer or none, and a move puts another there. What a
move loses is measured after charges: at the shadow prices a plan's distance from its upper bound is the sum of these
losses and of what is left of each limit times its price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.demand import FloatMatrix, Rules, reduced_values
from recommender.coupons.holdings import Holdings
from recommender.coupons.limits import BoolVector, FloatVector, LimitTable

BoolMatrix = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Put `offer` (k = none) into a place."""

    place: int
    offer: int


class Exchange:
    """The places of the members that `holdings` keeps near.

    value, cost, worth: float64, (k + 1, m), of each offer to each member, worth after charges; the last is no offer.
    current: int64, (m * cap,), the offer in each place; places of a member are neighbours.
    room: float64, (rows,), what is left of each limit; below zero where it is exceeded.
    """

    def __init__(self, holdings: Holdings, table: LimitTable, rules: Rules, price: FloatVector) -> None:
        pool = holdings.near
        self.table, self.rules, self.price = table, rules, price
        self.nothing = table.n_offers
        self.member = pool.member
        none = np.zeros((1, len(pool.member)))
        self.value = np.concatenate((pool.value, none))
        self.cost = np.concatenate((pool.cost, none))
        self.worth = self._worth(holdings)
        self.current: Places = holdings.offer[:, pool.member].T.astype(np.int64).ravel()
        self.room = np.where(table.real, table.amount - holdings.used, np.inf)
        self.group = np.append(np.array(rules.group, np.int64), -1)

    def _worth(self, holdings: Holdings) -> FloatMatrix:
        charge = self.table.charge(self.price, self.member)
        worth = reduced_values(holdings.near, charge, self.table)
        return np.concatenate((worth, np.zeros((1, len(self.member)))))

    def owner(self, place: Places | int) -> Places:
        """Return the column of the member who has a place."""
        return np.asarray(place) // self.rules.cap

    def losses(self, places: Places) -> FloatMatrix:
        """Return what each offer in each place would lose, float64 (k + 1, p); inf where it cannot be."""
        owner = self.owner(places)
        worth = self.worth[:, owner]
        loss = worth[self.current[places], np.arange(len(places))] - worth
        loss[self.current[places], np.arange(len(places))] = np.inf
        if self.rules.cap > 1:
            for turn in range(1, self.rules.cap):
                other = self.current[owner * self.rules.cap + (places + turn) % self.rules.cap]
                clash = (self.group[:, None] == self.group[other]) & (other < self.nothing)
                loss[clash] = np.inf
        return loss

    def fits(self, places: Places) -> BoolMatrix:
        """Tell which offers could be put into each place, bool (k + 1, p): no limit is exceeded or exceeded further."""
        fitting = np.ones((self.nothing + 1, len(places)), np.bool_)
        for at in range(len(self.table.limits)):
            gone_row, gone, row, added = self.amounts(at, places)
            change = added - np.where(row == gone_row, gone, 0.0)
            fitting &= (change <= 0) | (change <= self.room[row])
            fitting &= (gone >= 0) | (row == gone_row) | (-gone <= self.room[gone_row])
        return fitting

    def relief(self, places: Places, row: int) -> FloatMatrix:
        """Return by how much each offer in each place would lower what one row uses, float64 (k + 1, p)."""
        lowered = np.zeros((self.nothing + 1, len(places)))
        for at in range(len(self.table.limits)):
            gone_row, gone, row_of, added = self.amounts(at, places)
            lowered += np.where(gone_row == row, gone, 0.0) - np.where(row_of == row, added, 0.0)
        return lowered

    def amounts(
        self, at: int, places: Places
    ) -> tuple[npt.NDArray[np.integer], FloatVector, npt.NDArray[np.integer], FloatMatrix]:
        """Return the row and amount of one limit of what is in each place, and of all that could be."""
        owner, current = self.owner(places), self.current[places]
        offers = np.arange(self.nothing + 1)[:, None]
        member = self.member[owner]
        gone = self.table.weights(at, current, self.cost[current, owner])
        added = np.broadcast_to(self.table.weights(at, offers, self.cost[:, owner]), (len(offers), len(places)))
        return self.table.rows(at, member, current), gone, self.table.rows(at, member[None, :], offers), added

    def changes(self, move: Move) -> dict[int, float]:
        """Return what a move adds to the use of each row that it touches."""
        owner, before = move.place // self.rules.cap, int(self.current[move.place])
        changes: dict[int, float] = {}
        for at in range(len(self.table.limits)):
            for offer, sign in ((before, -1.0), (move.offer, 1.0)):
                row = self.table.row(at, int(self.member[owner]), offer)
                weight = self.table.weight(at, offer, float(self.cost[offer, owner]))
                changes[row] = changes.get(row, 0.0) + sign * weight
        return changes

    def allowed(self, move: Move) -> bool:
        """Tell whether a move keeps to the member's rules, and exceeds no limit, or none further."""
        place = np.array([move.place])
        if not np.isfinite(self.losses(place)[move.offer, 0]):
            return False
        return all(change <= max(self.room[row], 0.0) for row, change in self.changes(move).items())

    def gain(self, move: Move) -> float:
        """Return what a move adds to the value of the plan."""
        owner = move.place // self.rules.cap
        return float(self.value[move.offer, owner] - self.value[self.current[move.place], owner])

    def apply(self, *moves: Move) -> None:
        """Carry moves out."""
        for move in moves:
            for row, change in self.changes(move).items():
                self.room[row] -= change
            self.current[move.place] = move.offer

    def exceeded(self) -> BoolVector:
        """Tell which rows are exceeded."""
        return self.room < 0

    def write(self, holdings: Holdings) -> None:
        """Write the offers in all places into the holdings."""
        offer = self.current.reshape(-1, self.rules.cap).T
        owner = np.arange(len(self.member))
        holdings.offer[:, self.member] = offer
        holdings.value[:, self.member] = self.value[offer, owner]
        holdings.cost[:, self.member] = self.cost[offer, owner]
        holdings.used = np.where(self.table.real, self.table.amount - self.room, 0.0)

"""Repair and fill: from what members would choose at the shadow prices to a plan within every limit, and close to it.

At the right prices only a handful of coupons are too many or too few, one or two for every limit that is scarce. They
are moved along the cheapest ways there are: for limits by offer a shortest path over the offers, on which members hand
on places to one another, exactly as in the successive shortest paths of minimum cost flow (Ahuja, Magnanti and Orlin,
1993, "Network Flows", chapter 9); for the others by the least loss per unit.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from recommender.coupons.demand import FloatMatrix
from recommender.coupons.exchange import Exchange, Move
from recommender.coupons.holdings import Holdings
from recommender.coupons.limits import FloatVector, LimitTable, Unit

MOST_PATHS = 400
TRIED_AT_ONCE = 256
MOST_ROUNDS = 400
FILL_ROUNDS = 20
FILLED_AT_ONCE = 2000
LEAST_GAIN = 1e-9
"""Paths that gain less, in cents, are rounding."""


class _Ways:
    """The cheapest hand-over from each offer to each other: which place, at what loss."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        count = exchange.nothing + 1
        self.loss = np.full((count, count), np.inf)
        self.place = np.full((count, count), -1, np.int64)
        self.barred = np.zeros(len(exchange.current), np.bool_)
        for offer in range(count):
            self.look(offer)

    def look(self, offer: int) -> None:
        """Find the cheapest places that hold an offer."""
        places = np.flatnonzero((self.exchange.current == offer) & ~self.barred)
        self.loss[offer] = np.inf
        if not len(places):
            return
        losses = self.exchange.losses(places)
        best = losses.argmin(axis=1)
        self.loss[offer] = losses[np.arange(len(best)), best]
        self.place[offer] = places[best]

    def shortest(self) -> tuple[FloatMatrix, npt.NDArray[np.int64]]:
        """Return the losses of the best paths between all offers, and the second offer of each (Floyd and Warshall)."""
        count = len(self.loss)
        length = self.loss.copy()
        length[np.arange(count), np.arange(count)] = 0.0
        following = np.broadcast_to(np.arange(count), (count, count)).copy()
        for through in range(count):
            detour = length[:, through, None] + length[None, through]
            shorter = detour < length - LEAST_GAIN
            length = np.where(shorter, detour, length)
            following = np.where(shorter, following[:, through, None], following)
        return length, following


def meet_offer_limits(exchange: Exchange) -> None:
    """Make the coupons of each offer as many as its limits want, whatever becomes of the other limits."""
    limits = [at for at, limit in enumerate(exchange.table.limits) if _counts_offers(exchange.table, at)]
    if not limits or not len(exchange.current):
        return
    ways = _Ways(exchange)
    for _ in range(MOST_PATHS):
        length, following = ways.shortest()
        total = length + _end_costs(exchange, limits)
        relieved = _relieved(exchange, limits)
        over = bool(relieved.any())
        if over:
            total[~relieved] = np.inf
        first, last = divmod(int(total.argmin()), len(total))
        if not np.isfinite(total[first, last]) or (not over and total[first, last] >= -LEAST_GAIN):
            return
        path = _path(following, first, last)
        if path is None:
            return
        moves = [Move(int(ways.place[a, b]), b) for a, b in pairwise(path)]
        _carry_out(exchange, ways, moves, path)


def _counts_offers(table: LimitTable, at: int) -> bool:
    return table.limits[at].unit is Unit.COUPONS and table.limits[at].member_row is None


def _carry_out(exchange: Exchange, ways: _Ways, moves: list[Move], path: list[int]) -> None:
    """Apply a path; where one member would move twice, bar the second place instead."""
    owners = [move.place // exchange.rules.cap for move in moves]
    if len(set(owners)) == len(owners):
        exchange.apply(*moves)
    else:
        twice = next(at for at, owner in enumerate(owners) if owner in owners[:at])
        ways.barred[moves[twice].place] = True
    for offer in range(exchange.nothing + 1) if exchange.rules.cap > 1 else path:
        ways.look(offer)


def _relieved(exchange: Exchange, limits: list[int]) -> npt.NDArray[np.bool_]:
    """Tell for which pairs one less of the first offer and one more of the second helps a row that is exceeded."""
    offers = np.arange(exchange.nothing + 1)
    relieved = np.zeros((len(offers), len(offers)), np.bool_)
    for at in limits:
        row = exchange.table.rows(at, offers * 0, offers)
        relieved |= (exchange.room[row] < 0)[:, None] & (row[:, None] != row)
    return relieved


def _end_costs(exchange: Exchange, limits: list[int]) -> FloatMatrix:
    """Return what it costs to have one less of one offer and one more of another: inf where there is no room.

    One less leaves a piece of a limit unused, at its price; one more uses a piece that was left.
    """
    offers = np.arange(exchange.nothing + 1)
    total = np.zeros((len(offers), len(offers)))
    for at in limits:
        row = exchange.table.rows(at, offers * 0, offers)
        real = offers < exchange.nothing
        price = np.where(real, exchange.price[row], 0.0)
        less = np.where(exchange.room[row] >= 0, price, 0.0)
        more = np.where(exchange.room[row] >= 1, -price, np.where(real & exchange.table.real[row], np.inf, 0.0))
        total += np.where(row[:, None] != row, less[:, None] + more, 0.0)
    return total


def _path(following: npt.NDArray[np.int64], first: int, last: int) -> list[int] | None:
    """Return the offers on the best path; None if rounding has made it a circle."""
    path = [first]
    while path[-1] != last:
        path.append(int(following[path[-1], last]))
        if len(path) > len(following):
            return None
    return path if len(path) > 1 else None


def meet_other_limits(exchange: Exchange) -> None:
    """Lower what exceeded rows use, by the least loss per unit, without exceeding any other."""
    stuck: set[int] = set()
    for _ in range(MOST_ROUNDS):
        over = [row for row in np.flatnonzero(exchange.exceeded()).tolist() if row not in stuck]
        if not over:
            return
        if not _lower(exchange, over[0]):
            stuck.add(over[0])


def _lower(exchange: Exchange, row: int) -> bool:
    """Lower what one row uses; tells whether anything could be done."""
    places = places_of(exchange, row)
    relief = exchange.relief(places, row)
    ratio = np.where(
        (relief > 0) & exchange.fits(places),
        exchange.losses(places) / np.clip(relief, 1e-9, -exchange.room[row]),
        np.inf,
    )
    done = False
    for offer, at in cheapest(ratio, TRIED_AT_ONCE):
        if exchange.room[row] >= 0:
            break
        move = Move(int(places[at]), offer)
        changes = exchange.changes(move)
        if changes.get(row, 0.0) < 0 and exchange.allowed(move):
            exchange.apply(move)
            done = True
    return done


def places_of(exchange: Exchange, row: int) -> npt.NDArray[np.int64]:
    """Return the places whose coupons may count to a row."""
    places = np.arange(len(exchange.current))
    at = int(np.searchsorted(exchange.table.start, row, side="right")) - 1
    limit = exchange.table.limits[at]
    if limit.member_row is None:
        return places
    counts = limit.member_row[exchange.member[exchange.owner(places)]] == row - exchange.table.start[at]
    return np.flatnonzero(counts)


def cheapest(matrix: FloatMatrix, count: int) -> list[tuple[int, int]]:
    """Return the places of the lowest finite entries, lowest first; ties by place."""
    flat = matrix.ravel()
    count = min(count, len(flat))
    if not count:
        return []
    some = np.argpartition(flat, count - 1)[:count]
    some = np.sort(some[np.isfinite(flat[some])])
    some = some[np.argsort(flat[some], kind="stable")]
    return [(int(at) // matrix.shape[1], int(at) % matrix.shape[1]) for at in some]


def cut(holdings: Holdings, table: LimitTable) -> None:
    """Take coupons away, of least value per unit first, until no row is exceeded; always succeeds."""
    while ((holdings.used > table.amount) & table.real).any():
        for at in range(len(table.limits)):
            _cut_limit(holdings, table, at)


def _cut_limit(holdings: Holdings, table: LimitTable, at: int) -> None:
    place, member = np.nonzero(holdings.offer < table.n_offers)
    offer = holdings.offer[place, member]
    row = table.rows(at, member, offer)
    weight = table.weights(at, offer, holdings.cost[place, member])
    excess = holdings.used - np.where(table.real, table.amount, np.inf)
    at_fault = np.flatnonzero((excess[row] > 0) & (weight > 0))
    if not len(at_fault):
        return
    ratio = holdings.value[place, member][at_fault] / weight[at_fault]
    order = at_fault[np.lexsort((at_fault, ratio, row[at_fault]))]
    before = np.cumsum(weight[order]) - weight[order]
    first = np.flatnonzero(np.diff(row[order], prepend=-1))
    before -= np.repeat(before[first], np.diff(np.append(first, len(order))))
    gone = order[before < excess[row[order]]]
    _take(holdings, table, place[gone], member[gone])


def _take(holdings: Holdings, table: LimitTable, place: npt.NDArray[np.intp], member: npt.NDArray[np.intp]) -> None:
    holdings.used -= table.usage(member, holdings.offer[place, member], holdings.cost[place, member])
    holdings.offer[place, member] = table.n_offers
    holdings.value[place, member] = holdings.cost[place, member] = 0.0


def fill(exchange: Exchange) -> None:
    """Use what is left: make moves that add value and fit, by rising loss after charges."""
    places = np.arange(len(exchange.current))
    tried = min(FILLED_AT_ONCE, 20 + 10 * len(exchange.room))
    for _ in range(FILL_ROUNDS):
        owner = exchange.owner(places)
        gain = exchange.value[:, owner] - exchange.value[exchange.current[places], owner]
        losses = np.where((gain > 0) & exchange.fits(places), exchange.losses(places), np.inf)
        done = False
        for offer, at in cheapest(losses, tried):
            move = Move(int(places[at]), offer)
            if exchange.gain(move) > 0 and exchange.allowed(move):
                exchange.apply(move)
                done = True
        if not done:
            return


def slack_cost(exchange: Exchange) -> FloatVector:
    """Return what the unused part of each row costs at its price, float64 (rows,)."""
    return exchange.price * np.where(exchange.table.real, np.maximum(exchange.room, 0.0), 0.0)

"""Polish: spend what is left of a budget to the cent, by the combination of small exchanges that loses least.

What is left after repair and fill is worth its shadow price, and one more coupon rarely fits it. But many members are
nearly indifferent between two offers of different cost, and some combination of them costs just what is left: a
multiple-choice knapsack of a few dozen exchanges, solved by listing the combinations that no other one beats (the core
idea of Pisinger, 1995, "A minimal algorithm for the multiple-choice knapsack problem"). Exchanges leave every other
limit as it is: one member moves between offers whose limits are not scarce, or two members trade places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.demand import FloatMatrix
from recommender.coupons.exchange import Exchange, Move
from recommender.coupons.limits import FloatVector, Unit
from recommender.coupons.repair import cheapest, places_of, slack_cost

CONSIDERED = 500
MOST_CLASSES = 64
MOST_CHOICES = 5
MOST_STATES = 3000
LEAST_GAIN = 1e-9
TURNS = 8
AMPLE = MOST_CLASSES + 1
"""Room for so many of the largest amounts cannot be used up by one combination."""


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """Moves that belong together: what they add to the cost, and what they lose after charges."""

    moves: tuple[Move, ...]
    cost: float
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Combinations after one more class: which one of the layer before each extends, by which choice (0 = none)."""

    parent: npt.NDArray[np.intp]
    choice: npt.NDArray[np.int8]


def polish(exchange: Exchange, enough: float) -> None:
    """Spend what is left of the budgets that are worth most, until what is left of all is worth less than `enough`."""
    for _ in range(TURNS):
        missed = _missed(exchange)
        if missed.sum() <= enough:
            return
        rows = [row for row in np.argsort(-missed, kind="stable").tolist() if missed[row] > enough / len(missed)]
        improved = [_polish_row(exchange, row, enough / len(missed)) for row in rows if _is_cost(exchange, row)]
        if not any(improved):
            return


def _missed(exchange: Exchange) -> FloatVector:
    """Return what keeps each row from its bound, float64 (rows,): what is left of it, and choices that are not best."""
    places = np.arange(len(exchange.current))
    regret = np.maximum(-exchange.losses(places).min(axis=0, initial=np.inf), 0.0)
    missed = slack_cost(exchange)
    for at, limit in enumerate(exchange.table.limits):
        if limit.unit is Unit.COST:
            row = exchange.table.rows(at, exchange.member[exchange.owner(places)], exchange.current)
            missed += np.bincount(row, regret, len(missed))
    return np.where(exchange.table.real, missed, 0.0)


def _is_cost(exchange: Exchange, row: int) -> bool:
    at = int(np.searchsorted(exchange.table.start, row, side="right")) - 1
    return exchange.table.limits[at].unit is Unit.COST


def _spent(exchange: Exchange, row: int) -> list[int]:
    """Return the rows that a cent from one budget is also taken from: that budget, and those for everybody."""
    limits = zip(exchange.table.limits, exchange.table.start, strict=True)
    whole = [
        start
        for limit, start in limits
        if limit.unit is Unit.COST and limit.member_row is None and limit.offer_row is None
    ]
    return sorted({row, *whole})


def _polish_row(exchange: Exchange, row: int, enough: float) -> bool:
    """Spend what is left of one budget; tells whether the plan became better."""
    spent = _spent(exchange, row)
    price, room = float(exchange.price[spent].sum()), float(exchange.room[spent].min())
    based = [_based(own) for own in _classes(exchange, row, spent)]
    if not based:
        return False
    based.sort(key=lambda base: base.others[0].loss if base.others else np.inf)
    missed = price * room - sum(base.best.loss for base in based)
    left = room - sum(base.best.cost for base in based)
    chosen, reached = _combine([base.others for base in based], price, left, enough)
    if reached >= missed - LEAST_GAIN:
        return False
    for base, number in zip(based, chosen, strict=True):
        exchange.apply(*(base.others[number - 1] if number else base.best).moves)
    return True


@dataclass(frozen=True, slots=True, eq=False)
class _Base:
    """A class of which `best`, the choice of least loss, is made unless it is replaced by one of the others.

    Costs and losses of the others are those on top of the best one's; they are by rising loss. To leave things as they
    are is a choice too.
    """

    best: _Choice
    others: list[_Choice]


def _based(own: list[_Choice]) -> _Base:
    stay = _Choice((), 0.0, 0.0)
    choices = sorted([stay, *own], key=lambda choice: choice.loss)
    best = choices[0]
    return _Base(
        best, [_Choice(choice.moves, choice.cost - best.cost, choice.loss - best.loss) for choice in choices[1:]]
    )


def _classes(exchange: Exchange, row: int, spent: list[int]) -> list[list[_Choice]]:
    """Return exchanges in classes, of each of which one can be made, those of least loss first."""
    places = places_of(exchange, row)
    losses = exchange.losses(places)
    added = -exchange.relief(places, row)
    neutral = _neutral(exchange, places, spent)
    classes: dict[int, list[_Choice]] = {}
    closed: set[int] = set()
    trades = [] if neutral.all() else _trades(exchange, places, losses, added, neutral, spent)
    singles = cheapest(np.where(neutral, losses, np.inf), CONSIDERED)
    while trades or singles:
        if trades and (not singles or trades[0].loss < losses[singles[0]]):
            trade = trades.pop(0)
            owners = {move.place // exchange.rules.cap for move in trade.moves}
            if len(classes) < MOST_CLASSES and not owners & (closed | classes.keys()):
                classes[min(owners)] = [trade]
                closed |= owners
            continue
        offer, at = singles.pop(0)
        owner = int(places[at]) // exchange.rules.cap
        if owner in closed or (owner not in classes and len(classes) >= MOST_CLASSES):
            continue
        own = classes.setdefault(owner, [])
        if len(own) < MOST_CHOICES:
            own.append(_Choice((Move(int(places[at]), offer),), float(added[offer, at]), float(losses[offer, at])))
    return list(classes.values())


def _neutral(exchange: Exchange, places: npt.NDArray[np.int64], spent: list[int]) -> npt.NDArray[np.bool_]:
    """Tell which moves leave all other limits as they are, or touch only what is not scarce."""
    table = exchange.table
    neutral = np.ones((exchange.nothing + 1, len(places)), np.bool_)
    for at in range(len(table.limits)):
        gone_row, gone, own_row, added = exchange.amounts(at, places)
        largest = max(
            float(np.abs(added[np.isfinite(exchange.value[:, exchange.owner(places)])]).max(initial=0.0)), 1.0
        )
        ample = (exchange.price <= 0) & (exchange.room >= AMPLE * 2 * largest)
        same = (own_row == gone_row) & (added == gone)
        loose = (ample[gone_row] | (gone == 0)) & (ample[own_row] | (added == 0))
        neutral &= same | loose | (np.isin(own_row, spent) & np.isin(gone_row, spent))
    return neutral


def _trades(
    exchange: Exchange,
    places: npt.NDArray[np.int64],
    losses: FloatMatrix,
    change: FloatMatrix,
    neutral: npt.NDArray[np.bool_],
    spent: list[int],
) -> list[_Choice]:
    """Pair members who would trade places: one gives the offer that the other one takes."""
    ways: dict[tuple[int, int], list[int]] = {}
    for offer, at in cheapest(np.where(neutral, np.inf, losses), CONSIDERED):
        ways.setdefault((int(exchange.current[places[at]]), offer), []).append(at)
    trades = []
    for (first, second), ones in ways.items():
        if first < second:
            for one, other in zip(ones, ways.get((second, first), []), strict=False):
                moves = (Move(int(places[one]), second), Move(int(places[other]), first))
                added = float(change[second, one] + change[first, other])
                if moves[0].place // exchange.rules.cap != moves[1].place // exchange.rules.cap:
                    trades.append(_Choice(moves, added, float(losses[second, one] + losses[first, other])))
    trades = [trade for trade in trades if _trade_fits(exchange, trade, spent)]
    return sorted(trades, key=lambda trade: trade.loss)


def _trade_fits(exchange: Exchange, trade: _Choice, spent: list[int]) -> bool:
    """Tell whether a trade leaves all rows but those of the budget alone, or touches only what is not scarce."""
    total: dict[int, float] = {}
    for move in trade.moves:
        for row, change in exchange.changes(move).items():
            total[row] = total.get(row, 0.0) + change
    others = ((row, abs(change)) for row, change in total.items() if change and row not in spent)
    return all(exchange.price[row] <= 0 and exchange.room[row] >= AMPLE * change for row, change in others)


def _combine(classes: list[list[_Choice]], price: float, room: float, enough: float) -> tuple[list[int], float]:
    """Choose at most one choice of each class, so that what is lost and what is left unspent together cost least.

    A state is a combination: its cost, and its loss after charges. One that costs more and is worth no more than
    another is dropped; so is one that has lost more than the best that fits, counting what is then left unspent.

    Args:
        room: cents; negative if some must be saved.
    Returns: the number of the choice from 1 of each class, 0 = none; what is lost and left, inf if nothing fits.
    """
    cost, loss = np.zeros(1), np.zeros(1)
    layers: list[_Layer] = []
    best = (price * room if room >= 0 else np.inf, -1, 0)
    for number, own in enumerate(classes):
        if best[0] <= enough:
            break
        grown = np.concatenate([cost, *(cost + choice.cost for choice in own)])
        lost = np.concatenate([loss, *(loss + choice.loss for choice in own)])
        kept = _unbeaten(grown, lost, price, best[0])
        layers.append(_Layer(kept % len(cost), (kept // len(cost)).astype(np.int8)))
        cost, loss = grown[kept], lost[kept]
        total = np.where(cost <= room, loss + price * (room - cost), np.inf)
        if not len(total):
            break
        at = int(total.argmin())
        if total[at] < best[0]:
            best = (float(total[at]), number, at)
    return _trace(len(classes), layers, best[1], best[2]), best[0]


def _unbeaten(cost: FloatVector, loss: FloatVector, price: float, most: float) -> npt.NDArray[np.intp]:
    """Return the states worth keeping, by rising cost."""
    some = np.flatnonzero(loss <= most)
    if len(some) > MOST_STATES:
        some = np.sort(some[np.argpartition(loss[some], MOST_STATES)[:MOST_STATES]])
    some = some[np.lexsort((loss[some], cost[some]))]
    worth = price * cost[some] - loss[some]
    before = np.maximum.accumulate(np.concatenate(([-np.inf], worth[:-1])))
    return some[worth > before]


def _trace(n_classes: int, layers: list[_Layer], number: int, at: int) -> list[int]:
    """Follow a state of one layer back to the choices that made it."""
    chosen = [0] * n_classes
    while number >= 0:
        chosen[number] = int(layers[number].choice[at])
        at = int(layers[number].parent[at])
        number -= 1
    return chosen

"""Shadow prices: prices on the limits at which members, choosing for themselves, use as much as there is.

The Lagrangian dual of the allocation is a convex, piecewise linear function of the prices,

    D(price) = limits . price + sum over members of what their best choice is worth after charges,

and every value of it bounds every feasible plan from above (weak duality). With many members it is nearly smooth, so
that Newton's method finds its minimum in a few dozen steps, where coordinate descent needs hundreds of sweeps and may
stall at a kink. The kinks are rounded first: between a member's best choice and the next best one the maximum is
replaced by its mean under a uniform disturbance of the margin in (-width, width), and the width shrinks in stages
(Nesterov, 2005, "Smooth minimization of non-smooth functions"). The members within the width of a change make the
second derivative, a sparse sum that conjugate gradients solve. Prices at a bound are held there while the slope presses
against it (Bertsekas, 1982, "Projected Newton methods for optimization problems with simple constraints").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.demand import Pool, Rules, answer
from recommender.coupons.limits import BoolVector, FloatVector, LimitTable

SEED = 20
STAGES = 24
STEPS = 20
SHRINK = 0.25
"""Width of a stage over that of the stage before."""
SETTLED = 0.1
"""A step that is hoped to lower the dual by a smaller part of what rounding adds to it is a stage's last."""
REACH = 4.0
"""Widths by which a step may change what a typical coupon is worth after charges, about: damping keeps it shorter."""
SUFFICIENT = 1e-4
"""Part of the decrease foretold by the slope that a step must reach (Armijo's rule)."""
HALVINGS = 12
SOLVE_STEPS = 40
SOLVE_ACCURACY = 1e-3
DAMPING = 1e-6
"""Part of the curvature that is added to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A dual to minimise over prices in a box.

    left: float64, (rows,), what the members of the pool may use: of a sample, its share of the limits; beside members
        whose choice is taken as settled, what those leave.
    low, high: float64, (rows,), bounds of the prices; high may be inf.
    typical: float64, (rows,), what a typical coupon adds to each row.
    near_enough: the search ends when no more members are within the width of a change: on a sample, when chance moves
        as many.
    close_enough: the search ends when rounding adds no more cents to the dual.
    alike: many members have the same values as others, so that they come to a change all at once, and to more than two
        choices; each value is then moved by a part of the width of its own.
    """

    pool: Pool
    table: LimitTable
    rules: Rules
    left: FloatVector
    low: FloatVector
    high: FloatVector
    typical: FloatVector
    near_enough: int
    close_enough: float
    alike: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Curvature:
    """Second derivative of the rounded dual: what members near a change would move, row by row.

    row: int64, (p, q), weight: float64, (p, q): what q members near a change would add to p rows each; rows may repeat.
    """

    row: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    scale: float
    size: int

    def times(self, vector: FloatVector) -> FloatVector:
        """Multiply with a vector, float64 (rows,)."""
        moved = (self.weight * vector[self.row]).sum(axis=0) * self.scale
        return _sums(self.row, self.weight * moved, self.size)

    def diagonal(self) -> FloatVector:
        """Return the second derivative by each row alone; of rows that repeat, at most that."""
        return _sums(self.row, self.weight**2 * self.scale, self.size)


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """The rounded dual at some prices: value, the dual itself, slope by row, curvature."""

    rounded: float
    exact: float
    slope: FloatVector
    curvature: _Curvature
    near: int


def minimise(problem: Problem, price: FloatVector, width: float) -> tuple[FloatVector, float]:
    """Find the prices of the lowest dual in the box.

    Args:
        price: float64, (rows,), where to begin.
        width: of the first rounding, in cents; about the margin of members that may still change.
    Returns: the best prices met, and the dual of the pool there.
    """
    best, lowest = price, np.inf
    for _ in range(STAGES):
        point, settled = _look(problem, price, width), False
        for _ in range(STEPS):
            if point.exact < lowest:
                best, lowest = price, point.exact
            moved, following, hoped = _step(problem, price, point, width)
            settled = following is None or hoped <= SETTLED * (point.rounded - point.exact)
            if following is not None:
                price, point = moved, following
            if settled:
                break
        if point.exact < lowest:
            best, lowest = price, point.exact
        fine = point.rounded - point.exact <= problem.close_enough or point.near <= problem.near_enough
        if settled and fine:
            break
        # Far from the minimum a narrower rounding would only see less of the way there.
        width *= SHRINK if settled else 1.0
    return best, lowest


def _step(
    problem: Problem, price: FloatVector, point: _Point, width: float
) -> tuple[FloatVector, _Point | None, float]:
    """Take one projected Newton step.

    Returns: the prices; the dual there, None where no step helps; by how much a full step was hoped to lower it.
    """
    slope = point.slope
    held = ((price <= problem.low) & (slope > 0)) | ((price >= problem.high) & (slope < 0))
    free = problem.table.real & ~held & (slope != 0)
    if not free.any():
        return price, None, 0.0
    damping = np.abs(slope) * problem.typical / (REACH * width)
    direction = _solve(point.curvature, -slope, damping, free)
    hoped = -float(slope @ direction) / 2
    length = 1.0
    for _ in range(HALVINGS):
        moved = np.clip(price + length * direction, problem.low, problem.high)
        foretold = float(slope @ (price - moved))
        following = _look(problem, moved, width)
        if foretold > 0 and following.rounded <= point.rounded - SUFFICIENT * foretold:
            return moved, following, hoped
        length /= 3
    return price, None, hoped


def _look(problem: Problem, price: FloatVector, width: float) -> _Point:
    """Evaluate the rounded dual."""
    pool, table = problem.pool, problem.table
    if problem.alike:
        noise = np.random.default_rng(SEED).random(pool.value.shape) - 0.5
        pool = Pool(pool.value + width * noise, pool.cost, pool.member)
    demand = answer(pool, table.charge(price, pool.member), table, problem.rules)
    used = np.zeros(len(price))
    for offer in demand.chosen:
        used += table.usage(pool.member, offer, _costs(pool, offer))
    near = np.flatnonzero(demand.margin < width)
    short = width - demand.margin[near]
    curvature = _moves(pool, table, near, *demand.next_best(near), 1 / (2 * width))
    share = short / (2 * width)
    shifted = _sums(curvature.row, curvature.weight * share, len(price))
    exact = float(problem.left @ price + demand.worth.sum())
    rounded = exact + float((short**2).sum()) / (4 * width)
    slope = np.where(table.real, problem.left - used - shifted, 0.0)
    return _Point(rounded, exact, slope, curvature, len(near))


def _costs(pool: Pool, offer: npt.NDArray[np.int16], at: npt.NDArray[np.intp] | None = None) -> FloatVector:
    """Return the cost, float64 (m,), of an offer for each member, or for each of some; 0 for no offer."""
    padded = np.minimum(offer, len(pool.cost) - 1)
    cost = pool.cost[padded, np.arange(len(offer)) if at is None else at]
    cost[offer == len(pool.cost)] = 0.0
    return cost


def _sums(row: npt.NDArray[np.int64], amount: FloatVector, size: int) -> FloatVector:
    """Add amounts up by row."""
    return np.bincount(row.ravel(), amount.ravel(), size).astype(np.float64, copy=False)


def _moves(
    pool: Pool,
    table: LimitTable,
    near: npt.NDArray[np.intp],
    enter: npt.NDArray[np.int16],
    leave: npt.NDArray[np.int16],
    scale: float,
) -> _Curvature:
    """Return what members near a change would add to each row and take from it."""
    member = pool.member[near]
    rows, weights = [], []
    for offer, sign in ((enter, 1.0), (leave, -1.0)):
        cost = _costs(pool, offer, near)
        for at in range(len(table.limits)):
            rows.append(table.rows(at, member, offer))
            weights.append(sign * table.weights(at, offer, cost))
    shape = (len(rows), len(near))
    row, weight = np.array(rows, np.int64).reshape(shape), np.array(weights, np.float64).reshape(shape)
    return _Curvature(row, weight, scale, len(table.amount))


def _solve(curvature: _Curvature, wanted: FloatVector, damping: FloatVector, free: BoolVector) -> FloatVector:
    """Solve (curvature + damping) x = wanted on the free rows by preconditioned conjugate gradients."""
    diagonal = curvature.diagonal()
    damping = damping + DAMPING * diagonal
    scale = np.where(free, 1 / np.where(free, diagonal + damping, 1.0), 0.0)
    solution = np.zeros(len(wanted))
    rest = np.where(free, wanted, 0.0)
    conditioned = scale * rest
    direction = conditioned
    left = first = float(rest @ conditioned)
    for _ in range(SOLVE_STEPS):
        turned = np.where(free, curvature.times(direction) + damping * direction, 0.0)
        bent = float(direction @ turned)
        if bent <= 0:
            break
        step = left / bent
        solution = solution + step * direction
        rest = rest - step * turned
        conditioned = scale * rest
        following = float(rest @ conditioned)
        if following <= SOLVE_ACCURACY**2 * first:
            break
        direction = conditioned + following / left * direction
        left = following
    return solution

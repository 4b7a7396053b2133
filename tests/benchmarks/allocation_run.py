"""One allocation as a process of its own: `python -m tests.benchmarks.allocation_run KIND MEMBERS OFFERS SEED [lp]`.

Prints one JSON object. Instances are made by instance(); the time of one plain pass over the arrays is measured beside
every allocation, since seconds depend on the machine and on what else it does.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack

from recommender.coupons.allocation import Plan, Terms, allocate
from recommender.coupons.limits import Limit, budget, stock, store_budgets
from recommender.coupons.matrices import Arrays

N_STORES = 200
Values = npt.NDArray[np.float64]
Costs = npt.NDArray[np.int64]


def instance(members: int, offers: int, seed: int) -> tuple[Values, Costs]:
    """Make values (cents, around 20 with a spread of 100, one in twenty not eligible) and costs (20 to 400 cents)."""
    rng = np.random.default_rng(seed)
    value = rng.normal(20, 100, (members, offers))
    cost = rng.integers(20, 400, (members, offers))
    for start in range(0, members, 10_000):
        part = value[start : start + 10_000]
        part[rng.random(part.shape) < 0.05] = np.nan
    return value, cost


def limits_of(kind: str, members: int, offers: int, seed: int) -> tuple[Limit, ...]:
    """Return the limits of one kind of instance: every kind but `stores` has a budget of 25 cents per member."""
    cents = 25 * members
    pieces = stock([members // (2 * offers)] * offers)
    rng = np.random.default_rng(seed)
    parts = rng.dirichlet(np.full(N_STORES, 4.0)) * cents
    stores = store_budgets([int(part) for part in parts], rng.integers(0, N_STORES, members))
    kinds: dict[str, tuple[Limit, ...]] = {
        "budget": (budget(cents),),
        "stock": (budget(cents), pieces),
        "cap 2": (budget(cents), pieces),
        "stores": (stores,),
        "all": (budget(cents * 9 // 10), pieces, stores),
    }
    return kinds[kind]


def seconds_of(action: Callable[[], object]) -> float:
    """Return the processor time of an action, which other work on the machine changes less than the clock's."""
    began = time.process_time()
    action()
    return time.process_time() - began


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def linear_programme(value: Values, cost: Costs, limits: tuple[Limit, ...]) -> dict[str, float]:
    """Solve the relaxation of a budget and stock by HiGHS, both ways."""
    members, offers = value.shape
    row, column = np.nonzero(np.nan_to_num(value, nan=-1.0) > 0)
    count = len(row)
    parts = [csr_matrix((np.ones(count), (row, np.arange(count))), shape=(members, count))]
    parts.append(csr_matrix(cost[row, column][None].astype(float)))
    right = [np.ones(members), limits[0].amounts]
    if len(limits) > 1:
        parts.append(csr_matrix((np.ones(count), (column, np.arange(count))), shape=(offers, count)))
        right.append(limits[1].amounts)
    matrix, most = vstack(parts), np.concatenate(right)
    found: dict[str, float] = {}
    for method in ("highs", "highs-ds", "highs-ipm"):
        solution: list[float] = []

        def solve(method: str = method, solution: list[float] = solution) -> None:
            answer = linprog(-value[row, column], A_ub=matrix, b_ub=most, bounds=(0, None), method=method)
            solution.append(-answer.fun)

        found[f"{method} s"] = seconds_of(solve)
        found[f"{method} value"] = solution[0]
    return found


def main() -> None:
    kind, members, offers, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    value, cost = instance(members, offers, seed)
    limits = limits_of(kind, members, offers, seed)
    terms = Terms(limits, cap=2 if kind in ("cap 2", "all") else 1)
    arrays = Arrays(value, cost)
    allocate(Arrays(value[:100], cost[:100]), Terms((budget(100),)))
    before = peak_bytes()
    plans: list[Plan] = []
    times = [seconds_of(lambda: plans.append(allocate(arrays, terms))) for _ in range(1 if members > 200_000 else 5)]
    peak = peak_bytes()
    passes = [seconds_of(lambda: np.argmax(value - 1.0 * cost, axis=1)) for _ in range(3)]
    plan = plans[-1]
    found: dict[str, float | str] = {
        "kind": kind,
        "seconds": min(times),
        "pass seconds": min(passes),
        "gap": plan.gap,
        "value": plan.total_value_cents,
        "coupons": len(plan.member_row),
        "memory": (value.nbytes + cost.nbytes + max(peak - before, 0)) / (value.nbytes + cost.nbytes),
        "over": max(float((used - limit.amounts).max()) for used, limit in zip(plan.used, limits, strict=True)),
    }
    if sys.argv[5:] == ["lp"]:
        found |= linear_programme(value, cost, limits)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""Returns: incremental margin for each cent of cost, and redemptions that would have bought anyway; ratios both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from recommender.campaigns.effect import (
    LEVEL,
    FloatVector,
    Linear,
    Units,
    Verdict,
    difference,
    group_mean,
    judge,
)
from recommender.intervals import UNKNOWN, Estimate

ROUNDS = 1000
"""Resamples behind a bootstrap interval."""
CHUNK = 50


class Method(StrEnum):
    """Where a ratio's interval comes from; NONE: there is no ratio."""

    FIELLER = "fieller"
    BOOTSTRAP = "bootstrap"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two estimates; `method` says where its interval comes from."""

    estimate: Estimate
    method: Method
    verdict: Verdict


NO_RATIO = Ratio(UNKNOWN, Method.NONE, Verdict.UNDETERMINED)


def return_on_cost(
    units: Units, margin: FloatVector, cost: FloatVector, rng: np.random.Generator, rounds: int = ROUNDS
) -> Ratio:
    """Return iROI: (incremental margin - cost) / cost.

    Args:
        margin: float64, (n,), before the campaign's cost, sums over each unit's members; adjusted or raw.
        cost: float64, (n,), what the campaign cost by unit; what controls cost counts against it.
        rng, rounds: of the bootstrap, which is used where Fieller's interval has no bounds: there the cost itself
            cannot be told from none.
    Returns: NO_RATIO where a group is too small or the campaign cost nothing.
    """
    gained, spent = difference(units, margin), difference(units, cost)
    if gained is None or spent is None or spent.value <= 0:
        return NO_RATIO
    found = fieller(gained, spent)
    method = Method.FIELLER
    if found is None:
        found, method = _bootstrap(units, margin, cost, rng, rounds), Method.BOOTSTRAP
    low, high = found
    estimate = Estimate(gained.value / spent.value - 1, low - 1, high - 1)
    return Ratio(estimate, method, judge(estimate))


def bought_anyway(units: Units, buyers: FloatVector, redeemers: FloatVector) -> Ratio:
    """Return the share of redeemers who would have bought what the offer covers without it.

    Of the treated more bought by as much as the offer changed; the other redeemers would have bought anyway. This
    takes for granted that an offer keeps nobody from buying, and moves nobody who does not redeem: the share is cut to
    0 and 1, its verdict compares it with nothing.

    Args:
        buyers: float64, (n,), members of each unit who bought something the offer covers.
        redeemers: float64, (n,), members of each unit who redeemed.
    Source: the share of always-takers among users, as in Angrist, Imbens and Rubin (1996); Fieller (1954).
    """
    gained, used = difference(units, buyers), group_mean(units, redeemers, True)
    if gained is None or used is None or used.value <= 0:
        return NO_RATIO
    found = fieller(gained, Linear(used.value, used.influence, gained.freedom))
    share = _clip(1 - gained.value / used.value)
    if found is None:
        return Ratio(Estimate(share), Method.NONE, Verdict.UNDETERMINED)
    low, high = found
    return Ratio(Estimate(share, _clip(1 - high), _clip(1 - low)), Method.FIELLER, Verdict.UNDETERMINED)


def fieller(above: Linear, below: Linear) -> tuple[float, float] | None:
    """Return the 95 % bounds of above / below, None where they are not finite.

    Args:
        above, below: estimates over the same units, so that their covariance is known.
    Source: Fieller (1954), "Some problems in interval estimation".
    """
    a, b = above.value, below.value
    square = above.quantile**2
    vaa, vab, vbb = (
        square * float(one @ other)
        for one, other in (
            (above.influence, above.influence),
            (above.influence, below.influence),
            (below.influence, below.influence),
        )
    )
    scale = b * b - vbb
    if scale <= 0:
        return None
    middle = a * b - vab
    root = math.sqrt(max(middle * middle - scale * (a * a - vaa), 0.0))
    return (middle - root) / scale, (middle + root) / scale


def _bootstrap(
    units: Units, margin: FloatVector, cost: FloatVector, rng: np.random.Generator, rounds: int
) -> tuple[float, float]:
    """Return percentile bounds of the ratio, units drawn again within their groups."""
    found = []
    for start in range(0, rounds, CHUNK):
        drawn = min(CHUNK, rounds - start)
        changes: list[FloatVector] = []
        for treated in (True, False):
            rows = np.flatnonzero(units.treated == treated)
            times = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), drawn) * units.weight[rows]
            members = times @ units.members[rows]
            changes += [times @ margin[rows] / members, times @ cost[rows] / members]
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append((changes[0] - changes[2]) / (changes[1] - changes[3]))
    values = np.concatenate(found)
    low, high = np.quantile(values[np.isfinite(values)], (LEVEL / 2, 1 - LEVEL / 2))
    return float(low), float(high)


def _clip(share: float) -> float:
    return min(max(share, 0.0), 1.0)

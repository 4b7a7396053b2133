"""Intervals at 95 %: rates over customers who count more than once, differences between groups, and ratio checks.

A customer's items are not independent of one another, so the customer is the unit throughout. Only sums over units
are needed, which the database adds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over units: how many there are, what each was shown (n), what came of it (y), and their products."""

    units: int
    n: float
    y: float
    nn: float
    ny: float
    yy: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the bounds of its 95 % interval; None where the data cannot say."""

    value: float | None
    low: float | None = None
    high: float | None = None


UNKNOWN = Estimate(None)


def ratio(sums: Sums) -> Estimate:
    """Estimate sum(y) / sum(n) with the delta method over units.

    Source: Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", section 2.
    """
    if sums.n <= 0:
        return UNKNOWN
    value = sums.y / sums.n
    variance = ratio_variance(sums)
    if variance is None:
        return Estimate(value)
    half = Z * math.sqrt(variance)
    return Estimate(value, value - half, value + half)


def ratio_variance(sums: Sums) -> float | None:
    """Return the variance of sum(y) / sum(n) over units, None if there are fewer than two."""
    if sums.units < 2 or sums.n <= 0:
        return None
    value = sums.y / sums.n
    residual = max(sums.yy - 2 * value * sums.ny + value * value * sums.nn, 0.0)
    return sums.units / (sums.units - 1) * residual / sums.n**2


def proportion(sums: Sums) -> Estimate:
    """Estimate the share sum(y) / sum(n), y counting some of n, with Wilson's interval.

    The number of trials is the effective one: so many independent trials would vary as much as the units do, at most
    n. Where nothing varies (no hit, or nothing but hits) each unit counts as one trial.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference"; the effective
    number as in Dean and Pagano (2015), "Evaluating confidence interval methods for binomial proportions in clustered
    surveys".
    """
    if sums.n <= 0:
        return UNKNOWN
    value = min(max(sums.y / sums.n, 0.0), 1.0)
    variance, spread = ratio_variance(sums), value * (1 - value)
    trials = spread / variance if variance else float(sums.units)
    return wilson(value, min(max(trials, 1.0), sums.n))


def wilson(value: float, trials: float) -> Estimate:
    """Return Wilson's score interval of a share seen in so many trials, which need not be a whole number."""
    scale = 1 + Z * Z / trials
    centre = (value + Z * Z / (2 * trials)) / scale
    half = Z / scale * math.sqrt(value * (1 - value) / trials + Z * Z / (4 * trials * trials))
    return Estimate(value, min(max(centre - half, 0.0), value), max(min(centre + half, 1.0), value))


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one group has than another per unit: the difference, the relative one, and the p-value of none."""

    absolute: Estimate
    relative: Estimate
    p_value: float | None


NO_DIFFERENCE = Difference(UNKNOWN, UNKNOWN, None)


def mean_difference(treated: Sums, control: Sums) -> Difference:
    """Compare the means of y per unit of two groups drawn apart; `n` is not used.

    Source: Welch (1947) for the absolute difference, with the normal distribution, as the groups are large; the delta
    method for the relative one (Deng et al., 2018, section 3).
    """
    if treated.units < 2 or control.units < 2:
        return NO_DIFFERENCE
    (mean, variance), (base, base_variance) = _mean(treated), _mean(control)
    error = math.sqrt(variance + base_variance)
    gap = mean - base
    absolute = Estimate(gap, gap - Z * error, gap + Z * error)
    p_value = math.erfc(abs(gap) / error / math.sqrt(2)) if error > 0 else None
    if base <= 0:
        return Difference(absolute, UNKNOWN, p_value)
    lift = mean / base - 1
    spread = math.sqrt(variance / base**2 + mean**2 * base_variance / base**4)
    return Difference(absolute, Estimate(lift, lift - Z * spread, lift + Z * spread), p_value)


def unit_mean(sums: Sums) -> Estimate:
    """Estimate the mean of y per unit."""
    if sums.units == 0:
        return UNKNOWN
    if sums.units == 1:
        return Estimate(sums.y)
    mean, variance = _mean(sums)
    half = Z * math.sqrt(variance)
    return Estimate(mean, mean - half, mean + half)


def sample_ratio_p(counts: tuple[int, int], shares: tuple[float, float]) -> float | None:
    """Return the p-value of a chi-square test, one degree of freedom, that units fell to groups as the shares say.

    Args:
        counts: units seen in each group.
        shares: what each should get; > 0, any scale.
    Returns: None without units.
    Source: Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments".
    """
    total, whole = sum(counts), sum(shares)
    if total == 0:
        return None
    expected = [total * share / whole for share in shares]
    chi_square = sum((count - wanted) ** 2 / wanted for count, wanted in zip(counts, expected, strict=True))
    return math.erfc(math.sqrt(chi_square / 2))


def _mean(sums: Sums) -> tuple[float, float]:
    """Return the mean of y per unit and the variance of that mean."""
    mean = sums.y / sums.units
    variance = max(sums.yy - sums.units * mean * mean, 0.0) / (sums.units - 1)
    return mean, variance / sums.units

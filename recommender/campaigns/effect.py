"""Effect: what a campaign changed, intention-to-treat, with 95 % intervals that know that households were drawn.

Everything here is arithmetic on arrays with one row per unit: the household or member that fell to a group as a whole.
A figure per member is a ratio of sums over units, so that members of one household are not taken for independent. An
estimate keeps its influence, unit by unit: variances, covariances and ratios of estimates follow from it.

Spending is skewed: most units buy nothing, a few buy very much. The headline stays the mean, which is what is earned;
`skewed` says when the smaller group is too small for its interval to be trusted, and `winsorised` gives the figure once
more with the largest units cut to a quantile, as a second opinion that is biased towards less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from recommender.intervals import UNKNOWN, Estimate

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]
IntVector = npt.NDArray[np.int64]

LEVEL = 0.05
RATIO_ALARM = 0.001
"""Below this p-value the groups are not of the sizes that were drawn, and no comparison is to be trusted."""
CUT = 0.99
"""Quantile of what buying units bought, to which the winsorised figure cuts."""
SKEW_FACTOR = 355.0
"""Units that a mean needs for each squared skewness before its normal interval holds; Kohavi et al. (2014), rule 7."""


class Verdict(StrEnum):
    """What an interval says."""

    RISE = "rise"
    FALL = "fall"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Units:
    """Who was drawn: one row per unit.

    treated: bool, (n,).  members: float64, (n,), members of the unit in the campaign, >= 1.
    propensity: float64, (n,), the chance to be treated, in (0, 1); it may vary.
    """

    treated: BoolVector
    members: FloatVector
    propensity: FloatVector

    def where(self, kept: BoolVector) -> Units:
        """Return some of the units."""
        return Units(self.treated[kept], self.members[kept], self.propensity[kept])

    @property
    def weight(self) -> FloatVector:
        """How many units each stands for: 1 / the chance of its own group, float64, (n,)."""
        found: FloatVector = 1.0 / np.where(self.treated, self.propensity, 1.0 - self.propensity)
        return found


@dataclass(frozen=True, slots=True)
class Linear:
    """An estimate and its influence by unit, float64, (n,): the variance is the sum of squares.

    freedom: degrees of freedom of the variance.
    """

    value: float
    influence: FloatVector
    freedom: float

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(float(self.influence @ self.influence))

    @property
    def quantile(self) -> float:
        """The 97.5 % point of its t distribution."""
        return float(stdtrit(self.freedom, 1 - LEVEL / 2))

    @property
    def p_value(self) -> float | None:
        """The p-value of no effect, None where nothing varies."""
        return float(2 * stdtr(self.freedom, -abs(self.value) / self.error)) if self.error > 0 else None

    def estimate(self, scale: float = 1.0) -> Estimate:
        """Return the value, times a constant, with its interval."""
        half = self.quantile * self.error
        return Estimate(self.value * scale, (self.value - half) * scale, (self.value + half) * scale)


@dataclass(frozen=True, slots=True)
class Effect:
    """What one outcome did.

    treated_mean, control_mean: per member.  per_member: the difference.  total: over the treated members.
    relative: to the control mean.  error: standard error of `per_member`.
    """

    treated_mean: float | None
    control_mean: float | None
    per_member: Estimate
    total: Estimate
    relative: Estimate
    p_value: float | None
    error: float | None
    verdict: Verdict


NO_EFFECT_KNOWN = Effect(None, None, UNKNOWN, UNKNOWN, UNKNOWN, None, None, Verdict.UNDETERMINED)


@dataclass(frozen=True, slots=True)
class Measured:
    """One outcome, with CUPED (`adjusted`, the headline), without, and once more winsorised.

    narrowed: part of the standard error that CUPED took away.  cut: to what the largest units were cut.
    skewed: the interval may be off, since few units carry much of the sum.
    """

    raw: Effect
    adjusted: Effect
    winsorised: Effect
    narrowed: float | None
    cut: float | None
    skewed: bool


def sum_units(unit: IntVector, units: int, values: FloatVector) -> FloatVector:
    """Add members up to units.

    Args:
        unit: int64, (members,), the row of each member's unit.  units: how many there are.
        values: float64, (members,).
    Returns: float64, (units,).
    """
    return np.bincount(unit, weights=values, minlength=units).astype(np.float64, copy=False)


def group_mean(units: Units, outcome: FloatVector, treated: bool) -> Linear | None:
    """Return the weighted mean per member of one group, None with fewer than two units.

    Source: Hajek (1971) for the weights; Deng, Knoblich and Lu (2018), section 2, for the ratio's variance.
    """
    inside = units.treated == treated
    count = int(inside.sum())
    if count < 2:
        return None
    weight = np.where(inside, units.weight, 0.0)
    whole = float(weight @ units.members)
    mean = float(weight @ outcome) / whole
    influence = weight * (outcome - mean * units.members) / whole * math.sqrt(count / (count - 1))
    return Linear(mean, influence, count - 1.0)


def difference(units: Units, outcome: FloatVector) -> Linear | None:
    """Return how much more the treated have per member than the controls, None where a group has under two units.

    Source: Welch (1947) for the degrees of freedom.
    """
    means = [group_mean(units, outcome, treated) for treated in (True, False)]
    treated, control = means
    if treated is None or control is None:
        return None
    parts = [one.error**2 for one in (treated, control)]
    below = sum(part**2 / one.freedom for part, one in zip(parts, (treated, control), strict=True))
    freedom = sum(parts) ** 2 / below if below > 0 else treated.freedom + control.freedom
    return Linear(treated.value - control.value, treated.influence - control.influence, freedom)


def adjust(units: Units, outcome: FloatVector, covariates: FloatMatrix) -> FloatVector:
    """Take out of an outcome what the time before foretold (CUPED), keeping its mean.

    The coefficients come from both groups together, each about its own mean, so that the effect itself does not enter.

    Args:
        outcome: float64, (n,), sums over the unit's members.
        covariates: float64, (n, k), the same, of measures that the campaign cannot have changed.
    Returns: float64, (n,).
    Source: Deng, Xu, Kohavi and Walker (2013), "Improving the sensitivity of online controlled experiments by
        utilizing pre-experiment data"; Lin (2013) for several covariates.
    """
    columns = np.column_stack([outcome, covariates])
    within = np.empty_like(columns)
    for treated in (True, False):
        inside = units.treated == treated
        weight = (units.weight * inside)[inside]
        members = units.members[inside]
        if len(members):
            mean = weight @ columns[inside] / (weight @ members)
            within[inside] = columns[inside] - members[:, None] * mean
    scale = np.sqrt((within[:, 1:] ** 2).mean(axis=0))
    used = scale > 0
    if not used.any():
        return outcome
    theta, *_ = np.linalg.lstsq(within[:, 1:][:, used] / scale[used], within[:, 0], rcond=1e-9)
    overall = covariates.sum(axis=0) / units.members.sum()
    shifted = (covariates - units.members[:, None] * overall)[:, used] / scale[used]
    found: FloatVector = outcome - shifted @ theta
    return found


def effect_of(units: Units, outcome: FloatVector) -> Effect:
    """Return the effect on one outcome, given as sums over each unit's members, float64, (n,)."""
    change = difference(units, outcome)
    treated, control = (group_mean(units, outcome, group) for group in (True, False))
    if change is None or treated is None or control is None:
        return NO_EFFECT_KNOWN
    per_member = change.estimate()
    relative = UNKNOWN
    if control.value > 0:
        lift = change.influence / control.value - control.influence * (-change.value / control.value**2)
        relative = Linear(change.value / control.value, lift, change.freedom).estimate()
    return Effect(
        treated_mean=treated.value,
        control_mean=control.value,
        per_member=per_member,
        total=change.estimate(float(units.members[units.treated].sum())),
        relative=relative,
        p_value=change.p_value,
        error=change.error,
        verdict=judge(per_member),
    )


def measure(units: Units, outcome: FloatVector, covariates: FloatMatrix | None = None) -> Measured:
    """Return the effect on one outcome in all the ways a report tells it.

    Args:
        outcome: float64, (n,), sums over each unit's members.
        covariates: float64, (n, k), of the time before; None: there are none, and `adjusted` is `raw`.
    """
    raw = effect_of(units, outcome)
    if covariates is None or raw.error is None:
        adjusted, rest = raw, outcome
    else:
        rest = adjust(units, outcome, covariates)
        adjusted = effect_of(units, rest)
    cut = _cut(outcome)
    if cut is None:
        winsorised = adjusted
    else:
        short = np.minimum(outcome, cut)
        winsorised = effect_of(units, short if covariates is None else adjust(units, short, covariates))
    narrowed = None if not raw.error or adjusted.error is None else 1 - adjusted.error / raw.error
    return Measured(raw, adjusted, winsorised, narrowed, cut, _is_skewed(units, rest))


def judge(interval: Estimate) -> Verdict:
    """Say what an interval says: a rise, a fall, or nothing."""
    if interval.low is None or interval.high is None or interval.low <= 0 <= interval.high:
        return Verdict.UNDETERMINED
    return Verdict.RISE if interval.low > 0 else Verdict.FALL


def ratio_p(units: Units) -> float | None:
    """Return the p-value of the sample-ratio check: that units fell to the groups as their propensities say.

    Chi-square with one degree of freedom; the number of treated has the variance sum p (1 - p).

    Source: Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments".
    """
    variance = float((units.propensity * (1 - units.propensity)).sum())
    if variance <= 0:
        return None
    gap = float(units.treated.sum()) - float(units.propensity.sum())
    return math.erfc(math.sqrt(gap * gap / variance / 2))


def _cut(outcome: FloatVector) -> float | None:
    bought = outcome[outcome > 0]
    return float(np.quantile(bought, CUT)) if len(bought) else None


def _is_skewed(units: Units, outcome: FloatVector) -> bool:
    """Tell whether a group is too small for how skewed its outcome is."""
    for treated in (True, False):
        values = outcome[units.treated == treated]
        spread = float(values.std()) if len(values) else 0.0
        if spread > 0:
            skewness = float((((values - values.mean()) / spread) ** 3).mean())
            if len(values) < SKEW_FACTOR * skewness**2:
                return True
    return False

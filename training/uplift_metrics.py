"""Measures of how well estimated effects rank, and what policies made of them are worth; each with its source.

Everything here is arithmetic on arrays. The definitions of curves and areas are those that scikit-uplift uses, with
which the tests compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]
IntVector = npt.NDArray[np.int64]
BoolVector = npt.NDArray[np.bool_]

ROUNDS = 200
"""Resamples behind an interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval over rows."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve over the rows taken, best first: rows taken so far, and what they gained; both (m,), from (0, 0)."""

    taken: FloatVector
    gain: FloatVector

    @property
    def area(self) -> float:
        """The area below the curve, by trapezoids."""
        return float(np.trapezoid(self.gain, self.taken))

    @property
    def chance_area(self) -> float:
        """The area below the straight line to the curve's end: what a random order gains."""
        return float(self.taken[-1] * self.gain[-1] / 2)


def qini_curve(outcome: FloatVector, effect: FloatVector, treated: BoolVector) -> Curve:
    """Return outcomes of the treated less those of the controls, scaled up to as many, among the rows taken.

    Args:
        outcome: float64, (n,).
        effect: what the rows are ordered by, falling; equal ones are taken together.
        treated: bool, (n,).
    Source: Radcliffe (2007), "Using control groups to target on predicted lift".
    """
    taken, with_it, without, gained, base = _sums(outcome, effect, treated)
    return _from_zero(taken, gained - base * _ratio(with_it, without))


def uplift_curve(outcome: FloatVector, effect: FloatVector, treated: BoolVector) -> Curve:
    """Return the difference of mean outcomes, times the rows taken.

    Args: as for qini_curve.
    Source: Rzepakowski and Jaroszewicz (2010), "Decision trees for uplift modeling"; Devriendt et al. (2018), "A
        literature survey and experimental evaluation of the state-of-the-art in uplift modeling".
    """
    taken, with_it, without, gained, base = _sums(outcome, effect, treated)
    return _from_zero(taken, (_ratio(gained, with_it) - _ratio(base, without)) * taken)


def qini(outcome: FloatVector, effect: FloatVector, treated: BoolVector) -> float:
    """Return the Qini coefficient: the area above chance, as a share of what a perfect order has.

    For outcomes of 0 and 1, the perfect order puts treated responders first and untreated ones last; the same order
    serves other outcomes. NaN where an arm or the outcome is constant.

    Source: Radcliffe (2007); normalised as scikit-uplift 0.5.1 does in qini_auc_score.
    """
    best = np.where(treated, outcome, -outcome)
    return _share(qini_curve(outcome, effect, treated), qini_curve(outcome, best, treated), treated)


def uplift_area(outcome: FloatVector, effect: FloatVector, treated: BoolVector) -> float:
    """Return the area under the uplift curve above chance, as a share of what a perfect order has (AUUC).

    Source: Devriendt et al. (2018); normalised as scikit-uplift 0.5.1 does in uplift_auc_score.
    """
    success = outcome > 0
    many = (success & ~treated).sum() > (~success & treated).sum()
    best = 2.0 * (success == treated) + (success if many else treated)
    return _share(uplift_curve(outcome, effect, treated), uplift_curve(outcome, best, treated), treated)


def uplift_at(outcome: FloatVector, effect: FloatVector, treated: BoolVector, share: float) -> float:
    """Return the difference of mean outcomes among the rows with the largest effects; NaN if an arm is missing there.

    Args:
        share: of all rows; 0 < share <= 1.
    Source: the uplift at k of scikit-uplift 0.5.1 with strategy "overall".
    """
    order = _falling(effect)[: int(len(effect) * share)]
    chosen, values = treated[order], outcome[order]
    if chosen.all() or not chosen.any():
        return float("nan")
    return float(values[chosen].mean() - values[~chosen].mean())


def with_interval(
    figure: Callable[[FloatVector, FloatVector, BoolVector], float],
    outcome: FloatVector,
    effect: FloatVector,
    treated: BoolVector,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> Estimate:
    """Return a measure with its interval; the effects are held fixed, the rows are drawn again."""
    found = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(outcome), len(outcome))
        found.append(figure(outcome[drawn], effect[drawn], treated[drawn]))
    if not np.isfinite(found).any():
        return Estimate(figure(outcome, effect, treated), float("nan"), float("nan"))
    low, high = np.nanquantile(found, (0.025, 0.975))
    return Estimate(figure(outcome, effect, treated), float(low), float(high))


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """What a policy earns per row, by three estimators, and its share of rows treated."""

    treated: float
    ips: Estimate
    snips: Estimate
    dr: Estimate


def policy_value(
    choice: IntVector,
    arm: IntVector,
    outcome: FloatVector,
    propensity: FloatMatrix,
    expected: FloatMatrix,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> PolicyValue:
    """Estimate the mean outcome had a policy chosen each row's arm.

    Args:
        choice: int64, (n,), the arm that the policy chooses; it may not depend on the row's own outcome.
        arm: int64, (n,), the arm that was drawn.
        outcome: float64, (n,).
        propensity: float64, (n, arms), chance of each arm when it was drawn.
        expected: float64, (n, arms), outcome expected of each arm by models that have not seen the row.
        rng, rounds: of the bootstrap over rows.
    Source: Horvitz and Thompson (1952) for IPS; Swaminathan and Joachims (2015) for SNIPS; Dudik, Langford and
        Li (2011), "Doubly robust policy evaluation and learning".
    """
    row = np.arange(len(arm))
    weight = (choice == arm) / propensity[row, arm]
    model = expected[row, choice]
    parts = np.stack((weight * outcome, weight, model + weight * (outcome - expected[row, arm])))
    drawn = [parts @ rng.poisson(1.0, len(arm)) for _ in range(rounds)]
    whole, spread = parts.sum(axis=1), np.array(drawn, np.float64)
    rows = len(arm)
    ips = _interval(float(whole[0]) / rows, spread[:, 0] / rows)
    snips = _interval(_one(float(whole[0]), float(whole[1])), _ratio(spread[:, 0], spread[:, 1]))
    dr = _interval(float(whole[2]) / rows, spread[:, 2] / rows)
    return PolicyValue(float((choice > 0).mean()), ips, snips, dr)


def _interval(value: float, found: FloatVector) -> Estimate:
    low, high = np.quantile(found, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def _one(up: float, down: float) -> float:
    return float(up / down) if down else float("nan")


def _falling(effect: FloatVector) -> IntVector:
    """Return the order of falling effects; of equal ones the last row comes first, as scikit-uplift has it."""
    order: IntVector = np.argsort(effect, kind="stable")[::-1]
    return order


def _sums(
    outcome: FloatVector, effect: FloatVector, treated: BoolVector
) -> tuple[FloatVector, FloatVector, FloatVector, FloatVector, FloatVector]:
    """Return at each distinct effect: rows, treated, controls, outcomes of the treated, outcomes of the controls."""
    order = _falling(effect)
    value, drawn, ranked = outcome[order], treated[order], effect[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    with_it = np.cumsum(drawn, dtype=np.float64)[last]
    gained = np.cumsum(value * drawn)[last]
    base = np.cumsum(value * ~drawn)[last]
    taken = (last + 1).astype(np.float64)
    return taken, with_it, taken - with_it, gained, base


def _from_zero(taken: FloatVector, gain: FloatVector) -> Curve:
    return Curve(np.concatenate(([0.0], taken)), np.concatenate(([0.0], gain)))


def _ratio(up: FloatVector, down: FloatVector) -> FloatVector:
    found: FloatVector = np.divide(up, down, out=np.zeros_like(up, dtype=np.float64), where=down != 0)
    return found


def _share(curve: Curve, best: Curve, treated: BoolVector) -> float:
    if treated.all() or not treated.any():
        return float("nan")
    chance = best.chance_area
    return _one(curve.area - chance, best.area - chance)

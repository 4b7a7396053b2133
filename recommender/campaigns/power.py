"""Power: the smallest effect that a campaign's groups can tell from chance, known before launch, and what would help.

A design says what is compared: how many units fall to each group, and how the outcome varies from unit to unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from scipy.special import ndtr, ndtri

from recommender.campaigns.effect import LEVEL, FloatVector
from recommender.errors import InputError

POWER = 0.8
"""The chance to find an effect of the size that a design is made for."""
LARGEST_HOLDOUT = 0.5
STEPS = 200
"""Halvings of the search for the smallest lift of a share."""


@dataclass(frozen=True, slots=True)
class Design:
    """What will be compared.

    treated, control: units in each group.  mean: of the outcome per unit without the campaign.
    deviation: its standard deviation over units; None: the outcome is yes or no, and `mean` its chance.
    correlation: between the outcome and what CUPED takes out (the same measure in the time before); 0: no CUPED.
    effect_deviation: how the effect itself varies from unit to unit; an offer that moves few by much adds to the noise.
    """

    treated: float
    control: float
    mean: float
    deviation: float | None = None
    correlation: float = 0.0
    effect_deviation: float = 0.0

    def __post_init__(self) -> None:
        if not (self.treated > 0 and self.control > 0):
            accepted = "units in both groups"
            raise InputError(
                "Nothing can be compared.", field="control", value=f"{self.control} of {self.units}", accepted=accepted
            )
        if not 0 <= abs(self.correlation) < 1:
            raise InputError(
                "A correlation is between -1 and 1.", field="correlation", value=self.correlation, accepted="-1 to 1"
            )
        if self.deviation is None and not 0 < self.mean < 1:
            raise InputError("A chance is between 0 and 1.", field="mean", value=self.mean, accepted="0 to 1")

    @property
    def units(self) -> float:
        """Units in both groups."""
        return self.treated + self.control

    def error(self, effect: float = 0.0) -> float:
        """Return the standard error of the difference, if the treated have so much more per unit."""
        left = 1 - self.correlation**2
        if self.deviation is None:
            chance = min(max(self.mean + effect, 0.0), 1.0)
            parts = (left * chance * (1 - chance), left * self.mean * (1 - self.mean))
        else:
            parts = (left * self.deviation**2 + self.effect_deviation**2, left * self.deviation**2)
        return math.sqrt(parts[0] / self.treated + parts[1] / self.control)


class Change(StrEnum):
    """What would make the smallest detectable effect smaller."""

    LARGER_HOLDOUT = "larger_holdout"
    LONGER_WINDOW = "longer_window"
    POOLED_CAMPAIGNS = "pooled_campaigns"
    CUPED = "cuped"


@dataclass(frozen=True, slots=True)
class Detectable:
    """The smallest effect found with the stated power: per unit, over all treated, and relative to the mean.

    None where even the largest possible effect is not found.
    """

    per_unit: float | None
    total: float | None
    relative: float | None
    power: float


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change and what it would make of the smallest detectable effect, relative to the mean.

    size: the share held out, the factor of the window, the number of campaigns, or the correlation.
    """

    change: Change
    size: float
    relative: float | None


def power_of(design: Design, effect: float, level: float = LEVEL) -> float:
    """Return the chance that an effect of some size per unit comes out significant, in either direction.

    Source: Casagrande, Pike and Smith (1978) review the formulas for shares; this is the unpooled one.
    """
    shift, bound = effect / design.error(effect), float(ndtri(1 - level / 2))
    return float(ndtr(shift - bound) + ndtr(-shift - bound))


def smallest_effect(design: Design, power: float = POWER, level: float = LEVEL) -> Detectable:
    """Return the smallest rise that is found with a stated chance."""
    needed = float(ndtri(1 - level / 2) + ndtri(power))
    found: float | None = needed * design.error()
    if design.deviation is None:
        found = _smallest_lift(design, needed)
    if found is None:
        return Detectable(None, None, None, power)
    relative = found / design.mean if design.mean > 0 else None
    return Detectable(found, found * design.treated, relative, power)


def units_needed(design: Design, effect: float, power: float = POWER, level: float = LEVEL) -> float:
    """Return how many units both groups need together, in the design's proportion, to find an effect per unit.

    Not rounded. Raises: InputError if the effect is zero.
    """
    if effect == 0:
        raise InputError("No number of units finds an effect of nothing.", field="effect", value=0, accepted="not 0")
    needed = float(ndtri(1 - level / 2) + ndtri(power))
    return design.units * (needed * design.error(effect) / effect) ** 2


def remedies(
    design: Design, correlation: float, holdout: float = 0.2, window: float = 2.0, campaigns: int = 4
) -> tuple[Remedy, ...]:
    """Return what would make the smallest detectable effect smaller, and to what.

    Args:
        design: as planned.
        correlation: between two successive windows of the outcome, unit by unit: what CUPED would take out, and how
            much of the variation stays with the unit when the window grows. For a yes-or-no outcome the window is
            not changed.
        holdout: the share to hold out instead; left out where more is held out already.
        window: by which factor the window grows; the effect is taken to go on at the same pace.
        campaigns: of the same kind and size, measured as one.
    Source: the variance of sums of equally correlated windows; Spearman (1910) and Brown (1910) for the correlation
        of longer ones.
    """
    found = []
    if design.control / design.units < holdout <= LARGEST_HOLDOUT:
        larger = replace(design, treated=design.units * (1 - holdout), control=design.units * holdout)
        found.append(Remedy(Change.LARGER_HOLDOUT, holdout, smallest_effect(larger).relative))
    if design.deviation is not None:
        longer = longer_window(design, correlation, window)
        found.append(Remedy(Change.LONGER_WINDOW, window, smallest_effect(longer).relative))
    pooled = replace(design, treated=design.treated * campaigns, control=design.control * campaigns)
    found.append(Remedy(Change.POOLED_CAMPAIGNS, campaigns, smallest_effect(pooled).relative))
    if abs(correlation) > abs(design.correlation):
        foretold = replace(design, correlation=correlation)
        found.append(Remedy(Change.CUPED, correlation, smallest_effect(foretold).relative))
    return tuple(sorted(found, key=lambda one: math.inf if one.relative is None else one.relative))


def longer_window(design: Design, correlation: float, factor: float) -> Design:
    """Return the design with a window that is longer by some factor.

    Args:
        design: of a continuous outcome.
        correlation: between two successive windows; where it is below 0, windows are taken for independent.
    """
    assert design.deviation is not None
    lasting = max(correlation, 0.0)
    spread = factor * factor * lasting + factor * (1 - lasting)
    foretold = factor * lasting / (1 + (factor - 1) * lasting) if design.correlation else 0.0
    return replace(
        design,
        mean=design.mean * factor,
        deviation=design.deviation * math.sqrt(spread),
        correlation=foretold,
        effect_deviation=design.effect_deviation * factor,
    )


def design_of(outcome: FloatVector, before: FloatVector | None, treated_share: float) -> Design:
    """Return the design of an audience, from what it did in a window that has passed.

    Args:
        outcome: float64, (n,), per unit, in the last window.  before: the same of the window before it; None: no CUPED.
        treated_share: of the units.
    Raises: InputError with fewer than two units, or if one group would be empty.
    """
    if len(outcome) < 2:
        raise InputError("Power needs at least two units.", field="units", value=len(outcome), accepted="2 or more")
    foretold = 0.0 if before is None else correlation_of(outcome, before)
    treated = len(outcome) * treated_share
    return Design(treated, len(outcome) - treated, float(outcome.mean()), float(outcome.std(ddof=1)), foretold)


def correlation_of(outcome: FloatVector, before: FloatVector) -> float:
    """Return the correlation of two windows over units; 0 where one of them does not vary."""
    one, other = outcome - outcome.mean(), before - before.mean()
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return min(float(one @ other) / scale, 1 - 1e-9) if scale > 0 else 0.0


def _smallest_lift(design: Design, needed: float) -> float | None:
    """Return the smallest rise of a chance that is found, by halving; None if there is none up to certainty."""
    low, high = 0.0, 1 - design.mean
    if high < needed * design.error(high):
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if middle >= needed * design.error(middle) else (middle, high)
    return high

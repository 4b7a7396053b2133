"""Simulated campaigns with known effects: households that shop alike, most of them not at all, a few very much.

One `Campaign` is a set of households drawn from the same population, randomised by household. What the campaign does is
added on top of what is bought anyway, so that its effect per member is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.campaigns.effect import FloatVector, IntVector, Units, sum_units

HOUSEHOLDS = 1500
CAMPAIGNS = 10
"""Campaigns in one replication, each of other households."""
TREATED_SHARE = 0.7
BUYING_SHARE = 0.35
"""Members who buy at all in a window; the rest have zero."""
EXTRA_SHARE, EXTRA_CENTS = 0.12, 3200.0
"""What a campaign with an effect does: so many treated members buy for so much more, on average."""
EFFECT = EXTRA_SHARE * EXTRA_CENTS
"""The effect per member."""
EFFECT_DEVIATION = (1.5 * EXTRA_SHARE * EXTRA_CENTS**2 - EFFECT**2) ** 0.5
"""How it varies from member to member: the amount is gamma with shape 2, whose mean square is 1.5 squared means."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign, by unit and by member.

    unit: int64, (members,), the household's row.  outcome, before: float64, (members,), cents in the two windows.
    """

    units: Units
    unit: IntVector
    outcome: FloatVector
    before: FloatVector

    def by_unit(self, values: FloatVector) -> FloatVector:
        """Add members up to households."""
        return sum_units(self.unit, len(self.units.treated), values)

    def as_members(self) -> Units:
        """Return the units that a careless analyst would take: members, as if each had been drawn alone."""
        return Units(self.units.treated[self.unit], np.ones(len(self.unit)), self.units.propensity[self.unit])


def simulate(rng: np.random.Generator, effect: bool, propensity: FloatVector | None = None) -> Campaign:
    """Draw one campaign.

    Args:
        effect: whether it has the effect EFFECT, or none (an A/A test).
        propensity: float64, (HOUSEHOLDS,); None: TREATED_SHARE for all.
    """
    sizes = rng.choice([1, 2, 3, 4], HOUSEHOLDS, p=[0.3, 0.3, 0.2, 0.2])
    unit = np.repeat(np.arange(HOUSEHOLDS), sizes)
    # A household's habit lasts over both windows and is shared by its members: a lognormal factor and a taste to buy.
    habit = rng.normal(0, 1, HOUSEHOLDS)
    chance = np.full(HOUSEHOLDS, TREATED_SHARE) if propensity is None else propensity
    treated = rng.random(HOUSEHOLDS) < chance
    before, outcome = _spending(rng, habit[unit]), _spending(rng, habit[unit])
    if effect:
        moved = treated[unit] & (rng.random(len(unit)) < EXTRA_SHARE)
        outcome = outcome + moved * EXTRA_CENTS * rng.gamma(2.0, 0.5, len(unit))
    return Campaign(Units(treated, sizes.astype(np.float64), chance), unit, outcome, before)


def spread_shares(rng: np.random.Generator) -> FloatVector:
    """Return shares treated that vary from 0.4 to 0.85, float64, (HOUSEHOLDS,)."""
    return rng.choice([0.4, 0.7, 0.85], HOUSEHOLDS)


def _spending(rng: np.random.Generator, habit: npt.NDArray[np.float64]) -> FloatVector:
    buys = rng.random(len(habit)) < BUYING_SHARE + 0.3 * np.tanh(habit)
    found: FloatVector = buys * np.exp(rng.normal(7.5, 0.5, len(habit)) + 0.8 * habit)
    return found

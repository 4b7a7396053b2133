"""Segments: the effect in each part of an audience, corrected for how many parts were looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from recommender.campaigns.effect import LEVEL, Effect, FloatVector, IntVector, Units, Verdict, effect_of


@dataclass(frozen=True, slots=True)
class SegmentEffect:
    """One segment: its units in each group, the effect in it, and what remains of it after correction.

    corrected_p: Holm's.  verdict: of the corrected p-value.
    """

    name: str
    treated_units: int
    control_units: int
    effect: Effect
    corrected_p: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SegmentEffects:
    """The effect by segment.

    comparisons: how many were made.  by_chance: how many of them look real at 95 % where there is nothing.
    any_by_chance: the chance that at least one does.  differ_p: p-value of the same effect in all segments.
    """

    rows: tuple[SegmentEffect, ...]
    comparisons: int
    by_chance: float
    any_by_chance: float
    differ_p: float | None


def effect_by_segment(units: Units, outcome: FloatVector, segment: IntVector, names: Sequence[str]) -> SegmentEffects:
    """Return the effect in each segment; the intervals are not corrected, the p-values and verdicts are.

    Args:
        outcome: float64, (n,), sums over each unit's members; adjust it over all units first.
        segment: int64, (n,), the segment of each unit, known before the campaign; -1: in none.
        names: of the segments.
    Source: Holm (1979), "A simple sequentially rejective multiple test procedure"; Cochran (1954) for `differ_p`.
    """
    effects, counts = [], []
    for number in range(len(names)):
        inside = segment == number
        part = units.where(inside)
        effects.append(effect_of(part, outcome[inside]))
        counts.append((int(part.treated.sum()), int((~part.treated).sum())))
    tested = [effect.p_value for effect in effects if effect.p_value is not None]
    corrected = iter(holm(tested))
    rows = []
    for name, (treated, control), effect in zip(names, counts, effects, strict=True):
        p = None if effect.p_value is None else next(corrected)
        verdict = effect.verdict if p is not None and p < LEVEL else Verdict.UNDETERMINED
        rows.append(SegmentEffect(name, treated, control, effect, p, verdict))
    made = len(tested)
    return SegmentEffects(tuple(rows), made, made * LEVEL, 1 - (1 - LEVEL) ** made, _differ_p(effects))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in their order."""
    found = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        found[place] = highest
    return found


def _differ_p(effects: Sequence[Effect]) -> float | None:
    known = [
        (effect.per_member.value, effect.error)
        for effect in effects
        if effect.per_member.value is not None and effect.error
    ]
    if len(known) < 2:
        return None
    values, errors = (np.array(column, np.float64) for column in zip(*known, strict=True))
    weight = 1 / errors**2
    spread = weight @ (values - (weight @ values) / weight.sum()) ** 2
    return float(chdtrc(len(known) - 1, spread))

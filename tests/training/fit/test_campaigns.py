"""Waves foretold from those before them: how far it was off is learned, and leans on nothing where little is known."""

from __future__ import annotations

import numpy as np
import pytest

from training.fit.campaigns import DRIFT_SPREAD, WAVE_SPREAD, _Sent, drift
from training.fit.response import FitOptions

OPTIONS = FitOptions(seed=1, penalty=10.0, trees=False)


def waves(shifts: list[float], size: int = 2_000) -> list[_Sent]:
    """Make waves whose redemptions follow one feature, each with a shift of its log-odds."""
    rng = np.random.default_rng(3)
    found = []
    for number, shift in enumerate(shifts):
        features = rng.normal(size=(size, 3)).astype(np.float32)
        chance = 1 / (1 + np.exp(1.5 - features[:, 0] - shift))
        found.append(_Sent(number * 1_000, features, rng.random(size) < chance, np.arange(size)))
    return found


def test_without_earlier_waves_nothing_drifts() -> None:
    assert drift(waves([0.0]), OPTIONS) == 0.0
    together = [_Sent(0, one.features, one.redeemed, one.member) for one in waves([0.0, -2.0])]
    assert drift(together, OPTIONS) == 0.0


def test_waves_alike_hardly_drift() -> None:
    assert abs(drift(waves([0.0] * 6), OPTIONS)) < 0.1


def test_a_fall_is_learned_and_leans_on_none() -> None:
    # One wave is foretold from one before it: its step of -1 is nearly sure, so it counts by 1 / WAVE_SPREAD^2.
    leaning = WAVE_SPREAD**-2 / (WAVE_SPREAD**-2 + DRIFT_SPREAD**-2)
    assert drift(waves([0.0, -1.0], 40_000), OPTIONS) == pytest.approx(-leaning, abs=0.05)


def test_a_wave_that_nobody_redeemed_stays_finite() -> None:
    first, second = waves([0.0, 0.0], 300)
    none = _Sent(second.starts, second.features, np.zeros(300, bool), second.member)
    assert -4.0 < drift([first, none], OPTIONS) < -0.3

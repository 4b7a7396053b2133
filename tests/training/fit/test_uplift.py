"""The learner of effects, on trials whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.errors import TrainingDataError
from training.fit.uplift import Trial, estimate_apart, fit_uplift
from training.uplift_metrics import qini


def trial(rows=6000, seed=1, slope=0.3, arms=2):
    """An outcome that depends on x0; arm a adds a * (0.2 + slope * x1)."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 3))
    arm = rng.integers(0, arms, rows)
    truth = 0.2 + slope * features[:, 1]
    outcome = features[:, 0] + arm * truth + rng.normal(size=rows)
    return Trial(features, arm, outcome, np.full((rows, arms), 1 / arms)), truth


def test_effects_are_found_and_their_errors_are_honest():
    found, truth = trial()
    effect, error = fit_uplift(found).predict(found.features)
    assert np.abs(effect[:, 0] - truth).mean() < 0.06
    inside = np.abs(effect[:, 0] - truth) < 2.5 * error[:, 0]
    assert inside.mean() > 0.9


def test_the_same_seed_gives_the_same_estimates():
    found, _ = trial(rows=500)
    one, other = estimate_apart(found, seed=3), estimate_apart(found, seed=3)
    assert np.array_equal(one.effect, other.effect)


def test_without_heterogeneity_estimates_hardly_differ():
    found, _ = trial(slope=0.0)
    effect, _ = fit_uplift(found).predict(found.features)
    assert effect[:, 0].std() < 0.12


def test_several_arms_each_have_their_effect():
    found, truth = trial(rows=12000, arms=3)
    effect, _ = fit_uplift(found).predict(found.features)
    assert effect[:, 0].mean() == pytest.approx(0.2, abs=0.08)
    assert effect[:, 1].mean() == pytest.approx(0.4, abs=0.08)
    assert np.corrcoef(effect[:, 1], truth)[0, 1] > 0.95


def test_unequal_chances_do_not_mislead():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(20000, 1))
    chance = np.where(features[:, 0] > 0, 0.8, 0.2)
    arm = (rng.random(20000) < chance).astype(np.int64)
    outcome = 5.0 * (features[:, 0] > 0) + 1.0 * arm + rng.normal(size=20000)
    found = fit_uplift(Trial(features, arm, outcome, np.stack((1 - chance, chance), axis=1)))
    assert found.effects[0].mean == pytest.approx(1.0, abs=0.08)


def test_estimates_for_rows_come_from_other_rows():
    found, _ = trial(rows=400, slope=0.0)
    noise = np.random.default_rng(5).normal(size=(400, 60))
    wide = Trial(noise, found.arm, (noise[:, 0] > 3).astype(float) + (found.outcome > 0), found.propensity)
    apart = estimate_apart(wide)
    assert abs(qini(np.minimum(wide.outcome, 1), apart.effect[:, 0], wide.arm == 1)) < 0.2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"propensity": np.ones((600, 1)), "arm": np.zeros(600, np.int64)}, "treatment"),
        ({"arm": (np.arange(600) < 3).astype(np.int64)}, "treatment"),
        ({"propensity": np.zeros((600, 2))}, "propensity"),
        ({"outcome": np.ones(600)}, "outcome"),
    ],
)
def test_what_cannot_be_learned_from_is_named(change, field):
    found, _ = trial(rows=600)
    parts = {name: getattr(found, name) for name in ("features", "arm", "outcome", "propensity")}
    with pytest.raises(TrainingDataError) as caught:
        fit_uplift(Trial(**(parts | change)))
    assert caught.value.field == field

"""Small regressions against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.errors import TrainingDataError
from training.fit.regression import fit_logistic, fit_ridge, fit_shrunk


def test_ridge_without_penalty_is_least_squares():
    features = np.array([[0.0], [1.0], [2.0]])
    fitted = fit_ridge(features, np.array([1.0, 3.0, 5.0]), 0.0)
    assert fitted.intercept == pytest.approx(1.0)
    assert fitted.coefficients == pytest.approx([2.0])


def test_ridge_counts_a_row_by_its_weight():
    features = np.array([[0.0], [1.0], [1.0], [1.0]])
    outcome = np.array([1.0, 2.0, 4.0, 4.0])
    weighted = fit_ridge(features[:3], outcome[:3], 1.0, np.array([1.0, 1.0, 2.0]))
    plain = fit_ridge(features, outcome, 1.0)
    assert weighted.predict(features) == pytest.approx(plain.predict(features))


def test_logistic_of_one_group_each_finds_their_rates():
    features = np.repeat([[-1.0], [1.0]], 100, axis=0)
    outcome = np.concatenate((np.arange(100) < 20, np.arange(100) < 60)).astype(float)
    fitted = fit_logistic(features, outcome, 1e-9)
    assert fitted.predict(np.array([[-1.0], [1.0]])) == pytest.approx([0.2, 0.6])


@pytest.mark.parametrize(("outcome", "rate"), [(0.0, 1 / 12), (1.0, 11 / 12)])
def test_logistic_of_constant_outcomes_stays_off_the_edge(outcome, rate):
    fitted = fit_logistic(np.ones((10, 2)), np.full(10, outcome), 1.0)
    assert fitted.predict(np.ones((1, 2))) == pytest.approx([rate])


def test_nothing_to_fit_is_an_error():
    with pytest.raises(TrainingDataError):
        fit_ridge(np.zeros((0, 1)), np.zeros(0), 1.0)


def test_shrunk_coefficients_vanish_in_noise_and_stay_where_there_is_a_signal():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(5000, 3))
    noise = rng.normal(size=5000)
    signal = fit_shrunk(features, features @ [0.5, 0.0, -0.5] + noise)
    assert signal.coefficients == pytest.approx([0.5, 0.0, -0.5], abs=0.06)
    assert np.abs(fit_shrunk(features, noise).coefficients).max() < 0.02
    assert (signal.variance(features) > 0).all()


def test_logistic_of_rare_outcomes_and_heavy_tails_reaches_the_optimum():
    rng = np.random.default_rng(1)
    heavy = np.clip(rng.exponential(1.0, (20_000, 1)) ** 3, 0, 60)
    features = np.concatenate((heavy, heavy + rng.normal(0, 0.1, heavy.shape), rng.normal(size=(20_000, 2))), axis=1)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    outcome = (rng.random(20_000) < 1 / (1 + np.exp(7 - 0.8 * features[:, 0]))).astype(float)
    fitted = fit_logistic(features, outcome, 10.0)
    slope = features.T @ (outcome - fitted.predict(features)) - 10.0 * fitted.coefficients
    assert outcome.sum() > 10
    assert np.abs(slope).max() < 0.05

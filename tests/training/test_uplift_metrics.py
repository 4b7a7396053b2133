"""Measures of uplift: by hand, and against scikit-uplift."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from training.uplift_metrics import (
    policy_value,
    qini,
    qini_curve,
    uplift_area,
    uplift_at,
    with_interval,
)

OUTCOME = np.array([1.0, 0.0, 1.0, 0.0])
EFFECT = np.array([4.0, 3.0, 2.0, 1.0])
TREATED = np.array([True, False, False, True])


def test_qini_curve_by_hand():
    curve = qini_curve(OUTCOME, EFFECT, TREATED)
    # One treated responder; a control without; a control responder, who stands for half a treated one; one treated.
    assert curve.taken.tolist() == [0, 1, 2, 3, 4]
    assert curve.gain.tolist() == [0, 1, 1, 0.5, 0]
    assert curve.area == pytest.approx(2.5)


def test_uplift_at_by_hand():
    assert uplift_at(OUTCOME, EFFECT, TREATED, 0.5) == 1.0
    assert uplift_at(OUTCOME, EFFECT, TREATED, 1.0) == 0.0
    assert np.isnan(uplift_at(OUTCOME, EFFECT, TREATED, 0.25))


def test_an_arm_alone_has_no_qini():
    assert np.isnan(qini(OUTCOME, EFFECT, np.ones(4, bool)))


def _trial(seed):
    rng = np.random.default_rng(seed)
    treated = rng.random(400) < 0.4
    effect = rng.normal(size=400).round(1)
    outcome = (rng.random(400) < 0.2 + 0.1 * treated * (effect > 0)).astype(float)
    return outcome, effect, treated


@pytest.mark.parametrize("seed", range(5))
def test_the_same_figures_as_scikit_uplift(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("sklift.metrics")
        outcome, effect, treated = _trial(seed)
        asked = outcome, effect, treated.astype(int)
        assert qini(outcome, effect, treated) == pytest.approx(metrics.qini_auc_score(*asked))
        assert uplift_area(outcome, effect, treated) == pytest.approx(metrics.uplift_auc_score(*asked))
        expected = metrics.uplift_at_k(*asked, strategy="overall", k=0.3)
        assert uplift_at(outcome, effect, treated, 0.3) == pytest.approx(expected)


def test_intervals_hold_the_figure():
    outcome, effect, treated = _trial(7)
    found = with_interval(qini, outcome, effect, treated, np.random.default_rng(1), rounds=50)
    assert found.low < found.value < found.high


def test_policy_value_by_hand():
    arm, outcome = np.array([0, 1, 0, 1]), np.array([1.0, 3.0, 1.0, 5.0])
    propensity, expected = np.full((4, 2), 0.5), np.tile([1.0, 4.0], (4, 1))
    found = policy_value(np.ones(4, np.int64), arm, outcome, propensity, expected, np.random.default_rng(1), 50)
    assert found.treated == 1.0
    assert found.ips.value == pytest.approx((2 * 3 + 2 * 5) / 4)
    assert found.snips.value == pytest.approx(4.0)
    assert found.dr.value == pytest.approx(4.0)

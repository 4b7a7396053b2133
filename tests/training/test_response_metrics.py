"""Measures of chances, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.response_metrics import (
    auc,
    auc_within,
    average_precision,
    brier,
    calibration_error,
    log_loss,
)

OUTCOME = np.array([True, False, True, False])
CHANCE = np.array([0.9, 0.6, 0.6, 0.1])


def test_auc_counts_ties_half():
    assert auc(OUTCOME, CHANCE) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert np.isnan(auc(np.ones(3, bool), np.arange(3.0)))


def test_auc_within_groups_ignores_groups_without_both():
    group = np.array([0, 0, 1, 1])
    assert auc_within(OUTCOME, np.array([0.2, 0.1, 0.1, 0.9]), group) == pytest.approx(0.5)
    assert auc_within(np.array([True, False, True, True]), CHANCE, group) == 1.0


def test_average_precision_by_hand():
    assert average_precision(np.array([True, False, True]), np.array([3.0, 2.0, 1.0])) == pytest.approx((1 + 2 / 3) / 2)


def test_brier_and_log_loss_by_hand():
    assert brier(np.array([True, False]), np.array([0.5, 0.5])) == 0.25
    assert log_loss(np.array([True, False]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_calibration_error_of_right_and_wrong_chances():
    outcome = np.tile([True, False], 50)
    assert calibration_error(outcome, np.full(100, 0.5)) < 0.11
    assert calibration_error(outcome, np.full(100, 0.9)) == pytest.approx(0.4)

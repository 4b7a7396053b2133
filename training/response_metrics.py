"""Measures of predicted chances against what happened, each with its source."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]
IntVector = npt.NDArray[np.int64]

PARTS = 10
"""Parts of equal size, by rising chance, of calibration and lift."""


def auc(outcome: BoolVector, chance: FloatVector) -> float:
    """Return the chance that a row where it happened is above one where it did not; NaN if either is missing.

    Source: Hanley and McNeil (1982), "The meaning and use of the area under a ROC curve"; ties count half.
    """
    hits = int(outcome.sum())
    misses = len(outcome) - hits
    if hits == 0 or misses == 0:
        return float("nan")
    _, at, count = np.unique(chance, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    return float((rank[at][outcome].sum() - hits * (hits + 1) / 2) / (hits * misses))


def auc_within(outcome: BoolVector, chance: FloatVector, group: IntVector) -> float:
    """Return the mean AUC inside groups, weighted by their rows; groups without both outcomes do not count."""
    total = weight = 0.0
    for one in np.unique(group):
        inside = group == one
        found = auc(outcome[inside], chance[inside])
        if np.isfinite(found):
            total, weight = total + found * float(inside.sum()), weight + float(inside.sum())
    return total / weight if weight else float("nan")


def average_precision(outcome: BoolVector, chance: FloatVector) -> float:
    """Return the area under precision and recall, as the mean precision at each hit.

    Source: Manning, Raghavan and Schütze (2008), "Introduction to Information Retrieval", section 8.4.
    """
    if not outcome.any():
        return float("nan")
    ordered = outcome[np.argsort(-chance, kind="stable")]
    precision = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return float(precision[ordered].mean())


def brier(outcome: BoolVector, chance: FloatVector) -> float:
    """Return the mean squared distance of chances from outcomes. Source: Brier (1950)."""
    return float(((chance - outcome) ** 2).mean())


def log_loss(outcome: BoolVector, chance: FloatVector) -> float:
    """Return minus the mean log-likelihood."""
    inside = np.clip(chance, 1e-9, 1 - 1e-9)
    return float(-np.where(outcome, np.log(inside), np.log(1 - inside)).mean())


def calibration(outcome: BoolVector, chance: FloatVector) -> list[tuple[float, float, int]]:
    """Return mean chance, share that happened and rows of parts of equal size, by rising chance."""
    parts = np.array_split(np.argsort(chance, kind="stable"), PARTS)
    return [(float(chance[part].mean()), float(outcome[part].mean()), len(part)) for part in parts if len(part)]


def calibration_error(outcome: BoolVector, chance: FloatVector) -> float:
    """Return the mean distance between chances and shares over parts of equal size.

    Source: Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian binning".
    """
    rows = calibration(outcome, chance)
    return sum(abs(said - real) * count for said, real, count in rows) / max(sum(row[2] for row in rows), 1)

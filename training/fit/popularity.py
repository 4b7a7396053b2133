"""Fit the popularity lists: overall and trending; by store see store_popularity.py."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE
from recommender.retrievers.popularity import (
    PopularityRetriever,
    RankedLists,
    TrendingRetriever,
)
from training.dataset import Snapshot

RowVector = npt.NDArray[np.int32]
DoubleVector = npt.NDArray[np.float64]


def fit_popularity(data: Snapshot, half_life_days: float) -> PopularityRetriever:
    """Rank every item by its decayed number of buyers; items nobody bought come last, by item id.

    Args:
        data: the history.
        half_life_days: age at which a purchase counts half; > 0.
    """
    item_row, _, minute = sales_of(data)
    score = _decayed_counts(item_row, minute, data.as_of, half_life_days, data.n_items)
    return PopularityRetriever(_one_list(score, np.arange(data.n_items)))


def fit_trending(data: Snapshot, recent_days: float, prior: float) -> TrendingRetriever:
    """Rank items by how far their recent sales exceed what the four periods before let expect.

    The score is (recent - expected) / sqrt(expected + prior): the excess in units of its Poisson spread, so that
    neither rare items with one lucky week nor big sellers with a small change lead.

    Args:
        data: the history.
        recent_days: length of the recent period; > 0.
        prior: sales added to the expectation; > 0.
    """
    item_row, _, minute = sales_of(data)
    age = (data.as_of - minute) / MINUTES_PER_DAY
    recent = np.bincount(item_row[age <= recent_days], minlength=data.n_items).astype(np.float64)
    before = (age > recent_days) & (age <= 5 * recent_days)
    expected = np.bincount(item_row[before], minlength=data.n_items) / 4
    score = (recent - expected) / np.sqrt(expected + prior)
    return TrendingRetriever(_one_list(score, np.flatnonzero(score > 0)))


def sales_of(data: Snapshot) -> tuple[RowVector, RowVector, npt.NDArray[np.int32]]:
    """Return item row, store row and minute of every purchase, of known customers and unknown ones."""
    bought = data.entries.where(data.entries.kind == PURCHASE_CODE)
    return (
        np.concatenate((bought.item_row, data.sales.item_row)),
        np.concatenate((bought.store_row, data.sales.store_row)),
        np.concatenate((bought.minute, data.sales.minute)),
    )


def _decayed_counts(
    item_row: RowVector, minute: npt.NDArray[np.int32], as_of: int, half_life_days: float, n_items: int
) -> DoubleVector:
    weight = np.exp2(-(as_of - minute) / (MINUTES_PER_DAY * half_life_days))
    return np.asarray(np.bincount(item_row, weight, n_items), np.float64)


def _one_list(score: DoubleVector, rows: npt.NDArray[np.int64]) -> RankedLists:
    kept = score[rows].astype(np.float32)
    order = np.lexsort((rows, -kept))
    return RankedLists(np.array([0, len(order)], np.int64), rows[order].astype(np.int32), kept[order])

"""Fit what stands out on weekdays and at times of the year."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.candidates import head
from recommender.history import MINUTES_PER_DAY
from recommender.retrievers.occasion import DAYS_PER_WEEK, SEASONS, OccasionRetriever, season_of, weekday_of
from recommender.retrievers.popularity import RankedLists
from training.dataset import Snapshot
from training.fit.popularity import sales_of

DoubleMatrix = npt.NDArray[np.float64]
IntVector = npt.NDArray[np.int64]

WEEKDAY_DAYS = 182
"""How far back sales show what weekdays are like: 26 of each."""
YEAR_DAYS = 365
LEAST_DAYS_BEFORE_A_YEAR = 28
"""Sales older than a year that are needed to know a season."""


def fit_occasion(data: Snapshot, day_offset_minutes: int, *, prior: float, depth: int) -> OccasionRetriever:
    """Rank items for every weekday and season by the excess of their sales over what all days let expect.

    For a weekday the sales of the last half-year count, for a season (this part of the year and the next) those of
    earlier years. An excess is (sales - expected) / sqrt(expected + prior), as of trends; those of weekday and season
    are added where they are above 0. A history of less than a year knows no seasons.

    Args:
        data: the history.
        day_offset_minutes: what to add to a minute to make local days begin at multiples of a day.
        prior: sales added to what is expected; > 0.
        depth: items kept per list; > 0.
    """
    row, _, minute = sales_of(data)
    day = (minute.astype(np.int64) + day_offset_minutes) // MINUTES_PER_DAY
    today = (data.as_of + day_offset_minutes) // MINUTES_PER_DAY
    recent = day >= today - WEEKDAY_DAYS
    by_weekday = _sums(weekday_of(day[recent]), row[recent], DAYS_PER_WEEK, data.n_items)
    weekdays = _excess(by_weekday, prior)
    seasons = np.zeros((SEASONS, data.n_items))
    old = day < today - YEAR_DAYS // 2
    if len(day) and int(day.min()) <= today - YEAR_DAYS - LEAST_DAYS_BEFORE_A_YEAR:
        by_season = _sums(season_of(day[old]), row[old], SEASONS, data.n_items)
        seasons = _excess(by_season + np.roll(by_season, -1, axis=0), prior)
    return OccasionRetriever(_lists(weekdays, seasons, depth), day_offset_minutes)


def _sums(occasion: IntVector, row: npt.NDArray[np.int32], n_occasions: int, n_items: int) -> DoubleMatrix:
    """Return the sales by occasion and item, float64, (n_occasions, n_items)."""
    counts = np.bincount(occasion * n_items + row, minlength=n_occasions * n_items)
    return counts.reshape(n_occasions, n_items).astype(np.float64)


def _excess(counts: DoubleMatrix, prior: float) -> DoubleMatrix:
    """Return by how many Poisson spreads counts exceed what rows and columns let expect; 0 where they do not."""
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / max(float(counts.sum()), 1.0)
    return np.maximum((counts - expected) / np.sqrt(expected + prior), 0)


def _lists(weekdays: DoubleMatrix, seasons: DoubleMatrix, depth: int) -> RankedLists:
    """Return the best `depth` items of every season and weekday."""
    rows, scores = [], []
    for season in seasons:
        for weekday in weekdays:
            score = (season + weekday).astype(np.float32)
            found = np.flatnonzero(score)
            best = np.sort(found[head(score[found], found.astype(np.int32), depth)])
            best = best[np.argsort(-score[best], kind="stable")]
            rows.append(best.astype(np.int32))
            scores.append(score[best])
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return RankedLists(indptr, np.concatenate(rows), np.concatenate(scores))

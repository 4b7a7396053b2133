"""Fit the arrivals: which items are new, and what they are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import Weights
from recommender.retrievers.arrivals import ArrivalRetriever
from training.dataset import Snapshot

RowVector = npt.NDArray[np.int32]

HEAD_SCORE = 0.1
"""What the newest arrival is worth beside a member's whole taste in its category (1)."""


def fit_arrivals(
    data: Snapshot, weights: Weights, browse_weight: float, *, window_days: float, most: int
) -> ArrivalRetriever:
    """Collect the items first sold within the last days.

    Args:
        data: the history and the catalogue.
        weights, browse_weight: how histories are weighed into a taste.
        window_days: how long an item is new; > 0.
        most: arrivals kept, the newest; > 0.
    """
    age_days = (data.as_of - data.facts.available_from.astype(np.int64)) / MINUTES_PER_DAY
    new = np.flatnonzero((age_days >= 0) & (age_days < window_days))
    kept = np.sort(new[np.lexsort((new, age_days[new]))][:most])
    # Newer arrivals lead for members of unknown taste, but any taste outweighs a few days.
    score = HEAD_SCORE * (1 - 0.5 * age_days[kept] / window_days)
    return ArrivalRetriever(
        weights,
        browse_weight,
        _none_first(data.facts.category_row, len(data.facts.categories)),
        _none_first(data.facts.brand_row, len(data.facts.brands)),
        kept.astype(np.int32),
        score.astype(np.float32),
    )


def _none_first(row: RowVector, count: int) -> RowVector:
    """Renumber contents so that 0 is the last of `count` names, which means none."""
    return ((row + 1) % count).astype(np.int32)

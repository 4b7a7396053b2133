"""Fit the arrivals: which items are new, and what they are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import Weights
from recommender.retrievers.arrivals import ArrivalRetriever
from training.dataset import ItemFacts, Snapshot

RowVector = npt.NDArray[np.int32]

HEAD_SCORE = 0.1
"""What the newest arrival is worth beside a member's whole taste in its category (1)."""

LEVELS = 3
"""Price levels within a category."""


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
        price_levels(data.facts),
        kept.astype(np.int32),
        score.astype(np.float32),
        data.facts.available_from[kept].astype(np.int32),
    )


def price_levels(facts: ItemFacts) -> RowVector:
    """Return 1, 2 or 3 for the cheap, middle and dear third of each category, int32, (n_items,).

    0 stands for items without a price, and for categories with fewer than three different prices.
    """
    level = np.zeros(len(facts.price_cents), np.int32)
    priced = np.flatnonzero(np.isfinite(facts.price_cents))
    cells, number = np.unique(
        np.stack((facts.category_row[priced].astype(np.float64), facts.price_cents[priced])),
        axis=1,
        return_inverse=True,
    )
    category = cells[0].astype(np.int64)
    prices = np.bincount(category, minlength=len(facts.categories))
    first = np.concatenate(([0], np.cumsum(prices)))[category]
    # Different prices of a category are cut into three parts, so that one price is one level.
    third = LEVELS * (np.arange(len(category)) - first) // np.maximum(prices[category], 1)
    level[priced] = np.where(prices[category] >= LEVELS, third + 1, 0)[number.ravel()]
    return level


def _none_first(row: RowVector, count: int) -> RowVector:
    """Renumber contents so that 0 is the last of `count` names, which means none."""
    return ((row + 1) % count).astype(np.int32)

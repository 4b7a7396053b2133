"""Cool-down: what a member bought lately is kept back until its usual interval is nearly over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY
from recommender.item_facts import CATEGORY_SEPARATOR, Labels
from recommender.placement import CoolDown
from recommender.query import Mask, Query
from recommender.retrievers.repeat import RepeatRetriever, due_ratio, share_rhythm

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

RULE = "cool_down"


def cooling_mask(query: Query, cool_down: CoolDown, repeat: RepeatRetriever, categories: Labels) -> Mask | None:
    """Return the mask without what the customer bought too lately, None if there is nothing of that kind.

    The interval is the member's own rhythm, shrunk towards the usual one of the product, as in the repeat retriever;
    all packs of a product cool together. Where a category has days of its own, these count in place of the interval.

    Args:
        query: with its history.
        cool_down: the setting that holds.
        repeat: whose intervals count.
        categories: of all items, which may be more than the models know.
    """
    if not cool_down.active or not query.personal or not len(query.history.item_row):
        return None
    pairs = query.pairs(repeat.weights)
    bought = np.flatnonzero(pairs.bought > 0)
    if not len(bought):
        return None
    rhythm = share_rhythm(pairs, repeat.product_row)
    as_of = np.array([query.as_of], np.int32)
    ratio = due_ratio(rhythm, as_of, repeat.item_interval_days, repeat.prior_gaps)[bought]
    row = pairs.item_row[bought]
    cooling = ratio < cool_down.share
    days = _own_days(row, cool_down.days or {}, categories)
    since = (query.as_of - rhythm.last[bought]) / MINUTES_PER_DAY
    cooling = np.where(np.isnan(days), cooling, since < days)
    if not cooling.any():
        return None
    held = np.zeros(len(repeat.product_row), bool)
    held[repeat.product_row[row[cooling]]] = True
    allowed = np.ones(max(len(categories.code), len(held)), bool)
    allowed[: len(held)] = ~held[repeat.product_row]
    return Mask(RULE, allowed, yields=True)


def _own_days(row: RowVector, days: Mapping[str, int], categories: Labels) -> FloatVector:
    """Return the days that the category of each item sets, of several the longest path's; NaN where none does."""
    found = np.full(len(row), np.nan, np.float32)
    if days:
        for at, code in enumerate(categories.code[row].tolist()):
            path = categories.names[code]
            while path and path not in days:
                path = path.rpartition(f" {CATEGORY_SEPARATOR} ")[0]
            if path:
                found[at] = days[path]
    return found

"""Fit the source of features: facts about items and stores as they were at one minute."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.events import KNOWN_CHANNELS
from recommender.features import ITEM_FEATURES, FeatureSource
from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE, Pairs, Weights, summarize
from recommender.retrievers.repeat import share_rhythm
from training.dataset import ItemFacts, Snapshot
from training.fit.repeat import item_intervals
from training.keys import is_in

FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

SHORT_DAYS, LONG_DAYS = 7.0, 28.0
"""Periods whose sales are compared by the trend."""
PRIOR = 5.0
"""Observations that an overall rate is worth beside an item's own."""


def fit_features(
    data: Snapshot,
    recall: Weights,
    fresh: Weights,
    prior_gaps: float,
    half_life_days: float,
    horizon_days: float,
    channels: tuple[str, ...],
    retrievers: tuple[str, ...],
) -> FeatureSource:
    """Sum up what is known of items and stores.

    Args:
        data: the history.
        recall, fresh: weights of a slow and of a quick decay.
        prior_gaps: own intervals that an item's usual one is worth.
        half_life_days: decay of sales.
        horizon_days: the recent period that shows how many come back for an item.
        channels: names by channel code.
        retrievers: names of the retrievers whose scores are features.
    """
    pairs = summarize(data.histories, np.full(len(data.histories), data.as_of, np.int32), recall)
    interval = item_intervals(share_rhythm(pairs, data.facts.product_row), data.facts.product_row, prior_gaps=10.0)
    shelf_key, shelf_lift = _shelves(data, half_life_days)
    return FeatureSource(
        recall=recall,
        fresh=fresh,
        prior_gaps=prior_gaps,
        retrievers=retrievers,
        online=np.array([KNOWN_CHANNELS.get(name) == "online" for name in channels], bool),
        item=_item_features(data, pairs, interval, half_life_days, horizon_days),
        content=_contents(data.facts),
        interval_days=interval,
        shelf_key=shelf_key,
        shelf_lift=shelf_lift,
    )


def _item_features(
    data: Snapshot, pairs: Pairs, interval: FloatVector, half_life_days: float, horizon_days: float
) -> npt.NDArray[np.float32]:
    """Return ITEM_FEATURES, float32, (n_items, len(ITEM_FEATURES))."""
    n = data.n_items
    bought = pairs.bought > 0
    item = pairs.item_row
    buyers = np.bincount(item[bought], minlength=n)
    again = np.bincount(item[pairs.bought > 1], minlength=n)
    viewers = np.bincount(item, minlength=n)
    sold_row, sold_minute = _sold(data)
    age = (data.as_of - sold_minute) / MINUTES_PER_DAY
    sales = np.bincount(sold_row, np.exp2(-age / half_life_days), n)
    short = np.bincount(sold_row[age <= SHORT_DAYS], minlength=n) / SHORT_DAYS
    long = np.bincount(sold_row[age <= LONG_DAYS], minlength=n) / LONG_DAYS
    columns = {
        "item_buyers": _log_share(buyers),
        "item_sales": _log_share(sales),
        "item_trend": np.log((short + 0.1) / (long + 0.1)),
        "item_repeat_rate": _rate(again, buyers),
        "item_repeat_soon": _repeat_soon(data, horizon_days),
        "item_interval_days": interval,
        "item_age_days": _age_days(data),
        "item_price": np.log(np.where(data.facts.price_cents > 0, data.facts.price_cents, np.nan)),
        "item_browsed_rate": _rate(buyers, viewers),
    }
    return np.stack([columns[name] for name in ITEM_FEATURES], axis=1).astype(np.float32)


def _sold(data: Snapshot) -> tuple[RowVector, npt.NDArray[np.int32]]:
    """Return item and minute of every purchase, of known customers or not."""
    own = data.entries.kind == PURCHASE_CODE
    return (
        np.concatenate((data.entries.item_row[own], data.sales.item_row)),
        np.concatenate((data.entries.minute[own], data.sales.minute)),
    )


def _log_share(count: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Return the logarithm of each item's share, so that histories of other lengths compare."""
    values = count.astype(np.float64)
    return np.log(values / max(values.sum(), 1e-9) + 1e-7)


def _rate(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return part / whole, shrunk towards the rate of all items."""
    overall = part.sum() / max(whole.sum(), 1)
    return np.asarray((part + PRIOR * overall) / (whole + PRIOR))


def _repeat_soon(data: Snapshot, horizon_days: float) -> npt.NDArray[np.float64]:
    """Return how many of an item's earlier buyers bought it in the last `horizon_days`, shrunk."""
    start = data.as_of - int(horizon_days * MINUTES_PER_DAY)
    bought = data.entries.where(data.entries.kind == PURCHASE_CODE)
    key = bought.person_row.astype(np.int64) * data.n_items + bought.item_row
    earlier = np.unique(key[bought.minute < start])
    came_back = is_in(earlier, key[bought.minute >= start])
    item = earlier % max(data.n_items, 1)
    return _rate(np.bincount(item[came_back], minlength=data.n_items), np.bincount(item, minlength=data.n_items))


def _age_days(data: Snapshot) -> npt.NDArray[np.float64]:
    """Return days since each item was first on sale or first sold; NaN if neither is known yet."""
    age = (data.as_of - data.facts.available_from.astype(np.int64)) / MINUTES_PER_DAY
    return np.where(age >= 0, age, np.nan)


def _contents(facts: ItemFacts) -> npt.NDArray[np.int32]:
    """Return category, section and brand of each item, int32, (3, n_items); 0 = none."""
    section = [" > ".join(path.split(" > ")[:-1]) or path for path in facts.categories[:-1]]
    _, section_of = np.unique(np.array(section, dtype=object).astype(str), return_inverse=True)
    none = len(facts.categories) - 1
    section_row = np.append(section_of + 1, 0)[np.minimum(facts.category_row, none)]
    category_row = np.where(facts.category_row < none, facts.category_row + 1, 0)
    brand_row = np.where(facts.brand_row < len(facts.brands) - 1, facts.brand_row + 1, 0)
    return np.stack((category_row, section_row, brand_row)).astype(np.int32)


def _shelves(data: Snapshot, half_life_days: float) -> tuple[npt.NDArray[np.int64], FloatVector]:
    """Return what each store sold lately, and how its share there compares with all stores."""
    entries = data.entries
    own = (entries.kind == PURCHASE_CODE) & (entries.store_row < data.n_stores)
    known = data.sales.store_row < data.n_stores
    item = np.concatenate((entries.item_row[own], data.sales.item_row[known])).astype(np.int64)
    store = np.concatenate((entries.store_row[own], data.sales.store_row[known])).astype(np.int64)
    minute = np.concatenate((entries.minute[own], data.sales.minute[known]))
    age = (data.as_of - minute) / MINUTES_PER_DAY
    weight = np.exp2(-age / (2 * half_life_days))
    recent = age <= 10 * half_life_days
    key, inverse = np.unique(store[recent] * data.n_items + item[recent], return_inverse=True)
    sold = np.bincount(inverse, weight[recent], len(key))
    everywhere = np.bincount(item, weight, data.n_items)
    share = everywhere / max(everywhere.sum(), 1e-9)
    in_store, of_item = np.divmod(key, max(data.n_items, 1))
    total = np.bincount(in_store, sold, max(data.n_stores, 1))
    prior = 20.0
    expected = (total[in_store] + prior) * share[of_item]
    return key, ((sold + prior * share[of_item]) / np.maximum(expected, 1e-12)).astype(np.float32)

"""Fit the popularity lists of stores: a store's own sales, shrunk towards its region, that towards all stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY
from recommender.retrievers.popularity import RankedLists, StorePopularityRetriever
from training.dataset import Snapshot
from training.fit.popularity import sales_of

IntVector = npt.NDArray[np.integer]
DoubleVector = npt.NDArray[np.float64]


def fit_store_popularity(data: Snapshot, half_life_days: float, prior: float, depth: int) -> StorePopularityRetriever:
    """Rank items within each store; the score is the store's share of an item, shrunk towards the level above.

    That is the store's region, whose shares are shrunk towards all stores', or all stores where no region is known.
    A store of a known region also lists what leads in the region, sold there before or not.

    Args:
        data: the history.
        half_life_days: age at which a purchase counts half; > 0.
        prior: how many purchases in the store (or region) the shares one level above are worth; > 0.
        depth: items kept per store; > 0.
    """
    row, store, minute = sales_of(data)
    weight = np.exp2(-(data.as_of - minute) / (MINUTES_PER_DAY * half_life_days))
    overall = np.bincount(row, weight, data.n_items)
    share = np.asarray(overall / max(float(overall.sum()), 1e-12), np.float64)
    in_store = store < data.n_stores
    row, store, weight = row[in_store].astype(np.int64), store[in_store].astype(np.int64), weight[in_store]
    regions = _Level.of(data.store_region[store], row, weight, data.n_regions, data.n_items)
    stores = _Level.of(store, row, weight, data.n_stores, data.n_items)

    place, item = stores.listed(*_led_by_regions(data, regions, share, prior, depth))
    region = data.store_region[place]
    above = np.where(region < data.n_regions - 1, regions.shares(region, item, share[item], prior), share[item])
    return StorePopularityRetriever(_heads(place, item, stores.shares(place, item, above, prior), data.n_stores, depth))


@dataclass(frozen=True, slots=True)
class _Level:
    """Decayed sales by place (a store or a region) and item.

    key: int64, (n,), place * n_items + item, rising.  count: float64, (n,).  total: float64, (n_places,).
    """

    key: IntVector
    count: DoubleVector
    total: DoubleVector
    n_items: int

    @classmethod
    def of(cls, place: IntVector, item: IntVector, weight: DoubleVector, n_places: int, n_items: int) -> Self:
        """Sum sales up."""
        key, at = np.unique(place * n_items + item, return_inverse=True)
        count, total = np.bincount(at, weight, len(key)), np.bincount(place, weight, n_places)
        return cls(key, count.astype(np.float64), total.astype(np.float64), n_items)

    def listed(self, place: IntVector, item: IntVector) -> tuple[IntVector, IntVector]:
        """Return place and item of all that was sold, and of the given ones, once each, in order."""
        found = np.union1d(self.key, place * self.n_items + item)
        return found // max(self.n_items, 1), found % max(self.n_items, 1)

    def shares(self, place: IntVector, item: IntVector, above: DoubleVector, prior: float) -> DoubleVector:
        """Return each item's share of the place's sales, shrunk towards `above`, its share one level higher."""
        key = place * self.n_items + item
        at = np.minimum(np.searchsorted(self.key, key), max(len(self.key) - 1, 0))
        count = np.zeros(len(key))
        if len(self.key):
            count = np.where(self.key[at] == key, self.count[at], 0.0)
        return np.asarray((count + prior * above) / (self.total[place] + prior), np.float64)


def _led_by_regions(
    data: Snapshot, regions: _Level, share: DoubleVector, prior: float, depth: int
) -> tuple[IntVector, IntVector]:
    """Return store and item of what leads in the region of each store whose region is known."""
    region, item = regions.listed(np.empty(0, np.int64), np.empty(0, np.int64))
    lists = _heads(region, item, regions.shares(region, item, share[item], prior), data.n_regions, depth)
    stores = np.flatnonzero(data.store_region < data.n_regions - 1)
    own = data.store_region[stores]
    sizes = np.diff(lists.indptr)[own]
    ends = np.cumsum(sizes)
    at = np.arange(int(sizes.sum())) + np.repeat(lists.indptr[own] - (ends - sizes), sizes)
    return np.repeat(stores, sizes), lists.row[at].astype(np.int64)


def _heads(place: IntVector, item: IntVector, share: DoubleVector, n_places: int, depth: int) -> RankedLists:
    """Return the `depth` items of the largest shares of each place, best first."""
    # Ordered as kept: scores that a float32 cannot tell apart are equal, and ties fall to the lower row.
    score = share.astype(np.float32)
    order = np.lexsort((item, -score, place))
    starts = np.searchsorted(place[order], np.arange(n_places + 1))
    kept = order[np.arange(len(order)) - starts[place[order]] < depth]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(place[kept], minlength=n_places)))).astype(np.int64)
    return RankedLists(indptr, item[kept].astype(np.int32), score[kept])

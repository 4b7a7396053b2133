"""Fit the repeat retriever: usual buying intervals, and how much likelier a due item is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE, Pairs, Weights, summarize
from recommender.retrievers.repeat import RepeatRetriever, due_ratio, share_rhythm
from training.dataset import Snapshot
from training.keys import is_in

FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

DUE_EDGES = np.array([0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0], np.float32)
"""Bounds of the due ratio between which the lift is taken as constant."""


def fit_repeat(data: Snapshot, weights: Weights, horizon_days: float, prior_gaps: float) -> RepeatRetriever:
    """Learn intervals from the whole history and the lift of being due from its last `horizon_days`.

    Args:
        data: the history.
        weights: decay of purchases.
        horizon_days: length of the period whose purchases say what due items are worth; > 0.
        prior_gaps: how many own gaps an item's usual interval is worth; > 0.
    """
    pairs = summarize(data.histories, _everywhere(data.histories, data.as_of), weights)
    product_row = data.facts.product_row
    interval = item_intervals(share_rhythm(pairs, product_row), product_row, prior_gaps=10.0)
    lift = due_lift(data, weights, interval, horizon_days, prior_gaps)
    return RepeatRetriever(weights, product_row, interval, DUE_EDGES, lift, prior_gaps)


def item_intervals(pairs: Pairs, product_row: RowVector, prior_gaps: float) -> FloatVector:
    """Return each product's mean days between two purchases by one member, shrunk towards that of all products.

    Args:
        pairs: from share_rhythm(): all packs of a product that a member bought tell the same.
        product_row: int32, (n_items,), the same for all packs of a product.
        prior_gaps: how many gaps the mean of all products is worth; > 0.
    Returns: float32, (n_items,), > 0; items never bought twice have nearly the overall mean.
    """
    n_items, product = len(product_row), product_row[pairs.item_row]
    repeated = np.flatnonzero(pairs.bought > 1)
    _, one = np.unique(pairs.query[repeated] * n_items + product[repeated], return_index=True)
    told = repeated[one]
    gaps = pairs.bought[told].astype(np.float64) - 1
    days = (pairs.last[told] - pairs.first[told]) / MINUTES_PER_DAY
    overall = days.sum() / gaps.sum() if len(gaps) else 30.0
    product_gaps = np.bincount(product[told], gaps, n_items)[product_row]
    product_days = np.bincount(product[told], days, n_items)[product_row]
    interval = (product_days + prior_gaps * overall) / (product_gaps + prior_gaps)
    return np.maximum(interval, 1.0).astype(np.float32)


def due_lift(
    data: Snapshot, weights: Weights, interval: FloatVector, horizon_days: float, prior_gaps: float
) -> FloatVector:
    """Return how much likelier than its decayed frequency says a purchase is, by range of the due ratio.

    The last `horizon_days` of the history play the future: expected purchases are proportional to the decayed
    frequency at their start; the lift of a range is bought / expected, shrunk towards 1.

    Returns: float32, (len(DUE_EDGES) + 1,), near 1 where frequency says it all.
    """
    start = data.as_of - int(horizon_days * MINUTES_PER_DAY)
    past = data.histories.before(start)
    then = _everywhere(past, start)
    pairs = summarize(past, then, weights)
    future = _bought_keys(data, start)
    known = pairs.purchased > 0
    key = pairs.query[known] * data.n_items + pairs.item_row[known]
    bought = is_in(key, future)
    ratio = due_ratio(share_rhythm(pairs, data.facts.product_row), then, interval, prior_gaps)[known]
    where = np.searchsorted(DUE_EDGES, ratio)
    expected = np.bincount(where, pairs.purchased[known], len(DUE_EDGES) + 1)
    actual = np.bincount(where, bought, len(DUE_EDGES) + 1)
    if actual.sum() == 0:
        return np.ones(len(DUE_EDGES) + 1, np.float32)
    expected *= actual.sum() / expected.sum()
    return ((actual + 20.0) / (expected + 20.0)).astype(np.float32)


def _bought_keys(data: Snapshot, start: int) -> npt.NDArray[np.int64]:
    entries = data.entries.where((data.entries.minute >= start) & (data.entries.kind == PURCHASE_CODE))
    return entries.person_row.astype(np.int64) * data.n_items + entries.item_row


def _everywhere(histories: Histories, minute: int) -> npt.NDArray[np.int32]:
    return np.full(len(histories), minute, np.int32)

"""Fit what browsing leads to: items bought by those who browsed others, beyond chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE, Weights
from recommender.retrievers.converted import ConvertedRetriever
from training.dataset import Entries, Snapshot
from training.fit.joint import strong_pairs


def fit_converted(
    data: Snapshot, weights: Weights, *, days: float, items: int, kept: int, prior: float, history_items: int
) -> ConvertedRetriever | None:
    """Keep for each browsed item what its browsers buy more often than chance lets expect.

    Args:
        data: the history.
        weights: how a member's browsing is weighed in scoring; purchases are left out of it.
        days: how far back browsing and purchases count; > 0.
        items: most browsed and most bought items that take part; > 0.
        kept: bought items kept per browsed one; > 0.
        prior: members added to each item's own; > 0.
        history_items: the heaviest items of a history that count in scoring.
    Returns: the retriever, or None if nobody browsed or nobody bought.
    """
    recent = data.entries.where(data.entries.minute >= data.as_of - days * MINUTES_PER_DAY)
    is_purchase = recent.kind == PURCHASE_CODE
    browsed, bought = recent.where(~is_purchase), recent.where(is_purchase)
    if len(browsed) == 0 or len(bought) == 0:
        return None
    people, place = np.unique(browsed.person_row, return_inverse=True)
    at = np.minimum(np.searchsorted(people, bought.person_row), len(people) - 1)
    browsers = people[at] == bought.person_row
    found = strong_pairs(
        _cells(browsed, place, len(people), data.n_items),
        _cells(bought.where(browsers), at[browsers], len(people), data.n_items),
        np.ones(len(people), np.float32),
        items=items,
        kept=kept,
        prior=prior,
    )
    kinds = tuple(0.0 if code == PURCHASE_CODE else weight for code, weight in enumerate(weights.by_kind))
    return ConvertedRetriever(replace(weights, by_kind=kinds), history_items, found)


def _cells(entries: Entries, row: npt.NDArray[np.int64], n_people: int, n_items: int) -> sp.csr_matrix:
    """Return a float32 CSR matrix, (n_people, n_items), of ones where somebody has an entry of an item."""
    cells = sp.csr_matrix((np.ones(len(row), np.float32), (row, entries.item_row)), shape=(n_people, n_items))
    cells.data[:] = 1
    return cells

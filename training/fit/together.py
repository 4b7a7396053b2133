"""Fit what is bought together: items that share orders beyond chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE, Weights
from recommender.retrievers.together import TogetherRetriever
from training.dataset import Entries, Snapshot
from training.fit.joint import strong_pairs

FloatVector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Orders:
    """All that members bought on one day each.

    items: float32 CSR, (n_orders, n_items), 1 where an order holds an item.
    weight: float32, (n_orders,), decayed by age.
    """

    items: sp.csr_matrix
    weight: FloatVector


def fit_together(
    data: Snapshot,
    weights: Weights,
    day_offset_minutes: int,
    *,
    half_life_days: float,
    items: int,
    kept: int,
    prior: float,
    largest_order: int,
    history_items: int,
) -> TogetherRetriever:
    """Keep for each item those that share most orders with it, beyond what their sales let expect.

    Args:
        data: the history.
        weights: how a member's history is weighed in scoring.
        day_offset_minutes: what to add to a minute to make local days begin at multiples of a day.
        half_life_days: age at which an order counts half; > 0.
        items: most items that take part, those of most orders; > 0.
        kept: partners kept per item; > 0.
        prior: orders added to each item's own; what is rare needs more evidence; >= 0.
        largest_order: orders of more items say nothing of what goes together; > 1.
        history_items: the heaviest items of a history that count in scoring.
    """
    orders = orders_of(data.entries, data.as_of, data.n_items, day_offset_minutes, half_life_days, largest_order)
    affinity = strong_pairs(orders.items, orders.items, orders.weight, items=items, kept=kept, prior=prior)
    return TogetherRetriever(weights, history_items, affinity)


def orders_of(
    entries: Entries, as_of: int, n_items: int, day_offset_minutes: int, half_life_days: float, largest: int
) -> Orders:
    """Collect what each member bought on each day, without orders of one item or of too many."""
    bought = entries.where(entries.kind == PURCHASE_CODE)
    day = (bought.minute.astype(np.int64) + day_offset_minutes) // MINUTES_PER_DAY
    key = (bought.person_row.astype(np.int64) << 32) + day
    _, number, size = np.unique(key, return_inverse=True, return_counts=True)
    useful = (size > 1) & (size <= largest)
    place = np.cumsum(useful) - 1
    kept = useful[number]
    number, row = place[number[kept]], bought.item_row[kept]
    cells = (np.ones(len(row), np.float32), (number, row))
    found = sp.csr_matrix(cells, shape=(int(useful.sum()), n_items))
    found.data[:] = 1
    minute = np.zeros(found.shape[0])
    minute[number] = bought.minute[kept]
    weight = np.exp2(-(as_of - minute) / (MINUTES_PER_DAY * half_life_days))
    return Orders(found, weight.astype(np.float32))

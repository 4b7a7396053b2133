"""Fit what is bought together: joint orders of pairs of items, beyond chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE, Weights, heaviest
from recommender.retrievers.together import TogetherRetriever
from training.dataset import Entries, Snapshot

RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float32]
DoubleVector = npt.NDArray[np.float64]

ITEMS_AT_ONCE = 512
"""Items whose joint orders with all others are counted at once."""
OWN_EXPONENT, PARTNER_EXPONENT = 0.7, 0.3
"""By which powers of the two items' orders the joint ones are divided: 1 and 0 would be "of those who bought the
one", 1/2 each the cosine; what lies between neither leads with big sellers nor with curiosities."""

LEAST_JOINT = 1.0
"""Joint orders, decayed, up to which a pair is left out: a single order is no evidence."""


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

    The strength of a pair is (joint - expected) / ((own + prior) ** 0.7 * (partner's + prior) ** 0.3), in decayed
    orders; pairs below expectation, or of no more than LEAST_JOINT, are left out.

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
    return TogetherRetriever(weights, history_items, affinity_of(orders, items, kept, prior))


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


def affinity_of(orders: Orders, items: int, kept: int, prior: float) -> sp.csr_matrix:
    """Return the strength of pairs, float32 CSR, (n_items, n_items), the strongest `kept` of each row.

    Memory is bounded by ITEMS_AT_ONCE * items entries, whatever the number of orders.
    """
    n_items = orders.items.shape[1]
    count = orders.items.getnnz(axis=0)
    chosen = np.sort(np.lexsort((np.arange(n_items), -count))[:items])
    chosen = chosen[count[chosen] > 1]
    times = orders.items[:, chosen]
    weighed = (sp.diags(orders.weight) @ times).tocsr()
    sales = np.asarray(weighed.sum(axis=0, dtype=np.float64)).ravel()
    total = float(orders.weight.sum(dtype=np.float64))
    turned = times.T.tocsr()
    blocks = []
    for start in range(0, len(chosen), ITEMS_AT_ONCE):
        part = turned[start : start + ITEMS_AT_ONCE]
        blocks.append(heaviest(_strength(part @ weighed, start, sales, total, prior), kept))
    found = sp.vstack(blocks).tocoo() if blocks else sp.coo_matrix((0, len(chosen)), dtype=np.float32)
    whole = sp.csr_matrix((found.data, (chosen[found.row], chosen[found.col])), shape=(n_items, n_items))
    whole.sort_indices()
    return whole


def _strength(joint: sp.csr_matrix, start: int, sales: DoubleVector, total: float, prior: float) -> sp.csr_matrix:
    """Return how far joint orders exceed chance, float32 CSR, for the items from `start` on.

    Args:
        joint: decayed joint orders with every item.
        sales: float64, (n,), decayed orders of each item.
        total: decayed orders in all; > 0.
    """
    joint.sort_indices()
    row = start + np.repeat(np.arange(joint.shape[0]), np.diff(joint.indptr))
    column = joint.indices
    excess = joint.data - sales[row] * sales[column] / total
    strength = excess / ((sales[row] + prior) ** OWN_EXPONENT * (sales[column] + prior) ** PARTNER_EXPONENT)
    strength[(excess <= 0) | (joint.data <= LEAST_JOINT) | (row == column)] = 0
    found = sp.csr_matrix((strength.astype(np.float32), column, joint.indptr), shape=joint.shape)
    found.eliminate_zeros()
    return found

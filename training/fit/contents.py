"""Likeness of items by content: same category or section, same brand, near in price, and worth showing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.candidates import keep_best
from training.categories import category_levels
from training.dataset import ItemFacts

BoolVector = npt.NDArray[np.bool_]
DoubleVector = npt.NDArray[np.float64]
FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]

BRAND, PRICE, WORTH = 0.2, 0.2, 0.3
"""What the same brand, the same price and being the best seller of the kind add to being of one kind."""
SECTION_SHARE = 0.3
"""What an item of the section but of another category is like, beside one of the same category."""
UNKNOWN_PRICE = 0.5
REACH = 2
"""Per list, items looked at per item kept: the best sellers of the kind."""
ROWS_AT_ONCE = 4096


def like_contents(facts: ItemFacts, sold: DoubleVector, kept: int) -> sp.csr_matrix:
    """Return for each item those most like it by content.

    Args:
        facts: of the items.
        sold: float64, (n_items,), how much of each was sold lately.
        kept: most items per item; > 0.
    Returns: float32 CSR, (n_items, n_items), in (0, 1]; an item without category, or alone in its section, has none.
    """
    n_items = len(facts.category_row)
    category = np.where(facts.category_row < len(facts.categories) - 1, facts.category_row, -1).astype(np.int64)
    section = sections_of(facts)
    goods = _Goods.of(facts, sold)
    found = _lists(goods, category, np.ones(n_items, bool), 1.0, kept)
    size = np.bincount(category[category >= 0], minlength=max(len(facts.categories), 1))
    few = (category < 0) | (size[category] <= kept)
    wider = _lists(goods, section, few, SECTION_SHARE, kept)
    return strongest(found.maximum(wider), kept)


def sections_of(facts: ItemFacts) -> IntVector:
    """Number the category above each item's own, int64, (n_items,); a category without one is its own; -1 = none."""
    levels = category_levels(facts)
    depth = (levels > 0).sum(axis=1)
    section = levels[np.arange(len(levels)), np.maximum(depth - 2, 0)]
    return np.where(depth > 0, section, -1).astype(np.int64)


def strongest(matrix: sp.csr_matrix, kept: int) -> sp.csr_matrix:
    """Keep the largest positive entries of each row, ties by rising column; columns rise."""
    matrix = matrix.tocsr()
    real = matrix.data > 0
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[real]
    best = keep_best(row, matrix.indices[real], matrix.data[real].astype(np.float32), matrix.shape[0], kept)
    result = sp.csr_matrix((best.score, best.row, best.indptr), shape=matrix.shape)
    result.sort_indices()
    return result


@dataclass(frozen=True, slots=True)
class _Goods:
    """What is compared.

    price: float32, (n_items,), logarithm, NaN if unknown.  brand: int32, (n_items,), -1 = none.
    worth: float32, (n_items,), square root of what was sold.
    """

    price: FloatVector
    brand: RowVector
    worth: FloatVector

    @classmethod
    def of(cls, facts: ItemFacts, sold: DoubleVector) -> _Goods:
        price = np.where(facts.price_cents > 0, facts.price_cents, np.nan)
        brand = np.where(facts.brand_row < len(facts.brands) - 1, facts.brand_row, -1)
        return cls(np.log(price).astype(np.float32), brand.astype(np.int32), np.sqrt(sold).astype(np.float32))

    def likeness(self, rows: IntVector, others: IntVector) -> FloatMatrix:
        """Return how like items of one kind are, float32, (len(rows), len(others)); an item is not like itself."""
        brand = (self.brand[rows][:, None] == self.brand[others]) & (self.brand[others] >= 0)
        near = np.exp(-np.abs(self.price[rows][:, None] - self.price[others]))
        np.nan_to_num(near, copy=False, nan=UNKNOWN_PRICE)
        worth = self.worth[others] / max(float(self.worth[others].max()), 1e-9)
        value = np.float32(1 - BRAND - PRICE - WORTH) + np.float32(BRAND) * brand + np.float32(PRICE) * near
        value += np.float32(WORTH) * worth
        value[rows[:, None] == others] = 0
        return np.asarray(value, np.float32)


def _lists(goods: _Goods, kind: IntVector, asked: BoolVector, full: float, kept: int) -> sp.csr_matrix:
    """Return the lists of the asked items among the best sellers of their kind; `full` is the best likeness."""
    rows, columns, values = [], [], []
    for own, others in _kinds(goods.worth, kind, asked, REACH * kept + 1):
        value = goods.likeness(own, others)
        best = np.argpartition(-value, min(kept, len(others) - 1), axis=1)[:, :kept]
        rows.append(np.repeat(own, best.shape[1]))
        columns.append(others[best].ravel())
        values.append((np.take_along_axis(value, best, axis=1) * np.float32(full)).ravel())
    shape = (len(kind), len(kind))
    if not rows:
        return sp.csr_matrix(shape, dtype=np.float32)
    return sp.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)


def _kinds(worth: FloatVector, kind: IntVector, asked: BoolVector, reach: int) -> Iterator[tuple[IntVector, IntVector]]:
    """Yield asked rows of one kind, at most ROWS_AT_ONCE, with the best-selling rows of that kind."""
    order = np.lexsort((np.arange(len(kind)), -worth, kind))
    order = order[kind[order] >= 0]
    starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        wanted = members[asked[members]]
        if len(members) > 1:
            for start in range(0, len(wanted), ROWS_AT_ONCE):
                yield wanted[start : start + ROWS_AT_ONCE], members[:reach]

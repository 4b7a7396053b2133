"""Likeness of items by content: same category or section, same brand, near in price, and worth showing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from training.dataset import ItemFacts

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


def like_contents(facts: ItemFacts, sold: npt.NDArray[np.float64], kept: int) -> sp.csr_matrix:
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
    found = _lists(facts, sold, category, np.ones(n_items, bool), 1.0, kept)
    size = np.bincount(category[category >= 0], minlength=max(len(facts.categories), 1))
    few = (category < 0) | (size[category] <= kept)
    wider = _lists(facts, sold, section, few, SECTION_SHARE, kept)
    return strongest(found.maximum(wider).tocsr(), kept)


def sections_of(facts: ItemFacts) -> IntVector:
    """Number the category above each item's own, int64, (n_items,); a category without one is its own; -1 = none."""
    paths = [path.rpartition(" > ")[0] or path for path in facts.categories[:-1]]
    _, number = np.unique(np.array(paths, dtype=np.str_), return_inverse=True)
    return np.append(number, -1)[facts.category_row].astype(np.int64)


def strongest(matrix: sp.csr_matrix, kept: int) -> sp.csr_matrix:
    """Keep the largest entries of each row, ties by rising column; columns rise."""
    matrix = matrix.tocsr()
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(len(row)) - matrix.indptr[row]
    chosen = order[(place < kept) & (matrix.data[order] > 0)]
    shape = matrix.shape
    result = sp.csr_matrix((matrix.data[chosen], (row[chosen], matrix.indices[chosen])), shape=shape, dtype=np.float32)
    result.sort_indices()
    return result


def _lists(
    facts: ItemFacts,
    sold: npt.NDArray[np.float64],
    kind: IntVector,
    asked: npt.NDArray[np.bool_],
    full: float,
    kept: int,
) -> sp.csr_matrix:
    """Return the lists of the asked items among the best sellers of their kind; `full` is the best likeness."""
    parts = [
        _block(facts, sold, rows, others, full, kept) for rows, others in _kinds(sold, kind, asked, REACH * kept + 1)
    ]
    row, column, value = (
        np.concatenate([part[number] for part in parts]) if parts else np.empty(0, np.float32) for number in range(3)
    )
    shape = (len(kind), len(kind))
    return sp.csr_matrix((value, (row.astype(np.int64), column.astype(np.int64))), shape=shape, dtype=np.float32)


def _kinds(
    sold: npt.NDArray[np.float64], kind: IntVector, asked: npt.NDArray[np.bool_], reach: int
) -> Iterator[tuple[IntVector, IntVector]]:
    """Yield asked rows of one kind, at most ROWS_AT_ONCE, with the best-selling rows of that kind."""
    order = np.lexsort((np.arange(len(kind)), -sold, kind))
    order = order[kind[order] >= 0]
    starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        wanted = members[asked[members]]
        if len(members) > 1:
            for start in range(0, len(wanted), ROWS_AT_ONCE):
                yield wanted[start : start + ROWS_AT_ONCE], members[:reach]


def _block(
    facts: ItemFacts, sold: npt.NDArray[np.float64], rows: IntVector, others: IntVector, full: float, kept: int
) -> tuple[IntVector, IntVector, FloatVector]:
    """Return the `kept` of `others` most like each of `rows`, as row, column and likeness."""
    brand = facts.brand_row[rows][:, None] == facts.brand_row[others]
    brand &= (facts.brand_row[others] < len(facts.brands) - 1)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.log(np.where(facts.price_cents > 0, facts.price_cents, np.nan))
    near = np.exp(-np.abs(price[rows][:, None] - price[others]))
    near = np.where(np.isnan(near), UNKNOWN_PRICE, near)
    worth = np.sqrt(sold[others] / max(float(sold[others].max()), 1e-9))
    value = (1 - BRAND - PRICE - WORTH + BRAND * brand + PRICE * near + WORTH * worth) * full
    value[rows[:, None] == others] = 0
    best = np.argsort(-value, axis=1, kind="stable")[:, :kept]
    chosen = np.take_along_axis(value, best, axis=1)
    real = chosen > 0
    return np.repeat(rows, real.sum(axis=1)), others[best][real], chosen[real].astype(np.float32)

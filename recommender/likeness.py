"""Likeness: which items of the models the items newer than them are like, by content and by the retailer's word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.catalog import Catalog
from recommender.item_facts import CATEGORY_SEPARATOR

FloatVector = npt.NDArray[np.float32]

DONORS = 20
"""Most donors of a newcomer."""
MOST, MOST_OF_A_KIND = 2_000, 500
"""Most newcomers with donors, the newest, and most items of one category that are looked at for donors."""
KIND, BRAND, PRICE = 0.5, 0.2, 0.2
"""What being of one category, of one brand and of one price makes of likeness."""
WIDER = 0.6
"""What a donor of the category above counts, where the newcomer's own has none."""
NAMED = 0.95
"""The likeness of items that the retailer calls packs of one product, or substitutes."""
UNKNOWN_PRICE = 0.5


@dataclass(frozen=True, slots=True)
class Likeness:
    """What items newer than the models are like.

    first: row of the first of them.
    donors: float32 CSR, (first, n_new), likeness in (0, 1] of each newcomer to items of the models.
    replaces: by the row of a newcomer, the row of the item in whose place it has come.
    """

    first: int
    donors: sp.csr_matrix
    replaces: Mapping[int, int]

    @classmethod
    def of(
        cls, catalog: Catalog, named: Sequence[tuple[str, str]], successors: Sequence[tuple[int, int]]
    ) -> Likeness | None:
        """Find donors; None if no item is newer than the models.

        Args:
            catalog: every item.
            named: pairs of items that can stand in for one another.
            successors: (old row, new row).
        """
        first, count = len(catalog.items), len(catalog) - len(catalog.items)
        if count == 0:
            return None
        parts = [*_by_content(catalog), _by_name(catalog, named)]
        if successors:
            old, new = (np.array(rows, np.int64) for rows in zip(*successors, strict=True))
            parts.append((old, new - first, np.ones(len(old), np.float32)))
        donor, newcomer, value = (np.concatenate(part) for part in zip(*parts, strict=True))
        matrix = sp.csr_matrix((first, count), dtype=np.float32)
        order = np.argsort(-value, kind="stable")  # of several claims to one pair the strongest is kept
        _, kept = np.unique(donor[order] * count + newcomer[order], return_index=True)
        chosen = order[kept]
        if len(chosen):
            matrix = sp.csr_matrix((value[chosen], (donor[chosen], newcomer[chosen])), shape=(first, count))
        return cls(first, matrix, {new_row: old_row for old_row, new_row in successors})


def _by_content(catalog: Catalog) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatVector]]:
    """Yield donors, newcomers counted from the first, and likeness, category by category."""
    first, names = len(catalog.items), catalog.facts.category.names
    code = catalog.facts.category.code
    newest = first + np.lexsort(
        (np.arange(first, len(catalog)), -catalog.columns.available_from[first:].astype(np.int64))
    )
    wanted = np.sort(newest[:MOST])
    above = [name.rpartition(f" {CATEGORY_SEPARATOR} ")[0] or name for name in names]
    section = np.unique(above, return_inverse=True)[1][code]
    for kind in np.unique(code[wanted]).tolist():
        if not names[kind]:
            continue
        rows = wanted[code[wanted] == kind]
        others, share = np.flatnonzero(code[:first] == kind), 1.0
        if not len(others):
            others, share = np.flatnonzero(section[:first] == section[rows[0]]), WIDER
            others = others[code[others] > 0]
        if not len(others):
            continue
        others = others[:: -(-len(others) // MOST_OF_A_KIND)]
        like = _likeness(catalog, rows, others) * np.float32(share)
        best = np.argpartition(-like, min(DONORS, len(others)) - 1, axis=1)[:, :DONORS]
        values = np.take_along_axis(like, best, axis=1)
        yield others[best].ravel(), np.repeat(rows - first, best.shape[1]), values.ravel()


def _likeness(catalog: Catalog, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return how like items of one category are, float32, (len(rows), len(others))."""
    brand, columns = catalog.facts.brand.code, catalog.columns
    same = (brand[rows][:, None] == brand[others]) & (brand[others] > 0)
    cents = np.where(columns.priced & (columns.price_cents > 0), columns.price_cents, 0).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.exp(-np.abs(np.log(cents[rows])[:, None] - np.log(cents[others])))
    known = (cents[rows] > 0)[:, None] & (cents[others] > 0)
    near = np.where(known, near, UNKNOWN_PRICE)
    return np.asarray(KIND + BRAND * same + PRICE * near, np.float32)


def _by_name(
    catalog: Catalog, named: Sequence[tuple[str, str]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatVector]:
    """Return the pairs of which one item is new and the other is not, as _by_content does."""
    first = len(catalog.items)
    left, right = (list(part) for part in (zip(*named, strict=True) if named else ((), ())))
    known = catalog.rows(left)[1] & catalog.rows(right)[1]
    pairs = zip(
        catalog.rows([one for one, kept in zip(left, known, strict=True) if kept])[0].tolist(),
        catalog.rows([one for one, kept in zip(right, known, strict=True) if kept])[0].tolist(),
        strict=True,
    )
    both = list(pairs)
    both += [(other, one) for one, other in both]
    kept = [(donor, row - first) for donor, row in both if donor < first <= row]
    donors, rows = (np.array(part, np.int64) for part in (zip(*kept, strict=True) if kept else ((), ())))
    return donors, rows, np.full(len(kept), NAMED, np.float32)

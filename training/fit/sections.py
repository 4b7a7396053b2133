"""Fit the sections of a shop: categories, and brands within them, each with its best sellers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import Weights, heaviest
from recommender.retrievers.sections import SectionRetriever
from training.dataset import ItemFacts, Snapshot
from training.fit.popularity import sales_of

RowMatrix = npt.NDArray[np.int32]

CONCENTRATION = 0.5
"""Exponent of a section's own sales in the divisor: 0 favours large sections, 1 counts each the same."""

BEST_SELLERS = 50
"""Items kept per section."""


def fit_sections(
    data: Snapshot,
    weights: Weights,
    browse_weight: float,
    *,
    half_life_days: float,
    history_sections: int,
) -> SectionRetriever | None:
    """Rank the items of every category, and of every brand within one, by their decayed sales.

    Args:
        data: the history and the catalogue.
        weights, browse_weight: how a member's history is weighed in scoring.
        half_life_days: age at which a sale counts half; > 0.
        history_sections: the heaviest sections of a history that count.
    Returns: the retriever, or None if the catalogue knows neither two categories nor two brands.
    """
    section_row, n_sections = sections_of(data.facts)
    if len(data.facts.categories) < 3 and len(data.facts.brands) < 3:
        return None
    item, _, minute = sales_of(data)
    age = (data.as_of - minute) / (MINUTES_PER_DAY * half_life_days)
    sold = np.bincount(item, np.exp2(-age), data.n_items)
    lists = sp.csr_matrix((n_sections, data.n_items), dtype=np.float32)
    for row in section_row.T:
        found = np.flatnonzero((row < n_sections - 1) & (sold > 0))
        total = np.bincount(row[found], sold[found], n_sections)
        share = sold[found] / total[row[found]] ** CONCENTRATION
        lists += sp.csr_matrix((share.astype(np.float32), (row[found], found)), shape=lists.shape)
    return SectionRetriever(
        weights, browse_weight, history_sections, section_row, heaviest(_sorted(lists), BEST_SELLERS)
    )


def sections_of(facts: ItemFacts) -> tuple[RowMatrix, int]:
    """Number the categories, then the brands within each category.

    Returns: the two sections of each item, int32, (n_items, 2), and the number of sections; the last one means none,
        as for items without a category, or without a brand.
    """
    n_categories, n_brands = len(facts.categories) - 1, len(facts.brands) - 1
    pair, number = np.unique(
        facts.category_row.astype(np.int64) * (n_brands + 1) + facts.brand_row, return_inverse=True
    )
    none = n_categories + len(pair)
    category = np.where(facts.category_row < n_categories, facts.category_row, none)
    brand = np.where(facts.brand_row < n_brands, n_categories + number, none)
    return np.stack((category, brand), axis=1).astype(np.int32), none + 1


def _sorted(matrix: sp.csr_matrix) -> sp.csr_matrix:
    matrix.sort_indices()
    return matrix

"""What lists are like, whether anything on them is bought or not: coverage, novelty, diversity, popularity bias.

Arithmetic on row numbers, as in metrics.py; every measure names its source.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.metrics import FloatVector, IntVector, Ragged, first

LevelMatrix = npt.NDArray[np.int32]

TENTHS = 10


def coverage(lists: Ragged, k: int, catalogue_size: int) -> float:
    """Distinct items shown in the first k positions of any list, as a share of the catalogue.

    Source: Ge, Delgado-Battenfeld and Jannach (2010), "Beyond accuracy", section 3.2 (catalogue coverage).
    """
    return len(np.unique(first(lists, k).row)) / catalogue_size if catalogue_size else 0.0


def novelty(lists: Ragged, k: int, buyers: IntVector, n_members: int) -> float:
    """Mean self-information, in bits, of the items in the first k positions: -log2 of the share of buyers.

    Args:
        lists: what was shown.
        k: positions counted; > 0.
        buyers: int64, (n_items,), members who bought the item in the history.
        n_members: members in the history. One is added to both counts, so that unsold items stay finite.
    Returns: the mean over all shown positions; NaN if nothing was shown.
    Source: Zhou et al. (2010), "Solving the apparent diversity-accuracy dilemma", PNAS 107, surprisal.
    """
    shown = first(lists, k).row
    if len(shown) == 0:
        return float("nan")
    return float(-np.log2((buyers[shown] + 1) / (n_members + 1)).mean())


def gini(lists: Ragged, k: int, catalogue_size: int) -> float:
    """Inequality of how often the items of the catalogue are shown: 0 all alike, near 1 always the same few.

    Returns: NaN if nothing was shown.
    Source: Fleder and Hosanagar (2009), "Blockbuster culture's next rise or fall", section 4.
    """
    counts = np.sort(np.bincount(first(lists, k).row, minlength=catalogue_size)).astype(np.float64)
    total = counts.sum()
    if total == 0:
        return float("nan")
    rank = np.arange(1, len(counts) + 1)
    return float((2 * rank - len(counts) - 1) @ counts / (len(counts) * total))


def intra_list_diversity(lists: Ragged, k: int, levels: LevelMatrix) -> FloatVector:
    """Mean distance of two items among the first k of each list, by their place in the category tree.

    The distance of two items is 1 less the share of leading levels that their category paths have in common:
    0 in the same leaf, 1 in different departments. Items without a category are left out.

    Args:
        lists: what was shown.
        k: positions counted; > 1.
        levels: int32, (n_items, n_levels), from categories.category_levels(); 0 = no such level.
    Returns: float64, (n,), NaN for lists with fewer than two items of known category.
    Source: Ziegler et al. (2005), "Improving recommendation lists through topic diversification", section 3.3.
    """
    head = first(lists, k)
    place = np.arange(len(head.row)) - np.repeat(head.indptr[:-1], head.sizes)
    shown = np.zeros((len(head), k, levels.shape[1]), np.int32)
    shown[head.member, place] = levels[head.row]
    depth = (shown > 0).sum(axis=2)
    total, pairs = np.zeros(len(head)), np.zeros(len(head))
    for apart in range(1, k):
        left, right = shown[:, apart:], shown[:, :-apart]
        known = (depth[:, apart:] > 0) & (depth[:, :-apart] > 0)
        deepest = np.maximum(depth[:, apart:], depth[:, :-apart])
        common = ((left == right) & (left > 0)).sum(axis=2)
        total += np.where(known, 1 - common / np.maximum(deepest, 1), 0).sum(axis=1)
        pairs += known.sum(axis=1)
    return np.divide(total, pairs, out=np.full(len(head), np.nan), where=pairs > 0)


def sales_tenths(sales: IntVector) -> IntVector:
    """Put items into TENTHS groups that sell equally much, best sellers first; unsold items come last.

    Args:
        sales: int64, (n_items,), what was sold of each item.
    Returns: int64, (n_items,), 0 .. TENTHS - 1, and TENTHS for items that did not sell.
    """
    order = np.lexsort((np.arange(len(sales)), -sales))
    before = np.concatenate(([0], np.cumsum(sales[order])[:-1])) if len(sales) else np.zeros(0)
    tenth = np.full(len(sales), TENTHS, np.int64)
    tenth[order] = np.minimum(TENTHS * before // max(int(sales.sum()), 1), TENTHS - 1)
    tenth[sales == 0] = TENTHS
    return tenth


def shown_by_tenth(lists: Ragged, k: int, tenth: IntVector) -> FloatVector:
    """Return the share of the first k positions that goes to each tenth of the sales, float64, (TENTHS + 1,).

    A system without popularity bias shows about as much of each tenth as is sold of it.

    Args:
        lists: what was shown.
        k: positions counted; > 0.
        tenth: int64, (n_items,), from sales_tenths().
    Returns: shares that sum to 1; NaN throughout if nothing was shown.
    Source: Abdollahpouri et al. (2019), "The unfairness of popularity bias in recommendation", section 3.
    """
    counts = np.bincount(tenth[first(lists, k).row], minlength=TENTHS + 1).astype(np.float64)
    return np.divide(counts, counts.sum(), out=np.full(TENTHS + 1, np.nan), where=counts.sum() > 0)

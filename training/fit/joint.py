"""Pairs of items that meet more often than chance lets expect: in orders, or in members' views and purchases."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.interactions import heaviest

FloatVector = npt.NDArray[np.float32]
DoubleVector = npt.NDArray[np.float64]

ITEMS_AT_ONCE = 512
"""Items whose meetings with all others are counted at once."""
OWN_EXPONENT, PARTNER_EXPONENT = 0.7, 0.3
"""By which powers of the two items' counts the joint one is divided: 1 and 0 would be "of those with the one", 1/2
each the cosine; what lies between leads neither with big sellers nor with curiosities."""
LEAST_JOINT = 1.0
"""Weight of meetings up to which a pair is left out: a single one is no evidence."""


def strong_pairs(
    own: sp.csr_matrix, partner: sp.csr_matrix, weight: FloatVector, *, items: int, kept: int, prior: float
) -> sp.csr_matrix:
    """Return for each item the partners with the largest excess over chance.

    The strength of a pair is (joint - expected) / ((own + prior) ** 0.7 * (partner's + prior) ** 0.3), all sums of
    weights; pairs below expectation, or of no more than LEAST_JOINT, and an item with itself are left out.

    Memory is bounded by ITEMS_AT_ONCE * items entries, whatever the number of cases.

    Args:
        own: float32 CSR, (n_cases, n_items), 1 where a case (an order, a member) has an item.
        partner: float32 CSR, (n_cases, n_items), 1 where the case has the item as a partner.
        weight: float32, (n_cases,), what each case counts, at most 1.
        items: most items on each side, those of most cases; > 0.
        kept: partners kept per item; > 0.
        prior: added to each item's count: what is rare needs more evidence; >= 0.
    Returns: float32 CSR, (n_items, n_items), columns rising.
    """
    n_items = own.shape[1]
    asking, asked = most_frequent(own, items), most_frequent(partner, items)
    turned = own[:, asking].T.tocsr()
    weighed = (sp.diags(weight) @ partner[:, asked]).tocsr()
    counts = np.asarray(turned @ weight, np.float64), np.asarray(weighed.sum(axis=0, dtype=np.float64)).ravel()
    blocks = []
    for start in range(0, len(asking), ITEMS_AT_ONCE):
        joint = turned[start : start + ITEMS_AT_ONCE] @ weighed
        rows = slice(start, start + joint.shape[0])
        found = _strength(joint, counts[0][rows], counts[1], float(weight.sum(dtype=np.float64)), prior)
        found.data[asking[rows][_rows(found)] == asked[found.indices]] = 0
        found.eliminate_zeros()
        blocks.append(heaviest(found, kept))
    whole = sp.vstack(blocks).tocoo() if blocks else sp.coo_matrix((0, len(asked)), dtype=np.float32)
    laid = sp.csr_matrix((whole.data, (asking[whole.row], asked[whole.col])), shape=(n_items, n_items))
    laid.sort_indices()
    return laid


def most_frequent(cases: sp.csr_matrix, items: int) -> npt.NDArray[np.int64]:
    """Return the items of most cases, at least two, rising."""
    count = cases.getnnz(axis=0)
    chosen = np.sort(np.lexsort((np.arange(len(count)), -count))[:items])
    return chosen[count[chosen] > 1]


def _strength(
    joint: sp.csr_matrix, own: DoubleVector, partner: DoubleVector, total: float, prior: float
) -> sp.csr_matrix:
    """Return how far joint counts exceed chance, float32 CSR, (n_own, n_partner), 0 where they do not."""
    joint.sort_indices()
    row, column = _rows(joint), joint.indices
    excess = joint.data - own[row] * partner[column] / total
    strength = excess / ((own[row] + prior) ** OWN_EXPONENT * (partner[column] + prior) ** PARTNER_EXPONENT)
    strength[(excess <= 0) | (joint.data <= LEAST_JOINT)] = 0
    return sp.csr_matrix((strength.astype(np.float32), column, joint.indptr), shape=joint.shape)


def _rows(matrix: sp.csr_matrix) -> npt.NDArray[np.int64]:
    """Return the row of each entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))

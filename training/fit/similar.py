"""Fit what is like an item and what can stand in for it: from behaviour where there is enough, else from content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE, Pairs, matrix_of
from recommender.retrievers.similar import SimilarRetriever
from recommender.retrievers.substitutes import SubstituteRetriever
from training.dataset import ItemFacts, Snapshot
from training.fit.contents import like_contents, sections_of, strongest
from training.fit.neighbors import nearest_items

IntVector = npt.NDArray[np.int64]
DoubleVector = npt.NDArray[np.float64]

VIEW_SHRINKAGE = 0.1
"""Exponent of popularity in the likeness of what is viewed: near 0 is "of those who viewed the one", 1/2 the cosine."""
FAMILIAR_MEMBERS = 20.0
"""Members who touched an item from whom its behaviour counts half of what it can."""
OUTSIDE = 0.2
"""What the likeness by behaviour of items of different sections counts."""
NAMED, SAME_PRODUCT = 5.0, 2.0
"""What the retailer's own word, and being another pack of the same product, add to standing in for an item."""
SUBSTITUTE_BEHAVIOUR, SUBSTITUTE_WORTH = 0.25, 0.4
"""What being bought or viewed by the same members, and selling well, add to being of the same kind (at most 1)."""


def fit_likeness(
    data: Snapshot,
    pairs: Pairs,
    bought_near: sp.csr_matrix,
    *,
    half_life_days: float,
    behaviour: float,
    listed: int,
    history_items: int,
    threads: int,
) -> tuple[SimilarRetriever, SubstituteRetriever]:
    """Fit both lists of every item.

    Args:
        data: the history and the catalogue.
        pairs: its pairs, one history per learned person.
        bought_near: float32 CSR, (n_items, n_items), nearest items by all interactions.
        half_life_days: decay of the sales that show what is worth showing.
        behaviour: share of behaviour in the likeness of an item everybody knows; the rest is content. In [0, 1].
        listed: most items kept per item; > 0.
        history_items: the heaviest items of a history that count for co-views.
        threads: threads the fit may use.
    """
    sold = _sold(data, half_life_days)
    content = like_contents(data.facts, sold, listed)
    together = _relative(_with_views(pairs, bought_near, data.n_items, history_items, threads))
    members = np.bincount(pairs.item_row, minlength=data.n_items)
    share = (behaviour * members / (members + FAMILIAR_MEMBERS)).astype(np.float32)
    # Who has no content, or no behaviour, is judged by the other alone.
    share = np.where(np.diff(content.indptr) == 0, np.float32(1), share)
    mixed = sp.diags(share) @ _mostly_inside(together, sections_of(data.facts)) + sp.diags(1 - share) @ content
    similar = SimilarRetriever(strongest(mixed, listed))
    return similar, SubstituteRetriever(strongest(_stand_ins(data.facts, sold, content, together), listed))


def _mostly_inside(together: sp.csr_matrix, section: IntVector) -> sp.csr_matrix:
    """Discount what the same members take of other sections: they take everything that everybody takes."""
    row = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    outside = (section[row] != section[together.indices]) & (section[row] >= 0)
    data = np.where(outside, np.float32(OUTSIDE), np.float32(1)) * together.data
    return sp.csr_matrix((data, together.indices, together.indptr), shape=together.shape)


def _stand_ins(facts: ItemFacts, sold: DoubleVector, content: sp.csr_matrix, together: sp.csr_matrix) -> sp.csr_matrix:
    """Return what can stand in for each item: of its section, another pack of it, or named by the retailer."""
    n_items = len(facts.category_row)
    row = np.repeat(np.arange(n_items), np.diff(together.indptr))
    section = sections_of(facts)
    inside = (section[row] == section[together.indices]) & (section[row] >= 0)
    near = sp.csr_matrix((together.data[inside], (row[inside], together.indices[inside])), shape=together.shape)
    packs = np.flatnonzero(facts.product_row != np.arange(n_items))
    product = sp.csr_matrix(
        (np.ones(n_items, np.float32), (np.arange(n_items), facts.product_row)), shape=(n_items, n_items)
    )
    same = (product @ product.T).tocsr() if len(packs) else sp.csr_matrix((n_items, n_items), dtype=np.float32)
    one, other = facts.substitutes.T
    named = sp.csr_matrix((np.ones(len(one), np.float32), (one, other)), shape=(n_items, n_items))
    named.data[:] = 1
    whole = (
        content
        + SUBSTITUTE_WORTH * _worth(facts, sold, content)
        + SUBSTITUTE_BEHAVIOUR * near
        + SAME_PRODUCT * same
        + NAMED * named
    )
    whole.setdiag(0)
    whole.eliminate_zeros()
    return whole.tocsr().astype(np.float32)


def _worth(facts: ItemFacts, sold: DoubleVector, content: sp.csr_matrix) -> sp.csr_matrix:
    """Return how well the items listed sell beside the best seller of their category, where it is the item's own."""
    highest = np.zeros(len(facts.categories))
    np.maximum.at(highest, facts.category_row, sold)
    worth = np.sqrt(sold / np.maximum(highest[facts.category_row], 1e-9))
    own = np.repeat(facts.category_row, np.diff(content.indptr)) == facts.category_row[content.indices]
    data = np.where(own, worth[content.indices], 0).astype(np.float32)
    return sp.csr_matrix((data, content.indices, content.indptr), shape=content.shape)


def _with_views(
    pairs: Pairs, bought_near: sp.csr_matrix, n_items: int, history_items: int, threads: int
) -> sp.csr_matrix:
    """Add what is viewed by the same members, where members view."""
    if not (pairs.browsed > 0).any():
        return bought_near
    nothing = np.zeros_like(pairs.purchased)
    viewed = matrix_of(replace(pairs, purchased=nothing), n_items)
    kept = int(np.diff(bought_near.indptr).max(initial=1))
    near = nearest_items(
        viewed, neighbors=max(kept, 1), shrinkage=VIEW_SHRINKAGE, history_items=history_items, threads=threads
    )
    return (_relative(bought_near) + _relative(near)).tocsr()


def _relative(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return each entry over the largest of its row."""
    matrix = matrix.tocsr()
    highest = np.maximum(np.asarray(matrix.max(axis=1).todense()).ravel(), 1e-12)
    return (sp.diags((1 / highest).astype(np.float32)) @ matrix).tocsr()


def _sold(data: Snapshot, half_life_days: float) -> npt.NDArray[np.float64]:
    """Return the decayed sales of every item, of known customers or not; where nobody buys, what was touched."""
    own = data.entries.kind == PURCHASE_CODE
    if not own.any():
        own = np.ones(len(own), bool)
    row = np.concatenate((data.entries.item_row[own], data.sales.item_row))
    minute = np.concatenate((data.entries.minute[own], data.sales.minute))
    age_days = (data.as_of - minute) / MINUTES_PER_DAY
    return np.asarray(np.bincount(row, np.exp2(-age_days / half_life_days), data.n_items), np.float64)

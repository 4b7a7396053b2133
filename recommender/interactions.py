"""Weighs events by kind, channel and age: histories -> member-item pairs -> a sparse members x items matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.candidates import head, segment_numbers
from recommender.events import BROWSING_KINDS, KIND_CODES, EventKind
from recommender.history import MINUTES_PER_DAY, MOST_TIMES, Histories

IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float32]
MinuteVector = npt.NDArray[np.int32]

PURCHASE_CODE = KIND_CODES[EventKind.PURCHASE]
_INTEREST = np.log2(1 + np.arange(MOST_TIMES + 1)).astype(np.float32)
HISTORY_KINDS = (EventKind.PURCHASE, *BROWSING_KINDS)
"""Kinds that histories keep; the others steer rules or measurement, not taste."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much one event counts.

    purchase_half_life_days, browse_half_life_days: age at which an event counts half; > 0.
    by_kind: weight of each event kind, in the order of KIND_CODES; 0 leaves the kind out.
    by_channel: factor of each channel, in the order of the bundle's channels.
    """

    purchase_half_life_days: float
    browse_half_life_days: float
    by_kind: tuple[float, ...]
    by_channel: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """What a batch of histories says of each item touched, items rising within a history.

    indptr: int64, (n_histories + 1,).  item_row: int32, (n,).
    bought: float32, undecayed number of days with a purchase.
    purchased: float32, weight of the purchases, decayed by age.
    browsed: float32, weight of views, favourites, baskets and the like, decayed by age.
    first, last: int32, minute of the first and last purchase; both the last event's minute if never bought.
    """

    indptr: IntVector
    item_row: RowVector
    bought: FloatVector
    purchased: FloatVector
    browsed: FloatVector
    first: MinuteVector
    last: MinuteVector

    @property
    def query(self) -> IntVector:
        """The history number of each pair, int64, (n,)."""
        return segment_numbers(self.indptr)


@dataclass(frozen=True, slots=True)
class Arranged:
    """Histories with the entries of each item together: all of a summary that the weights do not change.

    order: int64, (n,), the entries by segment, item and minute; the next four are in this order.
    segment, minute, is_purchase, kind: of each entry.
    starts: int64, (n_pairs,), where each pair begins.  pairs: the summary, as if everything weighed nothing.
    """

    order: IntVector
    segment: IntVector
    minute: MinuteVector
    is_purchase: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.uint8]
    starts: IntVector
    pairs: Pairs


def summarize(histories: Histories, as_of: MinuteVector, weights: Weights) -> Pairs:
    """Reduce histories to one row per item touched.

    Args:
        histories: entries before `as_of`.
        as_of: int32, (n_histories,), the minute from which ages are counted.
        weights: what an event counts.
    Returns: Pairs; items whose events all weigh nothing are kept, with weight 0.
    """
    return weigh(arrange(histories), histories, as_of, weights)


def arrange(histories: Histories) -> Arranged:
    """Put the entries of each item together, which is done once for any number of weights."""
    segment = segment_numbers(histories.indptr)
    # The minutes rise within a segment already, and one key sorts several times as fast as three.
    order = np.argsort((segment << 32) + histories.item_row, kind="stable")
    segment, item_row = segment[order], histories.item_row[order]
    kind, minute = histories.kind[order], histories.minute[order]
    is_purchase = kind == PURCHASE_CODE
    starts = _starts(segment, item_row)
    if len(starts) == 0:
        return Arranged(order, segment, minute, is_purchase, kind, starts, _no_pairs(len(histories)))
    first_purchase = np.where(is_purchase, minute, np.iinfo(np.int32).max)
    last_event = np.maximum.reduceat(minute, starts)
    last_purchase = np.maximum.reduceat(np.where(is_purchase, minute, np.iinfo(np.int32).min), starts)
    bought = np.add.reduceat(is_purchase.astype(np.float32), starts)
    sizes = np.bincount(segment[starts], minlength=len(histories))
    nothing = np.zeros(len(starts), np.float32)
    pairs = Pairs(
        indptr=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        item_row=item_row[starts],
        bought=bought,
        purchased=nothing,
        browsed=nothing,
        first=np.where(bought > 0, np.minimum.reduceat(first_purchase, starts), last_event).astype(np.int32),
        last=np.where(bought > 0, last_purchase, last_event).astype(np.int32),
    )
    return Arranged(order, segment, minute, is_purchase, kind, starts, pairs)


def weigh(arranged: Arranged, histories: Histories, as_of: MinuteVector, weights: Weights) -> Pairs:
    """Return the summary of arranged histories under some weights.

    Args:
        arranged: of `histories`.
        histories, as_of, weights: as for summarize().
    Source: exponential decay of interactions as in Ding and Li (2005), "Time weight collaborative filtering".
    """
    if len(arranged.starts) == 0:
        return arranged.pairs
    is_purchase = arranged.is_purchase
    age_days = (as_of[arranged.segment] - arranged.minute).astype(np.float32) / MINUTES_PER_DAY
    half_life = np.where(is_purchase, weights.purchase_half_life_days, weights.browse_half_life_days)
    by_kind, by_channel = np.array(weights.by_kind, np.float32), np.array(weights.by_channel, np.float32)
    weight = by_kind[arranged.kind] * by_channel[histories.channel[arranged.order]]
    weight = weight * np.exp2(-age_days / half_life)
    # Doubling what happened on one day adds one: the tenth view says less than the second. A purchase is one.
    weight = np.where(is_purchase, weight, weight * _INTEREST[histories.times[arranged.order]]).astype(np.float32)
    return replace(
        arranged.pairs,
        purchased=np.add.reduceat(np.where(is_purchase, weight, np.float32(0)), arranged.starts),
        browsed=np.add.reduceat(np.where(is_purchase, np.float32(0), weight), arranged.starts),
    )


def matrix_of(pairs: Pairs, n_items: int, browse_weight: float = 1.0) -> sp.csr_matrix:
    """Lay pairs out as a sparse matrix.

    Args:
        pairs: from summarize().
        n_items: number of columns.
        browse_weight: factor of the browsed weight beside the purchased weight; 0 leaves browsing out.
    Returns: float32 CSR, (n_histories, n_items), without explicit zeros, columns rising.
    """
    data = pairs.purchased + np.float32(browse_weight) * pairs.browsed
    item_row, indptr = pairs.item_row, pairs.indptr
    if not data.all():
        # Pairs are shared by all retrievers of a batch, so nothing may be taken out of them in place.
        kept = data != 0
        data, item_row = data[kept], item_row[kept]
        indptr = np.concatenate(([0], np.cumsum(kept)))[indptr]
    matrix = sp.csr_matrix((data, item_row, indptr), shape=(len(indptr) - 1, n_items), dtype=np.float32)
    matrix.has_sorted_indices = True
    return matrix


def heaviest(matrix: sp.csr_matrix, limit: int) -> sp.csr_matrix:
    """Keep the `limit` largest entries of each row, ties at the cut by rising column.

    Long histories say little more than their head, and cost in proportion to their length.
    """
    kept = np.ones(matrix.nnz, bool)
    for i in np.flatnonzero(np.diff(matrix.indptr) > limit):
        part = slice(int(matrix.indptr[i]), int(matrix.indptr[i + 1]))
        kept[part] = False
        kept[part.start + head(matrix.data[part], matrix.indices[part], limit)] = True
    if kept.all():
        return matrix
    passed = np.concatenate(([0], np.cumsum(kept)))
    shorter = sp.csr_matrix((matrix.data[kept], matrix.indices[kept], passed[matrix.indptr]), shape=matrix.shape)
    shorter.has_sorted_indices = True
    return shorter


def _starts(segment: IntVector, item_row: RowVector) -> IntVector:
    """Return the positions where a new (segment, item) group begins."""
    if len(segment) == 0:
        return np.empty(0, np.int64)
    changes = (np.diff(segment) != 0) | (np.diff(item_row) != 0)
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def _no_pairs(count: int) -> Pairs:
    floats, minutes = np.empty(0, np.float32), np.empty(0, np.int32)
    return Pairs(np.zeros(count + 1, np.int64), np.empty(0, np.int32), floats, floats, floats, minutes, minutes)

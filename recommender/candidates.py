"""Candidates and Slate: aligned arrays of item row, score and source; ragged over a batch of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
BoolVector = npt.NDArray[np.bool_]
BoolMatrix = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What one retriever found for a batch of queries.

    Query i owns the positions indptr[i]:indptr[i + 1]. Within a query rows are distinct, ordered by falling
    score, ties by rising row (which is rising item id).

    indptr: int64, (n_queries + 1,).  row: int32, (n,).  score: float32, (n,), finite; higher is better.
    """

    indptr: IntVector
    row: RowVector
    score: FloatVector

    def of_query(self, query: int) -> tuple[RowVector, FloatVector]:
        """Return rows and scores of one query, best first."""
        part = slice(int(self.indptr[query]), int(self.indptr[query + 1]))
        return self.row[part], self.score[part]


@dataclass(frozen=True, slots=True)
class Pool:
    """The union of several retrievers' candidates for a batch of queries, rows rising within a query.

    indptr: int64, (n_queries + 1,).  row: int32, (n,).
    scores: float32, (n, n_retrievers); NaN where a retriever did not find the item.
    ranks: float32, (n, n_retrievers), the place in the retriever's list, 0 = first; NaN likewise.
    retrievers: their names, in column order.
    """

    indptr: IntVector
    row: RowVector
    scores: FloatMatrix
    ranks: FloatMatrix
    retrievers: tuple[str, ...]

    @property
    def query(self) -> IntVector:
        """The query number of each candidate, int64, (n,)."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def part(self, start: int, stop: int) -> Pool:
        """Return the pool of the queries from `start` to before `stop`."""
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        bounds = self.indptr[start : stop + 1] - first
        entries = slice(first, last)
        return Pool(bounds, self.row[entries], self.scores[entries], self.ranks[entries], self.retrievers)

    def heard(self, heeded: BoolMatrix) -> Pool:
        """Return the pool with only what each query heeds: other scores are NaN, candidates without any left out.

        Args:
            heeded: bool, (n_queries, n_retrievers).
        """
        if heeded.all():
            return self
        heard = heeded[self.query]
        scores, ranks = (np.where(heard, part, np.float32(np.nan)) for part in (self.scores, self.ranks))
        kept = ~np.isnan(scores).all(axis=1)
        passed = np.concatenate(([0], np.cumsum(kept)))
        indptr = passed[self.indptr].astype(np.int64)
        return Pool(indptr, self.row[kept], scores[kept], ranks[kept], self.retrievers)


@dataclass(frozen=True, slots=True)
class Slate:
    """The ordered items served in one placement.

    row: int32, (k,), best first.  score: float32, (k,).  source: the retriever that ranked each item highest.
    strategy: which path made the slate.  dropped: candidates removed, by rule.
    instead_of: by the row of a substitute, the row of the item that is sold out.
    """

    row: RowVector
    score: FloatVector
    source: tuple[str, ...]
    strategy: str
    dropped: dict[str, int]
    instead_of: Mapping[int, int] = field(default_factory=dict)

    def head(self, count: int) -> Slate:
        """Return the first items."""
        return replace(self, row=self.row[:count], score=self.score[:count], source=self.source[:count])


def segment_numbers(indptr: IntVector) -> IntVector:
    """Return for each position the number of the segment it lies in, int64, (indptr[-1],)."""
    if len(indptr) == 2:  # the batch of one that serving asks
        return np.zeros(int(indptr[1]), np.int64)
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def head(score: FloatVector, row: RowVector, count: int) -> IntVector:
    """Return the positions of the `count` highest scores, ties at the cut by rising row; in no order.

    Args:
        score: float32, (n,).
        row: int32, (n,), distinct.
        count: > 0.
    Returns: int64, (min(n, count),).
    """
    if count >= len(score):
        return np.arange(len(score))
    bound = np.partition(score, len(score) - count)[len(score) - count]
    above = np.flatnonzero(score > bound)
    level = np.flatnonzero(score == bound)
    level = level[np.argsort(row[level], kind="stable")][: count - len(above)]
    return np.concatenate((above, level))


def keep_best(query: IntVector, row: RowVector, score: FloatVector, n_queries: int, count: int) -> Candidates:
    """Order candidates by falling score within their query and keep the first `count` of each.

    Args:
        query: int64, (n,), the query of each candidate.
        row: int32, (n,), distinct within a query.
        score: float32, (n,), finite.
        n_queries: number of queries in the batch.
        count: most candidates kept per query; > 0.
    Returns: Candidates; ties are broken by rising row, so the result does not depend on the order given.
    """
    if n_queries == 1:  # the batch of one that serving asks
        best = np.lexsort((row, -score))[:count]
        return Candidates(np.array([0, len(best)]), row[best], score[best])
    order = _by_worth(query, row, score)
    query, row, score = query[order], row[order], score[order]
    sizes = np.bincount(query, minlength=n_queries)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    kept = np.arange(len(row)) - starts[query] < count
    indptr = np.concatenate(([0], np.cumsum(np.minimum(sizes, count)))).astype(np.int64)
    return Candidates(indptr, row[kept], score[kept])


def _by_worth(query: IntVector, row: RowVector, score: FloatVector) -> IntVector:
    """Return the order by query, then falling score, then row; one key sorts several times as fast as three."""
    # Floats that are not negative order as their bits do, negative ones the other way round; 0 - score is never -0.
    bits = (np.float32(0) - score).view(np.int32)
    worth = (query << 32) + (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF)))
    place = (query << 32) + row
    if (place[1:] > place[:-1]).all():
        return np.argsort(worth, kind="stable")
    rising = np.argsort(place)
    return rising[np.argsort(worth[rising], kind="stable")]


def either(first: BoolVector, left: Candidates, right: Candidates) -> Candidates:
    """Return the candidates of `left` for the queries where `first` is True, and those of `right` for the others.

    Args:
        first: bool, (n_queries,).
        left, right: candidates of the same queries.
    """
    sizes = np.where(first, np.diff(left.indptr), np.diff(right.indptr))
    parts = [(left if chosen else right).of_query(i) for i, chosen in enumerate(first)]
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    return Candidates(indptr, np.concatenate([row for row, _ in parts]), np.concatenate([s for _, s in parts]))


def only_allowed(query: IntVector, row: RowVector, allowed: Sequence[BoolVector | None]) -> BoolVector:
    """Return which candidates their query may hold, bool, (n,).

    Args:
        query: int64, (n,), rising.
        row: int32, (n,).
        allowed: per query, bool, (n_items,), or None for all.
    """
    kept = np.ones(len(row), bool)
    bounds = np.searchsorted(query, np.arange(len(allowed) + 1))
    for i, mask in enumerate(allowed):
        if mask is not None:
            part = slice(int(bounds[i]), int(bounds[i + 1]))
            kept[part] = mask[row[part]]
    return kept


def unite(found: dict[str, Candidates]) -> Pool:
    """Merge the candidates of several retrievers into one pool.

    Args:
        found: candidates by retriever name; all over the same batch of queries, at least one retriever.
    """
    names = tuple(found)
    n_queries = len(next(iter(found.values())).indptr) - 1
    row = np.concatenate([part.row for part in found.values()])
    column = np.repeat(np.arange(len(names)), [len(part.row) for part in found.values()])
    score = np.concatenate([part.score for part in found.values()])
    n_rows = int(row.max(initial=0)) + 1
    if n_queries == 1:  # the batch of one that serving asks
        present = np.zeros(n_rows, bool)
        present[row] = True
        distinct = np.flatnonzero(present).astype(np.int32)
        place, indptr = (np.cumsum(present) - 1)[row], np.array([0, len(distinct)])
    else:
        query = np.concatenate([segment_numbers(part.indptr) for part in found.values()])
        key = query * n_rows + row
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        distinct, indptr = row[first], np.searchsorted(query[first], np.arange(n_queries + 1))
    scores = np.full((len(distinct), len(names)), np.nan, np.float32)
    scores[place, column] = score
    ranks = np.full_like(scores, np.nan)
    ranks[place, column] = np.concatenate([_places(part.indptr) for part in found.values()])
    return Pool(indptr, distinct, scores, ranks, names)


def _places(indptr: IntVector) -> IntVector:
    """Return each position's place in its segment."""
    return np.arange(int(indptr[-1])) - np.repeat(indptr[:-1], np.diff(indptr))


def relative_scores(pool: Pool) -> FloatMatrix:
    """Return each score over the highest of its retriever within the query, 0 where it was not found.

    Returns: float32, (n, n_retrievers), in [0, 1].
    """
    scores = np.fmax(pool.scores, np.float32(0))  # also where there is none
    highest = np.zeros((len(pool.indptr) - 1, scores.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(pool.indptr))
    if len(filled):
        highest[filled] = np.maximum.reduceat(scores, pool.indptr[filled], axis=0)
    return np.asarray(scores / np.maximum(highest, np.float32(1e-12))[pool.query], np.float32)

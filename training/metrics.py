"""Measures of recommendation quality, each with its source, and bootstrap intervals over members.

Everything here is arithmetic on row numbers: no data set, no model and no file is known to this module.
Per-member measures are NaN for members without a truth item, so that a mean over members leaves them out;
a member with truth but without a list scores zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]
BoolMatrix = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]

BOOTSTRAP_ROUNDS = 1000
_ROUNDS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Ragged:
    """One list of distinct item rows per member: member i owns row[indptr[i]:indptr[i + 1]].

    indptr: int64, (n + 1,).  row: int32; best first where the order means something.
    """

    indptr: IntVector
    row: RowVector

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def sizes(self) -> IntVector:
        """Length of each member's list, int64, (n,)."""
        return np.diff(self.indptr)

    @property
    def member(self) -> IntVector:
        """The member of each entry, int64, (indptr[-1],)."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @classmethod
    def of(cls, lists: Sequence[Sequence[int] | RowVector]) -> Ragged:
        """Lay lists of item rows side by side."""
        indptr = np.concatenate(([0], np.cumsum([len(part) for part in lists]))).astype(np.int64)
        parts = [np.asarray(part, np.int32) for part in lists]
        return cls(indptr, np.concatenate(parts) if parts else np.empty(0, np.int32))

    def keep(self, kept: npt.NDArray[np.bool_]) -> Ragged:
        """Return the lists without the entries where `kept` is False; the order stays."""
        passed = np.concatenate(([0], np.cumsum(kept)))
        return Ragged(passed[self.indptr].astype(np.int64), self.row[kept])

    def select(self, members: npt.NDArray[np.integer]) -> Ragged:
        """Return the lists of some members, in the order given."""
        sizes = self.sizes[members]
        indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        offset = np.repeat(self.indptr[:-1][members] - indptr[:-1], sizes)
        return Ragged(indptr, self.row[offset + np.arange(int(indptr[-1]))])

    def contains(self, other: Ragged) -> npt.NDArray[np.bool_]:
        """Tell for each entry of `other` whether the same member's list here holds the same item."""
        width = 1 + max(int(self.row.max(initial=0)), int(other.row.max(initial=0)))
        keys = np.sort(self.member * width + self.row)
        if len(keys) == 0:
            return np.zeros(len(other.row), bool)
        wanted = other.member * width + other.row
        found: npt.NDArray[np.bool_] = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
        return found


def hit_matrix(lists: Ragged, truth: Ragged, depth: int) -> BoolMatrix:
    """Mark the positions that hold a truth item.

    Args:
        lists: what was shown, best first.
        truth: what each of the same members really took.
        depth: positions considered; > 0.
    Returns: bool, (n, depth); positions beyond the end of a list are False.
    """
    hits = np.zeros((len(lists), depth), bool)
    position = np.arange(len(lists.row)) - np.repeat(lists.indptr[:-1], lists.sizes)
    hit = truth.contains(lists) & (position < depth)
    hits[lists.member[hit], position[hit]] = True
    return hits


def recall(hits: BoolMatrix, sizes: IntVector, k: int) -> FloatVector:
    """Share of the truth items found in the first k positions: hits / |truth|.

    Args:
        hits: bool, (n, depth), from hit_matrix; depth >= k.
        sizes: int64, (n,), number of truth items per member.
        k: positions counted; > 0.
    Returns: float64, (n,), NaN where a member has no truth item.
    Source: Herlocker et al. (2004), "Evaluating collaborative filtering recommender systems", section 4.2.
    """
    return _over(hits[:, :k].sum(axis=1, dtype=np.float64), sizes)


def ndcg(hits: BoolMatrix, sizes: IntVector, k: int) -> FloatVector:
    """Normalised discounted cumulative gain at k with binary gain; the ideal list has min(k, |truth|) hits.

    Args and Returns: as for recall.
    Source: Järvelin and Kekäläinen (2002), "Cumulated gain-based evaluation of IR techniques".
    """
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discount)))[np.minimum(sizes, k)]
    return _over(hits[:, :k] @ discount, ideal)


def hit_rate(hits: BoolMatrix, sizes: IntVector, k: int) -> FloatVector:
    """One if any of the first k positions holds a truth item, else zero.

    Args and Returns: as for recall.
    Source: Deshpande and Karypis (2004), "Item-based top-N recommendation algorithms", section 6.1.
    """
    return np.where(sizes > 0, hits[:, :k].any(axis=1), np.nan)


def average_precision(hits: BoolMatrix, sizes: IntVector, k: int) -> FloatVector:
    """Sum of precision at each hit in the first k positions, divided by min(k, |truth|); its mean is MAP@k.

    Args and Returns: as for recall.
    Source: Kaggle, "Mean average precision at K", as used by the H&M contest of 2022.
    """
    found = np.cumsum(hits[:, :k], axis=1, dtype=np.float64)
    precision = found / np.arange(1, k + 1)
    return _over((precision * hits[:, :k]).sum(axis=1), np.minimum(sizes, k))


MEASURES = {"recall": recall, "ndcg": ndcg, "hit_rate": hit_rate, "map": average_precision}
"""The per-member measures by the name used in reports."""


def measure(lists: Ragged, truth: Ragged, depths: Sequence[int]) -> dict[str, FloatVector]:
    """Compute every per-member measure at every depth.

    Args:
        lists: what was shown, best first.
        truth: what each of the same members really took.
        depths: values of k; > 0.
    Returns: float64, (n,), by "name@k".
    """
    hits = hit_matrix(lists, truth, max(depths))
    sizes = truth.sizes
    return {f"{name}@{k}": of(hits, sizes, k) for name, of in MEASURES.items() for k in depths}


def first(lists: Ragged, k: int) -> Ragged:
    """Return the first k entries of every list."""
    position = np.arange(len(lists.row)) - np.repeat(lists.indptr[:-1], lists.sizes)
    return lists.keep(position < k)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over members with its 95 % bootstrap interval, and the number of members it stands on."""

    mean: float
    low: float
    high: float
    members: int

    @property
    def text(self) -> str:
        """The three numbers as people write them."""
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap(values: FloatMatrix, rng: np.random.Generator, rounds: int = BOOTSTRAP_ROUNDS) -> list[Interval]:
    """Compute means over members with percentile intervals, all columns on the same resampled members.

    Args:
        values: float64, (n_members, n_columns); NaN where a member does not count. A paired comparison of two
            methods is the bootstrap of the difference of their columns.
        rng: the source of the resampling.
        rounds: number of resamples; > 0.
    Returns: one Interval per column; NaN throughout where no member counts.
    Source: Efron and Tibshirani (1993), "An introduction to the bootstrap", chapter 13.
    """
    counted = ~np.isnan(values)
    filled = np.where(counted, values, 0.0)
    means = _resampled_means(filled, counted, rng, rounds)
    members = counted.sum(axis=0)
    mean = _over(filled.sum(axis=0), members)
    bounds = np.full((2, values.shape[1]), np.nan)
    usable = members > 0
    if usable.any():
        bounds[:, usable] = np.nanquantile(means[:, usable], (0.025, 0.975), axis=0)
    return [
        Interval(float(mean[i]), float(bounds[0, i]), float(bounds[1, i]), int(members[i]))
        for i in range(values.shape[1])
    ]


def _resampled_means(filled: FloatMatrix, counted: BoolMatrix, rng: np.random.Generator, rounds: int) -> FloatMatrix:
    """Return the mean of every column in every round, float64, (rounds, n_columns)."""
    n_members = len(filled)
    means = np.full((rounds, filled.shape[1]), np.nan)
    for start in range(0, rounds if n_members else 0, _ROUNDS_AT_ONCE):
        stop = min(start + _ROUNDS_AT_ONCE, rounds)
        draws = rng.integers(n_members, size=(stop - start, n_members))
        draws += np.arange(stop - start)[:, None] * n_members
        counts = np.bincount(draws.ravel(), minlength=(stop - start) * n_members)
        weights = counts.reshape(stop - start, n_members).astype(np.float64)
        means[start:stop] = _over(weights @ filled, weights @ counted)
    return means


def _over(part: npt.NDArray[np.float64], whole: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Divide, with NaN where the divisor is zero."""
    divisor = np.asarray(whole, np.float64)
    return np.divide(part, divisor, out=np.full(np.shape(part), np.nan), where=divisor > 0)

"""Fit the blend: weights of the retrievers that order a validation window's purchases best, per scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy

import numpy as np
import numpy.typing as npt

from recommender.candidates import Pool, relative_scores
from recommender.query import Scenario
from recommender.ranking import Blend
from training.fit.recommender import START_WEIGHTS
from training.keys import is_in
from training.metrics import Ragged
from training.parallel import in_parallel
from training.pools import PanelPools
from training.windows import Subset

FloatMatrix = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

TUNED: dict[Scenario, Subset] = {
    Scenario.HOME: Subset.ALL,
    Scenario.BUY_AGAIN: Subset.REPEAT,
    Scenario.DISCOVER: Subset.NOVEL,
}
"""Scenarios whose weights are tuned, and the purchases that judge them."""

GRID = (0.0, 0.03, 0.07, 0.15, 0.3, 0.5, 0.8, 1.3)
ROUNDS = 2
STEP = 1.0
CUT = 10
BAGS = 6
"""Draws of people, with replacement, whose weights are averaged: one climb alone learns its window's chances."""
NEAR = 30
"""How far down each retriever's list a candidate is looked at while weights are tuned."""
LEAST = {"popularity": 1e-5}
"""Weights that remain: enough to order what nothing else speaks for, such as the slates of strangers."""


def fit_blend(
    windows: Sequence[PanelPools], progress: Callable[[str], None] = lambda name: None, processes: int = 1
) -> Blend:
    """Tune blend weights on what recommenders found for windows that they have not seen.

    Several windows are worth more than one of the same size: each has its season, and its people come back.

    Args:
        windows: candidates of the scenarios in TUNED, by models of the same kind for each window.
        progress: told the name of each scenario when it is tuned.
    Returns: the blend; a scenario without any truth keeps its start weights.
    """
    truths = {
        scenario: side_by_side([pools.panel.truth.of(subset) for pools in windows])
        for scenario, subset in TUNED.items()
    }
    asked = [scenario for scenario, truth in truths.items() if len(truth.row)]
    weights: dict[Scenario, Mapping[str, float]] = dict(START_WEIGHTS)

    def tuned(scenario: Scenario) -> dict[str, float]:
        found = [pool for pools in windows for pool, _ in pools.of(scenario)]
        return tune(found, truths[scenario], START_WEIGHTS[scenario])

    for scenario, found in zip(asked, in_parallel(tuned, asked, processes), strict=True):
        weights[scenario] = found
        progress(scenario)
    return Blend(weights)


def tune(pools: Sequence[Pool], truth: Ragged, start: Mapping[str, float]) -> dict[str, float]:
    """Climb to the highest mean NDCG at CUT, one weight at a time, on several draws of the people, and average.

    Every other climb begins at the start weights, the rest at the best retriever alone. The blend is never below
    that retriever on these windows.

    Args:
        pools: candidates of one scenario, over all people in order; a retriever that one lacks found nothing there.
        truth: one list of item rows per person; those with an empty one do not count.
        start: weights by retriever name.
    Returns: weights by retriever name, the largest 1.
    Source: Breiman (1996), "Bagging predictors".
    """
    table = _Table.of(pools, truth)
    heard = table.parts.any(axis=(1, 2))
    given = np.array([start.get(name, 0.0) for name in table.names], np.float32)
    single = max(np.eye(len(table.names), dtype=np.float32)[heard], key=table.ndcg, default=given)
    rng = np.random.default_rng(0)
    climbed = [
        _climb(table.drawn(np.sort(rng.integers(0, len(table.gain), len(table.gain)))), begin)
        for begin in (given, single) * (BAGS // 2)
    ]
    shares = np.stack([weights / max(float(weights.sum()), 1e-12) for weights in climbed])
    best = max((single, _scaled(shares.mean(axis=0))), key=table.ndcg)
    # What found nothing here was not judged, such as browsing in a history of tills: it keeps its start weight.
    best = np.where(heard, best, given)
    return {
        name: max(round(float(weight), 6), LEAST.get(name, 0.0)) for name, weight in zip(table.names, best, strict=True)
    }


def side_by_side(truths: Sequence[Ragged]) -> Ragged:
    """Return the lists of all parts, one after the other."""
    firsts = np.cumsum([0, *(len(part.row) for part in truths)])
    bounds = [part.indptr[1:] + first for part, first in zip(truths, firsts, strict=False)]
    return Ragged(np.concatenate([[0], *bounds]).astype(np.int64), np.concatenate([part.row for part in truths]))


def _scaled(weights: FloatMatrix) -> FloatMatrix:
    """Return the weights over the largest, in millionths, as they are kept."""
    return np.round(weights / max(float(weights.max()), 1e-12), 6)


def _climb(table: _Table, weights: FloatMatrix) -> FloatMatrix:
    """Change one weight at a time to the best of GRID, where that gains more than chance; silent ones stay.

    A gain counts if it exceeds STEP standard errors of the paired differences: what is smaller would be fitted to
    this window and not found in the next.
    """
    value = table.ndcg_each(table.totals(weights))
    for _ in range(ROUNDS):
        changed = False
        for column in np.flatnonzero(table.parts.any(axis=(1, 2))):
            rest = table.totals(np.where(np.arange(len(weights)) == column, np.float32(0), weights))
            reached = [table.ndcg_each(rest + table.parts[column] * np.float32(option)) for option in GRID]
            best = int(np.argmax([one.mean() for one in reached]))
            gain = reached[best] - value
            if gain.mean() > STEP * gain.std() / np.sqrt(len(gain)) + 1e-6:
                value, changed = reached[best], True
                weights = weights.copy()
                weights[column] = GRID[best]
        if not changed:
            break
    return weights


class _Table:
    """Relative scores of all candidates, laid out so that a weighting is judged in a few array operations.

    parts: float32, (n_retrievers, n_queries, width).
    penalty: float64, (n_queries, width): puts places without a candidate last, and breaks ties.
    gain: float32, (n_queries, width), 1 where a candidate was bought.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        parts: FloatMatrix,
        present: FloatMatrix,
        gain: FloatMatrix,
        sizes: npt.NDArray[np.int64],
    ) -> None:
        self.names, self.parts, self.gain = names, parts, gain
        # Far below any difference of scores, and so only a tie-breaker: the earlier column, which is the lower row.
        self.penalty = np.where(present, 1e-12 * np.arange(present.shape[1]), 1e9)
        self.discount = (1 / np.log2(np.arange(2, CUT + 2))).astype(np.float32)
        self.ideal = np.cumsum(self.discount)[np.minimum(sizes, CUT) - 1]

    @classmethod
    def of(cls, pools: Sequence[Pool], truth: Ragged) -> _Table:
        """Lay pools out, leaving out people without truth."""
        asked = np.flatnonzero(truth.sizes)
        place_of = np.full(len(truth), -1, np.int64)
        place_of[asked] = np.arange(len(asked))
        sizes = np.concatenate([np.diff(pool.indptr) for pool in pools])
        width = max(int(sizes.max(initial=0)), CUT)
        names = tuple(dict.fromkeys(name for pool in pools for name in pool.retrievers))
        parts = np.zeros((len(names), len(asked), width), np.float32)
        present = np.zeros((len(asked), width), bool)
        gain = np.zeros((len(asked), width), np.float32)
        first = 0
        for pool in pools:
            query = pool.query
            row = place_of[query + first]
            kept = row >= 0
            place = (np.arange(len(query)) - pool.indptr[query])[kept]
            columns = np.array([names.index(name) for name in pool.retrievers])
            parts[columns[:, None], row[kept], place] = relative_scores(pool)[kept].T
            present[row[kept], place] = True
            gain[row[kept], place] = _wanted(truth, query + first, pool.row)[kept]
            first += len(pool.indptr) - 1
        places = _near_the_head(parts, present)
        parts = np.stack([np.take_along_axis(part, places, axis=1) for part in parts])
        present, gain = (np.take_along_axis(each, places, axis=1) for each in (present, gain))
        return cls(names, parts, present, gain, truth.sizes[asked])

    def drawn(self, people: npt.NDArray[np.int64]) -> _Table:
        """Return the table of some of its people, int64, who may come more than once."""
        part = copy(self)
        part.parts, part.penalty = self.parts[:, people], self.penalty[people]
        part.gain, part.ideal = self.gain[people], self.ideal[people]
        return part

    def totals(self, weights: FloatMatrix) -> FloatMatrix:
        """Return the weighted sums, float32, (n_queries, width)."""
        return np.tensordot(weights, self.parts, axes=1)

    def ndcg(self, weights: FloatMatrix) -> float:
        """Return the mean NDCG at CUT under these weights."""
        return float(self.ndcg_each(self.totals(weights)).mean())

    def ndcg_each(self, totals: FloatMatrix) -> npt.NDArray[np.float64]:
        """Return each person's NDCG at CUT under given sums; ties fall to the lower row."""
        below = self.penalty - totals
        best = np.argpartition(below, CUT - 1, axis=1)[:, :CUT]
        order = np.argsort(np.take_along_axis(below, best, axis=1), axis=1)
        gain = np.take_along_axis(self.gain, np.take_along_axis(best, order, axis=1), axis=1)
        return np.asarray(gain @ self.discount / self.ideal, np.float64)


def _near_the_head(parts: FloatMatrix, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the places of candidates that some retriever has among its first NEAR: others reach no slate's head.

    Args:
        parts: float32, (n_retrievers, n_queries, width).
        present: bool, (n_queries, width).
    Returns: int64, (n_queries, the most such candidates of a query); rising, then others where a query has fewer.
    """
    near = np.zeros(present.shape, bool)
    for part in parts:
        first = np.argpartition(-part, min(NEAR, part.shape[1]) - 1, axis=1)[:, :NEAR]
        np.put_along_axis(near, first, True, axis=1)
    near &= present
    width = max(int(near.sum(axis=1).max(initial=0)), CUT)
    return np.argsort(~near, axis=1, kind="stable")[:, :width]


def _wanted(truth: Ragged, member: npt.NDArray[np.int64], row: RowVector) -> npt.NDArray[np.bool_]:
    """Tell for each candidate whether its member bought it."""
    width = int(max(row.max(initial=0), truth.row.max(initial=0))) + 1
    return is_in(member * width + row, truth.member * width + truth.row)

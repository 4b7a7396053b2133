"""Fit the blend: weights of the retrievers that order a validation window's purchases best, per scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from recommender.candidates import Pool
from recommender.pipeline import Recommender
from recommender.query import Query, Scenario
from recommender.ranking import Blend, relative_scores
from training.dataset import Dataset
from training.fit.recommender import START_WEIGHTS
from training.metrics import Ragged
from training.queries import window_queries
from training.windows import Subset, Window

FloatMatrix = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

TUNED: dict[Scenario, Subset] = {
    Scenario.HOME: Subset.ALL,
    Scenario.BUY_AGAIN: Subset.REPEAT,
    Scenario.DISCOVER: Subset.NOVEL,
}
"""Scenarios whose weights are tuned, and the purchases that judge them."""

GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
ROUNDS = 3
CUT = 10


def fit_blend(
    recommender: Recommender,
    dataset: Dataset,
    window: Window,
    people: RowVector,
    progress: Callable[[str], None] = lambda name: None,
) -> Recommender:
    """Tune blend weights on a window that the recommender has not seen.

    Args:
        recommender: fitted on what the window may see.
        dataset, window: the questions and the answers.
        people: int32, positions in the window's truth, rising: those to tune on.
        progress: told the name of each scenario when it is tuned.
    Returns: the recommender with tuned weights; a scenario without any truth keeps its start weights.
    """
    truth = window.truth.select(people)
    weights: dict[Scenario, Mapping[str, float]] = dict(START_WEIGHTS)
    for scenario, subset in TUNED.items():
        wanted = truth.of(subset)
        asked = np.flatnonzero(np.diff(wanted.indptr))
        if len(asked):
            queries = window_queries(dataset, window, truth.person_row[asked], scenario, CUT)
            weights[scenario] = tune(recommender, queries, wanted.select(asked), START_WEIGHTS[scenario])
        progress(scenario)
    return replace(recommender, ranker=Blend(weights))


def tune(
    recommender: Recommender, queries: Sequence[Query], truth: Ragged, start: Mapping[str, float]
) -> dict[str, float]:
    """Climb from start weights, one retriever at a time, to the highest mean NDCG at CUT.

    Also tries each retriever alone, so that the blend is never below the best of them on this window.

    Args:
        recommender: whose candidates are blended.
        queries: (n,), of one scenario.
        truth: one list of item rows per query, none empty.
        start: weights by retriever name.
    Returns: weights by retriever name, the largest 1.
    """
    table = _Table.of(recommender, queries, truth)
    names = table.names
    options = [
        np.array([start.get(name, 0.0) for name in names], np.float32),
        *np.eye(len(names), dtype=np.float32),
    ]
    best = max(options, key=lambda weights: table.ndcg(weights))
    best = _climb(table, options[0] if table.ndcg(options[0]) >= 0.8 * table.ndcg(best) else best)
    single = max(options[1:], key=lambda weights: table.ndcg(weights))
    if table.ndcg(single) > table.ndcg(best):
        best = single
    best = best / max(float(best.max()), 1e-12)
    return {name: round(float(weight), 6) for name, weight in zip(names, best, strict=True)}


def _climb(table: _Table, weights: FloatMatrix) -> FloatMatrix:
    """Change one weight at a time to the best of GRID, until a round changes nothing."""
    value = table.ndcg(weights)
    for _ in range(ROUNDS):
        before = value
        for column in range(len(weights)):
            rest = table.totals(weights) - table.parts[column] * weights[column]
            for option in GRID:
                reached = table.ndcg_of(rest + table.parts[column] * np.float32(option))
                if reached > value + 1e-6:
                    value = reached
                    weights = weights.copy()
                    weights[column] = option
        if value - before < 1e-4:
            break
    return weights


class _Table:
    """Relative scores of all candidates, laid out so that a weighting is judged in a few array operations.

    parts: float32, (n_retrievers, n_queries, width); absent candidates score below every other.
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
        self.absent = np.where(present, np.float32(0), np.float32(-1e9))
        self.discount = (1 / np.log2(np.arange(2, CUT + 2))).astype(np.float32)
        self.ideal = np.cumsum(self.discount)[np.minimum(sizes, CUT) - 1]

    @classmethod
    def of(cls, recommender: Recommender, queries: Sequence[Query], truth: Ragged) -> _Table:
        """Retrieve for the queries in chunks and lay the pools out."""
        pools = [recommender.find(queries[at : at + 256]).pool for at in range(0, len(queries), 256)]
        names = pools[0].retrievers
        sizes = np.concatenate([np.diff(pool.indptr) for pool in pools])
        width = max(int(sizes.max(initial=0)), CUT)
        parts = np.zeros((len(names), len(queries), width), np.float32)
        present = np.zeros((len(queries), width), bool)
        gain = np.zeros((len(queries), width), np.float32)
        first = 0
        for pool in pools:
            cls._lay(pool, truth, first, parts, present, gain)
            first += len(pool.indptr) - 1
        return cls(names, parts, present, gain, np.diff(truth.indptr))

    @staticmethod
    def _lay(
        pool: Pool, truth: Ragged, first: int, parts: FloatMatrix, present: FloatMatrix, gain: FloatMatrix
    ) -> None:
        query = pool.query
        place = np.arange(len(query)) - pool.indptr[query]
        row = query + first
        parts[:, row, place] = relative_scores(pool).T
        present[row, place] = True
        width = int(max(pool.row.max(initial=0), truth.row.max(initial=0))) + 1
        wanted = truth.member.astype(np.int64) * width + truth.row
        gain[row, place] = np.isin(row * width + pool.row, wanted)

    def totals(self, weights: FloatMatrix) -> FloatMatrix:
        """Return the weighted sums, float32, (n_queries, width)."""
        return np.tensordot(weights, self.parts, axes=1)

    def ndcg(self, weights: FloatMatrix) -> float:
        """Return the mean NDCG at CUT under these weights."""
        return self.ndcg_of(self.totals(weights))

    def ndcg_of(self, totals: FloatMatrix) -> float:
        """Return the mean NDCG at CUT of given sums; ties fall to the earlier column, which is the lower row."""
        total = totals + self.absent
        best = np.argpartition(-total, CUT - 1, axis=1)[:, :CUT]
        value = np.take_along_axis(total, best, axis=1)
        order = np.lexsort((best, -value), axis=1)
        gain = np.take_along_axis(self.gain, np.take_along_axis(best, order, axis=1), axis=1)
        return float((gain @ self.discount / self.ideal).mean())

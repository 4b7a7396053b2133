"""Fit the blend: weights of the retrievers that order a validation window's purchases best, per scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recommender.candidates import Pool
from recommender.query import Scenario
from recommender.ranking import Blend, relative_scores
from training.fit.recommender import START_WEIGHTS
from training.metrics import Ragged
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

GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
ROUNDS = 3
CUT = 10


def fit_blend(pools: PanelPools, progress: Callable[[str], None] = lambda name: None) -> Blend:
    """Tune blend weights on what a recommender found for a window that it has not seen.

    Args:
        pools: of the scenarios in TUNED.
        progress: told the name of each scenario when it is tuned.
    Returns: the blend; a scenario without any truth keeps its start weights.
    """
    weights: dict[Scenario, Mapping[str, float]] = dict(START_WEIGHTS)
    for scenario, subset in TUNED.items():
        truth = pools.panel.truth.of(subset)
        if len(truth.row):
            found = [part.pool for part in pools.found[scenario]]
            weights[scenario] = tune(found, truth, START_WEIGHTS[scenario])
        progress(scenario)
    return Blend(weights)


def tune(pools: Sequence[Pool], truth: Ragged, start: Mapping[str, float]) -> dict[str, float]:
    """Climb from start weights, one retriever at a time, to the highest mean NDCG at CUT.

    Also tries each retriever alone, so that the blend is never below the best of them on this window.

    Args:
        pools: candidates of one scenario, over all people in order.
        truth: one list of item rows per person; those with an empty one do not count.
        start: weights by retriever name.
    Returns: weights by retriever name, the largest 1.
    """
    table = _Table.of(pools, truth)
    single = max(np.eye(len(table.names), dtype=np.float32), key=table.ndcg)
    given = np.array([start.get(name, 0.0) for name in table.names], np.float32)
    # A start far below the best single retriever is on the wrong hill.
    reached = _climb(table, given if table.ndcg(given) >= 0.8 * table.ndcg(single) else single)
    best = max((reached, single), key=table.ndcg)
    best = best / max(float(best.max()), 1e-12)
    return {name: round(float(weight), 6) for name, weight in zip(table.names, best, strict=True)}


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
    def of(cls, pools: Sequence[Pool], truth: Ragged) -> _Table:
        """Lay pools out, leaving out people without truth."""
        asked = np.flatnonzero(truth.sizes)
        place_of = np.full(len(truth), -1, np.int64)
        place_of[asked] = np.arange(len(asked))
        sizes = np.concatenate([np.diff(pool.indptr) for pool in pools])
        width = max(int(sizes.max(initial=0)), CUT)
        names = pools[0].retrievers
        parts = np.zeros((len(names), len(asked), width), np.float32)
        present = np.zeros((len(asked), width), bool)
        gain = np.zeros((len(asked), width), np.float32)
        first = 0
        for pool in pools:
            query = pool.query
            row = place_of[query + first]
            kept = row >= 0
            place = (np.arange(len(query)) - pool.indptr[query])[kept]
            parts[:, row[kept], place] = relative_scores(pool)[kept].T
            present[row[kept], place] = True
            gain[row[kept], place] = _wanted(truth, query + first, pool.row)[kept]
            first += len(pool.indptr) - 1
        return cls(names, parts, present, gain, truth.sizes[asked])

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


def _wanted(truth: Ragged, member: npt.NDArray[np.int64], row: RowVector) -> npt.NDArray[np.bool_]:
    """Tell for each candidate whether its member bought it."""
    width = int(max(row.max(initial=0), truth.row.max(initial=0))) + 1
    return np.isin(member * width + row, truth.member * width + truth.row)

"""The gate: on the validation window, a model must not be worse than the best single method it is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recommender.candidates import keep_best
from recommender.ranking import LearnedRanker, Ranker
from training.evaluate import MEMBERWISE, SCENARIOS, baselines_for, candidate_lists
from training.metrics import Interval, Ragged, bootstrap, measure
from training.pools import PanelPools
from training.settings import TrainingSettings
from training.windows import Subset

JUDGED = (Subset.ALL, Subset.REPEAT, Subset.NOVEL)
MEASURE = "ndcg@10"
CUT = 50
"""Depth of the lists compared, before they are filtered to a subset."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """One subset: the model, every single method, and the paired difference from the best of them.

    model: NDCG@10 of the ranked union.  singles: NDCG@10 by method.  best: the best single method.
    difference: model minus best, paired by member.  passed: the interval of the difference is not below 0.
    """

    subset: str
    model: Interval
    singles: dict[str, Interval]
    best: str
    difference: Interval
    passed: bool

    @property
    def text(self) -> str:
        """The row as one sentence."""
        verdict = "not below" if self.passed else "below"
        return (
            f"{self.subset}: NDCG@10 {self.model.text}, {verdict} the best single method {self.best} "
            f"({self.singles[self.best].text}; difference {self.difference.text})"
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on a model."""

    rows: tuple[GateRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)


def only_where_better(ranker: Ranker, pools: PanelPools, processes: int = 1) -> tuple[Ranker, PanelPools]:
    """Keep the trees of a learned ranker for the scenarios that they order better than its blend does.

    Args:
        ranker: fitted before the window.
        pools: what the models found for the validation window.
        processes: how many to rank in.
    Returns: the ranker with fewer scenarios learned, or its blend if none is; and the candidates in its order.
    """
    if not isinstance(ranker, LearnedRanker):
        return ranker, pools.ranked_by(ranker, processes)
    rivals = [pools.ranked_by(ranker, processes), pools.ranked_by(ranker.blend)]
    better = set()
    for subset in JUDGED:
        truth = pools.panel.truth.of(subset)
        if len(truth.row):
            mine, blends = (float(np.nanmean(measure(_lists(part, subset), truth, (10,))[MEASURE])) for part in rivals)
            if mine > blends:
                better.add(SCENARIOS[subset])
    trees = {scenario: part for scenario, part in ranker.trees.items() if scenario in better}
    if not trees:
        return ranker.blend, rivals[1]
    if len(trees) == len(ranker.trees):
        return ranker, rivals[0]
    fewer = replace(ranker, trees=trees)
    return fewer, pools.ranked_by(fewer, processes)


def _lists(pools: PanelPools, subset: Subset) -> Ragged:
    """Return the head of each ranked list of a subset's scenario."""
    lists: list[np.ndarray] = []
    for pool, ranked in pools.of(SCENARIOS[subset]):
        best = keep_best(pool.query, pool.row, ranked.score, len(pool.indptr) - 1, CUT)
        lists.extend(np.split(best.row, best.indptr[1:-1]))
    return pools.panel.past.filter(Ragged.of(lists), subset)


def judge(pools: PanelPools, settings: TrainingSettings) -> Gate:
    """Compare a model with its own retrievers and the baselines on a window it was not fitted on.

    A subset without any truth is not judged.

    Args:
        pools: what the model found for the validation window, in the order of its ranker.
        settings: how many resamples; the seed.
    """
    rng = np.random.default_rng(settings.seed)
    rows = []
    for subset in JUDGED:
        truth = pools.panel.truth.of(subset)
        lists = candidate_lists(pools, subset) | baselines_for(pools.panel, subset)
        if len(truth.row):
            scores = {name: measure(found, truth, (10,))[MEASURE] for name, found in lists.items()}
            rows.append(_row(subset, scores, rng, settings.evaluation.bootstrap_rounds))
    return Gate(tuple(rows))


def _row(subset: Subset, scores: dict[str, np.ndarray], rng: np.random.Generator, rounds: int) -> GateRow:
    singles = {name: values for name, values in scores.items() if name != MEMBERWISE}
    best = max(sorted(singles), key=lambda name: float(np.nanmean(singles[name])))
    model = scores[MEMBERWISE]
    columns = [model, model - singles[best], *singles.values()]
    intervals = bootstrap(np.stack(columns, axis=1), rng, rounds)
    named = dict(zip(singles, intervals[2:], strict=True))
    return GateRow(subset.value, intervals[0], named, best, intervals[1], intervals[1].high >= 0)

"""The gate: on the validation window, a model must not be worse than the best single method it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.evaluate import MEMBERWISE, baselines_for, candidate_lists
from training.metrics import Interval, bootstrap, measure
from training.pools import PanelPools
from training.settings import TrainingSettings
from training.windows import Subset

JUDGED = (Subset.ALL, Subset.REPEAT, Subset.NOVEL)
MEASURE = "ndcg@10"


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

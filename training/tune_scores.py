"""Scores of settings on the validation window: of one retriever alone, and of all together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.dataset import Dataset
from training.evaluate import GROUP_MEASURE, MEMBERWISE, SCENARIOS, candidate_lists, panel_for
from training.fit.blend import TUNED, fit_blend
from training.fit.recommender import fit_recommender
from training.metrics import FloatVector, measure
from training.panel import Panel
from training.pools import PanelPools, retrieve_pools
from training.settings import TrainingSettings
from training.tune_space import Part, alone
from training.windows import Subset, Window

COUNT = 20
HALVES = (0, 1)


class Scorer:
    """Judges settings by the members of a validation window.

    key: says which data, window and members the scores are about.
    """

    def __init__(self, dataset: Dataset, window: Window, settings: TrainingSettings) -> None:
        self._data, self._minute = window.cut(dataset), window.fit_minute
        self._threads = settings.thread_count
        self._panel: Panel = panel_for(dataset, window, settings, settings.evaluation.tuning_members)
        asked = (window.name, self._minute, len(self._data.entries), len(self._panel), settings.seed)
        self.key = " ".join(map(str, (dataset.until.isoformat(), *asked)))

    def part(self, part: Part, settings: TrainingSettings) -> FloatVector | None:
        """Return each member's NDCG@10 from what one retriever finds; None if this history has nothing for it."""
        fitted = fit_recommender(self._data, self._minute, alone(part, settings))
        if part.name not in {retriever.name for retriever in fitted.retrievers}:
            return None
        pools = retrieve_pools(fitted, self._panel, (SCENARIOS[part.subset],), COUNT)
        lists = candidate_lists(pools, part.subset)[part.name]
        if len(lists.row) == 0:
            return None
        return measure(lists, self._panel.truth.of(part.subset), (10,))[GROUP_MEASURE]

    def whole(self, settings: TrainingSettings) -> dict[Subset, FloatVector]:
        """Return each member's NDCG@10 by subset from all retrievers; the blend is tuned on the other half of them."""
        fitted = fit_recommender(self._data, self._minute, settings, personal=True)
        pools = retrieve_pools(fitted, self._panel, tuple(TUNED), COUNT)
        subsets = [subset for subset in TUNED.values() if len(self._panel.truth.of(subset).row)]
        found = {subset: np.full(len(self._panel), np.nan) for subset in subsets}
        for half in HALVES:
            judged = np.arange(len(self._panel)) % len(HALVES) == half
            ranked = pools.ranked_by(fit_blend([self._asked(pools, ~judged)], processes=self._threads))
            for subset in subsets:
                lists = candidate_lists(ranked, subset)[MEMBERWISE]
                values = measure(lists, self._panel.truth.of(subset), (10,))[GROUP_MEASURE]
                found[subset][judged] = values[judged]
        return found

    def _asked(self, pools: PanelPools, members: np.ndarray) -> PanelPools:
        """Return the pools with the truth of some members only."""
        truth = self._panel.truth
        kept = members[truth.items.member]
        part = replace(truth, items=truth.items.keep(kept), bought=truth.bought[kept], seen=truth.seen[kept])
        return replace(pools, panel=replace(self._panel, truth=part))

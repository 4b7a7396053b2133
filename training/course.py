"""Course: the models of each window in order of time, and what the ranker learns from one window after the other.

A window's lesson is taken with models that saw only what lay before the window; the ranker that is asked about a
window has learned from the windows before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import Blend, LearnedRanker, Ranker
from training.dataset import Dataset
from training.evaluate import DEPTHS, panel_for
from training.fit.blend import TUNED
from training.fit.ranker import Lessons, fit_ranker, fit_source, take_lessons
from training.fit.recommender import DEPTH, fit_recommender
from training.pools import PanelPools, retrieve_pools
from training.progress import Progress
from training.settings import TrainingSettings
from training.windows import Window

BLEND_WINDOWS = 2
"""Windows before the validation window on which the blend is tuned too."""


@dataclass(slots=True)
class Course:
    """One walk through the windows of a dataset.

    lessons: of the windows walked through, oldest first.
    pools: what was found for the last of them, on which the blend is tuned beside the validation window.
    newest: the last models fitted, from which the next ones' factors continue.
    """

    dataset: Dataset
    settings: TrainingSettings
    progress: Progress
    lessons: list[Lessons] = field(default_factory=list)
    pools: list[PanelPools] = field(default_factory=list)
    newest: Recommender | None = None

    def fit(self, window: Window | None, personal: bool = False) -> Recommender:
        """Fit on what a window may see, or on everything.

        Args:
            window: None: there is no later window, fit on all.
            personal: leave out what only answers requests about an item or a basket.
        """
        name = "fit on all" if window is None else f"fit for {window.name}"
        dataset, minute = self._seen(window)
        with self.progress.stage(name, len(DEPTH)) as step:
            self.newest = fit_recommender(dataset, minute, self.settings, lambda part: step(1), self.newest, personal)
        return self.newest

    def study(self, windows: Sequence[Window]) -> None:
        """Walk through the windows before the validation window: take each one's lesson.

        What is found for the last of them is kept, so that the blend is tuned on more than one window.
        """
        for number, window in enumerate(windows):
            recommender = self.fit(window, personal=True)
            if number >= len(windows) - BLEND_WINDOWS:
                self.pools.append(self._retrieve(recommender, window))
            self.learn(recommender, window)

    def _retrieve(self, recommender: Recommender, window: Window) -> PanelPools:
        panel = panel_for(self.dataset, window, self.settings, self.settings.evaluation.tuning_members // 2)
        with self.progress.stage(f"retrieve for {window.name}", len(panel) * len(TUNED)) as step:
            return retrieve_pools(recommender, panel, tuple(TUNED), max(DEPTHS), step)

    def learn(self, recommender: Recommender, window: Window) -> None:
        """Take a window's lesson with models that were fitted on what lay before it."""
        if self.settings.ranker.windows == 0:
            return
        panel = panel_for(self.dataset, window, self.settings, self.settings.ranker.members)
        source = fit_source(*self._seen(window), recommender, self.settings)
        with self.progress.stage(f"learn from {window.name}", len(panel)) as step:
            self.lessons.append(take_lessons(recommender, source, panel, self.settings, step))

    def ranker(
        self, recommender: Recommender, window: Window | None, blend: Blend, learned: tuple[Scenario, ...]
    ) -> Ranker:
        """Fit a ranker for a window on all lessons so far; the blend itself if they are too few."""
        source = fit_source(*self._seen(window), recommender, self.settings)
        return fit_ranker(self.lessons, blend, source, self.settings, learned)

    def again(self, recommender: Recommender, window: Window | None, earlier: Ranker) -> Ranker:
        """Fit the same kind of ranker as an earlier one, for a later window: the same blend and learned scenarios."""
        if not isinstance(earlier, LearnedRanker):
            return earlier
        return self.ranker(recommender, window, earlier.blend, tuple(earlier.trees))

    def _seen(self, window: Window | None) -> tuple[Dataset, int]:
        """Return what a window may see, and its minute."""
        if window is None:
            return self.dataset, self.dataset.until_minute
        return window.cut(self.dataset), window.fit_minute

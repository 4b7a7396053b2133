"""Fit the blends of the scenarios about items: each is tuned on its own task, as `home` is on purchases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from recommender.candidates import Pool
from recommender.pipeline import Recommender
from recommender.query import Scenario
from training.dataset import Dataset
from training.evaluate import panel_for
from training.fit.blend import tune
from training.fit.recommender import START_WEIGHTS
from training.metrics import Ragged
from training.panel import CHUNK
from training.parallel import in_parallel
from training.scenario_questions import Question, questions
from training.settings import TrainingSettings
from training.windows import Window

HEARD: Mapping[Scenario, frozenset[str] | None] = {
    Scenario.BASKET: None,
    Scenario.SESSION: None,
    Scenario.NEW: None,
    Scenario.SIMILAR: frozenset({"similar", "substitutes", "together"}),
    Scenario.SUBSTITUTES: frozenset({"similar", "substitutes"}),
}
"""Scenarios that are tuned, and the retrievers that may count there; None: all.

What is like an item is not a matter of what is popular. `trending` keeps its start weights, since no later purchase
says what a trend is worth.
"""
FEWEST_CASES = 50
"""With fewer, a scenario keeps its start weights."""
MOST_MEMBERS, MOST_CASES = 2000, 400
"""Members asked, and cases kept per task: few members have any in some tasks."""
LEADING = 0.1
"""From which weight a retriever leads in a scenario."""


def fit_scenarios(
    recommender: Recommender,
    dataset: Dataset,
    window: Window,
    settings: TrainingSettings,
    fewest: int = FEWEST_CASES,
) -> dict[Scenario, Mapping[str, float]]:
    """Tune the weights of each scenario in HEARD on the tasks that a window sets.

    Args:
        recommender: fitted on no more than the window's history.
        dataset: the whole history.
        window: what came after; not the test window.
        settings: processes, the seed.
        fewest: cases that a scenario needs.
    Returns: weights by retriever name, of the scenarios with enough cases.
    """
    panel = panel_for(dataset, window, settings, MOST_MEMBERS)
    tasks: dict[Scenario, list[Question]] = {}
    for question in questions(recommender, dataset, window, panel, settings.seed):
        if question.scenario in HEARD:
            tasks.setdefault(question.scenario, []).append(_some(question, settings.seed))
    asked = [scenario for scenario, found in tasks.items() if sum(len(one.queries) for one in found) >= fewest]
    tuned = in_parallel(lambda scenario: _tuned(recommender, scenario, tasks[scenario]), asked, settings.thread_count)
    return {scenario: weights for scenario, weights in zip(asked, tuned, strict=True) if weights is not None}


def _some(question: Question, seed: int) -> Question:
    """Keep at most MOST_CASES cases, drawn by the seed."""
    if len(question.queries) <= MOST_CASES:
        return question
    kept = np.sort(np.random.default_rng(seed).choice(len(question.queries), MOST_CASES, replace=False))
    return replace(question, queries=[question.queries[at] for at in kept], truth=question.truth.select(kept))


def _tuned(recommender: Recommender, scenario: Scenario, tasks: Sequence[Question]) -> dict[str, float] | None:
    """Tune one scenario on all of its tasks together; None if no retriever came to lead."""
    queries = [query for task in tasks for query in task.queries]
    lists = [
        task.truth.row[task.truth.indptr[i] : task.truth.indptr[i + 1]]
        for task in tasks
        for i in range(len(task.truth))
    ]
    chunks = [queries[at : at + CHUNK] for at in range(0, len(queries), CHUNK)]
    pools = [_heard(recommender.find(chunk).pool, scenario) for chunk in chunks]
    weights = tune(pools, Ragged.of(lists), START_WEIGHTS[scenario])
    # Without any weight the candidates at hand still have an order, by their ids, but serving would not ask for them.
    return weights if max(weights.values()) >= LEADING else None


def _heard(pool: Pool, scenario: Scenario) -> Pool:
    """Return the pool with only what may count in a scenario."""
    names = HEARD[scenario]
    if names is None:
        return pool
    heeded = np.array([name in names for name in pool.retrievers], bool)
    return pool.heard(np.tile(heeded, (len(pool.indptr) - 1, 1)))

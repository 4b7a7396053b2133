"""Evaluates the scenarios that a plain next-purchase test does not judge, each on its own task beside a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.pipeline import Recommender
from training.dataset import Dataset
from training.evaluate import MEMBERWISE, panel_for
from training.metrics import Interval, Ragged, bootstrap, measure
from training.panel import CHUNK
from training.parallel import in_parallel
from training.scenario_questions import Question, questions
from training.settings import TrainingSettings
from training.windows import Window

RowVector = npt.NDArray[np.int32]

MEASURES = ("ndcg@10", "recall@10", "hit_rate@10")
MOST_MEMBERS = 1000
"""Members asked per scenario."""


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """One measure of one method on one task; `gain` is the paired difference of Memberwise to the method."""

    scenario: str
    task: str
    method: str
    measure: str
    interval: Interval
    gain: Interval | None = None


def evaluate_scenarios(
    recommender: Recommender,
    dataset: Dataset,
    window: Window,
    settings: TrainingSettings,
    step: Callable[[int], None] = lambda lists: None,
) -> tuple[ScenarioRow, ...]:
    """Ask every scenario its own question about a window.

    Args:
        recommender: fitted on no more than the window's history.
        dataset: the whole history.
        window: what came after.
        settings: how many members, intervals; the seed.
        step: called with the number of lists just made.
    Returns: rows of Memberwise and of each baseline; nothing for tasks that the data cannot set, such as visits
        where nobody browses.
    """
    members = min(settings.evaluation.members or MOST_MEMBERS, MOST_MEMBERS)
    panel = panel_for(dataset, window, settings, members)
    rows: list[ScenarioRow] = []
    for question in questions(recommender, dataset, window, panel, settings.seed):
        lists = {MEMBERWISE: answers(recommender, question, step, settings.thread_count), **question.baselines}
        rows += _rows(question, lists, settings)
    return tuple(rows)


def answers(
    recommender: Recommender, question: Question, step: Callable[[int], None] = lambda lists: None, processes: int = 1
) -> Ragged:
    """Return what the recommender shows for each query of a question."""
    chunks = [question.queries[at : at + CHUNK] for at in range(0, len(question.queries), CHUNK)]
    lists: list[RowVector] = []
    for rows in in_parallel(lambda queries: [slate.row for slate in recommender.recommend(queries)], chunks, processes):
        lists += rows
        step(len(rows))
    return Ragged.of(lists)


def _rows(question: Question, lists: dict[str, Ragged], settings: TrainingSettings) -> list[ScenarioRow]:
    scores = {name: measure(found, question.truth, (10,)) for name, found in lists.items()}
    keys = [(method, name) for method in lists for name in MEASURES]
    values = [scores[method][name] for method, name in keys]
    values += [scores[MEMBERWISE][name] - scores[method][name] for method, name in keys]
    rng = np.random.default_rng(settings.seed)
    intervals = bootstrap(np.stack(values, axis=1), rng, settings.evaluation.bootstrap_rounds)
    return [
        ScenarioRow(
            question.scenario.value,
            question.task,
            method,
            name,
            intervals[at],
            None if method == MEMBERWISE else intervals[len(keys) + at],
        )
        for at, (method, name) in enumerate(keys)
    ]

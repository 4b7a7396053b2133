"""Learning curve: what the lists are worth when less of each member's history is known; the models stay the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from recommender.history import MINUTES_PER_DAY
from recommender.pipeline import Recommender
from recommender.query import Scenario
from training.ablation import PEOPLE_AT_ONCE
from training.evaluate import GROUP_MEASURE, HOME_DEPTH
from training.metrics import FloatVector, Interval, Ragged, bootstrap, measure
from training.panel import Panel
from training.parallel import in_parallel
from training.settings import TrainingSettings
from training.windows import Subset

CURVE_DAYS = (0, 7, 14, 28, 56, 112)
"""How far back histories are known at the points of the curve; the last point knows all of them."""
CURVES = {Scenario.HOME: Subset.ALL, Scenario.DISCOVER: Subset.NOVEL}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """NDCG@10 on a subset with the last `days` of each history; None: with all of it."""

    days: int | None
    subset: str
    interval: Interval


def learning_curve(
    recommender: Recommender,
    panel: Panel,
    settings: TrainingSettings,
    step: Callable[[int], None] = lambda people: None,
) -> tuple[CurvePoint, ...]:
    """Ask for the same people with more and more of their history, from nothing to everything.

    Args:
        recommender: asked.
        panel: who is asked.
        settings: resamples, processes, seed.
        step: called with the number of people just asked for, once per point.
    """
    keys: list[tuple[int | None, Subset]] = []
    columns: list[FloatVector] = []
    for days in curve_days(panel):
        for subset, values in _scores(recommender, known_for(panel, days), settings).items():
            keys.append((days, subset))
            columns.append(values)
        step(len(panel))
    rng = np.random.default_rng(settings.seed)
    intervals = bootstrap(np.stack(columns, axis=1), rng, settings.evaluation.bootstrap_rounds)
    return tuple(
        CurvePoint(days, subset.value, interval) for (days, subset), interval in zip(keys, intervals, strict=True)
    )


def curve_days(panel: Panel) -> tuple[int | None, ...]:
    """Return the points of a panel's curve: those of CURVE_DAYS that leave something out, and everything."""
    histories = panel.histories
    person = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
    oldest = int((panel.as_of[person] - histories.minute).max(initial=0)) / MINUTES_PER_DAY
    return (*(days for days in CURVE_DAYS if days < oldest), None)


def known_for(panel: Panel, days: int | None) -> Panel:
    """Return the panel with only the last days of each history."""
    if days is None:
        return panel
    histories = panel.histories
    person = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
    recent = histories.minute >= panel.as_of[person] - days * MINUTES_PER_DAY
    return replace(panel, histories=histories.where(recent))


def _scores(recommender: Recommender, panel: Panel, settings: TrainingSettings) -> dict[Subset, FloatVector]:
    """Return each person's NDCG@10 by subset; what is novel is decided by the whole history."""
    chunks = list(panel.queries(dict.fromkeys(CURVES, HOME_DEPTH), PEOPLE_AT_ONCE))
    made = in_parallel(lambda queries: [s.row for s in recommender.recommend(queries)], chunks, settings.thread_count)
    rows: dict[Scenario, list[np.ndarray]] = {scenario: [] for scenario in CURVES}
    for queries, lists in zip(chunks, made, strict=True):
        for query, row in zip(queries, lists, strict=True):
            rows[query.scenario].append(row)
    return {
        subset: measure(panel.past.filter(Ragged.of(rows[scenario]), subset), panel.truth.of(subset), (10,))[
            GROUP_MEASURE
        ]
        for scenario, subset in CURVES.items()
    }

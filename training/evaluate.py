"""Replays a window through the very Recommender that serves, beside the baselines, and sums up the result.

Lists are made for the subset they are judged on: `home` for all items, `buy_again` for repeat, `discover` for
novel ones. The `home` list, filtered, is judged on repeat and novel items as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.candidates import keep_best
from recommender.pipeline import Recommender
from recommender.query import Scenario
from training.baselines import BASELINES, baseline_lists
from training.dataset import Dataset
from training.list_metrics import coverage, novelty
from training.metrics import Interval, Ragged, bootstrap, measure
from training.panel import Panel, panel_of
from training.parallel import in_parallel
from training.pools import PanelPools
from training.settings import EvaluationSettings, TrainingSettings
from training.windows import Subset, Window

FloatVector = npt.NDArray[np.float64]
RowVector = npt.NDArray[np.int32]

MEMBERWISE = "memberwise"
MEMBERWISE_HOME = "memberwise_home"
DEPTHS = (10, 20)
HOME_DEPTH = 100
"""Length of home lists, so that enough is left of them when they are filtered to a subset."""
COUNTS = {Scenario.HOME: HOME_DEPTH, Scenario.BUY_AGAIN: max(DEPTHS), Scenario.DISCOVER: max(DEPTHS)}
"""Length of the lists made per scenario."""
MAIN_MEASURES = ("ndcg@10", "recall@10")
SCENARIOS = {
    Subset.ALL: Scenario.HOME,
    Subset.REPEAT: Scenario.BUY_AGAIN,
    Subset.NOVEL: Scenario.DISCOVER,
    Subset.NEVER_SEEN: Scenario.DISCOVER,
}
Scores = dict[tuple[str, Subset], dict[str, FloatVector]]
"""Per-member measures by method and subset."""


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure of one method on one subset."""

    method: str
    subset: str
    measure: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """How much more `method` reaches than `baseline`, paired by member."""

    method: str
    baseline: str
    subset: str
    measure: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class GroupRow:
    """NDCG@10 on all items of one method in one group of members."""

    group: str
    value: str
    method: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class SlateRow:
    """What the lists of a method are like, whether bought or not: `novelty` in bits."""

    method: str
    subset: str
    depth: int
    coverage: float
    novelty: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of replaying one window.

    cut, end: the window in minutes since 1970-01-01 UTC; equal where every member has an own one.
    members, asked: people with truth in the window, and how many of them were evaluated.
    catalogue: number of items, of which coverage is a share.
    """

    window: str
    cut: int
    members: int
    asked: int
    catalogue: int
    measures: tuple[MeasureRow, ...]
    differences: tuple[DifferenceRow, ...]
    groups: tuple[GroupRow, ...]
    slates: tuple[SlateRow, ...]

    def interval(self, method: str, subset: Subset, name: str) -> Interval:
        """Return one figure."""
        return next(
            row.interval
            for row in self.measures
            if (row.method, row.subset, row.measure) == (method, subset.value, name)
        )


def evaluate(
    recommender: Recommender,
    dataset: Dataset,
    window: Window,
    settings: TrainingSettings,
    step: Callable[[int], None] = lambda members: None,
) -> Evaluation:
    """Replay a window.

    Args:
        recommender: fitted on no more than the window's history.
        dataset: the whole history.
        window: whose truth is asked.
        settings: how many members, intervals and baselines; the seed.
        step: called with the number of lists just made: three per member evaluated.
    """
    panel = panel_for(dataset, window, settings, settings.evaluation.members)
    lists = replay(recommender, panel, step, settings.thread_count)
    for subset in subsets_of(panel):
        for name, found in baselines_for(panel, subset).items():
            lists[name, subset] = found
    scores = {key: measure(found, panel.truth.of(key[1]), DEPTHS) for key, found in lists.items()}
    rng = np.random.default_rng(settings.seed)
    measures, differences, groups = _summary(scores, panel, settings.evaluation, rng)
    return Evaluation(
        window=window.name,
        cut=window.fit_minute,
        members=len(window.truth.person_row),
        asked=len(panel),
        catalogue=len(dataset.items),
        measures=measures,
        differences=differences,
        groups=groups,
        slates=_slates(dataset, panel, lists),
    )


def panel_for(dataset: Dataset, window: Window, settings: TrainingSettings, members: int) -> Panel:
    """Gather at most so many people of a window (0: all), as the settings say."""
    evaluation = settings.evaluation
    return panel_of(
        dataset,
        window,
        members,
        settings.history_entries,
        evaluation.baseline_half_life_days,
        settings.seed,
    )


def subsets_of(panel: Panel) -> tuple[Subset, ...]:
    """Return the subsets worth telling apart: never-seen items only where people browse."""
    browsed = len(panel.past.seen.row) > len(panel.past.bought.row)
    return tuple(Subset) if browsed else (Subset.ALL, Subset.REPEAT, Subset.NOVEL)


def replay(
    recommender: Recommender,
    panel: Panel,
    step: Callable[[int], None] = lambda members: None,
    processes: int = 1,
) -> dict[tuple[str, Subset], Ragged]:
    """Ask the recommender for every list that is judged.

    Returns: lists of rows by method and subset, one per person of the panel.
    """
    rows: dict[Scenario, list[RowVector]] = {scenario: [] for scenario in COUNTS}
    chunks = list(panel.queries(COUNTS))
    made_rows = in_parallel(lambda queries: [s.row for s in recommender.recommend(queries)], chunks, processes)
    for queries, slates in zip(chunks, made_rows, strict=True):
        for query, row in zip(queries, slates, strict=True):
            rows[query.scenario].append(row)
        step(len(queries))
    made = {scenario: Ragged.of(lists) for scenario, lists in rows.items()}
    lists = {}
    for subset in subsets_of(panel):
        lists[MEMBERWISE, subset] = panel.past.filter(made[SCENARIOS[subset]], subset)
        if subset is not Subset.ALL:
            lists[MEMBERWISE_HOME, subset] = panel.past.filter(made[Scenario.HOME], subset)
    return lists


def candidate_lists(pools: PanelPools, subset: Subset) -> dict[str, Ragged]:
    """Return what each retriever alone, and all of them ranked together, would show for a subset.

    Returns: lists by retriever name, and under MEMBERWISE those of the ranker, one per person of the panel.
    """
    found: dict[str, list[RowVector]] = {}
    for pool, ranked in pools.of(SCENARIOS[subset]):
        n_queries = len(pool.indptr) - 1
        columns = dict(zip(pool.retrievers, pool.scores.T, strict=True))
        for name, score in (columns | {MEMBERWISE: ranked.score}).items():
            kept = np.flatnonzero(~np.isnan(score))
            best = keep_best(pool.query[kept], pool.row[kept], score[kept], n_queries, HOME_DEPTH)
            found.setdefault(name, []).extend(np.split(best.row, best.indptr[1:-1]))
    return {name: pools.panel.past.filter(Ragged.of(lists), subset) for name, lists in found.items()}


def baselines_for(panel: Panel, subset: Subset) -> dict[str, Ragged]:
    """Return the baselines' lists for one subset, by name."""
    return {name: baseline_lists(name, subset, panel.past, panel.popularity, max(DEPTHS)) for name in BASELINES}


def _summary(
    scores: Scores, panel: Panel, settings: EvaluationSettings, rng: np.random.Generator
) -> tuple[tuple[MeasureRow, ...], tuple[DifferenceRow, ...], tuple[GroupRow, ...]]:
    """Put intervals around means, differences and groups, all on the same resampled members."""
    measured = [(key, name, values) for key, named in scores.items() for name, values in named.items()]
    compared = [
        (method, baseline, subset, name)
        for method, subset in scores
        for baseline in BASELINES
        for name in MAIN_MEASURES
        if method not in BASELINES
    ]
    grouped = [
        (group, value, method)
        for group, names in panel.groups.items()
        for value in sorted(set(names), key=_natural)
        for method in (MEMBERWISE, *BASELINES)
    ]
    columns = [values for _, _, values in measured]
    columns += [scores[m, s][name] - scores[b, s][name] for m, b, s, name in compared]
    for group, value, method in grouped:
        inside = np.array(panel.groups[group], dtype=object) == value
        columns.append(np.where(inside, scores[method, Subset.ALL]["ndcg@10"], np.nan))
    intervals = iter(bootstrap(np.stack(columns, axis=1), rng, settings.bootstrap_rounds))
    return (
        tuple(MeasureRow(m, s.value, name, next(intervals)) for (m, s), name, _ in measured),
        tuple(DifferenceRow(m, b, s.value, name, next(intervals)) for m, b, s, name in compared),
        tuple(GroupRow(*key, next(intervals)) for key in grouped),
    )


def _slates(dataset: Dataset, panel: Panel, lists: dict[tuple[str, Subset], Ragged]) -> tuple[SlateRow, ...]:
    n_people = len(dataset.people)
    return tuple(
        SlateRow(
            method,
            subset.value,
            depth,
            coverage(found, depth, len(dataset.items)),
            novelty(found, depth, panel.buyers, n_people),
        )
        for (method, subset), found in lists.items()
        for depth in DEPTHS
    )


def _natural(name: str) -> tuple[int, str]:
    """Order "5-9 days" before "10-19 days", and names without a number by the alphabet."""
    digits = name.split("-")[0].split("+")[0].split(" ")[0]
    return (int(digits), name) if digits.isdigit() else (1 << 60, name)

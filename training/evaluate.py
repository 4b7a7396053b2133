"""Replays a window through the very Recommender that serves, beside the baselines, and sums up the result.

Lists are made for the subset they are judged on: `home` for all items, `buy_again` for repeat, `discover` for
novel ones. The `home` list, filtered, is judged on repeat and novel items as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recommender.candidates import Slate, keep_best
from recommender.pipeline import Recommender
from recommender.query import Query, Scenario
from training.baselines import BASELINES, baseline_lists
from training.categories import category_levels
from training.dataset import Dataset
from training.evaluation import DifferenceRow, Evaluation, GroupRow, MeasureRow, SlateRow, TenthRow
from training.groups import item_groups
from training.list_metrics import coverage, gini, intra_list_diversity, novelty, sales_tenths, shown_by_tenth
from training.metrics import Ragged, bootstrap, measure
from training.panel import Panel, panel_of
from training.parallel import in_parallel
from training.pools import PanelPools
from training.settings import TrainingSettings
from training.windows import Subset, Window

FloatVector = npt.NDArray[np.float64]
RowVector = npt.NDArray[np.int32]

MEMBERWISE = "memberwise"
MEMBERWISE_HOME = "memberwise_home"
DEPTHS = (10, 20)
HOME_DEPTH = 100
"""Length of home lists, so that enough is left of them when they are filtered to a subset."""
COUNTS = {Scenario.HOME: HOME_DEPTH, Scenario.BUY_AGAIN: max(DEPTHS), Scenario.DISCOVER: HOME_DEPTH}
"""Length of the lists made per scenario; those of `discover` are filtered to never-seen items."""
MAIN_MEASURES = ("ndcg@10", "recall@10")
GROUP_MEASURE = "ndcg@10"
SCENARIOS = {
    Subset.ALL: Scenario.HOME,
    Subset.REPEAT: Scenario.BUY_AGAIN,
    Subset.NOVEL: Scenario.DISCOVER,
    Subset.NEVER_SEEN: Scenario.DISCOVER,
}
Lists = dict[tuple[str, Subset], Ragged]
"""Lists of item rows by method and subset, one per person of a panel."""
Scores = dict[tuple[str, Subset], dict[str, FloatVector]]
"""Per-member measures by method and subset."""
BOUGHT = "bought"
"""What the members really bought, where lists are compared with it."""


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
    rounds = settings.evaluation.bootstrap_rounds
    measures, differences = _summary(scores, rng, rounds)
    return Evaluation(
        window=window.name,
        cut=window.fit_minute,
        members=len(window.truth.person_row),
        asked=len(panel),
        catalogue=len(dataset.items),
        measures=measures,
        differences=differences,
        groups=_groups(dataset, panel, lists, scores, rng, rounds),
        slates=_slates(dataset, panel, lists, rng, rounds),
        tenths=_tenths(panel, lists),
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


class Recommends(Protocol):
    """What lists are asked of: a recommender, or one that answers in other rows."""

    def recommend(self, queries: Sequence[Query]) -> list[Slate]:
        """Return one slate per query."""
        ...


def replay(
    recommender: Recommends,
    panel: Panel,
    step: Callable[[int], None] = lambda members: None,
    processes: int = 1,
) -> Lists:
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
    """Return the baselines' lists for one subset, by name; those for all items are as long as home lists."""
    count = HOME_DEPTH if subset is Subset.ALL else max(DEPTHS)
    return {name: baseline_lists(name, subset, panel.past, panel.popularity, count) for name in BASELINES}


def _summary(
    scores: Scores, rng: np.random.Generator, rounds: int
) -> tuple[tuple[MeasureRow, ...], tuple[DifferenceRow, ...]]:
    """Put intervals around means and differences, all on the same resampled members."""
    measured = [(key, name, values) for key, named in scores.items() for name, values in named.items()]
    compared = [
        (method, baseline, subset, name)
        for method, subset in scores
        for baseline in BASELINES
        for name in MAIN_MEASURES
        if method not in BASELINES
    ]
    columns = [values for _, _, values in measured]
    columns += [scores[m, s][name] - scores[b, s][name] for m, b, s, name in compared]
    intervals = iter(bootstrap(np.stack(columns, axis=1), rng, rounds))
    return (
        tuple(MeasureRow(m, s.value, name, next(intervals)) for (m, s), name, _ in measured),
        tuple(DifferenceRow(m, b, s.value, name, next(intervals)) for m, b, s, name in compared),
    )


def _groups(
    dataset: Dataset, panel: Panel, lists: Lists, scores: Scores, rng: np.random.Generator, rounds: int
) -> tuple[GroupRow, ...]:
    """Measure home lists by group: those of some members, and the part of all lists that holds some items."""
    columns: dict[tuple[str, str, str], FloatVector] = {}
    for group, names in panel.groups.items():
        for value in sorted(set(names), key=_natural):
            inside = np.array(names, dtype=object) == value
            for method in (MEMBERWISE, *BASELINES):
                columns[group, value, method] = np.where(inside, scores[method, Subset.ALL][GROUP_MEASURE], np.nan)
    for part in item_groups(dataset, panel):
        truth = panel.truth.items.keep(part.items[panel.truth.items.row])
        for method in (MEMBERWISE, *BASELINES):
            shown = lists[method, Subset.ALL]
            found = measure(shown.keep(part.items[shown.row]), truth, (10,))
            columns[part.group, part.value, method] = found[GROUP_MEASURE]
    intervals = bootstrap(np.stack(list(columns.values()), axis=1), rng, rounds)
    return tuple(GroupRow(*key, interval) for key, interval in zip(columns, intervals, strict=True))


def _slates(
    dataset: Dataset, panel: Panel, lists: Lists, rng: np.random.Generator, rounds: int
) -> tuple[SlateRow, ...]:
    levels = category_levels(dataset.facts)
    keys = [(method, subset, depth) for method, subset in lists for depth in DEPTHS]
    apart = [intra_list_diversity(lists[method, subset], depth, levels) for method, subset, depth in keys]
    diversity = bootstrap(np.stack(apart, axis=1), rng, rounds)
    return tuple(
        SlateRow(
            method,
            subset.value,
            depth,
            coverage(lists[method, subset], depth, len(dataset.items)),
            novelty(lists[method, subset], depth, panel.buyers, len(dataset.people)),
            gini(lists[method, subset], depth, len(dataset.items)),
            interval,
        )
        for (method, subset, depth), interval in zip(keys, diversity, strict=True)
    )


def _tenths(panel: Panel, lists: Lists) -> tuple[TenthRow, ...]:
    """Spread home lists, and what was really bought, over tenths of the recent sales."""
    tenth = sales_tenths(panel.popularity)
    truth = panel.truth.items
    shown = {method: shown_by_tenth(lists[method, Subset.ALL], 10, tenth) for method in (MEMBERWISE, *BASELINES)}
    shown[BOUGHT] = shown_by_tenth(truth, int(truth.sizes.max(initial=1)), tenth)
    return tuple(TenthRow(method, tuple(shares.tolist())) for method, shares in shown.items())


def _natural(name: str) -> tuple[int, str]:
    """Order "5-9 days" before "10-19 days", and names without a number by the alphabet."""
    digits = name.split("-")[0].split("+")[0].split(" ")[0]
    return (int(digits), name) if digits.isdigit() else (1 << 60, name)

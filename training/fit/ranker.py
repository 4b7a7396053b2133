"""Fit the learned ranker: boosted trees that correct the blend, grown on earlier windows of the same history.

A window's lesson holds candidates as they were found at its start, by models fitted on no more than lay before it,
with features as of then; what members bought in the window is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.candidates import relative_scores
from recommender.features import FeatureSource
from recommender.pipeline import Found, Recommender
from recommender.query import Query, Scenario
from recommender.ranking import BLEND_FEATURE, Blend, LearnedRanker, Ranker, Trees, summed
from recommender.retrievers.repeat import RepeatRetriever
from training.dataset import Dataset, snapshot
from training.fit.features import fit_features
from training.fit.recommender import CONTEXTUAL
from training.fit.weights import weights_of
from training.keys import is_in
from training.metrics import Ragged
from training.panel import Panel
from training.parallel import in_parallel
from training.settings import RankerSettings, TrainingSettings
from training.windows import Subset

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]

LEARNED: dict[Scenario, Subset] = {
    Scenario.HOME: Subset.ALL,
    Scenario.BUY_AGAIN: Subset.REPEAT,
    Scenario.DISCOVER: Subset.NOVEL,
}
"""Scenarios for which trees are grown, and the purchases that are right answers there."""
FRESH_SHARE = 1 / 6
"""The quick decay's half-life beside the slow one's."""
TRUNCATION = 20
"""Positions that LambdaRank looks at: the depth that reports go to."""
LOGIT_STEPS = 30


@dataclass(frozen=True, slots=True)
class Lesson:
    """Candidates of one window and one scenario, list after list; only lists with a right answer.

    features: float32, (n, n_features), without the blend.  relative: float32, (n, n_retrievers), relative scores.
    right: bool, (n,), was it bought in the window?  sizes: int64, (n_lists,), candidates per list.
    retrievers: names of the columns of `relative`.
    """

    features: FloatMatrix
    relative: FloatMatrix
    right: BoolVector
    sizes: IntVector
    retrievers: tuple[str, ...]


Lessons = Mapping[Scenario, Lesson]
"""What one window teaches, by scenario."""


def fit_source(dataset: Dataset, minute: int, recommender: Recommender, settings: TrainingSettings) -> FeatureSource:
    """Fit the features that go with a recommender fitted at the same minute.

    Args:
        dataset: entries at or after `minute` are not used.
        minute: the present of the fit.
        recommender: whose retrievers' ranks are features.
        settings: decays and periods.
    """
    data = snapshot(dataset, minute)
    repeat = next((part for part in recommender.retrievers if isinstance(part, RepeatRetriever)), None)
    option = settings.weights
    recall = (
        weights_of(option.purchase_half_life_days, option.browse_half_life_days, data.n_channels)
        if repeat is None
        else repeat.weights
    )
    fresh = replace(
        recall,
        purchase_half_life_days=recall.purchase_half_life_days * FRESH_SHARE,
        browse_half_life_days=recall.browse_half_life_days * FRESH_SHARE,
    )
    return fit_features(
        data,
        recall,
        fresh,
        settings.repeat.prior_gaps,
        settings.popularity.half_life_days,
        settings.repeat.horizon_days,
        dataset.channels,
        tuple(part.name for part in recommender.retrievers if part.name not in CONTEXTUAL),
    )


def take_lessons(
    recommender: Recommender,
    source: FeatureSource,
    panel: Panel,
    settings: TrainingSettings,
    step: Callable[[int], None] = lambda lists: None,
) -> Lessons:
    """Ask a recommender for a window's candidates, and note which of them were bought.

    Args:
        recommender, source: fitted on no more than the panel's window may see.
        panel: whom to ask for.
        settings: how many wrong candidates are kept per list; the seed.
        step: called with the number of lists just found.
    """
    chunks = list(enumerate(panel.queries(dict.fromkeys(LEARNED, 1))))
    firsts = np.cumsum([0, *(len(queries) // len(LEARNED) for _, queries in chunks)])

    def take(chunk: tuple[int, Sequence[Query]]) -> list[Lesson]:
        number, queries = chunk
        found = recommender.find(queries)
        rng = np.random.default_rng([settings.seed, number])
        people = len(queries) // len(LEARNED)
        whose = np.tile(np.arange(people) + firsts[number], len(LEARNED))
        return [
            _lesson(found, source, slice(at * people, (at + 1) * people), whose, truth, settings.ranker, rng)
            for at, truth in enumerate(truths)
        ]

    truths = [panel.truth.of(subset) for subset in LEARNED.values()]
    taken = []
    for lessons in in_parallel(take, chunks, settings.thread_count):
        taken.append(lessons)
        step(len(lessons[0].sizes))
    return {scenario: join([part[at] for part in taken]) for at, scenario in enumerate(LEARNED)}


def fit_ranker(
    lessons: Sequence[Lessons],
    blend: Blend,
    source: FeatureSource,
    settings: TrainingSettings,
    learned: Sequence[Scenario] = tuple(LEARNED),
) -> Ranker:
    """Grow trees on all lessons; the blend itself where there are too few to learn from.

    Args:
        lessons: of windows before the one that will be asked for.
        blend: what the trees correct.
        source: features as of the present.
        settings: size of the trees, and how many lists are needed.
        learned: scenarios that trees may order.
    """
    if not lessons:
        return blend
    # Side by side with a share of the threads each: LightGBM's threads wait for one another at every tree level.
    threads = max(1, settings.thread_count // max(len(learned), 1))

    def grown(scenario: Scenario) -> Trees | None:
        return grow([part[scenario] for part in lessons], scenario, blend, source, settings, threads)

    found = in_parallel(grown, learned, settings.thread_count, always=True)
    usable = {scenario: trees for scenario, trees in zip(learned, found, strict=True) if trees is not None}
    return LearnedRanker(blend, source, usable) if usable else blend


def grow(
    lessons: Sequence[Lesson],
    scenario: Scenario,
    blend: Blend,
    source: FeatureSource,
    settings: TrainingSettings,
    threads: int = 1,
) -> Trees | None:
    """Grow trees by LambdaRank from the blend on; None if there are fewer lists than ranker.least_lists.

    With several threads this must run apart (see training.parallel). Few lists carry few trees, so that little data
    stays close to the blend.

    Source: Burges (2010), "From RankNet to LambdaRank to LambdaMART: an overview".
    """
    import lightgbm

    option = settings.ranker
    lesson = join([_as_seen_by(source.retrievers, part) for part in lessons])
    if len(lesson.sizes) < option.least_lists:
        return None
    weights = blend.of(scenario)
    table = np.array([weights.get(name, 0.0) for name in lesson.retrievers], np.float32)
    start = summed(lesson.relative * table)
    slope = logit_slope(start, lesson.right)
    names = [BLEND_FEATURE, *source.names]
    data = lightgbm.Dataset(
        np.column_stack((start, lesson.features)),
        lesson.right.astype(np.int32),
        group=lesson.sizes,
        init_score=slope * start,
        feature_name=names,
        params={"max_bin": option.bins, "verbose": -1, "num_threads": threads},
    )
    rounds = max(1, min(option.trees, len(lesson.sizes) // option.lists_per_tree))
    booster = lightgbm.train(_parameters(option, settings.seed, threads), data, rounds)
    return Trees(slope, booster.model_to_string())


def logit_slope(score: FloatVector, right: BoolVector) -> float:
    """Return by how much the log-odds of being right rise per unit of the score, by logistic regression.

    Args:
        score: float32, (n,), finite.
        right: bool, (n,), with at least one of each.
    Returns: 0 or more.
    """
    bias, slope = 0.0, 1.0
    x = score.astype(np.float64)
    for _ in range(LOGIT_STEPS):
        odds = 1 / (1 + np.exp(-np.clip(bias + slope * x, -30, 30)))
        weight = odds * (1 - odds) + 1e-9
        miss = right - odds
        gradient = np.array([miss.sum(), (miss * x).sum()])
        cross = (weight * x).sum()
        curvature = np.array([[weight.sum() + 1e-6, cross], [cross, (weight * x * x).sum() + 1e-6]])
        change = np.linalg.solve(curvature, gradient)
        bias, slope = bias + float(np.clip(change[0], -2, 2)), slope + float(np.clip(change[1], -2, 2))
    return round(max(slope, 0.0), 6)


def join(lessons: Sequence[Lesson]) -> Lesson:
    """Put lessons over the same retrievers one after the other."""
    return Lesson(
        np.concatenate([part.features for part in lessons]),
        np.concatenate([part.relative for part in lessons]),
        np.concatenate([part.right for part in lessons]),
        np.concatenate([part.sizes for part in lessons]),
        lessons[0].retrievers,
    )


def _lesson(
    found: Found,
    source: FeatureSource,
    queries: slice,
    whose: IntVector,
    truth: Ragged,
    option: RankerSettings,
    rng: np.random.Generator,
) -> Lesson:
    """Draw candidates of some queries: all that were bought, and about option.wrong others per list."""
    pool = found.pool
    query = pool.query
    width = int(max(pool.row.max(initial=0), truth.row.max(initial=0))) + 1
    inside = (query >= queries.start) & (query < queries.stop)
    right = is_in(whose[query] * width + pool.row, truth.member * width + truth.row) & inside
    n_queries = len(pool.indptr) - 1
    hits = np.bincount(query[right], minlength=n_queries)
    wrong = np.diff(pool.indptr) - hits
    share = option.wrong / np.maximum(wrong, 1)
    drawn = rng.random(len(query)) < share[query]
    kept = inside & (hits[query] > 0) & (wrong[query] > 0) & (right | drawn)
    sizes = np.bincount(query[kept], minlength=n_queries)
    columns = [pool.retrievers.index(name) for name in source.retrievers]
    return Lesson(
        source.build(pool, found.batch, kept),
        relative_scores(pool)[kept][:, columns],
        right[kept],
        sizes[sizes > 0],
        source.retrievers,
    )


def _as_seen_by(retrievers: tuple[str, ...], lesson: Lesson) -> Lesson:
    """Return a lesson with the columns of some retrievers: an early window may lack one that needs more history."""
    if lesson.retrievers == retrievers:
        return lesson
    place = {name: at for at, name in enumerate(lesson.retrievers)}
    n = len(lesson.right)
    ranks, relative = np.full((n, len(retrievers)), np.nan, np.float32), np.zeros((n, len(retrievers)), np.float32)
    for at, name in enumerate(retrievers):
        if name in place:
            ranks[:, at], relative[:, at] = lesson.features[:, place[name]], lesson.relative[:, place[name]]
    features = np.concatenate((ranks, lesson.features[:, len(lesson.retrievers) :]), axis=1)
    return Lesson(features, relative, lesson.right, lesson.sizes, retrievers)


def _parameters(option: RankerSettings, seed: int, threads: int) -> dict[str, object]:
    return {
        "objective": "lambdarank",
        "lambdarank_truncation_level": TRUNCATION,
        "learning_rate": option.learning_rate,
        "num_leaves": option.leaves,
        "min_data_in_leaf": option.least_in_leaf,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "max_bin": option.bins,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }

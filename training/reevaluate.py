"""Evaluates a bundle again: on what happened since it was trained, or its recipe on its own test window."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.bundle import SETTINGS, Bundle
from recommender.pipeline import Recommender
from recommender.ranking import LearnedRanker
from training.aligned import aligned, spread_for
from training.course import Course
from training.dataset import Dataset
from training.evaluate import evaluate
from training.evaluation import Evaluation
from training.insights import look_closer
from training.place import Place
from training.progress import Progress
from training.report import Document, RunFacts, report_document
from training.settings import TrainingSettings, read_training_settings
from training.split import FEWEST_PEOPLE, check_history, later_window
from training.train import read_gaps, split_of
from training.unify import read_dataset
from training.windows import Split, Window


def reevaluate(place: Place, bundle: Bundle, now: datetime, progress: Progress) -> Document:
    """Evaluate a bundle on data that its models have not seen.

    If members bought anything since the bundle was trained, the bundle itself is replayed on that. Otherwise
    models with its settings, blend and learned scenarios are fitted on what its test window may see, and replayed
    there.

    Args:
        place: where state and bundles are.
        bundle: to be evaluated.
        now: the present.
        progress: shows the stages.
    Returns: a report as JSON.
    Raises: TrainingDataError if the history is not enough for either.
    """
    settings = read_training_settings(bundle.path / SETTINGS)
    with threadpool_limits(1, "blas"):
        with progress.stage("read"):
            dataset = read_dataset(place.database, place.settings, None, now)
            check_history(dataset)
            known = aligned(dataset, bundle.recommender())
            window = later_window(known, int(bundle.trained_until.timestamp() // 60))
        if len(window.truth.person_row) >= FEWEST_PEOPLE:
            title, split = f"Bundle {bundle.bundle_id} on what happened since", None
            dataset, asked = known, bundle.recommender()
            course = Course(dataset, settings, progress)
        else:
            title, split = f"The recipe of bundle {bundle.bundle_id} on its test window", split_of(dataset, settings)
            course = Course(dataset, settings, progress)
            window, asked = split.test, _refit(bundle, course, split)
        found = _replay(asked, dataset, window, settings, progress)
        other = place.registry.current_id() != bundle.bundle_id
        insights = look_closer(place, asked, dataset, window, settings, progress, now, course.lessons, other)
    facts = RunFacts(title, bundle.bundle_id, now, settings, progress.seconds)
    return report_document(facts, dataset, split, None, [found], asked.ranker, read_gaps(place.database), insights)


def _refit(bundle: Bundle, course: Course, split: Split) -> Recommender:
    """Fit what the test window may see, with the bundle's blend and trees grown on the windows before."""
    published = bundle.recommender()
    ranker = published.ranker
    if isinstance(ranker, LearnedRanker):
        course.study((*split.ranker, split.validation))
    fitted = course.fit(split.test)
    again = course.again(fitted, split.test, ranker)
    return replace(fitted, ranker=again, spread=spread_for(course.dataset, published))


def _replay(
    recommender: Recommender, dataset: Dataset, window: Window, settings: TrainingSettings, progress: Progress
) -> Evaluation:
    lists = 3 * min(len(window.truth.person_row), settings.evaluation.members or len(dataset.people))
    with progress.stage("evaluate", lists) as step:
        return evaluate(recommender, dataset, window, settings, step)

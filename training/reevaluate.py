"""Evaluates a bundle again: on what happened since it was trained, or its recipe on its own test window."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.bundle import SETTINGS, Bundle
from recommender.errors import TrainingDataError
from recommender.pipeline import Recommender
from training.dataset import Dataset
from training.evaluate import evaluate
from training.evaluation import Evaluation
from training.fit.recommender import DEPTH, fit_recommender
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
    models with its settings and blend are fitted on what its test window may see, and replayed there.

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
            title = f"Bundle {bundle.bundle_id} on what happened since"
            found, dataset = _replay(bundle.recommender(), known, window, settings, progress), known
            split = None
        else:
            title = f"The recipe of bundle {bundle.bundle_id} on its test window"
            split = split_of(dataset, settings)
            found = _replay(_refit(bundle, dataset, split, settings, progress), dataset, split.test, settings, progress)
    facts = RunFacts(title, bundle.bundle_id, now, settings, progress.seconds)
    ranker = bundle.recommender().ranker
    return report_document(facts, dataset, split, None, [found], ranker, read_gaps(place.database))


def aligned(dataset: Dataset, recommender: Recommender) -> Dataset:
    """Return the dataset in the rows of a recommender; events of items that it does not know are left out.

    Raises: TrainingDataError if it knows none of the items.
    """
    rows, known = recommender.items.rows(dataset.items.ids(np.arange(len(dataset.items))))
    if len(rows) == 0:
        raise TrainingDataError("The bundle knows none of the items in the history.", field="bundle")
    item_row = np.zeros(len(known), np.int32)
    item_row[known] = rows
    kept = dataset.entries.where(known[dataset.entries.item_row])
    entries = replace(
        kept,
        item_row=item_row[kept.item_row],
        store_row=_store_rows(dataset, recommender)[kept.store_row],
        channel=_channel_codes(dataset, recommender)[kept.channel],
    )
    sold = known[dataset.sales.item_row]
    sales = replace(
        dataset.sales,
        item_row=item_row[dataset.sales.item_row[sold]],
        store_row=_store_rows(dataset, recommender)[dataset.sales.store_row[sold]],
        minute=dataset.sales.minute[sold],
    )
    return replace(
        dataset,
        items=recommender.items,
        stores=recommender.stores,
        channels=recommender.channels,
        entries=entries,
        sales=sales,
    )


def _store_rows(dataset: Dataset, recommender: Recommender) -> np.ndarray:
    """Return the recommender's row of each store, and of "no store", which also stands for unknown stores."""
    rows, known = recommender.stores.rows(dataset.stores.ids(np.arange(len(dataset.stores))))
    found = np.full(len(dataset.stores) + 1, len(recommender.stores), np.int32)
    found[:-1][known] = rows
    return found


def _channel_codes(dataset: Dataset, recommender: Recommender) -> np.ndarray:
    codes = {name: code for code, name in enumerate(recommender.channels)}
    return np.array([codes.get(name, 0) for name in dataset.channels], np.uint8)


def _refit(
    bundle: Bundle, dataset: Dataset, split: Split, settings: TrainingSettings, progress: Progress
) -> Recommender:
    """Fit what the test window may see, with the bundle's blend."""
    with progress.stage("fit for test", len(DEPTH)) as step:
        fitted = fit_recommender(split.test.cut(dataset), split.test.fit_minute, settings, lambda name: step(1))
    return replace(fitted, ranker=bundle.recommender().ranker)


def _replay(
    recommender: Recommender, dataset: Dataset, window: Window, settings: TrainingSettings, progress: Progress
) -> Evaluation:
    lists = 3 * min(len(window.truth.person_row), settings.evaluation.members or len(dataset.people))
    with progress.stage("evaluate", lists) as step:
        return evaluate(recommender, dataset, window, settings, step)

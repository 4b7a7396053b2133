"""Comparison of new models with the promoted bundle: both asked for the same members, differences paired by member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recommender.bundle import SETTINGS, Bundle
from recommender.errors import MemberwiseError
from recommender.pipeline import Recommender
from training.aligned import Translated
from training.dataset import Dataset
from training.evaluate import MAIN_MEASURES, MEMBERWISE, Lists, replay
from training.metrics import Interval, bootstrap, measure
from training.panel import Panel
from training.place import Place
from training.settings import TrainingSettings, read_training_settings

AS_IT_IS = "replayed as it is: it was trained on data before the window"
RECIPE = "its recipe, fitted on what the window may see: its own models were trained on the window too"
"""How the promoted bundle was asked."""
Fit = Callable[[Recommender, TrainingSettings], Recommender]
"""Makes the models that a bundle's recipe would give for a window, from its recommender and settings."""


@dataclass(frozen=True, slots=True)
class CompareRow:
    """One measure: of the promoted bundle, of the new models, and what they have more."""

    subset: str
    measure: str
    promoted: Interval
    new: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class BundleComparison:
    """New models beside the promoted bundle.

    how: AS_IT_IS or RECIPE.  problem: why there are no rows; empty if there are.
    """

    bundle_id: str
    how: str
    problem: str
    rows: tuple[CompareRow, ...]


def compare_with_promoted(
    place: Place, recommender: Recommender, dataset: Dataset, panel: Panel, settings: TrainingSettings, fit: Fit
) -> BundleComparison | None:
    """Ask the promoted bundle and new models for the same lists.

    Args:
        place: where the promoted bundle is.
        recommender: the new models, fitted on what the panel's window may see.
        dataset: whose rows the panel and the new models use.
        panel: who is asked.
        settings: resamples, processes, seed.
        fit: used where the bundle itself knows the window's purchases.
    Returns: None if no bundle is promoted; a comparison with a problem if that bundle cannot be asked.
    """
    bundle_id = place.registry.current_id()
    if bundle_id is None:
        return None
    how = ""
    try:
        bundle = place.registry.open(bundle_id, verify=False)
        knows_too_much = bundle.trained_until.timestamp() // 60 > int(panel.as_of.min())
        how = RECIPE if knows_too_much else AS_IT_IS
        lists = _lists_of(bundle, knows_too_much, dataset, panel, settings, fit)
    except MemberwiseError as error:
        return BundleComparison(bundle_id, how, error.message, ())
    own = replay(recommender, panel, processes=settings.thread_count)
    return BundleComparison(bundle_id, how, "", paired(lists, own, panel, settings))


def _lists_of(
    bundle: Bundle, knows_too_much: bool, dataset: Dataset, panel: Panel, settings: TrainingSettings, fit: Fit
) -> Lists:
    """Return what the bundle, or its recipe, shows for the panel, in the dataset's rows."""
    if knows_too_much:
        made = fit(bundle.recommender(), read_training_settings(bundle.path / SETTINGS))
        return replay(made, panel, processes=settings.thread_count)
    return replay(Translated(bundle.recommender(), dataset), panel, processes=settings.thread_count)


def paired(promoted: Lists, new: Lists, panel: Panel, settings: TrainingSettings) -> tuple[CompareRow, ...]:
    """Compare the lists that two models made for the same people, by subset and measure."""
    keys = [(subset, name) for method, subset in new if method == MEMBERWISE for name in MAIN_MEASURES]
    columns = []
    for lists in (promoted, new):
        for subset, name in keys:
            columns.append(measure(lists[MEMBERWISE, subset], panel.truth.of(subset), (10,))[name])
    columns += [after - before for before, after in zip(columns[: len(keys)], columns[len(keys) :], strict=True)]
    rng = np.random.default_rng(settings.seed)
    found = bootstrap(np.stack(columns, axis=1), rng, settings.evaluation.bootstrap_rounds)
    parts = zip(keys, found[: len(keys)], found[len(keys) : 2 * len(keys)], found[2 * len(keys) :], strict=True)
    return tuple(CompareRow(subset.value, name, *intervals) for (subset, name), *intervals in parts)

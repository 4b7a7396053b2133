"""Insights: a closer look at models that were just evaluated: what their parts do, for whom, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import Blend, LearnedRanker, Ranker
from recommender.storage.catalog import read_items
from training.ablation import AblationRow, ablate
from training.aligned import spread_for
from training.compare import BundleComparison, compare_with_promoted
from training.curve import CurvePoint, curve_days, learning_curve
from training.dataset import Dataset
from training.evaluate import HOME_DEPTH, panel_for
from training.fit.diversity import CalibrationRow, DiversityRow, diversity_curve
from training.fit.ranker import Lessons, fit_ranker, fit_source
from training.fit.recommender import fit_recommender
from training.panel import Panel
from training.place import Place
from training.pools import retrieve_pools
from training.progress import Progress
from training.samples import Sample, sample_slates
from training.scenarios import ScenarioRow, evaluate_scenarios
from training.settings import TrainingSettings
from training.windows import Window

TITLES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Insights:
    """What a closer look found, on some members of a test window.

    members: how many.  importance: per scenario, the share of each feature in what the learned ranker decides;
    empty if there is none.  comparison: with the promoted bundle; None if there was none.
    scenarios: what came of the tasks of single placements.
    diversity, calibration: what each strength of them does to `home`; diversity is empty without categories.
    """

    members: int
    ablation: tuple[AblationRow, ...]
    curve: tuple[CurvePoint, ...]
    importance: dict[str, dict[str, float]]
    comparison: BundleComparison | None
    scenarios: tuple[ScenarioRow, ...]
    samples: tuple[Sample, ...]
    diversity: tuple[DiversityRow, ...] = ()
    calibration: tuple[CalibrationRow, ...] = ()


def look_closer(
    place: Place,
    recommender: Recommender,
    dataset: Dataset,
    window: Window,
    settings: TrainingSettings,
    progress: Progress,
    now: datetime,
    lessons: Sequence[Lessons] = (),
    compare: bool = True,
) -> Insights | None:
    """Look closer at models on a window that they have not seen.

    Args:
        place: where item titles and the promoted bundle are.
        recommender: fitted on what the window may see.
        dataset: the whole history, in the recommender's rows.
        window: whose truth is asked.
        settings: how many members, resamples, processes; the seed.
        progress: shows the stages.
        now: the present.
        lessons: of earlier windows, from which the promoted bundle's ranker learns anew: it may have seen this one.
        compare: also ask the promoted bundle; not where that is the one looked at.
    Returns: None if the settings want none of it.
    """
    wanted = settings.evaluation.detail_members
    if wanted == 0:
        return None
    panel = panel_for(dataset, window, settings, wanted)
    with progress.stage("leave parts out", len(panel)) as step:
        ablation = ablate(recommender, fallback_of(recommender.ranker), panel, settings, step)
    with progress.stage("learning curve", len(panel) * len(curve_days(panel))) as step:
        curve = learning_curve(recommender, panel, settings, step)
    with progress.stage("compare with promoted"):
        comparison = _compared(place, recommender, dataset, window, panel, settings, lessons) if compare else None
    with progress.stage("judge placements") as step:
        scenarios = evaluate_scenarios(recommender, dataset, window, settings, step)
    with progress.stage("spread slates"):
        pools = retrieve_pools(recommender, panel, (Scenario.HOME,), HOME_DEPTH)
        diversity, calibration = diversity_curve(pools, dataset, settings, window)
    with progress.stage("sample slates"):
        samples = _samples(place, recommender, dataset, panel, settings.seed, now)
    return Insights(
        members=len(panel),
        ablation=ablation,
        curve=curve,
        importance=importance_of(recommender.ranker),
        comparison=comparison,
        scenarios=scenarios,
        samples=samples,
        diversity=diversity,
        calibration=calibration,
    )


def fallback_of(ranker: Ranker) -> Blend | None:
    """Return the blend that would rank in place of a learned ranker; None if the blend ranks anyway."""
    blend = getattr(ranker, "blend", None)
    return blend if isinstance(blend, Blend) else None


def importance_of(ranker: Ranker) -> dict[str, dict[str, float]]:
    """Return the share of each feature by scenario, largest first; empty for a ranker that does not say.

    Scenarios that the same trees order are named together.
    """
    tell = getattr(ranker, "importance", None)
    found: Mapping[str, Mapping[str, float]] = {} if tell is None else tell()
    named: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for scenario, shares in found.items():
        ordered = tuple(sorted(shares.items(), key=lambda part: (-part[1], part[0])))
        named.setdefault(ordered, []).append(str(scenario))
    return {", ".join(scenarios): dict(shares) for shares, scenarios in named.items()}


def _compared(
    place: Place,
    recommender: Recommender,
    dataset: Dataset,
    window: Window,
    panel: Panel,
    settings: TrainingSettings,
    lessons: Sequence[Lessons],
) -> BundleComparison | None:
    def recipe(promoted: Recommender, chosen: TrainingSettings) -> Recommender:
        """Fit as the promoted bundle was; with the same settings the retrievers are those at hand."""
        same = replace(chosen, evaluation=settings.evaluation, threads=settings.threads) == settings
        seen = window.cut(dataset)
        fitted = recommender if same else fit_recommender(seen, window.fit_minute, chosen)
        if not isinstance(promoted.ranker, LearnedRanker):
            return replace(fitted, ranker=promoted.ranker, spread=spread_for(dataset, promoted))
        source = fit_source(seen, window.fit_minute, fitted, chosen)
        learned = tuple(promoted.ranker.trees)
        ranker = fit_ranker(lessons, promoted.ranker.blend, source, chosen, learned)
        return replace(fitted, ranker=ranker, spread=spread_for(dataset, promoted))

    return compare_with_promoted(place, recommender, dataset, panel, settings, recipe)


def _samples(
    place: Place, recommender: Recommender, dataset: Dataset, panel: Panel, seed: int, now: datetime
) -> tuple[Sample, ...]:
    with place.database.read() as connection:

        def titles(item_ids: Sequence[str]) -> Mapping[str, str]:
            parts = (item_ids[at : at + TITLES_AT_ONCE] for at in range(0, len(item_ids), TITLES_AT_ONCE))
            found = [item for part in parts for item in read_items(connection, part, None, now)]
            return {item.item_id: item.title for item in found if item.title}

        return sample_slates(recommender, dataset, panel, titles, seed)

"""Trains: read -> split -> fit -> tune -> judge -> test -> refit -> publish -> promote, one step after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.errors import GateError
from recommender.pipeline import Recommender
from recommender.storage.database import Database
from recommender.storage.loads import LedgerGap, ledger_gaps
from training.dataset import Dataset
from training.evaluate import DEPTHS, evaluate, panel_for
from training.evaluation import Evaluation
from training.fit.blend import TUNED, fit_blend
from training.fit.recommender import DEPTH, fit_recommender
from training.gate import Gate, judge
from training.insights import look_closer
from training.page import to_html
from training.place import Place
from training.pools import retrieve_pools
from training.progress import Progress
from training.publish import Draft, check_gate, draft_bundle, publish
from training.report import Document, RunFacts, report_document, to_json
from training.settings import TrainingSettings
from training.split import split_dataset
from training.unify import read_dataset
from training.windows import Protocol, Split, Window


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run."""

    bundle_id: str
    promoted: bool
    report: Document


def train(
    place: Place, settings: TrainingSettings, until: datetime | None, promote: bool, now: datetime, progress: Progress
) -> Trained:
    """Learn from the history and publish a bundle.

    Args:
        place: where state and bundles are.
        settings: what to fit and how.
        until: use events before it only; None: all until now.
        promote: serve the bundle at once.
        now: the present.
        progress: shows the stages.
    Raises: TrainingDataError if the history cannot be learned from; GateError if the model is not good
        enough, after its report was written to HOME/reports.
    """
    with threadpool_limits(1, "blas"):
        with progress.stage("read"):
            dataset = read_dataset(place.database, place.settings, until, now)
            gaps = read_gaps(place.database)
        with progress.stage("split"):
            split = split_of(dataset, settings)
        tuned, gate = tune(dataset, split.validation, settings, progress)
        evaluations, newest = evaluate_windows(dataset, split, tuned, settings, progress)
        insights = look_closer(place, newest, dataset, split.test, settings, progress, now)
        whole = refit(dataset, newest, settings, progress)
        with progress.stage("write"):
            draft = draft_bundle(whole, dataset, settings, now)
            facts = RunFacts("Training report", draft.bundle_id, now, settings, progress.seconds)
            report = report_document(facts, dataset, split, gate, evaluations, whole.ranker, gaps, insights)
            _publish_or_keep_report(place, draft, gate, report)
    if promote:
        place.registry.promote(draft.bundle_id, now)
    return Trained(draft.bundle_id, promote, report)


def split_of(dataset: Dataset, settings: TrainingSettings) -> Split:
    """Split a dataset as the settings say."""
    option = settings.split
    protocol = Protocol(option.protocol) if option.protocol else None
    return split_dataset(dataset, protocol, option.window_days or None)


def tune(dataset: Dataset, window: Window, settings: TrainingSettings, progress: Progress) -> tuple[Recommender, Gate]:
    """Fit on what the validation window may see, tune the blend on the window, and judge the result there."""
    fitted = _fit("fit for validation", dataset, window, settings, progress, None)
    panel = panel_for(dataset, window, settings, settings.evaluation.tuning_members)
    with progress.stage("retrieve for validation", len(panel) * len(TUNED)) as step:
        pools = retrieve_pools(fitted, panel, tuple(TUNED), max(DEPTHS), step)
    with progress.stage("tune blend", len(TUNED)) as step:
        blend = fit_blend(pools, lambda name: step(1), settings.thread_count)
    with progress.stage("judge"):
        gate = judge(pools.ranked_by(blend), settings)
    return replace(fitted, ranker=blend), gate


def evaluate_windows(
    dataset: Dataset, split: Split, tuned: Recommender, settings: TrainingSettings, progress: Progress
) -> tuple[list[Evaluation], Recommender]:
    """Replay every test window with models fitted before it; return the figures and the newest models."""
    evaluations, newest = [], tuned
    for window in split.origins:
        fitted = _fit(f"fit for {window.name}", dataset, window, settings, progress, newest)
        newest = replace(fitted, ranker=tuned.ranker)
        lists = 3 * min(len(window.truth.person_row), settings.evaluation.members or len(dataset.people))
        with progress.stage(f"evaluate {window.name}", lists) as step:
            evaluations.append(evaluate(newest, dataset, window, settings, step))
    return evaluations, newest


def refit(dataset: Dataset, newest: Recommender, settings: TrainingSettings, progress: Progress) -> Recommender:
    """Fit on everything; the blend keeps the weights that were tuned."""
    with progress.stage("fit on all", len(DEPTH)) as step:
        fitted = fit_recommender(dataset, dataset.until_minute, settings, lambda name: step(1), newest)
    return replace(fitted, ranker=newest.ranker)


def read_gaps(database: Database) -> list[LedgerGap]:
    """Return the missing and thin days of the ledger."""
    with database.read() as connection:
        return ledger_gaps(connection)


def save_report(folder: Path, name: str, report: Document) -> Path:
    """Write a report that belongs to no bundle as NAME.html and NAME.json; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(to_json(report), "utf-8")
    page = folder / f"{name}.html"
    page.write_text(to_html(report), "utf-8")
    return page


def _publish_or_keep_report(place: Place, draft: Draft, gate: Gate, report: Document) -> None:
    try:
        check_gate(gate)
    except GateError as error:
        page = save_report(place.reports, f"rejected-{draft.bundle_id}", report)
        raise GateError(f"{error.message} The report is {page}.", accepted=error.accepted) from None
    publish(draft, report, place.settings.models)


def _fit(
    name: str,
    dataset: Dataset,
    window: Window,
    settings: TrainingSettings,
    progress: Progress,
    warm: Recommender | None,
) -> Recommender:
    """Fit on what a window may see."""
    with progress.stage(name, len(DEPTH)) as step:
        return fit_recommender(window.cut(dataset), window.fit_minute, settings, lambda part: step(1), warm)

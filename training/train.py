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
from training.coupon_report import report_coupons
from training.course import Course
from training.dataset import Dataset
from training.evaluate import DEPTHS, evaluate, panel_for
from training.evaluation import Evaluation
from training.fit.blend import TUNED, fit_blend
from training.fit.coupons import CouponFit, fit_coupons
from training.fit.diversity import fit_spread
from training.fit.ranker import LEARNED
from training.fit.scenarios import fit_scenarios
from training.gate import Gate, judge, only_where_better
from training.insights import look_closer
from training.page import to_html
from training.place import Place
from training.pools import retrieve_pools
from training.prepare import prepare, read_home_stores
from training.progress import Progress
from training.publish import Draft, check_gate, draft_bundle, publish
from training.report import Document, RunFacts, report_document, to_json
from training.sends import any_sends, read_coupon_history
from training.settings import TrainingSettings
from training.spending import read_spending
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
        course = Course(dataset, settings, progress)
        course.study(split.ranker)
        tuned, gate = tune(course, split.validation)
        evaluations, newest = evaluate_windows(course, split, tuned)
        insights = look_closer(place, newest, dataset, split.test, settings, progress, now, course.lessons)
        whole = refit(course, newest, split.test)
        coupons = learn_coupons(place, settings, dataset.until, progress)
        people = min(len(dataset.people), settings.prepared_members)
        with progress.stage("rank in advance", people) as step:
            prepared = prepare(whole, dataset, read_home_stores(place.database), settings, step)
        told = None if coupons is None else report_coupons(coupons, settings.seed)
        with progress.stage("write"):
            draft = draft_bundle(whole, dataset, settings, now, prepared, None if coupons is None else coupons.models)
            facts = RunFacts("Training report", draft.bundle_id, now, settings, progress.seconds)
            report = report_document(facts, dataset, split, gate, evaluations, whole.ranker, gaps, insights, told)
            _publish_or_keep_report(place, draft, gate, report)
    if promote:
        place.registry.promote(draft.bundle_id, now)
    return Trained(draft.bundle_id, promote, report)


def split_of(dataset: Dataset, settings: TrainingSettings) -> Split:
    """Split a dataset as the settings say."""
    option = settings.split
    protocol = Protocol(option.protocol) if option.protocol else None
    return split_dataset(dataset, protocol, option.window_days or None, settings.ranker.windows)


def tune(course: Course, window: Window) -> tuple[Recommender, Gate]:
    """Fit on what the validation window may see, choose blend and trees on the window, and judge the result there."""
    settings, progress = course.settings, course.progress
    fitted = course.fit(window)
    panel = panel_for(course.dataset, window, settings, settings.evaluation.tuning_members)
    with progress.stage("retrieve for validation", len(panel) * len(TUNED)) as step:
        pools = retrieve_pools(fitted, panel, tuple(TUNED), max(DEPTHS), step)
    with progress.stage("tune blend", len(TUNED)) as step:
        blend = fit_blend([pools, *course.pools], lambda name: step(1), settings.thread_count)
    with progress.stage("tune placements"):
        blend = replace(blend, weights={**blend.weights, **fit_scenarios(fitted, course.dataset, window, settings)})
    with progress.stage("learn to rank"):
        ranker = course.ranker(fitted, window, blend, tuple(LEARNED))
    with progress.stage("judge"):
        ranker, judged = only_where_better(ranker, pools, settings.thread_count)
        gate = judge(judged, settings)
    with progress.stage("spread"):
        spread = fit_spread(judged, course.dataset, window, settings)
    return replace(fitted, ranker=ranker, spread=spread), gate


def evaluate_windows(course: Course, split: Split, tuned: Recommender) -> tuple[list[Evaluation], Recommender]:
    """Replay every test window with models that learned from all windows before it.

    Returns: the figures, and the newest models.
    """
    dataset, settings, progress = course.dataset, course.settings, course.progress
    evaluations, newest, earlier = [], tuned, split.validation
    for window in split.origins:
        course.learn(newest, earlier)
        fitted = course.fit(window)
        with progress.stage(f"learn to rank for {window.name}"):
            newest = replace(fitted, ranker=course.again(fitted, window, newest.ranker), spread=tuned.spread)
        lists = 3 * min(len(window.truth.person_row), settings.evaluation.members or len(dataset.people))
        with progress.stage(f"evaluate {window.name}", lists) as step:
            evaluations.append(evaluate(newest, dataset, window, settings, step))
        earlier = window
    return evaluations, newest


def refit(course: Course, newest: Recommender, last: Window) -> Recommender:
    """Fit on everything, and let the ranker learn from every window, also the last; what was chosen stays."""
    course.learn(newest, last)
    fitted = course.fit(None)
    with course.progress.stage("learn to rank on all"):
        return replace(fitted, ranker=course.again(fitted, None, newest.ranker), spread=newest.spread)


def learn_coupons(place: Place, settings: TrainingSettings, until: datetime, progress: Progress) -> CouponFit | None:
    """Fit the models of coupons on what was sent before a time; None where nothing was."""
    with place.database.read() as connection:
        if not any_sends(connection, until):
            return None
    with progress.stage("read coupons"):
        spending = read_spending(place.database, place.settings, until)
        history = read_coupon_history(place.database, spending, until)
    with progress.stage("learn from coupons"):
        return fit_coupons(spending, history, place.settings.contact_cost_cents, settings.seed)


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

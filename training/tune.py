"""Tuning: finds settings on the validation window alone, retriever by retriever, within a time or a number of trials.

Each retriever is fitted and judged alone, which takes seconds, so that many settings can be tried. What it found is
kept if it beats the settings given by more than chance. In the end all retrievers together are judged with the old and
the new settings: all gains at once and, if that is no better, one after the other while there is time. Trials are kept
in HOME/tuning: an interrupted run goes on.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.dataset import Dataset
from training.metrics import FloatVector, Interval, bootstrap
from training.progress import Progress, Step
from training.settings import TrainingSettings, settings_text
from training.tune_scores import Scorer
from training.tune_space import PHASES, Part, changed, suggested, values_of
from training.windows import Subset, Window

if TYPE_CHECKING:
    import optuna

STARTUP_TRIALS = 6
"""Trials of a part at random, before what was tried guides what is tried next."""
STEP = 1.0
"""Standard errors of the paired difference that a gain must exceed: what is smaller is not found again."""
PHASE_SHARES = (0.35, 0.7)
"""When each phase ends, as parts of the time between the first judgement and the last."""
FINAL_FACTOR = 1.2
"""What a judgement of all retrievers may take, beside the first one."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: after some seconds, or after a number of trials of each part; the first of both."""

    seconds: float | None
    trials: int | None
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class TunedPart:
    """What tuning found for one retriever: NDCG@10 alone, with the given settings and with the best ones."""

    name: str
    subset: str
    trials: int
    before: Interval
    after: Interval
    difference: Interval
    kept: bool
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class WholeRow:
    """NDCG@10 of all retrievers together, with the given settings and with the tuned ones."""

    subset: str
    before: Interval
    after: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning found.

    settings: the ones given where nothing was better.  accepted: the parts whose new values are in them.
    whole: all retrievers with the settings given and with those found, or with all gains if none was accepted.
    """

    settings: TrainingSettings
    accepted: tuple[str, ...]
    parts: tuple[TunedPart, ...]
    whole: tuple[WholeRow, ...]

    @property
    def better(self) -> bool:
        """Whether anything better was found."""
        return bool(self.accepted)


def tune_settings(
    dataset: Dataset, window: Window, settings: TrainingSettings, folder: Path, budget: Budget, progress: Progress
) -> Tuned:
    """Find settings for a dataset.

    Args:
        dataset: the whole history.
        window: the validation window; nothing after it is looked at.
        settings: where tuning begins.
        folder: keeps the trials.
        budget: when to stop.
        progress: shows the stages.
    """
    began = budget.clock()
    scorer = Scorer(dataset, window, settings)
    with progress.stage("judge the given settings"):
        before = scorer.whole(settings)
    last = FINAL_FACTOR * (budget.clock() - began)
    end = None if budget.seconds is None else began + budget.seconds - last
    start, found, parts = budget.clock(), settings, list[TunedPart]()
    for number, (phase, share) in enumerate(zip(PHASES, PHASE_SHARES, strict=True), start=1):
        left = None if end is None else start + share * (end - start) - budget.clock()
        own = replace(budget, seconds=left)
        found, tuned = _tune_phase(scorer, phase, found, folder, own, progress, f"tune, phase {number}")
        parts += tuned
    gains = sorted(
        (part for part in parts if part.kept), key=lambda part: -part.difference.mean / max(part.before.mean, 1e-9)
    )
    if not gains:
        return Tuned(settings, (), tuple(parts), ())
    with progress.stage("judge the new settings"):
        choice = choose(scorer, settings, before, gains, None if end is None else lambda: budget.clock() < end)
    return Tuned(choice.settings, choice.accepted, tuple(parts), choice.rows)


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings with the values of some parts, and how all retrievers do with them."""

    settings: TrainingSettings
    accepted: tuple[str, ...]
    rows: tuple[WholeRow, ...]


def choose(
    scorer: Scorer,
    settings: TrainingSettings,
    before: dict[Subset, FloatVector],
    gains: Sequence[TunedPart],
    has_time: Callable[[], bool] | None,
) -> Choice:
    """Take all gains if together they are better; otherwise one after the other, largest first, while there is time."""

    def judged(taken: Sequence[TunedPart]) -> Choice:
        tried = settings
        for part in taken:
            tried = changed(tried, part.values)
        rows = _whole_rows(before, scorer.whole(tried), settings)
        return Choice(tried, tuple(part.name for part in taken), rows)

    everything = judged(gains)
    if is_better(everything.rows):
        return everything
    taken: list[TunedPart] = []
    best = Choice(settings, (), everything.rows)
    for part in gains if len(gains) > 1 else ():
        if has_time is not None and not has_time():
            break
        more = judged([*taken, part])
        if is_better(more.rows) and (not taken or gain_of(more.rows) > gain_of(best.rows)):
            taken, best = [*taken, part], more
    return best


def gain_of(rows: Sequence[WholeRow]) -> float:
    """Return the mean gain over the subsets, relative to what was reached before."""
    return sum(row.difference.mean / max(row.before.mean, 1e-9) for row in rows) / max(len(rows), 1)


def is_better(rows: Sequence[WholeRow]) -> bool:
    """Tell whether new settings gain and are significantly below on no subset."""
    return gain_of(rows) > 0 and all(row.difference.high >= 0 for row in rows)


def _tune_phase(
    scorer: Scorer,
    phase: Sequence[Part],
    settings: TrainingSettings,
    folder: Path,
    budget: Budget,
    progress: Progress,
    name: str,
) -> tuple[TrainingSettings, list[TunedPart]]:
    """Try settings of each part in turn, then put together what was gained."""
    searches = [_Search(scorer, part, settings, folder) for part in phase if part.name not in settings.retrievers.off]
    total = budget.trials * len(searches) if budget.seconds is None else max(1, int(budget.seconds))  # type: ignore[operator]
    with progress.stage(name, total) as step:
        _run(searches, budget, step)
    tuned = [found for search in searches if (found := search.result()) is not None]
    for part in tuned:
        if part.kept:
            settings = changed(settings, part.values)
    return settings, tuned


def _run(searches: Sequence[_Search], budget: Budget, step: Step) -> None:
    """Give each search one trial after the other, until the budget is used up."""
    began = shown = budget.clock()
    for search in _in_turn(searches, budget.trials):
        if budget.seconds is not None and budget.clock() - began >= budget.seconds:
            return
        search.try_once()
        if budget.seconds is None:
            step(1)
        else:
            step(int(budget.clock() - began) - int(shown - began))
            shown = budget.clock()


def _in_turn(searches: Sequence[_Search], trials: int | None) -> Iterator[_Search]:
    """Yield the searches that can go on, in turn, until all have had so many trials."""
    number = 0
    while trials is None or number < trials:
        going = [search for search in searches if search.possible]
        yield from going
        number += 1
        if not going:
            return


class _Search:
    """The trials of one part, kept in a journal file."""

    def __init__(self, scorer: Scorer, part: Part, settings: TrainingSettings, folder: Path) -> None:
        self._scorer, self._part, self._settings = scorer, part, settings
        self._study = _study(folder, scorer.key, part, settings)
        self._given: FloatVector | None = None
        self.possible = True

    def try_once(self) -> None:
        """Judge one more choice of settings; a part that finds nothing in this history is given up."""
        import optuna

        trial = self._study.ask()
        values = self._scorer.part(self._part, suggested(self._part, trial, self._settings))
        if values is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self.possible = False
            return
        if trial.number == 0:
            self._given = values
        self._study.tell(trial, float(np.nanmean(values)))

    def result(self) -> TunedPart | None:
        """Compare the best settings with the given ones, paired by member; None if nothing was tried."""
        import optuna

        done = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if not done:
            return None
        best = max(done, key=lambda trial: (trial.value or 0.0, -trial.number))
        # A trial keeps full digits, the settings fewer: what is judged is what is written.
        settings = changed(self._settings, best.params)
        given = self._given if self._given is not None else self._scorer.part(self._part, self._settings)
        after = given if best.number == 0 else self._scorer.part(self._part, settings)
        assert given is not None
        assert after is not None
        difference = (after - given)[~np.isnan(given)]
        error = float(difference.std()) / math.sqrt(max(len(difference), 1))
        rng, rounds = np.random.default_rng(self._settings.seed), self._settings.evaluation.bootstrap_rounds
        old, new, gain = bootstrap(np.stack([given, after, after - given], axis=1), rng, rounds)
        kept = float(difference.mean()) > STEP * error + 1e-6
        values = values_of(self._part, settings)
        return TunedPart(self._part.name, self._part.subset.value, len(done), old, new, gain, kept, values)


def _study(folder: Path, key: str, part: Part, settings: TrainingSettings) -> optuna.Study:
    """Open the study of a part under these settings, which begins with the settings as they are."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    digest = hashlib.sha256(f"{key}\n{settings_text(settings)}".encode()).hexdigest()[:16]
    study = optuna.create_study(
        storage=storage, study_name=f"{digest}-{part.name}", direction="maximize", load_if_exists=True
    )
    tried = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + tried, n_startup_trials=STARTUP_TRIALS)
    if tried == 0:
        study.enqueue_trial(dict(values_of(part, settings)))
    return study


def _whole_rows(
    before: dict[Subset, FloatVector], after: dict[Subset, FloatVector], settings: TrainingSettings
) -> tuple[WholeRow, ...]:
    rng, rounds = np.random.default_rng(settings.seed), settings.evaluation.bootstrap_rounds
    rows = []
    for subset, values in before.items():
        columns = np.stack([values, after[subset], after[subset] - values], axis=1)
        rows.append(WholeRow(subset.value, *bootstrap(columns, rng, rounds)))
    return tuple(rows)

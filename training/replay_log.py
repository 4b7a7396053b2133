"""Evaluates a bundle, or settings of a scenario, on slates that were logged with known chances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.bundle import Bundle
from recommender.errors import InputError
from recommender.events import member_subject
from recommender.lookup import QuerySource
from recommender.placement import Placement
from recommender.query import CONTEXT_SCENARIOS, Scenario
from recommender.request import SlateRequest
from recommender.storage.identities import resolve
from recommender.storage.live import LiveState
from recommender.storage.logged_slates import LogCounts, LoggedSlate, count_logged, read_logged
from training.off_policy import NO_ITEM, LoggedItems, OffPolicy, estimate
from training.panel import CHUNK
from training.past import Past
from training.place import Place
from training.progress import Progress

FEWEST_EFFECTIVE = 100
"""With fewer effective items than this an estimate is called undetermined."""
SEED = 20_260_301

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be evaluated, and on which slates.

    placement: settings of the scenario in place of those that hold; None leaves those.
    start, end: slates with start <= time < end.
    reward: what an item shown is judged by, a name of REWARDS.
    clip: largest weight; 0 = none.
    """

    scenario: Scenario
    start: datetime
    end: datetime
    reward: str
    clip: float = 0.0
    placement: Placement | None = None


def evaluate_off_policy(
    place: Place, bundle: Bundle, question: Question, now: datetime, progress: Progress
) -> Document:
    """Estimate what a bundle would have earned on logged slates.

    Only slates after the bundle's data count, so that it knows nothing of what came of them, and only those whose time
    for attribution is over. It is asked as those customers were known then; catalogue and settings are those of now,
    stock is left out.

    Returns: figures and, in `statement`, what they allow to say.
    Raises: InputError for scenarios about items that the log does not name.
    """
    if question.scenario in CONTEXT_SCENARIOS:
        raise InputError(
            "The log does not hold what these slates were about.",
            field="scenario",
            value=question.scenario,
            accepted=", ".join(part for part in Scenario if part not in CONTEXT_SCENARIOS),
        )
    start = max(question.start, bundle.trained_until)
    end = max(min(question.end, now - timedelta(days=place.settings.attribution_days)), start)
    with place.database.read() as connection:
        counts = count_logged(connection, question.scenario, start, end)
        slates = list(read_logged(connection, question.scenario, start, end, question.reward))
        people = _people(connection, slates)
    log = _replayed(place, bundle, question, slates, people, now, progress) if slates else None
    found = None if log is None else estimate(log, np.random.default_rng(SEED), question.clip)
    return {
        "bundle_id": bundle.bundle_id,
        "scenario": question.scenario.value,
        "reward": question.reward,
        "from": start.isoformat(),
        "to": end.isoformat(),
        "clip": question.clip or None,
        "slates": asdict(counts) | {"usable": len(slates)},
        "estimates": None if found is None else _without_nan(asdict(found)),
        "status": _status(found),
        "statement": _statement(counts, len(slates), found, start, end),
    }


def _replayed(
    place: Place,
    bundle: Bundle,
    question: Question,
    slates: Sequence[LoggedSlate],
    people: dict[str, str],
    now: datetime,
    progress: Progress,
) -> LoggedItems:
    """Ask the bundle for every logged slate, and lay what was shown beside what it would have shown."""
    recommender = bundle.recommender()
    source = QuerySource(bundle, place.database, place.settings.channel_kinds)
    live = LiveState(place.database, recommender.items, place.settings.zone).current(now)
    with progress.stage("read"):
        past = Past(place, bundle, max(slate.occurred_at for slate in slates), now)
    targets: list[list[str]] = []
    with threadpool_limits(1, "blas"), progress.stage("ask", len(slates)) as step:
        for start in range(0, len(slates), CHUNK):
            part, queries = slates[start : start + CHUNK], []
            for slate in part:
                request = SlateRequest(
                    question.scenario,
                    len(slate.item_id),
                    slate.subject,
                    slate.store_id,
                    slate.channel,
                    stock=False,
                    placement=question.placement,
                )
                before = past.of(people[slate.subject], slate.occurred_at)
                queries.append(source.query(request, live, now, before)[0])
            for answer in recommender.recommend(queries):
                targets.append([live.catalog.item_id(int(row)) for row in answer.row])
            step(len(part))
    return _log(slates, targets, people)


def _log(slates: Sequence[LoggedSlate], targets: Sequence[Sequence[str]], people: dict[str, str]) -> LoggedItems:
    items: dict[str, int] = {}
    customers: dict[str, int] = {}
    columns: list[tuple[int, int, int, int, float, float]] = []
    for slate, target in zip(slates, targets, strict=True):
        customer = customers.setdefault(people[slate.subject], len(customers))
        shown = zip(slate.item_id, slate.chance, slate.reward, strict=True)
        for place, (item_id, chance, reward) in enumerate(shown):
            wanted = items.setdefault(target[place], len(items)) if place < len(target) else NO_ITEM
            columns.append((customer, place + 1, items.setdefault(item_id, len(items)), wanted, chance, reward))
    whole, real = np.array([row[:4] for row in columns], np.int64), np.array([row[4:] for row in columns], np.float64)
    return LoggedItems(*whole.T, *real.T)


def _people(connection: Connection, slates: Sequence[LoggedSlate]) -> dict[str, str]:
    """Return whose history belongs to each subject: the member's it is linked to, or its own."""
    found = {}
    for subject in {slate.subject for slate in slates}:
        namespace, _, value = subject.partition(":")
        member_id = resolve(connection, namespace, value).member_id
        found[subject] = subject if member_id is None else member_subject(member_id)
    return found


def _without_nan(value: Document) -> Document:
    """Return figures as JSON can hold them."""
    return {
        name: _without_nan(part) if isinstance(part, dict) else None if part != part else part
        for name, part in value.items()
    }


def _status(found: OffPolicy | None) -> str:
    if found is None or found.effective_items < FEWEST_EFFECTIVE:
        return "undetermined"
    return "better" if found.gain.low > 0 else "worse" if found.gain.high < 0 else "no_difference_seen"


def _statement(counts: LogCounts, usable: int, found: OffPolicy | None, start: datetime, end: datetime) -> str:
    if counts.slates == 0:
        return (
            f"No slate of this scenario was logged between {start:%Y-%m-%d %H:%M} (the bundle's data end before it) and"
            f" {end:%Y-%m-%d %H:%M} UTC (later ones may still be credited)."
        )
    if found is None:
        return (
            f"Nothing can be said: of {counts.slates:,} slates {counts.without_chances:,} were served without"
            f" exploration and {counts.narrowed:,} to requests that cannot be asked again. A log without chances only"
            " knows what came of what was shown. Give the scenario an exploration_share."
        )
    told = f"{usable:,} of {counts.slates:,} slates count; {counts.without_chances:,} were served without exploration."
    if found.effective_items < FEWEST_EFFECTIVE:
        return f"{told} They say as much as {found.effective_items:,.0f} items shown by the bundle itself: too few."
    if found.mean_weight.high < 1.0:
        told += (
            f" The bundle shows items that exploration never could (mean weight {found.mean_weight.value:.2f} instead"
            " of 1): for those DR relies on its reward model, IPS counts nothing, and SNIPS leaves them out."
        )
    return told

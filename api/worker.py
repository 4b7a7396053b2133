"""The background worker: a loop over tasks that may run in any number of processes, each thing done once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from api.children import Child
from api.coupon_rules import wallet_rules
from api.delivery_worker import DeliveryThread, tend_deliveries
from api.settings import ServiceSettings
from recommender.campaigns.daily import due_members
from recommender.campaigns.feature_age import is_due
from recommender.campaigns.plans import waiting_plans
from recommender.campaigns.running import advance
from recommender.campaigns.triggering import trigger
from recommender.coupons.codes import prune_codes
from recommender.coupons.counters import prune_claims
from recommender.coupons.offline import follow_external
from recommender.coupons.supervision import freeze_runaways
from recommender.coupons.undoing import CHUNK_COUPONS, expire
from recommender.coupons.wallet import Turn, WalletRules
from recommender.errors import MemberwiseError
from recommender.exposures import read_spool, remove_finished, spool_files
from recommender.registry import Registry
from recommender.storage.attribution import attribute, attributed_sequence
from recommender.storage.audit import prune_audit
from recommender.storage.compact import CompactResult, compact
from recommender.storage.database import Database, open_database
from recommender.storage.event_log import open_event_log
from recommender.storage.exposures import drain, drained_to, forget_file, prune_exposures

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
"""How long the loop sleeps between looks at what is due."""


PRUNE_EVERY = timedelta(hours=1)
FOLLOW_EVERY = timedelta(minutes=1)
RENEW_EVERY = timedelta(seconds=30)
PLAN_EVERY = timedelta(seconds=5)
CAMPAIGN_EVERY = timedelta(seconds=1)
TRIGGER_EVERY = timedelta(seconds=5)
PLAN = ("offers", "plan", "--requested")
"""The command that makes plans; it takes much memory for a while, and gives it back."""
WORKER = "worker"
"""Stands in the ledger for what the worker does by itself."""


@dataclass(slots=True)
class Task:
    """Something to do again and again: `run` is given the present."""

    name: str
    every: timedelta
    run: Callable[[datetime], object]
    due: datetime = field(default=datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Drained:
    """What was moved from the spool: answers, lines that could not be read, and files that are done with."""

    exposures: int = 0
    damaged: int = 0
    removed: int = 0

    def __add__(self, other: Drained) -> Drained:
        return Drained(self.exposures + other.exposures, self.damaged + other.damaged, self.removed + other.removed)


def run(settings: ServiceSettings) -> None:
    """Work until told to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    database = open_database(settings)
    logger.info("worker_started")
    delivery = DeliveryThread(settings, database)
    features, planner = Child(("audiences", "refresh", "--quiet")), Child(PLAN)
    run_tasks(_tasks(settings, database, features, planner), lambda: datetime.now(UTC), stop)
    features.stop()
    planner.stop()
    delivery.stop()
    drain_spool(database, settings.spool_folder)
    database.dispose()
    logger.info("worker_stopped")


def run_tasks(tasks: Sequence[Task], clock: Callable[[], datetime], stop: threading.Event) -> None:
    """Run each task when it is due, until `stop` is set; a task that fails is told and comes again."""
    while not stop.is_set():
        for task in tasks:
            now = clock()
            if now >= task.due and not stop.is_set():
                task.due = now + task.every
                _run_one(task, now)
        stop.wait(IDLE_SECONDS)


def drain_spool(database: Database, folder: Path) -> Drained:
    """Move every whole line of the spool into the database, and remove the files that are done with."""
    total = Drained()
    for path in spool_files(folder):
        total += _drain_file(database, path)
    return total


def compact_events(
    database: Database, settings: ServiceSettings, now: datetime, minimum_rows: int = 1
) -> CompactResult:
    """Copy posted events to the event log if enough wait, and prune behind the oldest bundle what is attributed."""
    attribute(database, settings.attribution_window, now)
    with database.read() as connection:
        attributed = attributed_sequence(connection)
    keep_after = min(Registry(settings.models).oldest_sequence() or 0, attributed)
    return compact(database, open_event_log(settings), keep_after, now, minimum_rows)


def tend_coupons(database: Database, rules: WalletRules, now: datetime) -> int:
    """End locks, coupons and codes whose time is over, and freeze offers that run away; return how many ended."""
    total = 0
    while True:
        with database.write(durable=True) as connection:
            ended = expire(Turn(connection, rules, now, WORKER))
        total += ended
        if ended < CHUNK_COUPONS:
            break
    with database.write(durable=True) as connection:
        prune_codes(connection, now)
        freeze_runaways(connection, rules, now)
    return total


def follow_coupons(database: Database, now: datetime) -> None:
    """Count what other systems redeemed against budgets."""
    with database.write(durable=True) as connection:
        follow_external(connection, now)


def prune_coupons(database: Database, before: datetime) -> int:
    """Forget the hashes of devices, payers and phone numbers that claimed nothing since; return how many."""
    with database.write() as connection:
        return prune_claims(connection, before)


def renew_features(database: Database, settings: ServiceSettings, child: Child, now: datetime) -> None:
    """Have the features that audiences are found by made anew, in a process of its own, if they are old."""
    if (
        settings.audience_seconds
        and not child.is_running()
        and is_due(database, settings, settings.audience_seconds, now)
    ):
        child.start()


def plan_campaigns(database: Database, child: Child, now: datetime) -> None:
    """Have the plans that wait made, in a process of its own; what one that dies leaves is taken up by the next."""
    if child.is_running():
        return
    with database.read() as connection:
        waiting = waiting_plans(connection, now)
    if waiting:
        child.start()


def trigger_campaigns(database: Database, settings: ServiceSettings, now: datetime) -> int:
    """Let triggered campaigns speak where their events came; return how many messages were decided on."""
    return trigger(
        database,
        settings.home,
        lambda moment: moment.astimezone(settings.zone).date().isoformat(),
        lambda one, campaign, moment: due_members(database, settings, one, campaign, moment),
        now,
    )


def _campaign_tasks(settings: ServiceSettings, database: Database, planner: Child) -> list[Task]:
    return [
        Task("plan_campaigns", PLAN_EVERY, lambda now: plan_campaigns(database, planner, now)),
        Task("trigger_campaigns", TRIGGER_EVERY, lambda now: trigger_campaigns(database, settings, now)),
        Task("advance_campaigns", CAMPAIGN_EVERY, lambda now: advance(database, now, settings.zone)),
    ]


def _tasks(settings: ServiceSettings, database: Database, features: Child, planner: Child) -> list[Task]:
    rules = wallet_rules(settings)
    return [
        *_campaign_tasks(settings, database, planner),
        Task(
            "drain_spool",
            timedelta(seconds=settings.drain_seconds),
            lambda _now: drain_spool(database, settings.spool_folder),
        ),
        Task(
            "attribute",
            timedelta(seconds=settings.attribute_seconds),
            lambda now: attribute(database, settings.attribution_window, now),
        ),
        Task("prune_exposures", PRUNE_EVERY, lambda now: prune_exposures(database, now - _kept(settings))),
        Task(
            "prune_audit",
            PRUNE_EVERY,
            lambda now: prune_audit(database, now - timedelta(days=settings.audit_days)),
        ),
        Task(
            "tend_coupons",
            timedelta(seconds=settings.coupon_seconds),
            lambda now: tend_coupons(database, rules, now),
        ),
        Task("tend_deliveries", FOLLOW_EVERY, lambda now: tend_deliveries(database, settings, now)),
        Task("follow_coupons", FOLLOW_EVERY, lambda now: follow_coupons(database, now)),
        Task(
            "prune_coupons",
            PRUNE_EVERY,
            lambda now: prune_coupons(database, now - timedelta(days=settings.audit_days)),
        ),
        Task(
            "compact_events",
            timedelta(seconds=settings.compact_seconds),
            lambda now: compact_events(database, settings, now, settings.compact_rows),
        ),
        Task("renew_features", RENEW_EVERY, lambda now: renew_features(database, settings, features, now)),
    ]


def _kept(settings: ServiceSettings) -> timedelta:
    """Return how long exposures are kept: while anything may be credited to them in any case."""
    return timedelta(days=max(settings.exposure_days, 2 * settings.attribution_days))


def _run_one(task: Task, now: datetime) -> None:
    try:
        done = task.run(now)
    except MemberwiseError as error:
        logger.warning("task_failed task=%s reason=%s", task.name, error)
    except Exception:
        logger.exception("task_failed task=%s", task.name)
    else:
        logger.debug("task_done task=%s result=%s", task.name, done)


def _drain_file(database: Database, path: Path) -> Drained:
    total = Drained()
    with database.read() as connection:
        offset = drained_to(connection, path.name)
    while True:
        try:
            part = read_spool(path, offset)
        except FileNotFoundError:
            return total  # another worker finished it
        if part.next_offset == offset:
            break
        with database.write() as connection:
            if not drain(connection, path.name, offset, part.next_offset, part.exposures):
                return total  # another worker is at it
        offset = part.next_offset
        total += Drained(len(part.exposures), part.damaged)
    if part.damaged or total.damaged:
        logger.warning("spool_lines_damaged file=%s lines=%d", path.name, total.damaged)
    if remove_finished(path, offset):
        with database.write() as connection:
            forget_file(connection, path.name)
        total += Drained(removed=1)
    return total

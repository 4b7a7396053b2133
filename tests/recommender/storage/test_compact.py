"""Compaction copies every posted event exactly once, also when it is killed at any point or runs twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recommender.storage.compact import COMPACTED_AT, PRUNE_ROWS, CompactResult, compact
from recommender.storage.database import Database, next_sequence
from recommender.storage.event_log import EventLog, registered_files
from recommender.storage.events import append_events, insert_logged, recent_events
from recommender.storage.loads import LedgerDay, read_ledger
from recommender.storage.statements import fetch, read_counter
from recommender.storage.types import to_micros
from recommender.storage.unlogged import LOGGED, unlogged_events
from tests.factories import NOW, make_event


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "log")


def post(database: Database, *event_ids: str, occurred_at: datetime = NOW) -> None:
    with database.write() as connection:
        append_events(connection, [make_event(name, occurred_at=occurred_at) for name in event_ids], NOW)


def logged_ids(database: Database, log: EventLog) -> Counter[str]:
    with database.read() as connection:
        paths = log.paths(registered_files(connection))
    return Counter(name for path in paths for name in pq.ParquetFile(path).read(["event_id"])["event_id"].to_pylist())


def everything(database: Database, log: EventLog) -> Counter[str]:
    """Return how often each event is read by who reads the log and what the log lacks."""
    with database.read(snapshot=True) as connection:
        waiting = unlogged_events(connection)["event_id"].to_pylist()
        paths = log.paths(registered_files(connection))
    found = Counter(waiting)
    for path in paths:
        found.update(pq.ParquetFile(path).read(["event_id"])["event_id"].to_pylist())
    return found


def logged_to(database: Database) -> int:
    with database.read() as connection:
        return read_counter(connection, LOGGED)


def stored_ids(database: Database) -> set[str]:
    with database.read() as connection:
        return {row[0] for row in fetch(connection, "SELECT event_id FROM events")}


def test_posted_events_are_copied_once_and_stay_in_sql(database: Database, log: EventLog) -> None:
    post(database, "a", "b")
    post(database, "old", occurred_at=NOW - timedelta(days=40))
    assert compact(database, log, 0, NOW) == CompactResult(copied=3, files=2, pruned=0)
    assert compact(database, log, 0, NOW) == CompactResult(0, 0, 0)
    assert logged_ids(database, log) == Counter(["a", "b", "old"])
    assert stored_ids(database) == {"a", "b", "old"}
    post(database, "c")
    assert compact(database, log, 0, NOW).copied == 1
    assert logged_ids(database, log) == Counter(["a", "b", "old", "c"])
    with database.read() as connection:
        assert read_counter(connection, COMPACTED_AT) == to_micros(NOW)
        assert [file.sequence for file in registered_files(connection) if file.month == "2026-01"] == [3]


def test_parts_hold_as_many_events_as_told(database: Database, log: EventLog) -> None:
    post(database, *(f"e{n}" for n in range(7)))
    assert compact(database, log, 0, NOW, part_rows=3) == CompactResult(7, 3, 0)
    assert logged_ids(database, log) == Counter(f"e{n}" for n in range(7))


def test_few_events_wait_for_more(database: Database, log: EventLog) -> None:
    post(database, "a", "b")
    assert compact(database, log, 0, NOW, minimum_rows=3).copied == 0
    post(database, "c")
    assert compact(database, log, 0, NOW, minimum_rows=3).copied == 3


def test_what_every_bundle_includes_is_pruned(database: Database, log: EventLog) -> None:
    post(database, "a", "b", "c")
    assert compact(database, log, 2, NOW).pruned == 2
    assert stored_ids(database) == {"c"}
    with database.read() as connection:
        assert recent_events(connection, ["member:m1"], 2).item_id == ("i1",)
    assert compact(database, log, 99, NOW).pruned == 1
    assert logged_ids(database, log) == Counter(["a", "b", "c"])


def test_pruning_goes_on_beyond_one_transaction(sqlite_database: Database, log: EventLog) -> None:
    steps: list[str] = []
    post(sqlite_database, *(f"e{n}" for n in range(PRUNE_ROWS + 5)))
    result = compact(sqlite_database, log, 10**9, NOW, after_step=steps.append)
    assert result.pruned == PRUNE_ROWS + 5
    assert steps == ["read", "written", "registered", "pruned", "pruned"]


def test_events_that_came_with_a_load_are_not_copied_but_pruned(database: Database, log: EventLog) -> None:
    post(database, "a")
    row = ["loaded", to_micros(NOW), "view", "app", *[None] * 16, "till", 1]
    with database.write() as connection:
        insert_logged(connection, [row], next_sequence(connection), NOW)
    assert compact(database, log, 10, NOW) == CompactResult(1, 1, 2)
    assert logged_ids(database, log) == Counter(["a"])


def test_copied_events_are_in_the_ledger(database: Database, log: EventLog) -> None:
    late = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    with database.write() as connection:
        events = [make_event("a", store_id="s"), make_event("b", store_id="s"), make_event("c")]
        append_events(connection, [*events, make_event("d", occurred_at=late)], NOW)
    compact(database, log, 0, NOW)
    compact(database, log, 0, NOW)
    with database.read() as connection:
        assert read_ledger(connection) == {
            LedgerDay("api", "", date(2026, 3, 1)): 1,
            LedgerDay("api", "", date(2026, 3, 2)): 1,
            LedgerDay("api", "s", date(2026, 3, 2)): 2,
        }


def test_two_compactions_at_once_copy_once(database: Database, log: EventLog) -> None:
    post(database, "a", "b")
    inner: list[CompactResult] = []

    def meanwhile(step: str) -> None:
        if step == "written" and not inner:
            inner.append(CompactResult(0, 0, 0))
            inner[0] = compact(database, log, 0, NOW)

    assert compact(database, log, 0, NOW, after_step=meanwhile).copied == 0
    assert inner == [CompactResult(2, 1, 0)]
    assert logged_ids(database, log) == Counter(["a", "b"])
    with database.read() as connection:
        assert log.orphans(connection, datetime.now(UTC) + timedelta(days=1)) == []


def test_events_posted_during_a_compaction_are_copied_by_the_next(database: Database, log: EventLog) -> None:
    post(database, "a")

    def meanwhile(step: str) -> None:
        if step == "written" and "b" not in stored_ids(database):
            post(database, "b")

    assert compact(database, log, 100, NOW, after_step=meanwhile) == CompactResult(2, 2, 2)
    assert everything(database, log) == Counter(["a", "b"])


STEPS = ("read", "written", "registered", "pruned")


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_nothing_is_lost_or_doubled(
    database: Database, database_url: str, log: EventLog, step: str
) -> None:
    names = [f"e{n}" for n in range(5)]
    post(database, *names)
    assert run_process(_compact_and_die, database_url, str(log.folder), step) == -signal.SIGKILL
    assert everything(database, log) == Counter(names)
    with database.read() as connection:
        done = read_counter(connection, LOGGED) > 0
        assert bool(log.orphans(connection, datetime.now(UTC) + timedelta(days=1))) == (step == "written")
    assert done == (STEPS.index(step) >= STEPS.index("registered"))
    compact(database, log, 3, NOW)
    assert logged_ids(database, log) == Counter(names)
    assert stored_ids(database) == {"e3", "e4"}


def test_killed_at_random_while_events_are_posted(database: Database, database_url: str, log: EventLog) -> None:
    rng = random.Random(20260302)
    context = multiprocessing.get_context("spawn")
    for round_number in range(3):
        worker = context.Process(target=_compact_for_ever, args=(database_url, str(log.folder)))
        worker.start()
        before, number, end = logged_to(database), 0, None
        while end is None or time.monotonic() < end:
            post(database, *(f"{round_number}-{number}-{part}" for part in range(5)))
            number += 1
            if end is None and logged_to(database) > before:
                end = time.monotonic() + rng.random() * 0.2
        worker.kill()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        _assert_all_read_once(database, log, round_number)
    compact(database, log, 0, NOW)
    assert set(logged_ids(database, log).values()) == {1}
    assert set(logged_ids(database, log)) == stored_ids(database)


def _assert_all_read_once(database: Database, log: EventLog, round_number: int) -> None:
    found = everything(database, log)
    assert set(found.values()) == {1}
    assert {name.split("-")[0] for name in found} == {str(n) for n in range(round_number + 1)}
    assert stored_ids(database) == set(found)


def run_process(target: Callable[..., None], *values: object) -> int | None:
    process = multiprocessing.get_context("spawn").Process(target=target, args=values)
    process.start()
    process.join(60)
    return process.exitcode


def _compact_and_die(url: str, folder: str, last_step: str) -> None:
    def die(step: str) -> None:
        if step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    compact(Database(url), EventLog(Path(folder)), 2, NOW, part_rows=3, after_step=die)


def _compact_for_ever(url: str, folder: str) -> None:
    database = Database(url, busy_timeout_seconds=30)
    while True:
        compact(database, EventLog(Path(folder)), 0, NOW, part_rows=7)

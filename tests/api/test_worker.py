"""The background worker: exposures reach the database exactly once, and one failing task does not stop the
rest.
"""

import threading
from datetime import UTC, datetime, timedelta

from api.settings import ServiceSettings
from api.worker import Drained, Task, compact_events, drain_spool, run_tasks
from recommender.errors import StoreBusyError
from recommender.events import Event, EventKind
from recommender.exposures import Exposure, ExposureLog, spool_files
from recommender.storage.database import Database, open_database
from recommender.storage.events import append_events
from recommender.storage.statements import fetch

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def exposure(number: int) -> Exposure:
    return Exposure(
        recommendation_id=f"r{number}",
        occurred_at=NOW,
        scenario="home",
        bundle_id="20260301-0123456789ab",
        strategy="personal",
        subject="member:1",
        store_id="s1",
        channel="app",
        item_id=("milk", "bread"),
        score=(0.5, 0.25),
        source=("repeat", "popularity"),
        reason=("bought_regularly", None),
    )


def stored(database: Database) -> list[tuple[str, int, str]]:
    with database.read() as connection:
        found = fetch(
            connection,
            "SELECT recommendation_id, position, item_id FROM exposures ORDER BY recommendation_id, position",
        )
    return [(row[0], row[1], row[2]) for row in found]


def test_exposures_are_moved_once_and_finished_files_removed(settings: ServiceSettings) -> None:
    database = open_database(settings)
    log = ExposureLog(settings.spool_folder)
    log.record(exposure(1))
    assert drain_spool(database, settings.spool_folder) == Drained(exposures=1)
    assert drain_spool(database, settings.spool_folder) == Drained()
    log.record(exposure(2))
    log.close()
    assert drain_spool(database, settings.spool_folder) == Drained(exposures=1, removed=1)
    assert stored(database) == [("r1", 1, "milk"), ("r1", 2, "bread"), ("r2", 1, "milk"), ("r2", 2, "bread")]
    assert spool_files(settings.spool_folder) == []
    with database.read() as connection:
        assert fetch(connection, "SELECT file FROM spool_files") == []
    database.dispose()


def test_workers_side_by_side_move_each_exposure_once(settings: ServiceSettings) -> None:
    database = open_database(settings)
    log = ExposureLog(settings.spool_folder)
    for number in range(200):
        log.record(exposure(number))
    log.close()
    moved: list[Drained] = []
    threads = [
        threading.Thread(target=lambda: moved.append(drain_spool(database, settings.spool_folder))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(moved) == 4
    assert len(stored(database)) == 400
    assert spool_files(settings.spool_folder) == []
    database.dispose()


def test_a_damaged_line_is_counted_and_left_behind(settings: ServiceSettings) -> None:
    database = open_database(settings)
    settings.spool_folder.mkdir(parents=True)
    (settings.spool_folder / "x.jsonl").write_bytes(exposure(1).line() + b"{half\n" + exposure(2).line() + b"{end")
    assert drain_spool(database, settings.spool_folder) == Drained(exposures=2, damaged=1, removed=1)
    assert len(stored(database)) == 4
    database.dispose()


def test_posted_events_are_compacted_when_enough_wait(settings: ServiceSettings) -> None:
    database = open_database(settings)
    events = [Event(f"e{number}", NOW, EventKind.VIEW, "app", item_id="milk") for number in range(3)]
    with database.write() as connection:
        append_events(connection, events, NOW)
    assert compact_events(database, settings, NOW, minimum_rows=4).copied == 0
    assert compact_events(database, settings, NOW).copied == 3
    assert compact_events(database, settings, NOW).copied == 0
    database.dispose()


def test_what_is_not_attributed_yet_is_not_pruned(settings: ServiceSettings) -> None:
    database = open_database(settings)
    log = ExposureLog(settings.spool_folder)
    log.record(exposure(1))
    log.close()
    named = Event("e", NOW, EventKind.VIEW, "app", item_id="milk", recommendation_id="r1")
    with database.write() as connection:
        append_events(connection, [named], NOW)
    drain_spool(database, settings.spool_folder)
    compact_events(database, settings, NOW)
    with database.read() as connection:
        assert fetch(connection, "SELECT views FROM exposures ORDER BY position") == [(1,), (0,)]
    database.dispose()


def test_a_failing_task_does_not_stop_the_others() -> None:
    stop = threading.Event()
    ran: list[str] = []

    def busy(_now: datetime) -> None:
        ran.append("busy")
        raise StoreBusyError("away")

    def broken(_now: datetime) -> None:
        ran.append("broken")
        raise ValueError("a mistake")

    def last(_now: datetime) -> None:
        ran.append("last")
        stop.set()

    tasks = [Task(name, timedelta(hours=1), run) for name, run in (("a", busy), ("b", broken), ("c", last))]
    run_tasks(tasks, lambda: NOW, stop)
    assert ran == ["busy", "broken", "last"]
    assert all(task.due == NOW + timedelta(hours=1) for task in tasks)

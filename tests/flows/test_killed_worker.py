"""The background worker, killed again and again: every exposure comes once, and every event is credited once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from api.settings import ServiceSettings
from api.worker import drain_spool
from recommender.events import Event, EventKind
from recommender.exposures import Exposure, ExposureLog, spool_files
from recommender.storage.attribution import attribute
from recommender.storage.database import Database, open_database
from recommender.storage.events import append_events
from recommender.storage.statements import fetch
from tests.flows.running import PROGRAM, environment
from tests.shop import settings_at

KILLS = 4
SLATES = 200
"""At least so many are served in all."""
ITEMS = ("milk", "bread", "eggs")


def slate(number: int, now: datetime) -> Exposure:
    return Exposure(
        recommendation_id=f"r{number:04d}",
        occurred_at=now,
        scenario="home",
        bundle_id="20260301-0123456789ab",
        strategy="personal",
        subject=f"member:{number % 20}",
        store_id=None,
        channel="app",
        item_id=ITEMS,
        score=(3.0, 2.0, 1.0),
        source=("repeat",) * 3,
        reason=(None,) * 3,
    )


def view(number: int, now: datetime) -> Event:
    item = ITEMS[number % 3]
    return Event(f"e{number}", now, EventKind.VIEW, "app", item_id=item, recommendation_id=f"r{number:04d}")


def start_worker(settings: ServiceSettings) -> subprocess.Popen[bytes]:
    quick = {"MEMBERWISE_DRAIN_SECONDS": "0.1", "MEMBERWISE_ATTRIBUTE_SECONDS": "0.1", "MEMBERWISE_COMPACT_ROWS": "1"}
    environ = environment(settings) | quick | {"MEMBERWISE_COMPACT_SECONDS": "1"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, "worker"], env=environ, stderr=subprocess.DEVNULL)


def write(database: Database, log: ExposureLog, number: int) -> None:
    """Serve a slate, and post what came of it."""
    now = datetime.now(UTC)
    assert log.record(slate(number, now))
    with database.write() as connection:
        append_events(connection, [view(number, now)], now)


def totals(database: Database) -> tuple[int, int, int]:
    """Return items shown, views credited, and credits."""
    with database.read() as connection:
        shown, views = fetch(connection, "SELECT COUNT(*), COALESCE(SUM(views), 0) FROM exposures")[0]
        credits = fetch(connection, "SELECT COUNT(*) FROM attributions WHERE waiting_until IS NULL")[0][0]
    return int(shown), int(views), int(credits)


def test_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    database = open_database(settings)
    log = ExposureLog(settings.spool_folder, file_bytes=20_000)
    number = 0
    for _ in range(KILLS):
        worker, before = start_worker(settings), totals(database)
        end = number + SLATES // KILLS
        while number < end or totals(database) == before:
            write(database, log, number)
            number += 1
            time.sleep(0.01)
        worker.send_signal(signal.SIGKILL)
        assert worker.wait(30) == -signal.SIGKILL
    log.close()
    drain_spool(database, settings.spool_folder)
    for _ in range(2):  # what waited for an exposure is settled by the next run
        attribute(database, settings.attribution_window, datetime.now(UTC))
    assert totals(database) == (3 * number, number, number)
    assert spool_files(settings.spool_folder) == []
    database.dispose()

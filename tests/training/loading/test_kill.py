"""A load killed at any point leaves all of a batch visible or nothing, and can be repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recommender.storage.database import Database
from recommender.storage.event_log import open_event_log
from recommender.storage.loads import list_loads
from tests.training.loading.intake import NOW, Intake, write

EVENTS = "event_id,occurred_at,kind,channel,item_id\n" + "\n".join(
    f"e{number:03d},2026-0{1 + number % 2}-01T00:00:00Z,view,app,i{number}" for number in range(100)
)
MAPPING = """
[[tables]]
name = "items"
[tables.columns]
item_id = "item_id"
[[tables]]
name = "events"
[tables.columns]
event_id = "event_id"
occurred_at = "occurred_at"
kind = "kind"
channel = "channel"
item_id = "item_id"
"""
LOADER = """
import os, signal, sys
from pathlib import Path
from recommender.storage.database import Database
from tests.training.loading.intake import Intake

home, url, export, mapping, last = sys.argv[1:]

def die(step: str) -> None:
    if step == last:
        os.kill(os.getpid(), signal.SIGKILL)

Intake(Path(home), Database(url)).load(Path(export), mapping=Path(mapping), after_step=die)
"""


@pytest.mark.parametrize("step", ["opened", "staged", "adopted", "written", "committed"])
def test_killed_loads(tmp_path: Path, sqlite_url: str, step: str) -> None:
    export, mapping = write(tmp_path / "export.csv", EVENTS), write(tmp_path / "map.toml", MAPPING)
    home, database = tmp_path / "home", Database(sqlite_url)
    command = [sys.executable, "-c", LOADER, str(home), sqlite_url, str(export), str(mapping), step]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.getcwd()}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    intake = Intake(home, database)
    visible = step == "committed"
    assert (len(intake.events()), len(intake.rows("items", "item_id"))) == ((100, 100) if visible else (0, 0))
    with database.read() as connection:
        assert len(list_loads(connection)) == (2 if visible else 0)
    again = intake.load(export, mapping=mapping)
    assert intake.count(again) == ((100, 0, 0, 100, 0) if visible else (100, 100, 0, 0, 0))
    assert (len(intake.events()), len(intake.rows("items", "item_id"))) == (100, 100)
    assert [name for name in intake.files() if name.startswith("work")] == []
    with database.read() as connection:
        orphans = open_event_log(intake.settings).orphans(connection, older_than=NOW.max.replace(tzinfo=NOW.tzinfo))
    assert bool(orphans) == (step in ("adopted", "written"))
    database.dispose()


def test_a_failed_load_leaves_nothing(intake: Intake, tmp_path: Path) -> None:
    def fail(step: str) -> None:
        if step == "written":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        intake.load(write(tmp_path / "events.csv", EVENTS), after_step=fail)
    assert (intake.events(), intake.files()) == ([], [])
    assert intake.count(intake.load(tmp_path / "events.csv")) == (100, 100, 0, 0, 0)

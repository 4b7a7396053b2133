"""The same event once: against the file itself, the log, and posted events; and what a bundle in use changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recommender.errors import StoreBusyError
from recommender.events import EventKind
from recommender.storage.compact import compact
from recommender.storage.event_log import open_event_log
from recommender.storage.events import append_events, recent_events
from recommender.storage.statements import fetch, last_sequence
from tests.factories import make_event
from tests.training.loading.intake import NOW, Intake, write
from tests.training.loading.test_rejects import rejected
from training.loading import duplicates, staging
from training.loading.place import Stores

HEADER = "event_id,occurred_at,kind,channel,member_id,item_id"
FIRST = "e1,2026-02-01T00:00:00Z,view,app,m1,i1"
OTHER = "e1,2026-02-01T00:00:00Z,view,app,m1,i2"
NEXT_MONTH = "e1,2026-03-01T00:00:00Z,view,app,m1,i1"
SECOND = "e2,2026-02-01T00:00:00Z,view,app,m1,i1"


def test_inside_a_file_the_first_wins(intake: Intake, tmp_path: Path) -> None:
    lines = [HEADER, NEXT_MONTH, FIRST, SECOND, NEXT_MONTH, OTHER, SECOND, SECOND]
    report = intake.load(write(tmp_path / "events.csv", "\n".join(lines)))
    assert intake.count(report) == (7, 2, 0, 3, 2)
    assert intake.events("event_id", "occurred_at") == [
        ("e1", datetime(2026, 3, 1, tzinfo=UTC)),
        ("e2", datetime(2026, 2, 1, tzinfo=UTC)),
    ]
    assert rejected(report) == [
        (3, "event_id", "e1", "conflicting_duplicate"),
        (6, "event_id", "e1", "conflicting_duplicate"),
    ]


def test_between_files_the_first_wins(any_intake: Intake, tmp_path: Path) -> None:
    any_intake.load(write(tmp_path / "events.csv", f"{HEADER}\n{FIRST}"))
    for line in (OTHER, NEXT_MONTH):
        report = any_intake.load(write(tmp_path / "events-2.csv", f"{HEADER}\n{SECOND}\n{line}\n{FIRST}"))
        assert rejected(report) == [(3, "event_id", "e1", "conflicting_duplicate")]
    assert any_intake.count(report) == (3, 0, 0, 2, 1)
    assert any_intake.events("event_id", "item_id") == [("e1", "i1"), ("e2", "i1")]


def test_posted_events_count_too(any_intake: Intake, tmp_path: Path) -> None:
    posted = [
        make_event("e1", occurred_at=datetime(2026, 2, 1, tzinfo=UTC), item_id="i1"),
        make_event(
            "e9", occurred_at=datetime(2026, 2, 1, tzinfo=UTC), kind=EventKind.PURCHASE, quantity=1.5, value=0.1
        ),
    ]
    with any_intake.database.write() as connection:
        append_events(connection, posted, NOW)
    again = "e9,2026-02-01T00:00:00Z,purchase,app,m1,i1,1.50,0.1"
    text = f"{HEADER},quantity,value\n{OTHER},,\n{again}\n{SECOND},,"
    report = any_intake.load(write(tmp_path / "events.csv", text))
    assert any_intake.count(report) == (3, 1, 0, 1, 1)
    with any_intake.database.write():
        pass
    compact(any_intake.database, open_event_log(any_intake.settings), 0, NOW)
    assert any_intake.count(any_intake.load(tmp_path / "events.csv")) == (3, 0, 0, 2, 1)
    assert any_intake.events("event_id", "item_id") == [("e1", "i1"), ("e2", "i1"), ("e9", "i1")]


def test_events_that_come_meanwhile_are_compared(any_intake: Intake, tmp_path: Path) -> None:
    intake = any_intake
    other = write(tmp_path / "events-2.csv", f"{HEADER}\n{SECOND}")
    came: list[str] = []

    def interfere(step: str) -> None:
        if step == "adopted" and not came:
            came.append("posted")
            with intake.database.write() as connection:
                posted = make_event("e1", occurred_at=datetime(2026, 2, 1, tzinfo=UTC), item_id="i9")
                append_events(connection, [posted, make_event("e7")], NOW)
        elif step == "adopted" and came == ["posted"]:
            came.append("loaded")
            intake.load(other)

    report = intake.load(
        write(tmp_path / "events.csv", f"{HEADER}\n{FIRST}\n{SECOND}\n{FIRST.replace('e1', 'e3')}"),
        after_step=interfere,
    )
    assert came == ["posted", "loaded"]
    assert intake.count(report) == (3, 1, 0, 1, 1)
    assert intake.events("event_id") == ["e2", "e3"]
    assert len([name for name in intake.files() if name.startswith("event_log")]) == 2


def test_events_that_never_stop_coming_end_the_load(intake: Intake, tmp_path: Path) -> None:
    count = iter(range(100))

    def interfere(step: str) -> None:
        if step == "adopted":
            number = next(count)
            other = write(tmp_path / f"events-{number}.csv", f"{HEADER}\n{SECOND.replace('e2', f'x{number}')}")
            intake.load(other)

    with pytest.raises(StoreBusyError, match="keep arriving"):
        intake.load(write(tmp_path / "events.csv", f"{HEADER}\n{FIRST}"), after_step=interfere)
    assert "e1" not in intake.events("event_id")


def test_rows_without_ids_get_ids_of_their_content(intake: Intake, tmp_path: Path) -> None:
    view = "2026-02-01T00:00:00Z,view,app,m1,i1"
    other = "2026-02-01T00:00:00Z,view,app,m1,i2"
    header = HEADER.partition(",")[2]
    report = intake.load(write(tmp_path / "events.csv", "\n".join([header, view, other, view, view])))
    assert intake.count(report) == (4, 4, 0, 0, 0)
    ids = intake.events("event_id")
    assert len(set(ids)) == 4
    report = intake.load(write(tmp_path / "events.csv", "\n".join([header, other, view, view, view, view])))
    assert intake.count(report) == (5, 1, 0, 4, 0)
    assert set(ids) < set(intake.events("event_id"))
    assert intake.count(intake.load(tmp_path / "events.csv", source="elsewhere")) == (5, 5, 0, 0, 0)


def test_slices_and_row_groups_change_nothing(intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "SLICE_ROWS", 100)
    monkeypatch.setattr(staging, "BATCH_ROWS", 64)
    monkeypatch.setattr(staging, "HELD_ROWS", 200)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [
        f"e{number % 700},{(start + timedelta(days=number % 350)).isoformat()},view,app,m1,i{number // 1000}"
        for number in range(2000)
    ]
    report = intake.load(write(tmp_path / "events.csv", "\n".join([HEADER, *rows])))
    # Of each id the rows 0..699 come first; 300 of those in 700..999 say the same, the others another item.
    assert intake.count(report) == (2000, 700, 0, 300, 1000)
    assert sorted(intake.events("event_id")) == sorted(f"e{number}" for number in range(700))
    assert set(intake.events("item_id")) == {"i0"}
    assert [row[0] for row in rejected(report)] == list(range(1002, 2002))


def test_with_a_bundle_in_use_sql_has_the_events_as_well(
    any_intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "events.csv", f"{HEADER},quantity\n{FIRST},2\n{SECOND},")
    any_intake.load(path)
    with any_intake.database.read() as connection:
        before = last_sequence(connection)
        assert fetch(connection, "SELECT count(*) FROM events") == [(0,)]
    monkeypatch.setattr("training.ingest.Stores", lambda **given: Stores(**(given | {"serves": True})))
    more = write(tmp_path / "events-2.csv", f"{HEADER},quantity\n{FIRST},2\n{FIRST.replace('e1', 'e5')},3")
    assert any_intake.count(any_intake.load(more)) == (2, 1, 0, 1, 0)
    with any_intake.database.read() as connection:
        assert fetch(connection, "SELECT event_id, in_log, quantity FROM events") == [("e5", True, 3.0)]
        found = recent_events(connection, ["member:m1"], before)
        assert (found.item_id, found.occurred_at) == (("i1",), (1_769_904_000_000_000,))
        assert recent_events(connection, ["member:m1"], last_sequence(connection)).item_id == ()

"""The files of the event log and their register."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender.errors import EventLogError
from recommender.settings import CoreSettings
from recommender.storage.database import Database, next_sequence
from recommender.storage.event_log import (
    EventLog,
    LogFile,
    log_schema,
    month_of,
    open_event_log,
    register,
    registered_files,
)
from recommender.storage.events import LOG_COLUMNS, append_events
from recommender.storage.statements import execute
from recommender.storage.unlogged import read_unlogged, unlogged_events
from tests.factories import NOW, make_event

JANUARY = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


def table_of(*rows: tuple[str, datetime]) -> pa.Table:
    """Return a table of the log's schema from (event_id, occurred_at)."""
    base = dict.fromkeys(LOG_COLUMNS) | {"kind": "view", "channel": "app", "source": "t"}
    entries = [base | {"event_id": event_id, "occurred_at": time} for event_id, time in rows]
    return pa.Table.from_pylist(entries, schema=log_schema())


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "log")


def test_events_are_written_by_month_in_the_order_of_time(log: EventLog) -> None:
    table = table_of(("c", FEBRUARY), ("b", JANUARY), ("a", FEBRUARY), ("d", JANUARY - timedelta(days=1)))
    january, february = log.write(table, sequence=7, load_id="l1")
    assert (january.month, january.rows, january.sequence, january.load_id) == ("2026-01", 2, 7, "l1")
    assert (january.min_time, january.max_time) == (JANUARY - timedelta(days=1), JANUARY)
    assert february.path.startswith("month=2026-02/")
    read = pq.ParquetFile(log.full_path(february)).read()
    assert read.schema.equals(log_schema())
    assert read.column("event_id").to_pylist() == ["a", "c"]
    assert february.bytes == log.full_path(february).stat().st_size


def test_the_schema_is_the_agreed_one() -> None:
    schema = log_schema()
    assert schema.names == list(LOG_COLUMNS)
    assert schema.field("occurred_at").type == pa.timestamp("us", tz="UTC")
    assert {name: str(schema.field(name).type) for name in ("revision", "quantity", "content_hash", "kind")} == {
        "revision": "int32",
        "quantity": "double",
        "content_hash": "int64",
        "kind": "string",
    }


def test_files_count_once_they_are_registered(log: EventLog, database: Database) -> None:
    files = log.write(table_of(("a", JANUARY), ("b", FEBRUARY)))
    with database.read() as connection:
        assert registered_files(connection) == []
    with database.write() as connection:
        register(connection, files, next_sequence(connection), "load-1")
    with database.read() as connection:
        found = registered_files(connection)
        assert [(file.path, file.sequence, file.load_id) for file in found] == [
            (file.path, 1, "load-1") for file in files
        ]
        assert found[0].min_time == JANUARY
        assert [file.month for file in registered_files(connection, before=FEBRUARY)] == ["2026-01"]
        assert log.paths(found) == [log.full_path(file) for file in found]
        assert log.problems(connection, checksums=True) == []


def test_registering_nothing_is_nothing(database: Database) -> None:
    with database.write() as connection:
        register(connection, [], 1)
        assert registered_files(connection) == []


def test_what_no_one_registered_is_an_orphan_after_a_while(log: EventLog, database: Database) -> None:
    kept, left = log.write(table_of(("a", JANUARY), ("b", FEBRUARY)))
    unfinished = log.temporary("2026-03")
    unfinished.write_bytes(b"half")
    with database.write() as connection:
        register(connection, [kept], 1)
    for path in (log.full_path(kept), log.full_path(left), unfinished):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    with database.read() as connection:
        assert log.orphans(connection, NOW) == []
        later = NOW + timedelta(seconds=1)
        assert log.orphans(connection, later) == [log.full_path(left), unfinished]
    log.discard([left, left])
    assert not log.full_path(left).exists()


def test_damage_is_found(log: EventLog, database: Database) -> None:
    files = log.write(table_of(("a", JANUARY), ("b", FEBRUARY), ("c", FEBRUARY + timedelta(days=40))))
    with database.write() as connection:
        register(connection, files, 1)
    missing, longer, changed = (log.full_path(file) for file in files)
    missing.unlink()
    with longer.open("ab") as file:
        file.write(b"x")
    data = bytearray(changed.read_bytes())
    data[20] ^= 1
    changed.write_bytes(data)
    with database.read() as connection:
        quick = log.problems(connection)
        assert [text.split(" ", 1)[1].split(" ")[0] for text in quick] == ["is", "has"]
        assert len(log.problems(connection, checksums=True)) == 3
        with pytest.raises(EventLogError, match="1 files of the event log are missing"):
            log.paths(registered_files(connection))


def test_a_file_written_elsewhere_is_adopted(log: EventLog) -> None:
    temporary = log.temporary("2026-02")
    pq.write_table(table_of(("a", FEBRUARY)), temporary)
    file = log.adopt(temporary, 1, (FEBRUARY, FEBRUARY), load_id="l")
    assert not temporary.exists()
    assert file == LogFile(file.path, "2026-02", 1, file.bytes, file.sha256, 0, "l", FEBRUARY, FEBRUARY)
    assert log.full_path(file).is_file()


def test_months_are_utc() -> None:
    assert month_of(datetime.fromisoformat("2026-02-01T07:00:00+08:00")) == "2026-01"


def test_the_folder_comes_from_the_settings(tmp_path: Path) -> None:
    assert open_event_log(CoreSettings(home=tmp_path)).folder == tmp_path / "event_log"
    named = CoreSettings(home=tmp_path, event_log=str(tmp_path / "x"))
    assert open_event_log(named).folder == tmp_path / "x"


def test_unlogged_events_come_in_the_order_of_their_sequences(database: Database) -> None:
    with database.write() as connection:
        events = [make_event(f"e{9 - n}", quantity=n / 2, position=n + 1) for n in range(5)]
        append_events(connection, events, NOW)
        execute(connection, "INSERT INTO counters (name, value) VALUES ('logged', 2)")
        execute(connection, "UPDATE events SET in_log = TRUE WHERE event_id = 'e6'")
    with database.read() as connection:
        table = unlogged_events(connection)
        assert table.schema.equals(log_schema())
        assert table.column("event_id").to_pylist() == ["e7", "e5"]
        assert table.column("quantity").to_pylist() == [1.0, 2.0]
        assert table.column("occurred_at").to_pylist() == [NOW - timedelta(hours=1)] * 2
        part = read_unlogged(connection, limit=1)
        assert (part.after, part.upto, part.table().num_rows) == (2, 3, 1)
        rest = read_unlogged(connection, after=3)
        assert (rest.after, rest.upto, rest.table().num_rows) == (3, 5, 1)


def test_nothing_unlogged_is_an_empty_table(database: Database) -> None:
    with database.read() as connection:
        table = unlogged_events(connection)
    assert table.num_rows == 0
    assert table.schema.equals(log_schema())


def test_subjects_erased_meanwhile_do_not_reach_the_log(database: Database) -> None:
    with database.write() as connection:
        append_events(connection, [make_event("e1"), make_event("e2", "m2")], NOW)
        execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES ('member:m1', 0)")
    with database.read() as connection:
        assert unlogged_events(connection).column("subject").to_pylist() == [None, "member:m2"]

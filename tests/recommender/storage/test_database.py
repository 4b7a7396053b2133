"""Transactions, sequences, time-outs, migrations and errors of both databases."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import recommender.storage
from recommender.errors import SettingsError, StoreBusyError
from recommender.settings import CoreSettings
from recommender.storage.database import HEAD, Database, next_sequence, open_database
from recommender.storage.statements import (
    driver,
    execute,
    fetch,
    last_sequence,
    read_counter,
    set_counter,
)
from recommender.storage.tables import metadata
from tests.postgres import Server


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    # What SQLAlchemy reads back from SQLite does not say which way an index goes.
    unread = {"ix_deliveries_queue"} if database.dialect == "sqlite" else set()
    with database.read() as connection:
        compared = {"compare_server_default": True, "include_object": lambda _one, name, *_: name not in unread}
        context = MigrationContext.configure(connection, opts=compared)
        assert compare_metadata(context, metadata) == []
        if unread:
            made = fetch(connection, "SELECT sql FROM sqlite_master WHERE name = 'ix_deliveries_queue'")[0][0]
            assert made.endswith("(campaign_id, transport, state, due_at, worth_cents DESC)")


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(recommender.storage.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    _migrate_at_once(f"sqlite:///{tmp_path / 'new.db'}")


@pytest.mark.postgres
def test_processes_that_start_at_once_migrate_once_on_postgres(postgres_server: Server) -> None:
    postgres_server.administer("CREATE DATABASE fresh")
    _migrate_at_once(postgres_server.url("fresh"))


def _migrate_at_once(url: str) -> None:
    databases = [Database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(database.migrate) for database in databases]:
            done.result()
    assert databases[0].revision() == HEAD
    with databases[0].read() as connection:
        assert last_sequence(connection) == 0
    for database in databases:
        database.dispose()


def test_a_database_of_a_newer_release_is_refused(database: Database) -> None:
    with database.write() as connection:
        execute(connection, "UPDATE alembic_version SET version_num = ?", ("9999",))
    with pytest.raises(SettingsError, match="newer release"):
        database.migrate()


def test_an_empty_database_has_no_revision(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'deep' / 'new.db'}")
    assert database.revision() is None
    database.dispose()


def test_open_database_makes_home_and_schema(tmp_path: Path) -> None:
    database = open_database(CoreSettings(home=tmp_path / "home"))
    assert database.revision() == HEAD
    assert (tmp_path / "home" / "memberwise.db").is_file()
    database.dispose()


def test_statistics_can_be_refreshed_at_any_time(database: Database) -> None:
    database.refresh_statistics()
    with database.write() as connection:
        assert next_sequence(connection) == 1


def test_sequences_are_handed_out_without_repeats(database: Database) -> None:
    with database.write() as connection:
        assert next_sequence(connection) == 1
        assert next_sequence(connection, 5) == 6
    with database.read() as connection:
        assert last_sequence(connection) == 6


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        assert 1 / (next_sequence(connection) - 1)
    with database.read() as connection:
        assert last_sequence(connection) == 0
    with database.write() as connection:
        assert next_sequence(connection) == 1


def test_a_write_that_waits_too_long_is_busy(database_url: str) -> None:
    patient, impatient = Database(database_url), Database(database_url, busy_timeout_seconds=0.05)
    with patient.write() as connection:
        next_sequence(connection)
        with pytest.raises(StoreBusyError), impatient.write() as waiting:
            next_sequence(waiting)
    with impatient.write() as connection:
        assert next_sequence(connection) == 2
    patient.dispose()
    impatient.dispose()


def test_more_readers_than_connections_are_busy(database_url: str) -> None:
    database = Database(database_url, busy_timeout_seconds=0.05, pool_size=1)
    held = [database.read(snapshot=True) for _ in range(6)]
    for reading in held[:5]:
        reading.__enter__()
    with pytest.raises(StoreBusyError, match="connections"):
        held[5].__enter__()
    for reading in held[:5]:
        reading.__exit__(None, None, None)
    database.dispose()


def test_a_snapshot_sees_one_state(database: Database) -> None:
    with database.read(snapshot=True) as snapshot, database.read() as reading:
        assert read_counter(snapshot, "x") == 0
        with database.write() as writing:
            set_counter(writing, "x", 5)
        assert read_counter(snapshot, "x") == 0
        assert read_counter(reading, "x") == 5


def test_reads_may_be_nested(database: Database) -> None:
    with database.read() as outer:
        assert outer.execute(sa.text("SELECT 1")).scalar() == 1
        with database.read() as inner:
            assert inner is not outer
            assert read_counter(inner, "sequence") == 0
        assert read_counter(outer, "sequence") == 0


def test_a_thread_keeps_its_reading_connection(database: Database) -> None:
    with database.read() as first:
        mine = driver(first)
    with database.read() as second:
        assert driver(second) is mine
    theirs = []
    thread = threading.Thread(target=lambda: theirs.append(_driver_of_a_read(database)))
    thread.start()
    thread.join()
    assert theirs[0] is not mine


def _driver_of_a_read(database: Database) -> object:
    with database.read() as connection:
        return driver(connection)


def test_an_error_of_the_caller_passes_through_a_read(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.read() as connection:
        assert 1 / (last_sequence(connection))
    with pytest.raises(sa.exc.DBAPIError), database.read() as connection:
        connection.execute(sa.text("SELECT nonsense"))
    with database.read() as connection:
        assert fetch(connection, "SELECT 1") == [(1,)]


def test_a_database_serves_a_forked_process_too(database: Database) -> None:
    with database.read() as connection:
        mine = driver(connection)
        child = multiprocessing.get_context("fork").Process(target=_use_in_child, args=(database, id(mine)))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert driver(connection) is mine
        assert last_sequence(connection) == 1
    with database.write() as connection:
        assert next_sequence(connection) == 2


def _use_in_child(database: Database, parents: int) -> None:
    with database.write() as connection:
        assert next_sequence(connection) == 1
    with database.read() as connection:
        assert id(driver(connection)) != parents
        assert last_sequence(connection) == 1


def test_durable_writes_commit_and_end(database: Database) -> None:
    with database.write(durable=True) as connection:
        if database.dialect == "sqlite":
            assert fetch(connection, "PRAGMA synchronous") == [(2,)]
        set_counter(connection, "x", 1)
    with database.write() as connection:
        if database.dialect == "sqlite":
            assert fetch(connection, "PRAGMA synchronous") == [(1,)]
        assert read_counter(connection, "x") == 1


@pytest.mark.postgres
def test_a_lost_connection_is_busy_and_then_made_anew(postgres_url: str, postgres_server: Server) -> None:
    database = Database(postgres_url)
    with database.read() as connection:
        name = fetch(connection, "SELECT current_database()")[0][0]
    postgres_server.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with pytest.raises(StoreBusyError), database.read() as connection:
        fetch(connection, "SELECT 1")
    with database.read() as connection:
        assert fetch(connection, "SELECT 1") == [(1,)]
    with pytest.raises(StoreBusyError), database.write() as connection:  # noqa: PT012
        next_sequence(connection)
        postgres_server.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with database.write() as connection:
        assert next_sequence(connection) == 1
    database.dispose()


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_busy() -> None:
    database = Database("postgresql+psycopg://nobody@/nothing?host=/nonexistent")
    with pytest.raises(StoreBusyError), database.read():
        pass


@pytest.mark.postgres
def test_a_database_that_does_not_exist_is_a_wrong_setting(postgres_server: Server) -> None:
    database = Database(postgres_server.url("nothing_here"))
    with pytest.raises(SettingsError, match="nothing_here"), database.read():
        pass


def test_a_file_that_is_no_database_is_a_wrong_setting(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear database, " * 100)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(SettingsError, match="cannot be opened"), database.read():
        pass


def test_an_unusable_url_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError) as told:
        Database("oracle://here")
    assert "postgresql+psycopg" in str(told.value)

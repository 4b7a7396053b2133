"""Database: one SQLite file or PostgreSQL, with the transactions all modules use."""

from __future__ import annotations

import functools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from recommender.errors import SettingsError
from recommender.settings import CoreSettings
from recommender.storage.failures import translate
from recommender.storage.statements import driver, execute, next_sequence

__all__ = ["HEAD", "Database", "next_sequence", "open_database"]

HEAD = "0014"
"""The schema revision this release works with."""

MIGRATION_LOCK = 7_391_002_518
"""PostgreSQL advisory lock that keeps two starting processes from migrating at once."""

WAL_RETRY_SECONDS = 0.02

_inherited: list[object] = []
"""Connections of a parent process, held so that they are never closed here: SQLite forbids it."""

_BEGIN = "memberwise_begin"
_SQLITE_MINIMUM = (3, 35, 0)


class Database:
    """Gives out connections; usable by any number of threads, and again after a fork.

    Args:
        url: sqlite:///FILE or postgresql+psycopg://...
        busy_timeout_seconds: how long to wait for a lock or a free connection before StoreBusyError.
        pool_size: connections kept open.
    """

    def __init__(self, url: str, busy_timeout_seconds: float = 5.0, pool_size: int = 8) -> None:
        self._timeout = busy_timeout_seconds
        self._engine = _make_engine(url, busy_timeout_seconds, pool_size)
        self.dialect = self._engine.dialect.name
        self.before_commit: Callable[[Connection], None] | None = None
        """Called in every write transaction when its writes are done; the audit trail is written here."""
        options: dict[str, dict[str, Any]] = {
            "read": {"isolation_level": "AUTOCOMMIT"},
            "snapshot": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
            "write": {},
        }
        if self.dialect == "sqlite":
            options = {"read": {}, "snapshot": {_BEGIN: "BEGIN"}, "write": {_BEGIN: "BEGIN IMMEDIATE"}}
        self._local = threading.local()
        self._engines = {name: self._engine.execution_options(**chosen) for name, chosen in options.items()}
        itself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget_connections(itself))

    def read(self, snapshot: bool = False) -> AbstractContextManager[Connection]:
        """Give a connection for reading.

        Args:
            snapshot: all statements see the same state; without it each sees what is committed by then,
                which is quicker: the thread keeps its connection.
        Raises: StoreBusyError if the database is locked or unreachable.
        """
        return self._read_snapshot() if snapshot else _QuickRead(self._engines["read"], self._local)

    @contextmanager
    def _read_snapshot(self) -> Iterator[Connection]:
        with _telling(), self._engines["snapshot"].connect() as connection, _watched(connection):
            connection.begin()
            yield connection

    @contextmanager
    def write(self, durable: bool = False) -> Iterator[Connection]:
        """Give a connection in a write transaction, committed at the end, rolled back on an error.

        On SQLite the transaction holds the only write lock from its start. Keep it under 50 ms.

        Args:
            durable: survives a power failure; without it the last moments may be lost (SQLite only).
        Raises: StoreBusyError if the lock is not had in time or the database is unreachable.
        """
        with _telling(), self._engines["write"].connect() as connection:
            if durable and self.dialect == "sqlite":
                driver(connection).execute("PRAGMA synchronous=FULL")
            try:
                with connection.begin(), _watched(connection):
                    yield connection
                    if self.before_commit is not None:
                        self.before_commit(connection)
            finally:
                if durable and self.dialect == "sqlite" and not connection.invalidated:
                    driver(connection).execute("PRAGMA synchronous=NORMAL")

    def migrate(self) -> None:
        """Bring the schema up to date; quick when it is, and safe when several processes start at once.

        Raises: SettingsError if the schema belongs to a newer release; StoreBusyError.
        """
        with self.read() as connection:
            if self._revision(connection) == HEAD:
                return
        with self.write(durable=True) as connection:
            if self.dialect == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            if self._revision(connection) != HEAD:
                _upgrade(connection)

    def refresh_statistics(self) -> None:
        """Tell PostgreSQL's planner of a large load at once; SQLite chooses indexes without statistics."""
        if self.dialect == "postgresql":
            with self.write() as connection:
                connection.execute(sa.text("ANALYZE"))

    def revision(self) -> str | None:
        """Return the schema revision of the database, None if it is empty."""
        with self.read() as connection:
            return self._revision(connection)

    def dispose(self) -> None:
        """Close all connections that no other thread uses."""
        _close_kept(self._local)
        self._local = threading.local()
        self._engine.dispose()

    def _forget(self) -> None:
        """Leave the connections of the parent process alone: they are not ours after a fork."""
        _inherited.append((self._local, self._local.__dict__.get("connection"), self._engine.pool))
        self._local = threading.local()
        self._engine.dispose(close=False)

    def _revision(self, connection: Connection) -> str | None:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def open_database(settings: CoreSettings) -> Database:
    """Open the database that the settings name and bring its schema up to date."""
    settings.home.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database, settings.busy_timeout_seconds)
    database.migrate()
    return database


def _make_engine(url: str, timeout: float, pool_size: int) -> Engine:
    shared = {"pool_size": pool_size, "max_overflow": 4 * pool_size, "pool_timeout": max(timeout, 0.001)}
    if url.startswith("sqlite"):
        if sqlite3.sqlite_version_info < _SQLITE_MINIMUM:
            raise SettingsError(
                "The SQLite library is too old.", value=sqlite3.sqlite_version, accepted="3.35 or later"
            )
        path = url.removeprefix("sqlite:///")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            f"sqlite:///{path}",
            connect_args={"timeout": timeout, "isolation_level": None},
            hide_parameters=True,  # errors are logged, and values may be personal
            **shared,
        )
        sa.event.listen(engine, "connect", functools.partial(_prepare_sqlite, timeout))
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        if not url.startswith("postgresql+psycopg:"):
            raise sa.exc.ArgumentError(url)
        engine = sa.create_engine(
            url,
            connect_args={"connect_timeout": max(2, round(timeout))},
            pool_recycle=1800,
            hide_parameters=True,
            **shared,
        )
    except sa.exc.ArgumentError as error:
        raise SettingsError(
            "The database URL is not usable.",
            field="MEMBERWISE_DATABASE_URL",
            accepted="sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE",
        ) from error
    milliseconds = max(1, round(timeout * 1000))
    sa.event.listen(engine, "connect", functools.partial(_prepare_postgres, milliseconds))
    return engine


def _prepare_sqlite(timeout: float, raw: sqlite3.Connection, _record: object) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself while another process turns a new file to WAL.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(WAL_RETRY_SECONDS)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "cache_size=-2048"):
        raw.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    statement = connection.get_execution_options().get(_BEGIN)
    if statement is not None:
        driver(connection).execute(statement)


def _prepare_postgres(milliseconds: int, raw: Any, _record: object) -> None:
    raw.execute(f"SET lock_timeout = {milliseconds}")
    raw.commit()


def _forget_connections(reference: weakref.ref[Database]) -> None:
    database = reference()
    if database is not None:
        database._forget()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError(f"The database belongs to a newer release of Memberwise: {error}.") from error
    execute(connection, "INSERT INTO counters (name, value) VALUES ('sequence', 0) ON CONFLICT DO NOTHING")


@contextmanager
def _telling() -> Iterator[None]:
    """Raise what drivers raise as Memberwise errors."""
    try:
        yield
    except Exception as error:
        told = translate(error)
        if told is None:
            raise
        raise told from error


@contextmanager
def _watched(connection: Connection) -> Iterator[None]:
    """Drop a connection that a direct statement found broken, so that the pool does not keep it."""
    try:
        yield
    except Exception:
        if _is_broken(connection):
            connection.invalidate()
        raise


def _is_broken(connection: Connection) -> bool:
    return not connection.invalidated and bool(getattr(driver(connection), "closed", False))


def _close_kept(local: threading.local) -> None:
    kept: Connection | None = local.__dict__.pop("connection", None)
    if kept is not None:
        if _is_broken(kept):
            kept.invalidate()
        kept.close()


class _QuickRead:
    """A reading connection that its thread keeps, since taking one from the pool costs more than a read."""

    __slots__ = ("_connection", "_engine", "_kept", "_local")

    def __init__(self, engine: Engine, local: threading.local) -> None:
        self._engine, self._local = engine, local

    def __enter__(self) -> Connection:
        state = self._local.__dict__
        try:
            self._kept = not state.get("busy", False)
            if not self._kept:
                self._connection = self._engine.connect()
            else:
                if "connection" not in state:
                    state["connection"] = self._engine.connect()
                self._connection = state["connection"]
                state["busy"] = True
        except Exception as error:
            told = translate(error)
            if told is None:
                raise
            raise told from error
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        told = None if error is None else translate(error)
        if not self._kept:
            self._connection.close()
        else:
            self._local.__dict__["busy"] = False
            if told is not None or _is_broken(self._connection):
                _close_kept(self._local)
            elif self._connection.in_transaction():
                self._connection.rollback()
        if told is not None:
            raise told from error

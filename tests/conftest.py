"""Fixtures for every test: databases of both kinds, and what to do about skipped tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from recommender.storage.database import HEAD, Database
from recommender.storage.tables import metadata
from tests.postgres import Server, find_binaries, run_server

FORBID_SKIPS = os.environ.get("MEMBERWISE_FORBID_SKIPS") == "1"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that only continuous integration runs."""
    left_out = [] if FORBID_SKIPS else [item for item in items if item.get_closest_marker("ci")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skipped test as failed where nothing may be skipped."""
    report = yield
    if FORBID_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server of this test process; skips where the machine has none."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server programs; name their folder by MEMBERWISE_TEST_POSTGRES_BIN")
    with run_server(binaries) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_prepared(postgres_server: Server) -> str:
    """The URL of a database with the schema, which tests use one after the other."""
    postgres_server.administer("CREATE DATABASE prepared")
    url = postgres_server.url("prepared")
    _migrate(url)
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema, to be copied."""
    path = tmp_path_factory.mktemp("prepared") / "memberwise.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a SQLite database of this test, with the schema and nothing else."""
    path = tmp_path / "memberwise.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: Server, postgres_prepared: str) -> Iterator[str]:
    """The URL of a PostgreSQL database with the schema and nothing else, emptied after the test."""
    yield postgres_prepared
    emptied = "; ".join(f"DELETE FROM {table}" for table in metadata.tables)
    start = f"INSERT INTO counters VALUES ('sequence', 0); UPDATE alembic_version SET version_num = '{HEAD}'"
    postgres_server.administer(f"{emptied}; {start}", "prepared")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database of this test: the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database with the schema: the test runs once on SQLite and once on PostgreSQL."""
    yield from _opened(database_url)


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """An empty SQLite database with the schema, for tests about something else than storage."""
    yield from _opened(sqlite_url)


def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.dispose()


def _migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.dispose()

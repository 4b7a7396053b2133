"""Versions of scenario settings: counted, listed, restored, audited."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from recommender.errors import ConflictError, NotFoundError
from recommender.storage.audit import read_audit
from recommender.storage.database import Database
from recommender.storage.scenarios import list_versions, read_latest, read_version, restore_version, save_version

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


def put(database: Database, settings: str, scenario: str = "home", expected: int | None = None) -> int:
    with database.write() as connection:
        return save_version(connection, scenario, settings, "key-1", NOW, expected=expected).version


def test_the_highest_version_holds(database: Database) -> None:
    assert put(database, '{"diversity":0.1}') == 1
    assert put(database, '{"diversity":0.2}', expected=1) == 2
    assert put(database, "{}", "basket", expected=0) == 1
    with database.read() as connection:
        assert read_latest(connection) == [("basket", 1, "{}"), ("home", 2, '{"diversity":0.2}')]
        assert [found.version for found in list_versions(connection, "home")] == [2, 1]
        first = read_version(connection, "home", 1)
        assert first is not None
        assert (first.settings, first.created_by, first.created_at) == ('{"diversity":0.1}', "key-1", NOW)
        assert read_version(connection, "home", 3) is None
        assert read_version(connection, "discover") is None


def test_who_saw_another_version_is_refused(database: Database) -> None:
    put(database, "{}")
    with pytest.raises(ConflictError) as refused:
        put(database, "{}", expected=0)
    assert refused.value.accepted == "1"


def test_any_version_can_be_restored_as_a_new_one(database: Database) -> None:
    with database.write() as connection, pytest.raises(NotFoundError):
        restore_version(connection, "home", "key-1", NOW)
    for number in (1, 2, 3):
        put(database, f'{{"diversity":0.{number}}}')
    with database.write() as connection:
        last = restore_version(connection, "home", "key-2", NOW)
        assert (last.version, last.settings, last.restored_from) == (4, '{"diversity":0.2}', 2)
        first = restore_version(connection, "home", "key-2", NOW, version=1)
        assert (first.version, first.settings, first.restored_from) == (5, '{"diversity":0.1}', 1)
        with pytest.raises(NotFoundError):
            restore_version(connection, "home", "key-2", NOW, version=9)
    with database.read() as connection:
        entries = read_audit(connection)
    assert [(one.caller, one.action, one.target) for one in entries[:2]] == [("key-2", "scenarios.restore", "home")] * 2
    assert entries[0].details == '{"version":5,"restored_from":1}'

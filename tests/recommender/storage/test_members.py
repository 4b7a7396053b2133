"""What is known of one member: age, kind and the consent to personalisation."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from recommender.storage.database import Database
from recommender.storage.members import MemberRow, member_kinds, read_member
from recommender.storage.statements import execute
from tests.factories import NOW, put_rows


def look(database: Database, member_id: str = "m1") -> MemberRow | None:
    with database.read() as connection:
        return read_member(connection, member_id, NOW)


def seen(database: Database, member_id: str = "m1") -> MemberRow:
    row = look(database, member_id)
    assert row is not None
    return row


def test_a_member_as_recorded(database: Database) -> None:
    put_rows(
        database,
        "members",
        {"member_id": "m1", "household_id": "h", "home_store_id": "s", "adult": "true", "kind": None},
    )
    assert look(database) == MemberRow("m1", "consumer", "h", "s", True, True)


def test_nobody(database: Database) -> None:
    assert look(database) is None


@pytest.mark.parametrize(
    ("flag", "born", "adult"),
    [
        ("true", None, True),
        ("false", date(1980, 1, 1), False),
        ("unknown", date(2008, 3, 2), True),
        (None, date(2008, 3, 3), False),
        (None, date(2008, 3, 2), True),
        ("unknown", None, None),
        (None, None, None),
    ],
)
def test_age(sqlite_database: Database, flag: str | None, born: date | None, adult: bool | None) -> None:
    put_rows(sqlite_database, "members", {"member_id": "m1", "adult": flag, "birth_date": born})
    assert seen(sqlite_database).adult is adult


def test_the_latest_consent_counts(database: Database) -> None:
    put_rows(database, "members", {"member_id": "m1"})
    consent = {"member_id": "m1", "purpose": "personalization"}
    put_rows(database, "consents", consent | {"granted": False, "at": NOW - timedelta(days=2)})
    assert not seen(database).personalised
    put_rows(database, "consents", consent | {"granted": True, "at": NOW - timedelta(days=1)})
    assert seen(database).personalised
    put_rows(database, "consents", consent | {"granted": False, "at": NOW, "channel": "app"})
    put_rows(database, "consents", consent | {"granted": True, "at": NOW, "channel": "web"})
    assert not seen(database).personalised


def test_another_purpose_does_not_count(database: Database) -> None:
    put_rows(database, "members", {"member_id": "m1"})
    put_rows(database, "consents", {"member_id": "m1", "purpose": "push", "granted": False, "at": NOW})
    assert seen(database).personalised


def test_a_refusal_counts_before_the_member_is_recorded(database: Database) -> None:
    put_rows(
        database,
        "consents",
        {"member_id": "m1", "purpose": "personalization", "granted": False, "at": NOW},
    )
    assert look(database) == MemberRow("m1", "consumer", None, None, None, False)


@pytest.mark.parametrize("kind", ["employee", "business", "shared_card", "test", "blocked"])
def test_other_kinds_are_not_personalised(sqlite_database: Database, kind: str) -> None:
    put_rows(sqlite_database, "members", {"member_id": "m1", "kind": kind})
    assert seen(sqlite_database).kind == kind
    assert not seen(sqlite_database).personalised


def test_an_erased_member_is_nobody(database: Database) -> None:
    put_rows(database, "members", {"member_id": "m1"})
    with database.write() as connection:
        execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES ('member:m1', 0)")
    assert look(database) is None


def test_kinds_that_are_not_ordinary(database: Database) -> None:
    put_rows(
        database,
        "members",
        {"member_id": "b", "kind": "test"},
        {"member_id": "a", "kind": "employee"},
        {"member_id": "c", "kind": "consumer"},
        {"member_id": "d"},
    )
    with database.read() as connection:
        assert member_kinds(connection) == {"a": "employee", "b": "test"}

"""Links made and undone, conflicts, erasure, and how history follows."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from recommender.errors import NotFoundError
from recommender.storage import identities
from recommender.storage.database import Database
from recommender.storage.identities import (
    Conflict,
    Link,
    Resolution,
    active_links,
    conflicts,
    link,
    resolve,
    subjects_of,
    unlink,
)
from recommender.storage.statements import execute, read_counter
from recommender.storage.upserts import UpsertCounts
from tests.factories import NOW


def put_links(database: Database, *links: Link, now: datetime = NOW) -> UpsertCounts:
    with database.write() as connection:
        return link(connection, links, now)


def undo(database: Database, namespace: str, value: str, member_id: str, now: datetime = NOW) -> None:
    with database.write() as connection:
        unlink(connection, namespace, value, member_id, now)


def who(database: Database, namespace: str, value: str) -> Resolution:
    with database.read() as connection:
        return resolve(connection, namespace, value)


def whose(database: Database, member_id: str) -> tuple[str, ...]:
    with database.read() as connection:
        return subjects_of(connection, member_id)


def all_links(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return list(active_links(connection))


def test_a_link_resolves_until_it_is_undone(database: Database) -> None:
    assert who(database, "card", "c1") == Resolution(None)
    assert put_links(database, Link("card", "c1", "m1")) == UpsertCounts(1, 0, 0)
    assert who(database, "card", "c1") == Resolution("m1")
    assert whose(database, "m1") == ("member:m1", "card:c1")
    undo(database, "card", "c1", "m1")
    assert who(database, "card", "c1") == Resolution(None)
    assert whose(database, "m1") == ("member:m1",)
    assert all_links(database) == []


def test_many_identities_are_one_member(database: Database) -> None:
    put_links(database, Link("wechat_openid", "o1", "m1"), Link("card", "c2", "m1"), Link("card", "c1", "m1"))
    assert whose(database, "m1") == ("member:m1", "card:c1", "card:c2", "wechat_openid:o1")
    assert all_links(database) == [("card:c1", "m1"), ("card:c2", "m1"), ("wechat_openid:o1", "m1")]


def test_two_members_for_one_identity_are_a_conflict_and_own_it_neither(database: Database) -> None:
    put_links(database, Link("phone", "h1:x", "m1"), Link("card", "c1", "m1"))
    put_links(database, Link("phone", "h1:x", "m2"))
    assert who(database, "phone", "h1:x") == Resolution(None, conflict=True)
    assert whose(database, "m1") == ("member:m1", "card:c1")
    assert whose(database, "m2") == ("member:m2",)
    assert all_links(database) == [("card:c1", "m1")]
    with database.read() as connection:
        assert list(conflicts(connection)) == [Conflict("phone", "h1:x", ("m1", "m2"))]
    undo(database, "phone", "h1:x", "m1")
    assert who(database, "phone", "h1:x") == Resolution("m2")
    assert whose(database, "m2") == ("member:m2", "phone:h1:x")
    with database.read() as connection:
        assert list(conflicts(connection)) == []


def test_an_export_loaded_again_does_not_bring_an_undone_link_back(database: Database) -> None:
    day = timedelta(days=1)
    put_links(database, Link("card", "c1", "m1", NOW - 2 * day))
    undo(database, "card", "c1", "m1", NOW)
    assert put_links(database, Link("card", "c1", "m1", NOW - 2 * day)) == UpsertCounts(0, 0, 1)
    assert put_links(database, Link("card", "c1", "m1")) == UpsertCounts(0, 0, 1)
    assert who(database, "card", "c1") == Resolution(None)
    assert put_links(database, Link("card", "c1", "m1", NOW + day)) == UpsertCounts(0, 1, 0)
    assert who(database, "card", "c1") == Resolution("m1")


def test_a_link_that_holds_is_left_alone(database: Database) -> None:
    put_links(database, Link("card", "c1", "m1", NOW))
    assert put_links(database, Link("card", "c1", "m1", NOW + timedelta(days=1))) == UpsertCounts(0, 0, 1)
    assert put_links(database) == UpsertCounts()


def test_what_is_not_linked_cannot_be_undone(database: Database) -> None:
    with pytest.raises(NotFoundError):
        undo(database, "card", "c1", "m1")
    put_links(database, Link("card", "c1", "m1"))
    undo(database, "card", "c1", "m1")
    with pytest.raises(NotFoundError):
        undo(database, "card", "c1", "m1")


def test_the_namespace_member_names_a_member(database: Database) -> None:
    assert who(database, "member", "m9") == Resolution("m9")


def test_links_are_read_page_by_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "PAGE_ROWS", 3)
    put_links(database, *(Link("card", f"c{n}", f"m{n}") for n in range(7)))
    assert all_links(database) == [(f"card:c{n}", f"m{n}") for n in range(7)]


def test_erased_subjects_are_nobodys(database: Database) -> None:
    put_links(database, Link("card", "c1", "m1"), Link("card", "c2", "m1"), Link("card", "c3", "m2"))
    with database.write() as connection:
        for subject in ("card:c1", "member:m2"):
            execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES (?, ?)", (subject, 0))
    assert whose(database, "m1") == ("member:m1", "card:c2")
    assert whose(database, "m2") == ()
    assert all_links(database) == [("card:c2", "m1")]


def test_links_raise_the_counter_that_readers_watch(database: Database) -> None:
    put_links(database, Link("card", "c1", "m1"))
    with database.read() as connection:
        linked = read_counter(connection, "changed:identities")
    undo(database, "card", "c1", "m1")
    with database.read() as connection:
        assert read_counter(connection, "changed:identities") > linked > 0

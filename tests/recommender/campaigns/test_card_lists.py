"""Lists are resolved to members, on both databases; rows that name nobody are told without their values."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from recommender.campaigns.audience import Rules, parse_expression, select
from recommender.campaigns.card_files import CardColumn, CardRow
from recommender.campaigns.card_lists import (
    CardList,
    Unresolved,
    UnresolvedRow,
    add_members,
    all_lists,
    resolve_cards,
    save_list,
)
from recommender.errors import ConflictError
from recommender.storage.database import Database
from recommender.storage.erasure import request_erasure, sweep
from recommender.storage.hashing import HashKey, hash_value
from recommender.storage.identities import Link, link, unlink
from tests.factories import NOW, put_rows
from tests.recommender.campaigns.club import Place

KEY = HashKey(b"k" * 32, 1)


@pytest.fixture
def linked(database: Database) -> Database:
    """Ann has a card and a telephone, Ben a card; one card is of both."""
    put_rows(database, "members", {"member_id": "ann"}, {"member_id": "ben"})
    links = [Link("card", "1", "ann"), Link("card", "2", "ben"), Link("card", "3", "ann"), Link("card", "3", "ben")]
    links.append(Link("phone", hash_value("phone", "13800138000", KEY.secret, KEY.version), "ann"))
    with database.write() as connection:
        link(connection, links, NOW)
    return database


def column(namespace: str, *values: str) -> CardColumn:
    return CardColumn(namespace, [CardRow(line, value) for line, value in enumerate(values, 1)])


def test_rows_become_members(linked: Database) -> None:
    with linked.read() as connection:
        found = resolve_cards(connection, column("card", "1", "2", "1", "3", "4", "x" * 200), KEY)
    assert found.members == ["ann", "ben"]
    assert found.rows == 6
    assert list(found.unresolved) == [
        UnresolvedRow(4, Unresolved.CONFLICT),
        UnresolvedRow(5, Unresolved.UNKNOWN),
        UnresolvedRow(6, Unresolved.MALFORMED),
    ]
    assert found.counts() == {"unknown": 1, "conflict": 1, "erased": 0, "malformed": 1}


def test_telephone_numbers_are_compared_by_their_hashes(linked: Database) -> None:
    with linked.read() as connection:
        found = resolve_cards(connection, column("phone", "+86 138-0013-8000", "no number"), KEY)
    assert found.members == ["ann"]
    assert list(found.unresolved) == [UnresolvedRow(2, Unresolved.MALFORMED)]


def test_links_that_were_undone_lead_nowhere(linked: Database) -> None:
    with linked.write() as connection:
        unlink(connection, "card", "3", "ben", NOW + timedelta(minutes=1))
    with linked.read() as connection:
        assert resolve_cards(connection, column("card", "3"), KEY).members == ["ann"]


def test_member_ids_and_erased_members(linked: Database) -> None:
    with linked.write() as connection:
        request_erasure(connection, "ann", "test", KEY, NOW)
    with linked.read() as connection:
        found = resolve_cards(connection, column("member", "ann", "ben", "carl"), KEY)
    assert found.members == ["ben"]
    assert list(found.unresolved) == [UnresolvedRow(1, Unresolved.ERASED), UnresolvedRow(3, Unresolved.UNKNOWN)]


def test_lists_are_used_in_audiences_and_forget_the_erased(linked: Database, tmp_path: Path) -> None:
    place = Place.of(linked, tmp_path)
    place.refresh()
    saved = CardList("vip", "VIP", 2, 0, NOW, "key")
    with linked.write() as connection:
        save_list(connection, saved, ["ann"])
        add_members(connection, "vip", ["ann", "ben"], NOW)
    with linked.read() as connection:
        assert all_lists(connection) == [saved]
        found = select(place.ground(connection), parse_expression({"card_list": "vip"}), Rules(purpose=None))
    assert found.members.ids(np.arange(2)) == ["ann", "ben"]
    with linked.write() as connection:
        erasure = request_erasure(connection, "ann", "test", KEY, NOW)
    sweep(linked, erasure, NOW)
    with linked.read() as connection:
        found = select(place.ground(connection), parse_expression({"card_list": "vip"}), Rules(purpose=None))
    assert found.members.ids(np.arange(1)) == ["ben"]


def test_an_id_is_given_once(linked: Database) -> None:
    with linked.write() as connection:
        save_list(connection, CardList("vip", "", 0, 0, NOW, "key"), [])
    with pytest.raises(ConflictError), linked.write() as connection:
        save_list(connection, CardList("vip", "", 0, 0, NOW, "key"), [])

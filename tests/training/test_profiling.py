"""Whose history makes no profile: members who opted out and known minors count like unknown customers."""

from datetime import UTC, datetime, timedelta

import pytest

from recommender.columns import TABLES
from recommender.storage.members import unprofiled_members
from recommender.storage.upserts import upsert
from tests.training.test_unify import Shop, event, shop  # noqa: F401

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def tell(shop: Shop, table: str, **row: object) -> None:  # noqa: F811
    assert table in TABLES
    with shop.database.write() as connection:
        upsert(connection, table, [row], NOW)


def consent(shop: Shop, granted: bool, days: int, purpose: str = "personalization", member_id: str = "m1") -> None:  # noqa: F811
    tell(shop, "consents", member_id=member_id, purpose=purpose, granted=granted, at=NOW - timedelta(days=days))


def unprofiled(shop: Shop) -> frozenset[str]:  # noqa: F811
    with shop.database.read() as connection:
        return unprofiled_members(connection, NOW)


def test_the_latest_word_counts_and_of_two_at_once_the_strictest(shop: Shop) -> None:  # noqa: F811
    consent(shop, True, 1, member_id="m0")
    consent(shop, False, 5)
    assert unprofiled(shop) == {"m1"}
    consent(shop, True, 4)
    assert unprofiled(shop) == set()
    tell(
        shop, "consents", member_id="m1", purpose="personalization", channel="app", granted=False, at=NOW - timedelta(4)
    )
    assert unprofiled(shop) == {"m1"}
    consent(shop, False, 1, "push", member_id="m0")
    assert unprofiled(shop) == {"m1"}


@pytest.mark.parametrize(
    ("told", "minor"),
    [
        ({"adult": "false"}, True),
        ({"adult": "false", "birth_date": NOW.date().replace(year=1980)}, True),
        ({"adult": "true", "birth_date": NOW.date().replace(year=2020)}, False),
        ({"birth_date": NOW.date().replace(year=2008)}, False),
        ({"birth_date": NOW.date().replace(year=2008, day=2)}, True),
        ({"adult": "unknown", "birth_date": NOW.date().replace(year=2015)}, True),
        ({"adult": "unknown"}, False),
        ({}, False),
    ],
)
def test_known_minors_need_their_guardian(shop: Shop, told: dict[str, object], minor: bool) -> None:  # noqa: F811
    tell(shop, "members", member_id="m1", **told)
    assert unprofiled(shop) == ({"m1"} if minor else set())
    consent(shop, True, 2, "guardian_personalization")
    assert unprofiled(shop) == set()
    consent(shop, False, 1, "guardian_personalization")
    assert unprofiled(shop) == ({"m1"} if minor else set())


def test_their_purchases_count_as_anybodys(shop: Shop) -> None:  # noqa: F811
    shop.log(
        event("e1", item_id="milk", order_id="o1"),
        event("e2", item_id="bread", order_id="o1"),
        event("e3", item_id="milk", subject="card:7", order_id="o2"),
        event("e4", item_id="milk", subject="member:m2", order_id="o3"),
    )
    shop.link("card", "7", "m1")
    before = shop.read(NOW + timedelta(days=3650))
    assert (before.people.row("member:m1") is not None, len(before.sales.item_row)) == (True, 0)
    consent(shop, False, 1)
    after = shop.read(NOW + timedelta(days=3650))
    assert [after.people.row(name) is not None for name in ("member:m1", "card:7", "member:m2")] == [False, False, True]
    assert after.subjects.row("card:7") is None, "the next bundle holds no history of theirs"
    items = after.items.ids(after.sales.item_row)
    assert sorted(items) == ["bread", "milk", "milk"]

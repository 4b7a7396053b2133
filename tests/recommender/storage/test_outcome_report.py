"""Reports: totals and rates by group on both databases, against figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recommender.exposures import Exposure
from recommender.intervals import wilson
from recommender.storage.database import Database
from recommender.storage.exposures import drain
from recommender.storage.outcome_report import GROUPS, read_report
from recommender.storage.statements import execute

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=2)


def show(database: Database, recommendation_id: str, subject: str | None, items: int, scenario: str = "home") -> None:
    exposure = Exposure(
        recommendation_id=recommendation_id,
        occurred_at=NOW,
        scenario=scenario,
        bundle_id="b",
        strategy="personal",
        subject=subject,
        store_id=None,
        channel="app",
        item_id=tuple(f"i{number}" for number in range(items)),
        score=(1.0,) * items,
        source=("repeat",) * items,
        reason=(None,) * items,
    )
    with database.write() as connection:
        assert drain(connection, recommendation_id, 0, 1, [exposure])


def came(database: Database, recommendation_id: str, position: int, **outcomes: int) -> None:
    assigned = ", ".join(f"{name} = {value}" for name, value in outcomes.items())
    statement = f"UPDATE exposures SET {assigned} WHERE recommendation_id = ? AND position = ?"
    with database.write() as connection:
        assert execute(connection, statement, (recommendation_id, position)) == 1


@pytest.fixture
def shown(database: Database) -> Database:
    """Customers a (two slates of two), b (one of two), and two unknown ones (one each of two)."""
    for recommendation_id, subject in (("r1", "a"), ("r2", "a"), ("r3", "b"), ("r4", None), ("r5", None)):
        show(database, recommendation_id, subject, 2)
    show(database, "r6", "a", 3, "new")
    came(database, "r1", 1, views=3, purchases=1, revenue_cents=500)
    came(database, "r2", 2, views=1, assisted_purchases=1, assisted_cents=3_000_000_000)
    came(database, "r4", 1, views=1, basket_adds=1)
    return database


def test_totals_and_rates_of_everything(shown: Database) -> None:
    with shown.read() as connection:
        (row,) = read_report(connection, NOW, LATER, [], "home")
    assert (row.slates, row.items, row.customers) == (5, 10, 4)
    assert row.totals == {
        "viewed": 3,
        "added_to_basket": 1,
        "purchased": 1,
        "assisted": 1,
        "revenue": 500,
        "assisted_revenue": 3_000_000_000,
    }
    # Viewed of shown by customer: 2 of 4, 0 of 2, 1 of 2, 0 of 2; rate 0.3, residuals 0.8, -0.6, 0.4, -0.6.
    variance = 4 / 3 * (0.64 + 0.36 + 0.16 + 0.36) / 100
    viewed = row.per_item["viewed"]
    wanted = wilson(0.3, min(0.21 / variance, 10))
    assert (viewed.value, viewed.low, viewed.high) == pytest.approx((0.3, wanted.low, wanted.high))
    assert row.per_item["revenue"].value == 50.0


def test_groups_are_told_apart(shown: Database) -> None:
    with shown.read() as connection:
        by_both = read_report(connection, NOW, LATER, ["scenario", "position"])
        by_day = read_report(connection, NOW, LATER, ["day"], offset_minutes=16 * 60)
    assert [(row.group["scenario"], row.group["position"], row.totals["viewed"]) for row in by_both] == [
        ("home", 1, 2),
        ("home", 2, 1),
        ("new", 1, 0),
        ("new", 2, 0),
        ("new", 3, 0),
    ]
    assert [row.slates for row in by_both] == [5, 5, 1, 1, 1]
    first_of_march = (datetime(2026, 3, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    assert [row.group["day"] for row in by_day] == [first_of_march + 1], "eight in the morning is the next day there"


@pytest.mark.parametrize("name", list(GROUPS))
def test_every_group_can_be_asked_for(shown: Database, name: str) -> None:
    with shown.read() as connection:
        rows = read_report(connection, NOW, LATER, [name])
    assert sum(row.items for row in rows) == 13
    assert sum(row.slates for row in rows) == (13 if name == "position" else 6)


def test_slates_that_nobody_saw_stand_apart(shown: Database) -> None:
    with shown.write() as connection:
        execute(connection, "UPDATE exposures SET flags = ? WHERE recommendation_id = ?", ("anonymous,shadow", "r1"))
        execute(connection, "UPDATE exposures SET flags = ? WHERE recommendation_id = ?", ("anonymous", "r2"))
    with shown.read() as connection:
        (served,) = read_report(connection, NOW, LATER, [], "home")
        (unseen,) = read_report(connection, NOW, LATER, [], "home", shadow=True)
    assert (served.slates, unseen.slates) == (4, 1)
    assert (served.totals["revenue"], unseen.totals["revenue"]) == (0, 500)


def test_another_time_has_nothing(shown: Database) -> None:
    with shown.read() as connection:
        assert read_report(connection, NOW + timedelta(seconds=1), LATER, []) == []
        assert read_report(connection, NOW + timedelta(seconds=1), LATER, ["scenario"]) == []

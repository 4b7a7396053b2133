"""Triggered campaigns: each event counts once, when its time has come, for those the plan knows, within the budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recommender.campaigns.assignments import Assignment, add_assignments
from recommender.campaigns.campaign import Campaign
from recommender.campaigns.holdout import Arm
from recommender.campaigns.occasions import Trigger
from recommender.campaigns.triggering import trigger
from recommender.coupons.counters import Count
from recommender.coupons.counters import move as count
from recommender.events import Event, EventKind, member_subject
from recommender.storage.database import Database
from recommender.storage.events import append_events
from recommender.storage.statements import execute, fetch
from tests.recommender.campaigns.worlds import NOW, add_members, add_offers, create

SETTINGS: dict[str, Any] = {
    "transport": "push",
    "message": {"texts": {"en": {"body": "{offer}"}}},
    "trigger": {"event": "basket_left", "after_minutes": 60, "again_days": 3},
    "per_member": 2,
    "holdout_share": 0.1,
}
ROWS = [
    Assignment("m1", "member:m1", Arm.TREATED, 0.9, "o1", 1.0, 50.0, 20.0),
    Assignment("m2", "member:m2", Arm.HOLDOUT, 0.9, "o2", 1.0, 40.0, 20.0),
    Assignment("m3", "member:m3", Arm.TREATED, 0.9, "o1", 1.0, 30.0, 20.0),
    Assignment("m4", "member:m4", Arm.TREATED, 0.9),
]


@pytest.fixture
def shop(database: Database) -> Database:
    """A running triggered campaign; m5 is not part of its plan."""
    start(database, SETTINGS)
    return database


def start(database: Database, settings: dict[str, Any]) -> None:
    add_offers(database, "o1", "o2")
    add_members(database, dict.fromkeys(["m1", "m2", "m3", "m4", "m5"]))
    create(database, settings=settings)
    with database.write() as connection:
        execute(connection, "UPDATE campaign_states SET status = 'running'", ())
        add_assignments(connection, "c1", ROWS, NOW)


def happen(database: Database, kind: EventKind, member_id: str, at: datetime, store_id: str | None = None) -> None:
    event = Event(
        event_id=f"{kind}-{member_id}-{at:%d%H%M}",
        occurred_at=at,
        kind=kind,
        channel="pos",
        subject=member_subject(member_id),
        item_id="i1",
        store_id=store_id,
    )
    with database.write() as connection:
        append_events(connection, [event], at)


def nobody(_trigger: Trigger, _campaign: Campaign, _now: datetime) -> Sequence[str]:
    raise AssertionError("this trigger looks at events only")


def look(database: Database, home: Path, now: datetime, find: Any = nobody) -> int:
    return trigger(database, home, lambda moment: moment.date().isoformat(), find, now)


def outbox(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        return fetch(connection, "SELECT member_id, arm, offer_id FROM deliveries ORDER BY created_at, member_id")


def test_a_basket_that_was_left_speaks_after_an_hour_once(shop: Database, tmp_path: Path) -> None:
    happen(shop, EventKind.BASKET_ADD, "m1", NOW - timedelta(hours=2))  # before the campaign was first looked at
    assert look(shop, tmp_path, NOW) == 0
    for member in ("m1", "m2", "m3", "m4", "m5"):
        happen(shop, EventKind.BASKET_ADD, member, NOW)
    happen(shop, EventKind.PURCHASE, "m3", NOW + timedelta(minutes=20))
    assert look(shop, tmp_path, NOW + timedelta(minutes=59)) == 0
    assert look(shop, tmp_path, NOW + timedelta(minutes=60)) == 2
    assert outbox(shop) == [("m1", "treated", "o1"), ("m2", "holdout", "o2")]
    assert look(shop, tmp_path, NOW + timedelta(minutes=61)) == 0


def test_a_member_is_left_alone_for_some_days_and_after_so_many_coupons(shop: Database, tmp_path: Path) -> None:
    look(shop, tmp_path, NOW)
    spoken = []
    for day in range(10):
        at = NOW + timedelta(days=day)
        happen(shop, EventKind.BASKET_ADD, "m1", at)
        if look(shop, tmp_path, at + timedelta(minutes=60)):
            spoken.append(day)
    assert spoken == [0, 3]


def test_what_became_known_too_late_is_let_go(shop: Database, tmp_path: Path) -> None:
    look(shop, tmp_path, NOW)
    happen(shop, EventKind.BASKET_ADD, "m1", NOW)
    assert look(shop, tmp_path, NOW + timedelta(hours=26)) == 0
    assert outbox(shop) == []


def test_a_spent_budget_and_a_pause_keep_it_quiet(shop: Database, tmp_path: Path) -> None:
    look(shop, tmp_path, NOW)
    happen(shop, EventKind.BASKET_ADD, "m1", NOW)
    with shop.write() as connection:
        count(connection, Count.COMMITTED, "c1", "", 100_000, NOW)
    assert look(shop, tmp_path, NOW + timedelta(hours=1)) == 0
    with shop.write() as connection:
        count(connection, Count.COMMITTED, "c1", "", -100_000, NOW)
        execute(connection, "UPDATE campaign_states SET status = 'paused'", ())
    happen(shop, EventKind.BASKET_ADD, "m2", NOW + timedelta(minutes=30))
    assert look(shop, tmp_path, NOW + timedelta(hours=2)) == 0
    assert outbox(shop) == []


def test_a_budget_that_runs_ahead_of_the_time_asks_for_more(shop: Database, tmp_path: Path) -> None:
    look(shop, tmp_path, NOW)
    with shop.write() as connection:  # 85 % of the budget is gone and nearly all of the time is left
        count(connection, Count.COMMITTED, "c1", "", 85_000, NOW)
    for member in ("m1", "m2"):
        happen(shop, EventKind.BASKET_ADD, member, NOW)
    # The price of a cent is 0.05 * 50 - 0.05 = 2.45: 50 - 2.45 * 20 = 1 is worth it, 40 - 49 is not.
    assert look(shop, tmp_path, NOW + timedelta(hours=1)) == 1
    assert outbox(shop) == [("m1", "treated", "o1")]


def test_a_visit_to_a_store_speaks_at_once(database: Database, tmp_path: Path) -> None:
    start(database, SETTINGS | {"trigger": {"event": "store_visit"}})
    look(database, tmp_path, NOW)
    happen(database, EventKind.VIEW, "m1", NOW)
    happen(database, EventKind.VIEW, "m2", NOW, "s1")
    assert look(database, tmp_path, NOW) == 1
    assert outbox(database) == [("m2", "holdout", "o2")]


def test_a_daily_trigger_asks_once_a_day(database: Database, tmp_path: Path) -> None:
    start(database, SETTINGS | {"trigger": {"event": "lapsed", "days": 30}})
    asked: list[datetime] = []

    def find(found: Trigger, campaign: Campaign, now: datetime) -> Sequence[str]:
        assert (found.days, campaign.campaign_id) == (30, "c1")
        asked.append(now)
        return ["m1", "m2", "m4", "m5"]

    assert look(database, tmp_path, NOW, find) == 2
    assert look(database, tmp_path, NOW + timedelta(hours=1), find) == 0
    assert look(database, tmp_path, NOW + timedelta(days=1), find) == 0  # left alone for some days
    assert asked == [NOW, NOW + timedelta(days=1)]


def test_a_triggered_campaign_gives_coupons_to_nobody_else(shop: Database) -> None:
    from recommender.coupons.issuing import IssueRequest, issue
    from recommender.coupons.refusals import Refusal
    from recommender.coupons.wallet import Turn, WalletRules

    with shop.write() as connection:
        turn = Turn(connection, WalletRules(), NOW, "test", None)
        found = issue(turn, [IssueRequest("o1", member, "c1") for member in ("m1", "m2", "m5")])
    assert found[0].refused is None
    assert [one.refused.reason for one in found[1:] if one.refused] in (
        [Refusal.HELD_OUT, Refusal.NOT_IN_AUDIENCE],
        [Refusal.HELD_OUT, Refusal.HELD_OUT],
    )

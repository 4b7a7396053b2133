"""What guides did is kept and counted, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recommender.campaigns.guide_acts import (
    GuideAct,
    contacts_of,
    latest_acts,
    latest_messages,
    record_act,
    tasks_of,
)
from recommender.campaigns.live_features import units_contacted
from recommender.errors import ConflictError, NotFoundError
from recommender.events import EventKind
from recommender.storage.campaign_tables import deliveries
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.factories import NOW, put_rows

DONE, SKIP, ACCEPT = EventKind.GUIDE_DONE, EventKind.GUIDE_SKIP, EventKind.GUIDE_ACCEPT
TODAY = NOW.date()
DAY = timedelta(days=1)


@pytest.fixture
def guided(database: Database) -> Database:
    """Ann and Ben are one household and customers of g1."""
    for member_id in ("ann", "ben"):
        put_rows(database, "members", {"member_id": member_id, "guide_id": "g1", "household_id": "h"})
    return database


def record(database: Database, event_id: str, kind: EventKind, member_id: str, days_ago: int = 0, **more: str) -> None:
    act = GuideAct(event_id, kind, "g1", member_id, **more)
    with database.write() as connection:
        record_act(connection, act, True, TODAY - days_ago * DAY, NOW - days_ago * DAY)


def test_the_latest_act_of_each_customer_is_found(guided: Database) -> None:
    record(guided, "a", ACCEPT, "ann", 2)
    record(guided, "b", SKIP, "ann", 1, reason="abroad")
    record(guided, "c", DONE, "ben", 9)
    with guided.read() as connection:
        found = latest_acts(connection, ["ann", "ben"], NOW - 7 * DAY)
        assert latest_acts(connection, [], NOW) == {}
    assert {member_id: (act.kind, act.guide_id, act.reason) for member_id, act in found.items()} == {
        "ann": (SKIP, "g1", "abroad")
    }


def test_a_contact_counts_for_the_household_and_the_guide(guided: Database) -> None:
    record(guided, "a", DONE, "ann")
    record(guided, "b", DONE, "ben")
    record(guided, "c", DONE, "ben", 3)
    record(guided, "d", ACCEPT, "ann")
    with guided.read() as connection:
        assert contacts_of(connection, "g1", TODAY) == 2
        assert contacts_of(connection, "g2", TODAY) == 0
        assert units_contacted(connection, "guide", TODAY, 7, 3) == {"guide:g1", "household:h"}
        assert units_contacted(connection, "guide", TODAY, 3, 3) == set()
        assert units_contacted(connection, "", TODAY, 1, 2) == {"household:h"}


def test_only_own_customers_who_agree(guided: Database) -> None:
    with pytest.raises(NotFoundError), guided.write() as connection:
        record_act(connection, GuideAct("a", DONE, "g2", "ann"), True, TODAY, NOW)
    with pytest.raises(ConflictError), guided.write() as connection:
        record_act(connection, GuideAct("a", DONE, "g1", "ann"), False, TODAY, NOW)
    with guided.write() as connection:
        record_act(connection, GuideAct("a", SKIP, "g1", "ann", "refused"), False, TODAY, NOW)


COMMON = {"campaign_id": "c", "occasion": "", "unit": "household:h", "arm": "treated", "propensity": 1.0}
COMMON |= {"transport": "wecom", "worth_cents": 0.0, "due_at": NOW, "attempts": 1, "created_at": NOW}


def test_tasks_of_campaigns_are_confirmed_and_declined(guided: Database) -> None:
    rows = [
        {"delivery_id": name, "member_id": member_id, "state": "tasked", "test": False}
        for name, member_id in (("a", "ann"), ("b", "ben"), ("c", "stranger"))
    ]
    with guided.write() as connection:
        connection.execute(deliveries.insert(), [COMMON | row for row in rows])
    with guided.read() as connection:
        tasks = tasks_of(connection, "g1")
        assert tasks_of(connection, "g2") == []
    assert [(task.message_id, task.member_id, task.since) for task in tasks] == [("a", "ann", NOW), ("b", "ben", NOW)]
    record(guided, "e1", DONE, "ann", message_id="a")
    record(guided, "e2", SKIP, "ben", message_id="b", reason="abroad")
    with guided.read() as connection:
        states = fetch(connection, "SELECT delivery_id, state, reason FROM deliveries ORDER BY delivery_id")
        assert contacts_of(connection, "g1", TODAY) == 0
        assert tasks_of(connection, "g1") == []
    assert states == [("a", "sent", None), ("b", "skipped", "guide_declined"), ("c", "tasked", None)]


def test_the_last_message_is_found(guided: Database) -> None:
    rows = [
        {"delivery_id": name, "member_id": "ann", "state": state, "test": test, "sent_at": NOW - days * DAY}
        for name, state, test, days in (
            ("a", "sent", False, 5),
            ("b", "delivered", False, 3),
            ("c", "sent", True, 1),
            ("d", "failed", False, 0),
        )
    ]
    with guided.write() as connection:
        connection.execute(deliveries.insert(), [COMMON | row for row in rows])
    with guided.read() as connection:
        assert latest_messages(connection, ["ann", "ben"]) == {"ann": NOW - 3 * DAY}
        assert latest_messages(connection, []) == {}

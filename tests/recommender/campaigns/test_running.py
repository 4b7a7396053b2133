"""What moves campaigns by itself: starts, feeds that may be stopped anywhere, ends, and clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from recommender.campaigns import running
from recommender.campaigns.assignments import Assignment, add_assignments
from recommender.campaigns.campaign import By, Campaign
from recommender.campaigns.holdout import Arm
from recommender.campaigns.lifecycle import Action
from recommender.campaigns.occasions import Schedule
from recommender.campaigns.running import advance, call_off, due_occasion
from recommender.campaigns.store import get_campaign, move, planned, read_timeline
from recommender.campaigns.transports import put_transport
from recommender.storage.database import Database
from recommender.storage.statements import execute, fetch
from tests.recommender.campaigns.worlds import NOW, TERMS, add_offers, create

SETTINGS = {
    "transport": "push",
    "message": {"texts": {"en": {"body": "{offer}"}}},
    "approval": "none",
    "undo_seconds": 600,
}
MEMBERS = [f"m{number:02d}" for number in range(25)]
ROWS = [
    Assignment(
        member,
        f"member:{member}",
        Arm.HOLDOUT if number % 5 == 0 else Arm.TREATED,
        0.8,
        None if number % 7 == 0 else "o1",
        1.0,
        5.0,
        1.0,
    )
    for number, member in enumerate(MEMBERS)
]
WANTED = {row.member_id: row.arm.value for row in ROWS if row.offer_id is not None}
LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def launched(database: Database) -> Database:
    """A campaign that was planned and launched."""
    add_offers(database, "o1", "o2")
    create(database, settings=SETTINGS)
    with database.write() as connection:
        put_transport(connection, "push", "file", {}, True, "test", NOW)
        add_assignments(connection, "c1", ROWS, NOW)
        planned(connection, "c1", "p1", By("worker", NOW), {})
        move(connection, "c1", Action.LAUNCH, By("ann", NOW))
    return database


def status(database: Database) -> str:
    with database.read() as connection:
        return get_campaign(connection, "c1").status.value


def outbox(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return dict(fetch(connection, "SELECT member_id, arm FROM deliveries"))


def actions(database: Database) -> list[str]:
    with database.read() as connection:
        return [step.action for step in read_timeline(connection, "c1")]


def test_a_launch_waits_for_the_time_to_undo(launched: Database) -> None:
    assert advance(launched, LATER - timedelta(seconds=1)) == 0
    assert status(launched) == "scheduled"
    assert advance(launched, LATER) == 1
    assert status(launched) == "running"
    assert outbox(launched) == WANTED
    assert advance(launched, LATER + timedelta(seconds=1)) == 0
    assert actions(launched)[-2:] == ["start", "enqueued"]


def test_a_feed_that_is_stopped_anywhere_goes_on_where_it_was(
    launched: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "CHUNK_ROWS", 4)
    monkeypatch.setattr(running, "MOST_CHUNKS", 2)
    sizes = []
    for second in range(6):
        advance(launched, LATER + timedelta(seconds=second))
        sizes.append(len(outbox(launched)))
    assert sizes == sorted(sizes)
    assert sizes[0] < len(WANTED)
    assert outbox(launched) == WANTED
    assert actions(launched).count("enqueued") == 1


def test_a_pause_and_an_erasure_in_the_middle_of_a_feed_count(
    launched: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "CHUNK_ROWS", 4)
    monkeypatch.setattr(running, "MOST_CHUNKS", 1)
    advance(launched, LATER)
    fed = len(outbox(launched))
    with launched.write() as connection:
        move(connection, "c1", Action.PAUSE, By("ann", LATER))
        execute(connection, "DELETE FROM campaign_members WHERE member_id = 'm24'", ())
    for second in range(1, 4):
        advance(launched, LATER + timedelta(seconds=second))
    assert len(outbox(launched)) == fed
    with launched.write() as connection:
        move(connection, "c1", Action.RESUME, By("ann", LATER))
    for second in range(4, 14):
        advance(launched, LATER + timedelta(seconds=second))
    assert outbox(launched) == {member: arm for member, arm in WANTED.items() if member != "m24"}


def test_what_was_cancelled_is_not_fed(launched: Database) -> None:
    with launched.write() as connection:
        call_off(connection, "c1", By("ann", NOW), {})
    assert advance(launched, LATER) == 0
    assert outbox(launched) == {}


@pytest.mark.parametrize("started", [True, False])
def test_a_campaign_ends_when_its_time_is_over_also_after_a_jump_of_the_clock(
    launched: Database, started: bool
) -> None:
    if started:
        advance(launched, LATER)
    assert advance(launched, TERMS.ends_at) == 1
    assert status(launched) == "finished"
    assert advance(launched, NOW) == 0  # the clock went back: what is over stays over
    assert status(launched) == "finished"
    with launched.read() as connection:
        reasons = {row[0] for row in fetch(connection, "SELECT reason FROM deliveries")}
        assert read_timeline(connection, "c1")[-1].details == {"not_sent": len(WANTED) if started else 0}
    assert reasons == ({"campaign_over"} if started else set())


def recurring(database: Database) -> Campaign:
    add_offers(database, "o1", "o2")
    return create(database, settings={"schedule": {"weekdays": ["mon"], "at": "09:00"}})


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (datetime(2026, 3, 2, 8, 30, tzinfo=UTC), None),
        (datetime(2026, 3, 2, 9, 0, tzinfo=UTC), "2026-03-02"),
        (datetime(2026, 3, 3, 8, 59, tzinfo=UTC), "2026-03-02"),
        (datetime(2026, 3, 3, 9, 0, 1, tzinfo=UTC), None),
        (datetime(2026, 3, 9, 12, 0, tzinfo=UTC), "2026-03-09"),
        (datetime(2026, 3, 16, 12, 0, tzinfo=UTC), None),  # the campaign is over
        (datetime(2026, 2, 1, 12, 0, tzinfo=UTC), None),  # the clock went back to before it
    ],
)
def test_the_latest_occasion_counts_for_a_day(sqlite_database: Database, now: datetime, found: str | None) -> None:
    schedule = Schedule(time(9), frozenset({0}))
    assert due_occasion(recurring(sqlite_database), schedule, now, ZoneInfo("UTC")) == found

"""Attribution in SQL: each act is credited once, whatever order, corrections, returns, repeats and kills come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from recommender.attribution import Window
from recommender.events import Event, EventKind, member_subject
from recommender.exposures import NARROWED, Exposure
from recommender.storage import attribution
from recommender.storage.attribution import Attributed, attribute, attributed_sequence
from recommender.storage.database import Database
from recommender.storage.erasure import request_erasure
from recommender.storage.events import LOG_COLUMNS, append_events, insert_logged
from recommender.storage.exposures import drain, prune_exposures
from recommender.storage.hashing import HashKey
from recommender.storage.identities import Link, link
from recommender.storage.logged_slates import LogCounts, count_logged, read_logged
from recommender.storage.statements import fetch, next_sequence

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
WINDOW = Window(timedelta(days=7), frozenset({"pos"}))
MEMBER = member_subject("1")


def slate(recommendation_id: str, items: Sequence[str], at: datetime = NOW, subject: str | None = MEMBER) -> Exposure:
    return Exposure(
        recommendation_id=recommendation_id,
        occurred_at=at,
        scenario="home",
        bundle_id="20260301-0123456789ab",
        strategy="personal",
        subject=subject,
        store_id="s1",
        channel="app",
        item_id=tuple(items),
        score=(1.0,) * len(items),
        source=("repeat",) * len(items),
        reason=(None,) * len(items),
    )


def show(database: Database, *slates: Exposure) -> None:
    with database.write() as connection:
        assert drain(connection, slates[0].recommendation_id, 0, 1, slates)


def event(event_id: str, kind: EventKind, **said: object) -> Event:
    base = Event(event_id, NOW + timedelta(hours=1), kind, "app", MEMBER, "milk")
    return replace(base, **said)  # type: ignore[arg-type]


def line(event_id: str, **said: object) -> Event:
    """An order line of two milk at 129 with 8 off: worth 250."""
    order = {"order_id": "o1", "order_line": "1", "quantity": 2.0, "unit_price_cents": 129, "discount_cents": 8}
    return event(event_id, EventKind.PURCHASE, **{**order, **said})


def post(database: Database, *events: Event) -> None:
    with database.write() as connection:
        append_events(connection, events, NOW)


def run(database: Database, now: datetime = NOW, rows: int = 500) -> Attributed:
    return attribute(database, WINDOW, now, rows)


def outcomes(database: Database, recommendation_id: str = "r1", position: int = 1) -> tuple[int, ...]:
    """Views, basket additions, purchases, revenue, assisted purchases and revenue of one shown item."""
    statement = (
        "SELECT views, basket_adds, purchases, revenue_cents, assisted_purchases, assisted_cents FROM exposures"
        " WHERE recommendation_id = ? AND position = ?"
    )
    with database.read() as connection:
        return tuple(fetch(connection, statement, (recommendation_id, position))[0])


def rows_of(database: Database) -> int:
    with database.read() as connection:
        return int(fetch(connection, "SELECT COUNT(*) FROM attributions")[0][0])


def test_acts_are_credited_to_the_item_shown(database: Database) -> None:
    show(database, slate("r1", ["milk", "bread"]))
    named = {"recommendation_id": "r1"}
    post(
        database,
        event("v1", EventKind.VIEW, **named, position=1),
        event("v2", EventKind.VIEW, **named),
        event("b1", EventKind.BASKET_ADD, **named, item_id=None, position=2),
        line("p1", **named),
        event("other", EventKind.VIEW, **named, item_id="eggs"),
        event("unnamed", EventKind.VIEW),
        event("search", EventKind.SEARCH, **named),
    )
    assert run(database) == Attributed(5, 4)
    assert outcomes(database) == (2, 0, 1, 250, 0, 0)
    assert outcomes(database, position=2) == (0, 1, 0, 0, 0, 0)
    assert run(database) == Attributed()
    assert outcomes(database) == (2, 0, 1, 250, 0, 0)


def test_an_act_outside_the_window_is_nobodys(database: Database) -> None:
    show(database, slate("r1", ["milk"]))
    named = {"recommendation_id": "r1"}
    post(
        database,
        event("late", EventKind.VIEW, **named, occurred_at=NOW + timedelta(days=7, seconds=1)),
        event("early", EventKind.VIEW, **named, occurred_at=NOW - timedelta(minutes=6)),
        event("last", EventKind.VIEW, **named, occurred_at=NOW + timedelta(days=7)),
        event("clock", EventKind.VIEW, **named, occurred_at=NOW - timedelta(minutes=4)),
    )
    run(database)
    assert outcomes(database)[0] == 2


def test_a_correction_replaces_what_the_line_was_worth(database: Database) -> None:
    show(database, slate("r1", ["milk"]))
    post(database, line("p1", recommendation_id="r1"))
    run(database)
    post(database, line("p1b", revision=1, quantity=1.0), line("old", revision=0, quantity=9.0))
    run(database)
    assert outcomes(database) == (0, 0, 1, 121, 0, 0), "the correction names no recommendation, and keeps its credit"
    post(database, line("p1c", revision=2, status="cancelled"))
    run(database)
    assert outcomes(database) == (0, 0, 0, 0, 0, 0)
    assert rows_of(database) == 1


def test_corrections_count_also_when_they_come_together_or_first(database: Database) -> None:
    show(database, slate("r1", ["milk"]))
    post(database, line("p1", recommendation_id="r1"), line("p2", recommendation_id="r1", revision=3, quantity=1.0))
    late = {"order_id": "o2", "recommendation_id": "r1"}
    post(database, line("q2", **late, revision=1, status="Cancelled"), line("q1", **late))
    run(database)
    assert outcomes(database) == (0, 0, 1, 121, 0, 0)


@pytest.mark.parametrize("together", [False, True])
def test_a_return_takes_back_quantity_and_money(database: Database, together: bool) -> None:
    show(database, slate("r1", ["milk"]))
    post(database, line("p1", recommendation_id="r1"))
    if not together:
        run(database)
    post(database, event("back", EventKind.RETURN, order_id="o1", order_line="7", quantity=1.0))
    run(database)
    assert outcomes(database) == (0, 0, 1, 125, 0, 0)
    post(database, event("rest", EventKind.RETURN, order_id="o1", quantity=None))
    run(database)
    run(database)
    assert outcomes(database) == (0, 0, 0, 0, 0, 0)


def test_a_return_can_be_corrected_and_waits_for_its_purchase(database: Database) -> None:
    show(database, slate("r1", ["milk"]))
    back = {"order_id": "o1", "order_line": "1"}
    post(database, event("back", EventKind.RETURN, **back, quantity=2.0))
    run(database)
    post(database, line("p1", recommendation_id="r1"))
    run(database)
    run(database)
    assert outcomes(database) == (0, 0, 0, 0, 0, 0)
    post(database, event("back2", EventKind.RETURN, **back, quantity=1.0, revision=1))
    run(database)
    assert outcomes(database) == (0, 0, 1, 125, 0, 0)
    post(database, event("back3", EventKind.RETURN, **back, quantity=1.0, revision=2, status="cancelled"))
    run(database)
    assert outcomes(database) == (0, 0, 1, 250, 0, 0)


@pytest.mark.parametrize("together", [False, True])
def test_a_return_without_an_order_takes_back_the_latest_purchase(database: Database, together: bool) -> None:
    with database.write() as connection:
        link(connection, [Link("card", "77", "1")], NOW)
    show(database, slate("r1", ["milk"]), slate("r2", ["milk"], subject=member_subject("2")))
    post(
        database,
        line("p1", recommendation_id="r1"),
        line("p2", recommendation_id="r1", order_id="o2", occurred_at=NOW + timedelta(hours=2), discount_cents=0),
        line("p3", recommendation_id="r2", order_id="o3", subject=member_subject("2")),
    )
    if not together:
        run(database)
    subject = MEMBER if together else "card:77"
    later = {"subject": subject, "occurred_at": NOW + timedelta(hours=3)}
    post(database, event("b1", EventKind.RETURN, **later, quantity=3.0))
    run(database)
    assert outcomes(database) == (0, 0, 1, 125, 0, 0), "two of the latest, then one of the one before"
    assert outcomes(database, "r2") == (0, 0, 1, 250, 0, 0), "somebody else bought that"
    post(database, event("b2", EventKind.RETURN, **later), event("b3", EventKind.RETURN, **later))
    run(database)
    assert outcomes(database) == (0, 0, 0, 0, 0, 0)
    early = {"subject": member_subject("2"), "occurred_at": NOW}
    post(database, event("b4", EventKind.RETURN, **early), event("b5", EventKind.RETURN, subject=None))
    run(database)
    assert outcomes(database, "r2") == (0, 0, 1, 250, 0, 0), "given back before it was bought"


def test_an_event_waits_for_an_exposure_that_is_still_in_a_spool(database: Database) -> None:
    post(database, event("v1", EventKind.VIEW, recommendation_id="r1"), line("p1", recommendation_id="r1"))
    post(database, event("v2", EventKind.VIEW, recommendation_id="forged"))
    assert run(database).credits == 3
    show(database, slate("r1", ["milk"]))
    assert outcomes(database) == (0, 0, 0, 0, 0, 0)
    run(database, NOW + timedelta(days=1))
    run(database, NOW + timedelta(days=1))
    assert outcomes(database) == (1, 0, 1, 250, 0, 0)
    assert rows_of(database) == 3
    run(database, NOW + timedelta(days=8))
    assert rows_of(database) == 2, "what nobody showed is let go when the window has closed"


def test_a_purchase_in_a_shop_is_assisted_by_the_latest_slate_with_the_item(database: Database) -> None:
    card = "card:77"
    with database.write() as connection:
        link(connection, [Link("card", "77", "1")], NOW)
    show(
        database,
        slate("r0", ["milk"], NOW - timedelta(days=6)),
        slate("r1", ["bread", "milk"], NOW - timedelta(days=1)),
        slate("r2", ["milk"], NOW + timedelta(days=1)),
        slate("r3", ["milk"], NOW, member_subject("2")),
    )
    post(
        database,
        line("p1", channel="pos", subject=card),
        line("p2", channel="app", order_id="o2"),
        line("p3", channel="pos", order_id="o3", item_id="eggs"),
        line("p4", channel="pos", order_id="o4", subject=None),
        line("p5", channel="pos", order_id="o5", recommendation_id="r0"),
    )
    run(database)
    assert outcomes(database, "r1", 2) == (0, 0, 0, 0, 1, 250)
    assert outcomes(database, "r0") == (0, 0, 1, 250, 0, 0)
    assert outcomes(database, "r2") == outcomes(database, "r3") == (0, 0, 0, 0, 0, 0)
    post(database, line("p1b", channel="pos", subject=card, revision=1, recommendation_id="r0"))
    run(database)
    assert outcomes(database, "r1", 2) == (0, 0, 0, 0, 0, 0), (
        "a correction that names a recommendation moves the credit"
    )
    assert outcomes(database, "r0") == (0, 0, 2, 500, 0, 0)


def test_events_of_one_load_are_joined_whole_though_they_share_a_sequence(database: Database) -> None:
    show(database, slate("r1", ["milk"]))
    rows = []
    for number in range(25):
        values = dict.fromkeys(LOG_COLUMNS) | {
            "event_id": f"e{number:02d}",
            "occurred_at": int(NOW.timestamp()) * 1_000_000,
            "kind": "view",
            "channel": "app",
            "item_id": "milk",
            "revision": 0,
            "recommendation_id": "r1",
            "source": "shop",
            "content_hash": number,
        }
        rows.append([values[name] for name in LOG_COLUMNS])
    with database.write() as connection:
        sequence = next_sequence(connection)
        insert_logged(connection, rows, sequence, NOW)
    post(database, event("v", EventKind.VIEW, recommendation_id="r1"))
    run(database, rows=7)
    assert outcomes(database)[0] == 26
    with database.read() as connection:
        assert attributed_sequence(connection) == sequence + 1


def test_a_run_that_is_killed_between_pages_is_taken_up_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(database, slate("r1", ["milk"]))
    post(database, *(event(f"e{number}", EventKind.VIEW, recommendation_id="r1") for number in range(20)))
    entered = attribution._enter
    calls = []

    def killed(*arguments: object) -> int:
        calls.append(entered(*arguments))  # type: ignore[arg-type]
        if len(calls) == 4:
            raise KeyboardInterrupt
        return calls[-1]

    monkeypatch.setattr(attribution, "_enter", killed)
    with pytest.raises(KeyboardInterrupt):
        run(database, rows=5)
    monkeypatch.undo()
    assert 0 < outcomes(database)[0] < 20
    run(database, rows=5)
    assert outcomes(database)[0] == 20


def test_two_workers_at_once_credit_each_act_once(database: Database) -> None:
    show(database, slate("r1", ["milk"]))
    post(database, *(event(f"e{number}", EventKind.VIEW, recommendation_id="r1") for number in range(200)))
    threads = [Thread(target=lambda: run(database, rows=10)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run(database)
    assert outcomes(database)[0] == 200
    assert rows_of(database) == 200


def test_what_is_too_old_is_removed_with_its_credits(database: Database) -> None:
    show(database, *(slate(f"r{number}", ["milk", "bread"], NOW + timedelta(days=number)) for number in range(4)))
    for number in range(4):
        said = {"occurred_at": NOW + timedelta(days=number, hours=1), "recommendation_id": f"r{number}"}
        post(database, event(f"v{number}", EventKind.VIEW, **said))
    run(database)
    assert prune_exposures(database, NOW + timedelta(days=2), rows=1) == 4
    assert prune_exposures(database, NOW + timedelta(days=2)) == 0
    assert rows_of(database) == 2
    assert outcomes(database, "r2") == (1, 0, 0, 0, 0, 0)


def test_logged_slates_are_read_whole_page_by_page(database: Database) -> None:
    shown = [
        replace(slate(f"r{number}", ["milk", "bread", "eggs"]), propensity=(0.5, 0.25, 1.0)) for number in range(5)
    ]
    narrowed = replace(shown[0], recommendation_id="n", flags=("stock_unknown", NARROWED))
    show(database, *shown, narrowed, slate("plain", ["milk"]))
    end = NOW + timedelta(seconds=1)
    with database.read() as connection:
        assert count_logged(connection, "home", NOW, end) == LogCounts(7, 1, 1)
        for rows in (1, 2, 3, 4, 100):
            found = list(read_logged(connection, "home", NOW, end, "purchased", rows))
            assert [one.recommendation_id for one in found] == [f"r{number}" for number in range(5)]
            assert {(one.item_id, one.chance) for one in found} == {(("milk", "bread", "eggs"), (0.5, 0.25, 1.0))}


def test_what_a_member_did_whose_erasure_is_under_way_is_nobodys(database: Database) -> None:
    show(database, slate("r1", ["milk"]))
    post(database, line("e1", recommendation_id=None, channel="pos"))
    with database.write() as connection:
        request_erasure(connection, MEMBER.removeprefix("member:"), "k1", HashKey(b"0123456789abcdef", 1), NOW)
    assert run(database).credits == 0

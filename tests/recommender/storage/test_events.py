"""Events appended exactly once, in the order of commits, whoever appends; and read back quickly by customer."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import duckdb
import pytest

from recommender.events import Event, EventKind
from recommender.storage.content import CONTENT, content_hash, content_hash_sql
from recommender.storage.database import Database, next_sequence
from recommender.storage.events import (
    LOG_COLUMNS,
    EventResult,
    EventStatus,
    RecentEvents,
    append_events,
    find_hashes,
    insert_logged,
    recent_events,
)
from recommender.storage.statements import execute, fetch, last_sequence
from recommender.storage.subject_state import read_subject_state
from recommender.storage.types import to_micros
from tests.factories import NOW, make_event, put_rows

ACCEPTED, DUPLICATE, CONFLICTING = EventStatus


def append(database: Database, *events: Event) -> list[EventStatus]:
    with database.write() as connection:
        return [result.status for result in append_events(connection, events, NOW)]


def recent(database: Database, *subjects: str, after: int = 0, limit: int = 100) -> RecentEvents:
    with database.read() as connection:
        return recent_events(connection, subjects, after, limit)


def test_an_event_is_stored_once_and_its_first_content_wins(database: Database) -> None:
    event = make_event("e1")
    assert append(database, event) == [ACCEPTED]
    assert append(database, event) == [DUPLICATE]
    assert append(database, replace(event, item_id="other")) == [CONFLICTING]
    assert recent(database, "member:m1").item_id == ("i1",)


def test_each_event_of_a_batch_has_its_result(database: Database) -> None:
    append(database, make_event("e1"))
    batch = [make_event("e2"), make_event("e1"), make_event("e2"), make_event("e2", item_id="i9")]
    with database.write() as connection:
        assert append_events(connection, [*batch, make_event("e3")], NOW) == [
            EventResult("e2", ACCEPTED),
            EventResult("e1", DUPLICATE),
            EventResult("e2", DUPLICATE),
            EventResult("e2", CONFLICTING),
            EventResult("e3", ACCEPTED),
        ]
    with database.read() as connection:
        rows = fetch(connection, "SELECT event_id, sequence, in_log, source FROM events ORDER BY sequence")
    assert [row[0] for row in rows] == ["e1", "e2", "e3"]
    assert [row[1] for row in rows] == sorted({row[1] for row in rows})
    assert {(bool(row[2]), row[3]) for row in rows} == {(False, "api")}


def test_no_events(database: Database) -> None:
    assert append(database) == []
    assert len(recent(database)) == 0
    assert len(recent(database, "member:m1")) == 0


def test_recent_events_are_those_of_the_subjects_after_a_sequence(database: Database) -> None:
    append(database, make_event("e1"), make_event("e2", item_id="i2"), make_event("e3", "m2"))
    append(database, make_event("e4", subject="card:c1", item_id="i4"), make_event("e5", item_id=None))
    assert recent(database, "member:m1").item_id == ("i1", "i2")
    assert recent(database, "member:m1", "card:c1").item_id == ("i1", "i2", "i4")
    assert recent(database, "member:m1", "card:c1", after=1).item_id == ("i2", "i4")
    assert recent(database, "member:m1", "card:c1", limit=1).item_id == ("i4",)
    assert recent(database, *(f"card:c{n}" for n in range(40))).item_id == ("i4",)


def test_recent_events_say_what_serving_needs(database: Database) -> None:
    event = make_event(
        kind=EventKind.PURCHASE,
        channel="pos",
        quantity=2.5,
        order_id="o",
        order_line="1",
        revision=3,
        status="paid",
    )
    append(database, event)
    found = recent(database, "member:m1")
    assert found == RecentEvents(
        ("i1",),
        (to_micros(event.occurred_at),),
        ("purchase",),
        ("pos",),
        (2.5,),
        ("o",),
        ("1",),
        (3,),
        ("paid",),
    )


def test_events_of_a_load_are_seen_by_serving(database: Database) -> None:
    event = make_event("e7", item_id="i7")
    values = {name: getattr(event, name, None) for name in LOG_COLUMNS}
    values |= {"occurred_at": to_micros(event.occurred_at), "kind": "view", "source": "till"}
    values["content_hash"] = content_hash(event)
    with database.write() as connection:
        sequence = next_sequence(connection)
        insert_logged(connection, iter([tuple(values[name] for name in LOG_COLUMNS)]), sequence, NOW)
    assert recent(database, "member:m1").item_id == ("i7",)
    assert append(database, event) == [DUPLICATE]
    with database.read() as connection:
        assert fetch(connection, "SELECT source, in_log FROM events WHERE in_log") == [("till", True)]
        assert find_hashes(connection, ["e7", "e8"]) == {"e7": content_hash(event)}


def test_a_load_that_brings_a_posted_event_marks_it_as_logged(database: Database) -> None:
    event = make_event("e1")
    append(database, event)
    row = ["e1", to_micros(event.occurred_at), "view", "app", "member:m1", *[None] * 15, "till", 1]
    assert len(row) == len(LOG_COLUMNS)
    with database.write() as connection:
        insert_logged(connection, [row], next_sequence(connection), NOW)
    with database.read() as connection:
        assert fetch(connection, "SELECT source, sequence, in_log FROM events") == [("api", 1, True)]


def test_erased_subjects_have_no_events(database: Database) -> None:
    append(database, make_event("e1"), make_event("e2", "m2"))
    with database.write() as connection:
        execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES ('member:m1', 0)")
    assert len(recent(database, "member:m1", "member:m2")) == 1
    assert append(database, make_event("e3")) == [ACCEPTED]
    assert append(database, make_event("e3")) == [DUPLICATE]
    with database.read() as connection:
        assert fetch(connection, "SELECT subject FROM events WHERE event_id = 'e3'") == [(None,)]


def test_one_call_reads_a_customer(database: Database) -> None:
    put_rows(database, "members", {"member_id": "m1", "adult": "true"})
    put_rows(database, "identities", {"namespace": "card", "value": "c1", "member_id": "m1"})
    append(database, make_event("e1", subject="card:c1"))
    with database.read() as connection:
        by_card = read_subject_state(connection, "card", "c1", 0, NOW)
        by_member = read_subject_state(connection, "member", "m1", 0, NOW)
        stranger = read_subject_state(connection, "card", "c2", 0, NOW)
    assert by_card == by_member
    assert by_member.member is not None
    assert by_member.subjects == ("member:m1", "card:c1")
    assert by_member.recent.item_id == ("i1",)
    assert (stranger.member, stranger.subjects, stranger.conflict) == (None, ("card:c2",), False)


def test_threads_append_without_loss_and_in_the_order_of_commits(database: Database) -> None:
    seen: list[int] = []
    lock = threading.Lock()

    def work(worker: int) -> None:
        for number in range(15):
            batch = [make_event(f"{worker}-{number}-{part}") for part in range(3)]
            shared = make_event(f"shared-{number}")
            with database.write() as connection:
                append_events(connection, [*batch, shared], NOW)
            with lock, database.read() as connection:
                seen.append(last_sequence(connection))
                _assert_sequences_are_complete(database)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert seen == sorted(seen)
    _assert_appended_once(database, 6 * 15 * 3 + 15)


def test_processes_append_without_loss(database: Database, database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_from, args=(database_url, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    _assert_appended_once(database, 3 * 20 + 20)


def test_a_reader_that_follows_sequences_misses_nothing(database: Database) -> None:
    """Poll `sequence > last seen` while others append: rows never appear behind what was seen."""
    stop = threading.Event()
    found: list[str] = []

    def follow() -> None:
        last, finished = 0, False
        while not finished:
            finished = stop.is_set()
            with database.read() as connection:
                rows = fetch(
                    connection,
                    "SELECT event_id, sequence FROM events WHERE sequence > ? ORDER BY sequence",
                    (last,),
                )
            found.extend(row[0] for row in rows)
            last = rows[-1][1] if rows else last

    reader = threading.Thread(target=follow)
    reader.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: append(database, make_event(f"e{n}")), range(120)))
    stop.set()
    reader.join()
    assert sorted(found) == sorted(f"e{n}" for n in range(120))


def _append_from(url: str, worker: int) -> None:
    database = Database(url, busy_timeout_seconds=30)
    for number in range(20):
        append(database, make_event(f"{worker}-{number}"), make_event(f"shared-{number}"))
    database.dispose()


def _assert_sequences_are_complete(database: Database) -> None:
    with database.read(snapshot=True) as connection:
        highest = fetch(connection, "SELECT MAX(sequence) FROM events")[0][0]
        assert highest <= last_sequence(connection)


def _assert_appended_once(database: Database, count: int) -> None:
    with database.read() as connection:
        rows = fetch(connection, "SELECT COUNT(*), COUNT(DISTINCT event_id), COUNT(DISTINCT sequence) FROM events")
    assert rows == [(count, count, count)]


EVENTS = [
    make_event("plain"),
    make_event("nobody", None, item_id=None),
    make_event(
        "full",
        kind=EventKind.PURCHASE,
        channel="到店",
        store_id="s",
        order_id="o",
        order_line="1",
        revision=2,
        status="paid",
        fulfilment="in_store",
        quantity=0.1,
        unit_price_cents=1999,
        discount_cents=0,
        coupon_id="c",
        recommendation_id="r",
        position=3,
        value=-2.25,
        attributes='{"a":"é"}',
    ),
    make_event("rounded", quantity=0.0000005, value=1e15 / 3),
    make_event("whole", quantity=3.0, value=-0.0),
    make_event("huge", quantity=1e31, value=2.0000004999),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event_id)
def test_python_and_duckdb_hash_alike(event: Event) -> None:
    types = {"occurred_at": "TIMESTAMPTZ", "quantity": "DOUBLE", "value": "DOUBLE", "revision": "INTEGER"}
    types |= {"unit_price_cents": "BIGINT", "discount_cents": "BIGINT", "position": "INTEGER"}
    columns = ", ".join(f"CAST(? AS {types.get(name, 'VARCHAR')}) AS {name}" for name in CONTENT)
    with duckdb.connect() as duck:
        row = duck.execute(
            f"SELECT {content_hash_sql()} FROM (SELECT {columns})", [getattr(event, name) for name in CONTENT]
        ).fetchone()
    assert row == (content_hash(event),)


def test_a_missing_revision_is_the_first_one() -> None:
    with duckdb.connect() as duck:
        expressions = dict.fromkeys(CONTENT, "NULL") | {"occurred_at": "TIMESTAMPTZ '2026-01-01'"}
        without = duck.execute(f"SELECT {content_hash_sql(expressions)}").fetchone()
        zero = duck.execute(f"SELECT {content_hash_sql(expressions | {'revision': '0'})}").fetchone()
    assert without == zero


def test_the_hash_tells_contents_apart_and_fits_the_column() -> None:
    hashes = [content_hash(replace(event, event_id="same")) for event in EVENTS]
    assert len(set(hashes)) == len(EVENTS)
    assert all(0 <= value < 2**60 for value in hashes)

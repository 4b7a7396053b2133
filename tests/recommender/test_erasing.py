"""Erasure through to the end: the event log and the bundles lose the member, whatever step a process dies in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from api.settings import ServiceSettings
from api.worker import compact_events
from recommender.coupons.counters import Count, take
from recommender.coupons.coupon_rows import add_coupons
from recommender.coupons.wallet import Coupon, Status
from recommender.erasing import Applied, apply_erasures, proof_document
from recommender.events import Event, EventKind
from recommender.registry import Registry
from recommender.storage.database import Database, open_database
from recommender.storage.erasure import (
    Erasure,
    find_erasure,
    list_erasures,
    purge_books,
    reference_of,
    request_erasure,
    sweep,
)
from recommender.storage.event_log import open_event_log, registered_files
from recommender.storage.events import PERSONAL_COLUMNS, append_events, nameless
from recommender.storage.hashing import HashKey
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from tests.shop import NOW, fill, open_shop, settings_at, train
from training.unify import read_dataset

KEY = HashKey(b"0123456789abcdef", 1)
GONE = "member:m05"


class Killed(BaseException):
    """Stands for a process that ends here."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a bundle, whose events are in the log."""
    folder = tmp_path_factory.mktemp("erasing")
    settings = settings_at(folder)
    open_shop(settings)
    database = open_database(settings)
    compact_events(database, settings, NOW)
    database.dispose()
    return folder


@pytest.fixture
def shop(trained: Path, tmp_path: Path) -> ServiceSettings:
    shutil.copytree(trained, tmp_path / "shop")
    return settings_at(tmp_path / "shop")


@pytest.fixture
def database(shop: ServiceSettings) -> Iterator[Database]:
    opened = open_database(shop)
    yield opened
    opened.dispose()


def ask(database: Database, member_id: str = "m05") -> Erasure:
    with database.write() as connection:
        return request_erasure(connection, member_id, "k1", KEY, NOW)


def apply(database: Database, shop: ServiceSettings, die_at: str = "") -> Applied:
    def step(name: str) -> None:
        if name == die_at:
            raise Killed

    return apply_erasures(database, open_event_log(shop), shop.models, datetime.now(UTC), step)


def subjects_in_log(database: Database, shop: ServiceSettings) -> list[str | None]:
    with database.read() as connection:
        files = registered_files(connection)
    log = open_event_log(shop)
    return [name for file in files for name in pq.read_table(log.full_path(file)).column("subject").to_pylist()]


def parquet_files(shop: ServiceSettings) -> set[Path]:
    return set(shop.event_log_folder.rglob("*.parquet"))


def test_the_log_is_rewritten_and_waits_for_a_clean_bundle(database: Database, shop: ServiceSettings) -> None:
    erasure, before = ask(database), parquet_files(shop)
    rows = len(subjects_in_log(database, shop))
    dirty = Registry(shop.models).current_id()
    done = apply(database, shop)
    assert done.finished == ()
    assert "memberwise train" in done.waiting
    assert Registry(shop.models).current_id() == dirty, "what serves is not taken away"
    assert GONE not in subjects_in_log(database, shop)
    assert len(subjects_in_log(database, shop)) == rows, "what was bought still counts"
    assert parquet_files(shop).isdisjoint(before), "every month held purchases of the member"
    with database.read() as connection:
        assert open_event_log(shop).problems(connection, checksums=True) == []
    clean = train(database, shop, seed=9)
    done = apply(database, shop)
    assert done.finished == (erasure.erasure_id,)
    assert done.bundles == (dirty,)
    assert [entry.bundle_id for entry in Registry(shop.models).list()] == [clean]
    assert Registry(shop.models).open().subjects.row(GONE) is None
    with database.read() as connection:
        (finished,) = list_erasures(connection)
    proof = proof_document(finished)
    assert proof["state"] == "finished"
    assert set(proof["rows_left"].values()) == {0}
    assert proof["bundles_removed"][0]["bundle_id"] == dirty
    assert proof["clean_bundle"] == clean
    assert sum(entry["rows"] for entry in proof["log_files"]) == 80
    assert {shop.event_log_folder / entry["removed"] for entry in proof["log_files"]} <= before
    assert {shop.event_log_folder / entry["replaced_by"] for entry in proof["log_files"]} <= parquet_files(shop)
    assert "m05" not in str(proof)


STEPS = ("members", "events", "redemptions", "audit", "found", "written", "swapped", "deleted", "bundle", "finished")


@pytest.mark.parametrize("step", STEPS)
def test_it_survives_being_killed(database: Database, shop: ServiceSettings, step: str) -> None:
    ask(database)
    with database.write() as connection:
        upsert(connection, "members", [{"member_id": "m05", "tier": "gold"}], NOW)
    rows = len(subjects_in_log(database, shop))
    train(database, shop, seed=9)
    with pytest.raises(Killed):
        apply(database, shop, die_at=step)
    with database.read() as connection:
        assert open_event_log(shop).problems(connection, checksums=True) == []
    assert len(subjects_in_log(database, shop)) == rows, "every event is there once"
    apply(database, shop)
    with database.read() as connection:
        (erasure,) = list_erasures(connection)
        registered = {open_event_log(shop).full_path(file) for file in registered_files(connection)}
        assert open_event_log(shop).problems(connection, checksums=True) == []
    assert erasure.finished_at is not None
    assert set(erasure.proof["rows_left"].values()) == {0}
    assert len(subjects_in_log(database, shop)) == rows
    for path in parquet_files(shop):
        held = GONE in pq.read_table(path).column("subject").to_pylist()
        assert not held, "no file on disk holds the member, registered or not"
        assert path in registered or step == "written", "at most a clean file nobody reads is left, for the doctor"
    assert len(Registry(shop.models).list()) == 1


def test_training_leaves_the_erased_out_at_once(database: Database, shop: ServiceSettings) -> None:
    before = read_dataset(database, shop, None, datetime.now(UTC))
    assert before.people.row(GONE) is not None
    ask(database)
    after = read_dataset(database, shop, None, datetime.now(UTC))
    assert after.people.row(GONE) is None
    assert after.subjects.row(GONE) is None
    assert len(before.entries) - len(after.entries) == 80


def test_a_file_that_came_later_is_searched_too(database: Database, shop: ServiceSettings) -> None:
    """A load that began before an erasure registers its files after it."""
    ask(database)
    train(database, shop, seed=9)
    assert len(apply(database, shop).finished) == 1
    assert apply(database, shop) == Applied(0, (), (), "")
    with database.write() as connection:
        append_events(connection, [late_event()], NOW)
        connection.exec_driver_sql(f"UPDATE events SET subject = '{GONE}' WHERE event_id = 'late'")
        connection.exec_driver_sql("DELETE FROM erased_subjects")
    compact_events(database, shop, NOW)
    assert GONE in subjects_in_log(database, shop)
    with database.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO erased_subjects VALUES ('{GONE}', 0, NULL)")
    assert apply(database, shop).files == 1
    assert GONE not in subjects_in_log(database, shop)


def late_event() -> Event:
    return Event(
        event_id="late",
        occurred_at=NOW,
        kind=EventKind.PURCHASE,
        channel="pos",
        subject="member:m07",
        item_id="i01",
        order_id="o9",
        coupon_id="c9",
        recommendation_id="r9",
        attributes='{"note": "gift for m07"}',
    )


def test_what_an_event_loses_is_one_list() -> None:
    full, less = late_event(), nameless(late_event())
    changed = [name for name in Event.__slots__ if getattr(full, name) != getattr(less, name)]
    assert sorted(changed) == sorted(PERSONAL_COLUMNS)


def test_events_that_wait_for_the_log_lose_their_names_on_the_way(database: Database, shop: ServiceSettings) -> None:
    with database.write() as connection:
        append_events(connection, [late_event()], NOW)
    ask(database, "m07")
    compact_events(database, shop, NOW)
    with database.read() as connection:
        files = registered_files(connection)
    log = open_event_log(shop)
    rows = [
        row for file in files for row in pq.read_table(log.full_path(file)).to_pylist() if row["event_id"] == "late"
    ]
    assert [[row[name] for name in PERSONAL_COLUMNS] for row in rows] == [[None] * len(PERSONAL_COLUMNS)]


def test_books_are_kept_until_their_time_is_over(database_url: str, tmp_path: Path) -> None:
    opened = Database(database_url)
    fill(opened)
    with opened.write() as connection:
        for number, days in ((1, 10), (2, 4000)):
            row = {"offer_id": "o1", "member_id": "m05", "redeemed_at": NOW - timedelta(days=days)}
            upsert(connection, "redemptions", [row | {"redemption_id": f"r{number}"}], NOW)
        upsert(
            connection, "coupons", [{"coupon_id": "c1", "offer_id": "o", "member_id": "m05", "status": "issued"}], NOW
        )
        sent = {"campaign_id": "k", "member_id": "m05", "offer_id": "o", "sent_at": NOW}
        upsert(connection, "sends", [sent, sent | {"member_id": "m06"}], NOW)
        coupon = Coupon("w1", "o", "m05", None, Status.ISSUED, False, NOW, None)
        add_coupons(connection, [coupon, replace(coupon, coupon_id="w2", member_id="m06")])
        for member_id in ("m05", "m06"):
            take(connection, Count.MEMBER, "o", member_id, 1, 5, NOW)
    erasure = sweep(opened, ask(opened), NOW)
    assert {table: entry["rows"] for table, entry in erasure.proof["sql"].items()} == {
        "members": 1,
        "events": 80,
        "redemptions": 2,
        "coupons": 1,
        "wallet_coupons": 1,
        "coupon_counters": 1,
        "sends": 1,
    }
    assert purge_books(opened, 3650, NOW) == 2, "the old redemption, and a coupon without a date"
    with opened.read() as connection:
        assert fetch(connection, "SELECT member_id, redemption_id FROM redemptions") == [(erasure.pseudonym, "r1")]
        assert sorted(fetch(connection, "SELECT member_id FROM sends")) == [(erasure.pseudonym,), ("m06",)]
        assert sorted(fetch(connection, "SELECT member_id FROM wallet_coupons")) == [(erasure.pseudonym,), ("m06",)]
        assert fetch(connection, "SELECT subject FROM coupon_counters") == [("m06",)]
    assert purge_books(opened, 0, NOW + timedelta(days=1)) == 2
    with opened.read() as connection:
        assert fetch(connection, "SELECT member_id FROM sends") == [("m06",)]
        assert sorted(fetch(connection, "SELECT member_id FROM wallet_coupons")) == [(erasure.pseudonym,), ("m06",)]
        assert list_erasures(connection)[0].reference == reference_of("m05", KEY)
        assert find_erasure(connection, "m05") == list_erasures(connection)[0]
        assert find_erasure(connection, "m06") is None
    with opened.write() as connection:
        again = request_erasure(connection, "m05", "k1", HashKey(b"another-key-0123456", 2), NOW)
    assert again.erasure_id == erasure.erasure_id, "the hash key may have been replaced meanwhile"
    opened.dispose()

"""Keys, exposures, loads and the ledger, requests to retrain, the audit trail."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from recommender.errors import NotFoundError
from recommender.exposures import CouponShown, Exposure
from recommender.storage.audit import AuditEntry, read_audit, record
from recommender.storage.database import Database
from recommender.storage.exposures import coupons_shown, drain, drained_to, forget_file, prune_exposures
from recommender.storage.keys import ApiKey, NewKey, create_key, find_key, list_keys, revoke_key
from recommender.storage.loads import (
    LedgerDay,
    LedgerGap,
    Load,
    add_to_ledger,
    find_loads,
    ledger_gaps,
    list_loads,
    read_ledger,
    record_load,
)
from recommender.storage.retrain import (
    RetrainRequest,
    find_request,
    finish_request,
    list_requests,
    request_retrain,
    take_request,
)
from recommender.storage.statements import fetch
from tests.factories import NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def digest(key: NewKey) -> str:
    return hashlib.sha256(key.token.encode()).hexdigest()


def look_up(database: Database, key: NewKey, now: datetime = NOW) -> ApiKey | None:
    with database.read() as connection:
        return find_key(connection, digest(key), now)


def test_a_key_is_found_by_its_hash_and_kept_nowhere(database: Database) -> None:
    with database.write() as connection:
        key = create_key(connection, "till", ["events", "recommend", "events"], NOW)
    assert key.token.startswith("mw_")
    assert len(key.token) == 46
    assert key.token not in repr(key)
    assert look_up(database, key) == ApiKey(key.key_id, "till", digest(key), frozenset({"events", "recommend"}))
    with database.read() as connection:
        assert key.token not in str(fetch(connection, "SELECT * FROM api_keys"))
        assert find_key(connection, hashlib.sha256(b"mw_guess").hexdigest(), NOW) is None


def test_a_key_ends_when_told_or_revoked(database: Database) -> None:
    with database.write() as connection:
        ends = create_key(connection, "a", [], NOW, expires_at=NOW + HOUR)
        stays = create_key(connection, "b", ["admin"], NOW + HOUR)
    assert look_up(database, ends) is not None
    assert look_up(database, ends, NOW + HOUR) is None
    assert look_up(database, stays, NOW + 1000 * DAY) is not None
    for time in (NOW + HOUR, NOW + DAY):
        with database.write() as connection:
            revoke_key(connection, stays.key_id, time)
    assert look_up(database, stays) is None
    with database.read() as connection:
        listed = list_keys(connection)
    assert [(entry.name, entry.scopes, entry.expires_at, entry.revoked_at) for entry in listed] == [
        ("a", (), NOW + HOUR, None),
        ("b", ("admin",), None, NOW + HOUR),
    ]


def test_a_key_that_does_not_exist_cannot_be_revoked(database: Database) -> None:
    with pytest.raises(NotFoundError), database.write() as connection:
        revoke_key(connection, "nothing", NOW)


def exposure(recommendation_id: str = "r1", *item_ids: str) -> Exposure:
    shown = item_ids or ("a", "b")
    return Exposure(
        recommendation_id=recommendation_id,
        occurred_at=NOW,
        scenario="home",
        bundle_id="bundle",
        strategy="blend",
        subject="member:m1",
        store_id=None,
        channel="app",
        item_id=shown,
        score=tuple(1.0 / (n + 1) for n in range(len(shown))),
        source=("repeat",) * len(shown),
        reason=("bought_often", *(None,) * (len(shown) - 1)),
    )


def stored_exposures(database: Database) -> list[tuple[object, ...]]:
    statement = """SELECT recommendation_id, position, item_id, score, retriever, reason, propensity, subject
                   FROM exposures ORDER BY recommendation_id, position"""
    with database.read() as connection:
        return fetch(connection, statement)


def drain_part(database: Database, offset: int, next_offset: int, *exposures: Exposure) -> bool:
    with database.write() as connection:
        return drain(connection, "f.jsonl", offset, next_offset, exposures)


def test_exposures_are_stored_with_their_positions(database: Database) -> None:
    explored = replace(exposure("r2", "c"), propensity=(0.25,), subject=None)
    assert drain_part(database, 0, 80, exposure(), explored)
    assert stored_exposures(database) == [
        ("r1", 1, "a", 1.0, "repeat", "bought_often", None, "member:m1"),
        ("r1", 2, "b", 0.5, "repeat", None, None, "member:m1"),
        ("r2", 1, "c", 1.0, "repeat", "bought_often", 0.25, None),
    ]


def test_coupons_are_stored_beside_and_alone_told_and_pruned(database: Database) -> None:
    beside = CouponShown("ten", "plan", "a", None, "c1", "best_worth", 0.99)
    alone = (CouponShown("ten", "held", None, "k1", "c1"), CouponShown("five", "left_out", reason="ended"))
    listed = replace(exposure("r2"), scenario="coupons", item_id=(), score=(), source=(), reason=(), coupons=alone)
    assert drain_part(database, 0, 80, replace(exposure(), coupons=(beside,)), listed)
    assert len(stored_exposures(database)) == 2  # a list shows no items
    with database.read() as connection:
        assert fetch(connection, "SELECT recommendation_id FROM answers") == [("r1",)]
        found = coupons_shown(connection, ["member:m1"], 10)
        assert coupons_shown(connection, ["member:m2"], 10) == []
    shown = [(one["recommendation_id"], one["position"], one["item_id"], one["offer_id"]) for one in found]
    assert shown == [("r2", 1, None, "ten"), ("r2", 2, None, "five"), ("r1", 1, "a", "ten")]
    assert [one["propensity"] for one in found] == [None, None, 0.99]
    assert (found[1]["origin"], found[1]["reason"], found[1]["occurred_at"]) == ("left_out", "ended", NOW)
    assert prune_exposures(database, NOW + HOUR, rows=1) == 5
    with database.read() as connection:
        assert coupons_shown(connection, ["member:m1"], 10) == []


def test_a_part_of_a_spool_file_is_stored_once(database: Database) -> None:
    assert drain_part(database, 0, 40, exposure("r1", "a"))
    assert not drain_part(database, 0, 90, exposure("r1", "a"), exposure("r2", "b"))
    assert drain_part(database, 40, 90, exposure("r2", "b"))
    assert [row[0] for row in stored_exposures(database)] == ["r1", "r2"]
    with database.write() as connection:
        assert drained_to(connection, "f.jsonl") == 90
        assert drained_to(connection, "other.jsonl") == 0
        forget_file(connection, "f.jsonl")
        assert drained_to(connection, "f.jsonl") == 0


def test_workers_that_drain_at_once_store_once(database: Database) -> None:
    def work(_: int) -> bool:
        return drain_part(database, 0, 40, *(exposure(f"r{n}", "a") for n in range(50)))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(work, range(4))) == [False, False, False, True]
    assert len(stored_exposures(database)) == 50


LOAD = Load("l1", "till", "march.csv", "abc", 10, 7, 2, 1, NOW, None)


def test_loads_are_recorded_and_found_when_finished(database: Database) -> None:
    with database.write() as connection:
        record_load(connection, LOAD)
        assert find_loads(connection, "abc") == []
        finished = replace(LOAD, added=8, finished_at=NOW + HOUR)
        record_load(connection, finished)
        record_load(connection, replace(LOAD, load_id="l0", checksum="x", started_at=NOW + DAY))
        assert find_loads(connection, "abc") == [finished]
        assert [load.load_id for load in list_loads(connection)] == ["l1", "l0"]


def test_the_ledger_adds_up(database: Database) -> None:
    first, second = LedgerDay("till", "s", date(2026, 3, 1)), LedgerDay("till", "", date(2026, 3, 2))
    with database.write() as connection:
        add_to_ledger(connection, {first: 3, second: 1})
        add_to_ledger(connection, {first: 4})
        add_to_ledger(connection, {})
        assert list(read_ledger(connection).items()) == [(second, 1), (first, 7)]


def test_missing_and_thin_days_are_told(database: Database) -> None:
    def day(number: int, store_id: str = "s") -> LedgerDay:
        return LedgerDay("till", store_id, date(2026, 3, number))

    usual = {day(n): 10 for n in (1, 2, 3, 6, 7, 9)}
    small = {day(n, "tiny"): 2 for n in (1, 9)}
    with database.write() as connection:
        add_to_ledger(connection, usual | small | {day(5): 1, day(8): 2})
        assert ledger_gaps(connection) == [LedgerGap("till", "s", date(2026, 3, 4), date(2026, 3, 5), rows=1, usual=10)]


def test_a_request_to_retrain_is_taken_once(database: Database) -> None:
    with database.write() as connection:
        first = request_retrain(connection, "key1", "new season", NOW)
        assert request_retrain(connection, "key2", "again", NOW + HOUR) == first
    with ThreadPoolExecutor(3) as pool:
        taken = [found for found in pool.map(lambda _: _take(database), range(3)) if found is not None]
    assert [(request.request_id, request.started_at) for request in taken] == [(first, NOW + HOUR)]
    with database.write() as connection:
        second = request_retrain(connection, "key2", "more", NOW + DAY)
        finish_request(connection, first, NOW + DAY, bundle_id="b1")
        assert [request.request_id for request in list_requests(connection)] == [first, second]
        done = find_request(connection, first)
        assert done is not None
        assert (done.bundle_id, done.error, done.finished_at) == ("b1", None, NOW + DAY)
        assert find_request(connection, "nothing") is None
        with pytest.raises(NotFoundError):
            finish_request(connection, "nothing", NOW)


def _take(database: Database) -> RetrainRequest | None:
    with database.write() as connection:
        return take_request(connection, NOW + HOUR)


def test_the_audit_trail_is_in_the_order_of_changes(database: Database) -> None:
    with database.write() as connection:
        record(connection, "key1", "keys.create", "k2", NOW)
        record(connection, "key1", "keys.revoke", "k2", NOW, details="{}")
    with database.read() as connection:
        assert read_audit(connection) == [
            AuditEntry(2, NOW, "key1", "keys.revoke", "k2", "{}"),
            AuditEntry(1, NOW, "key1", "keys.create", "k2", None),
        ]
        assert len(read_audit(connection, limit=1)) == 1

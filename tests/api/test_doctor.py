"""The doctor: a healthy installation, and what it says of each thing that is wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api.doctor import State, examine
from api.settings import ServiceSettings
from recommender.campaigns.feature_refresh import refresh_features
from recommender.coupons.coupon_rows import add_coupons
from recommender.coupons.wallet import Coupon, Status
from recommender.events import Event, EventKind
from recommender.storage.compact import compact
from recommender.storage.database import open_database
from recommender.storage.event_log import open_event_log
from recommender.storage.events import append_events
from recommender.storage.keys import create_key
from recommender.storage.upserts import upsert

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def states(settings: ServiceSettings, repair: bool = False, now: datetime = NOW) -> dict[str, State]:
    """Return the worst state by subject."""
    found: dict[str, State] = {}
    order = list(State)
    for finding in examine(settings, {}, now, repair):
        worst = found.get(finding.subject, State.OK)
        found[finding.subject] = max(worst, finding.state, key=order.index)
        assert finding.detail
        assert finding.advice or finding.state is State.OK
    return found


def test_a_fresh_installation_lacks_schema_keys_and_bundle(settings: ServiceSettings) -> None:
    found = states(settings)
    assert found["settings"] is State.OK
    assert found["database"] is State.FAIL
    assert found["bundle"] is State.FAIL


def test_repair_brings_the_schema_up_to_date(settings: ServiceSettings) -> None:
    assert states(settings, repair=True)["database"] is State.OK
    assert states(settings)["database"] is State.OK


def test_a_valid_key_is_needed(settings: ServiceSettings) -> None:
    database = open_database(settings)
    assert states(settings)["keys"] is State.WARN
    with database.write() as connection:
        create_key(connection, "till", ["recommend"], NOW, expires_at=NOW + timedelta(days=1))
    assert states(settings)["keys"] is State.OK
    assert states(settings, now=NOW + timedelta(days=2))["keys"] is State.WARN
    database.dispose()


def test_missing_and_orphaned_log_files(settings: ServiceSettings) -> None:
    database = open_database(settings)
    log = open_event_log(settings)
    with database.write() as connection:
        append_events(connection, [Event("e1", NOW, EventKind.VIEW, "app", item_id="milk")], NOW)
    compact(database, log, 0, NOW)
    (file,) = log.folder.glob("month=*/*.parquet")
    later = datetime.now(UTC) + timedelta(days=1)
    assert states(settings, now=later)["event log"] is State.OK
    orphan = file.with_name("orphan.parquet")
    orphan.write_bytes(file.read_bytes())
    assert states(settings, now=later)["event log"] is State.WARN
    assert states(settings, now=later, repair=True)["event log"] is State.OK
    assert not orphan.exists()
    file.unlink()
    assert states(settings, now=later)["event log"] is State.FAIL
    database.dispose()


def test_another_hash_key_is_noticed(settings: ServiceSettings) -> None:
    open_database(settings).dispose()
    assert states(settings)["database"] is State.OK
    assert states(replace(settings, hash_key="another key, also long"))["database"] is State.FAIL


def test_a_clock_that_went_back_is_noticed(settings: ServiceSettings) -> None:
    assert states(settings)["clock"] is State.OK
    assert states(settings, now=datetime(2003, 1, 1, tzinfo=UTC))["clock"] is State.FAIL


def test_a_database_that_cannot_be_opened(settings: ServiceSettings) -> None:
    found = states(replace(settings, database_url="postgresql+psycopg://nobody@127.0.0.1:1/none"))
    assert found["database"] is State.FAIL
    assert found["bundle"] is State.FAIL, "the other checks are made all the same"


def test_a_spool_that_is_not_emptied(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.spool_folder.mkdir(parents=True)
    (settings.spool_folder / "a.jsonl").write_bytes(b"x" * 100)
    assert states(settings)["spool"] is State.OK
    monkeypatch.setattr("api.doctor.FULL_SPOOL_BYTES", 50)
    assert states(settings)["spool"] is State.WARN


def test_unknown_settings_are_named(settings: ServiceSettings) -> None:
    (finding,) = [
        found for found in examine(settings, {"MEMBERWISE_PROT": "8000"}, NOW, False) if found.subject == "settings"
    ]
    assert finding.state is State.WARN
    assert "MEMBERWISE_PROT" in finding.detail


def test_a_worker_that_does_not_run_is_noticed(settings: ServiceSettings) -> None:
    database = open_database(settings)
    few = replace(settings, compact_rows=2, compact_seconds=60)
    events = [Event(f"e{number}", NOW, EventKind.VIEW, "app", item_id="milk") for number in range(2)]
    with database.write() as connection:
        append_events(connection, events, NOW)
    assert states(few)["event log"] is State.OK
    assert states(few, now=NOW + timedelta(minutes=4))["event log"] is State.WARN
    settings.spool_folder.mkdir(parents=True)
    (settings.spool_folder / "a.jsonl").write_bytes(b"{}\n")
    written = datetime.now(UTC)
    assert states(settings, now=written)["spool"] is State.OK
    assert states(settings, now=written + timedelta(minutes=11))["spool"] is State.WARN
    database.dispose()


def test_a_clock_behind_the_events_is_noticed(settings: ServiceSettings) -> None:
    database = open_database(settings)
    with database.write() as connection:
        append_events(connection, [Event("e1", NOW, EventKind.VIEW, "app", item_id="milk")], NOW)
    assert states(settings)["clock"] is State.OK
    assert states(settings, now=NOW - timedelta(hours=1))["clock"] is State.FAIL
    database.dispose()


def test_a_bundle_of_another_database_is_noticed(shop_settings: ServiceSettings) -> None:
    now = datetime.now(UTC)
    assert states(shop_settings, now=now)["bundle"] is State.OK
    elsewhere = replace(shop_settings, home=shop_settings.home.with_name("elsewhere"))
    open_database(elsewhere).dispose()
    assert states(elsewhere, now=now)["bundle"] is State.WARN


def test_a_damaged_database_file_is_noticed(settings: ServiceSettings) -> None:
    database = open_database(settings)
    with database.write() as connection:
        events = [Event(f"e{number}", NOW, EventKind.VIEW, "app", item_id="milk") for number in range(2000)]
        append_events(connection, events, NOW)
    database.dispose()
    file = settings.home / "memberwise.db"
    content = bytearray(file.read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 3 * 4096] = b"\xff" * (3 * 4096)
    file.write_bytes(content)
    assert states(settings)["database"] is State.FAIL


def test_coupons_whose_books_do_not_balance_and_frozen_offers(settings: ServiceSettings) -> None:
    database = open_database(settings)
    assert states(settings)["coupons"] is State.OK
    with database.write() as connection:
        state = "INSERT INTO offer_states VALUES ('o1', 't', FALSE, '', NULL, NULL, 1, 'speed')"
        connection.exec_driver_sql(state)
    assert states(settings)["coupons"] is State.WARN
    with database.write() as connection:
        coupon = Coupon("c1", "o1", "m1", None, Status.ISSUED, False, NOW, None)
        add_coupons(connection, [coupon])
    assert states(settings)["coupons"] is State.FAIL
    database.dispose()


def test_features_of_members_that_are_old_or_damaged_are_told(settings: ServiceSettings) -> None:
    database = open_database(settings)
    assert states(settings)["audiences"] is State.OK
    refresh_features(database, settings, NOW)
    assert states(settings, now=NOW + timedelta(days=1))["audiences"] is State.OK
    with database.write() as connection:
        upsert(connection, "members", [{"member_id": "m1"}], NOW)
    assert states(settings, now=NOW + timedelta(hours=1))["audiences"] is State.OK
    assert states(settings, now=NOW + timedelta(days=1))["audiences"] is State.WARN
    (manifest,) = (settings.home / "member_features").glob("*/manifest.json")
    manifest.write_text("{")
    assert states(settings)["audiences"] is State.WARN
    database.dispose()

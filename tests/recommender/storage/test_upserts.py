"""Upserts: counts, partial rows, stock by time, JSON, keys with missing parts, and what serving notices."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from recommender.columns import TABLES
from recommender.errors import InputError
from recommender.storage.database import Database, next_sequence
from recommender.storage.statements import fetch, last_sequence, read_counter
from recommender.storage.tables import CANONICAL
from recommender.storage.types import EPOCH
from recommender.storage.upserts import CHUNK_ROWS, UpsertCounts, upsert
from tests.factories import NOW, put_rows


def stored(database: Database, table: str) -> list[dict[str, object]]:
    chosen = CANONICAL[table]
    with database.read() as connection:
        rows = connection.execute(sa.select(chosen).order_by(*chosen.primary_key.columns)).mappings()
        return [dict(row) for row in rows]


def test_rows_are_added_changed_or_left_alone(database: Database) -> None:
    assert put_rows(database, "items", {"item_id": "a", "title": "Apple"}) == UpsertCounts(1, 0, 0)
    assert put_rows(database, "items", {"item_id": "a", "title": "Apple"}) == UpsertCounts(0, 0, 1)
    counts = put_rows(database, "items", {"item_id": "a", "title": "Big apple"}, {"item_id": "b"})
    assert counts == UpsertCounts(1, 1, 0)
    assert [(row["item_id"], row["title"]) for row in stored(database, "items")] == [
        ("a", "Big apple"),
        ("b", None),
    ]


def test_a_column_that_is_not_named_keeps_its_value(database: Database) -> None:
    put_rows(database, "items", {"item_id": "a", "title": "Apple", "price_cents": 120, "sponsored": True})
    put_rows(database, "items", {"item_id": "a", "price_cents": None, "hidden": True})
    (row,) = stored(database, "items")
    assert (row["title"], row["price_cents"], row["sponsored"], row["hidden"]) == ("Apple", None, True, True)


def test_hidden_is_false_until_told_and_never_unknown(database: Database) -> None:
    put_rows(database, "items", {"item_id": "a", "hidden": None}, {"item_id": "b", "hidden": True})
    put_rows(database, "items", {"item_id": "b", "hidden": None})
    assert [row["hidden"] for row in stored(database, "items")] == [False, True]


def test_every_kind_of_column_comes_back_as_it_went(database: Database) -> None:
    shanghai = timezone(timedelta(hours=8))
    row: dict[str, object] = {
        "item_id": "茶",
        "title": "龙井 tea",
        "price_cents": 2**40,
        "restricted_class": "alcohol",
        "season_until": date(2026, 9, 30),
        "available_from": datetime(2026, 1, 1, 8, 0, 0, 123456, tzinfo=shanghai),
        "sponsored": False,
        "attributes": {"titles": {"zh": "茶"}, "a": 1},
    }
    put_rows(database, "items", row)
    (back,) = stored(database, "items")
    assert back["item_id"] == "茶"
    assert back["price_cents"] == 2**40
    assert back["season_until"] == date(2026, 9, 30)
    assert back["available_from"] == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert back["sponsored"] is False
    assert back["attributes"] == '{"a":1,"titles":{"zh":"茶"}}'
    assert put_rows(database, "items", row) == UpsertCounts(0, 0, 1)


def test_missing_parts_of_a_key_are_empty_or_the_epoch(database: Database) -> None:
    price = {"store_id": "s", "item_id": "a", "price_cents": 100}
    assert put_rows(database, "prices", price) == UpsertCounts(1, 0, 0)
    assert put_rows(database, "prices", price | {"valid_from": None}) == UpsertCounts(0, 0, 1)
    put_rows(database, "consents", {"member_id": "m", "purpose": "push", "granted": True, "at": NOW})
    assert stored(database, "prices")[0]["valid_from"] == EPOCH
    assert stored(database, "consents")[0]["channel"] == ""


def test_rows_of_one_key_are_applied_one_after_the_other(database: Database) -> None:
    counts = put_rows(
        database,
        "items",
        {"item_id": "a", "title": "one", "brand": "x"},
        {"item_id": "a", "title": "two"},
        {"item_id": "a", "title": "two"},
    )
    assert counts == UpsertCounts(1, 1, 1)
    (row,) = stored(database, "items")
    assert (row["title"], row["brand"]) == ("two", "x")


def test_stock_older_than_what_is_known_is_left_out(database: Database) -> None:
    def stock(on_hand: float, as_of: datetime | None) -> dict[str, object]:
        return {"store_id": "s", "item_id": "a", "on_hand": on_hand, "as_of": as_of}

    assert put_rows(database, "inventory", stock(5, NOW)) == UpsertCounts(1, 0, 0)
    assert put_rows(database, "inventory", stock(9, NOW - timedelta(seconds=1))) == UpsertCounts(0, 0, 1)
    assert stored(database, "inventory")[0]["on_hand"] == 5
    assert put_rows(database, "inventory", stock(0, NOW + timedelta(seconds=1))) == UpsertCounts(0, 1, 0)
    later = NOW + timedelta(minutes=1)
    assert put_rows(database, "inventory", stock(3, None), now=later) == UpsertCounts(0, 1, 0)
    (row,) = stored(database, "inventory")
    assert (row["on_hand"], row["as_of"]) == (3, later)


def test_changes_carry_their_sequence_and_raise_the_tables_counter(database: Database) -> None:
    put_rows(database, "items", {"item_id": "a"}, {"item_id": "b"})
    put_rows(database, "stores", {"store_id": "s"})
    put_rows(database, "items", {"item_id": "b", "title": "new"})
    put_rows(database, "items", {"item_id": "a"})
    with database.read() as connection:
        rows = fetch(connection, "SELECT item_id, change_sequence FROM items ORDER BY item_id")
        assert rows == [("a", 1), ("b", 3)]
        assert read_counter(connection, "changed:items") == 3
        assert read_counter(connection, "changed:stores") == 2
        assert last_sequence(connection) == 4


def test_more_rows_than_fit_into_a_statement(database: Database) -> None:
    rows = [{"store_id": "s", "item_id": f"i{n}", "on_hand": n} for n in range(2 * CHUNK_ROWS + 7)]
    assert put_rows(database, "inventory", *rows) == UpsertCounts(len(rows), 0, 0)
    rows[3]["on_hand"] = 99
    same = put_rows(database, "inventory", *({**row, "as_of": NOW} for row in rows))
    assert same == UpsertCounts(0, 1, len(rows) - 1)


@pytest.mark.parametrize("table", sorted(set(TABLES) - {"events"}))
def test_every_table_takes_its_required_columns(sqlite_database: Database, table: str) -> None:
    values = {"date": date(2026, 1, 1), "time": NOW, "integer": 1, "cents": 1, "number": 1.5, "boolean": True}
    spec = TABLES[table]
    row = {
        name: values.get(spec.column(name).kind.value, (spec.column(name).choices or ("x",))[0])
        for name in spec.required
    }
    assert put_rows(sqlite_database, table, row) == UpsertCounts(1, 0, 0)
    assert put_rows(sqlite_database, table, row).added == 0


def test_nothing_to_do_takes_no_sequence(database: Database) -> None:
    assert put_rows(database, "items") == UpsertCounts()
    with database.read() as connection:
        assert last_sequence(connection) == 0


@pytest.mark.parametrize(
    ("table", "row", "field"),
    [
        ("items", {"item_id": "a", "colour": "red"}, "colour"),
        ("items", {"item_id": "a", "change_sequence": 7}, "change_sequence"),
        ("items", {"title": "no id"}, "item_id"),
        ("inventory", {"store_id": "s", "item_id": "a"}, "on_hand"),
        ("item_relations", {"item_id": "a", "related_item_id": "b"}, "relation"),
    ],
)
def test_rows_that_cannot_be_stored_name_the_column(
    sqlite_database: Database, table: str, row: dict[str, object], field: str
) -> None:
    with pytest.raises(InputError) as told:
        put_rows(sqlite_database, table, row)
    assert told.value.field == field


def test_a_required_column_cannot_be_cleared(sqlite_database: Database) -> None:
    put_rows(sqlite_database, "inventory", {"store_id": "s", "item_id": "a", "on_hand": 1})
    with pytest.raises(InputError, match="required"):
        put_rows(sqlite_database, "inventory", {"store_id": "s", "item_id": "a", "on_hand": None})


def test_a_time_without_offset_is_our_own_mistake(sqlite_database: Database) -> None:
    with pytest.raises(Exception, match="no offset"):
        put_rows(sqlite_database, "items", {"item_id": "a", "available_from": datetime(2026, 1, 1)})  # noqa: DTZ001


@pytest.mark.postgres
def test_a_text_that_postgres_cannot_hold_is_an_input_error(postgres_url: str) -> None:
    database = Database(postgres_url)
    with pytest.raises(InputError, match="cannot be stored"):
        put_rows(database, "items", {"item_id": "a", "title": "nul \0 here"})
    database.dispose()


@pytest.mark.parametrize("row", [{"item_id": "a", "price_cents": 2**63}, {"item_id": "\ud800"}])
def test_a_value_that_no_database_can_hold_is_an_input_error(database: Database, row: dict[str, object]) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        put_rows(database, "items", row)


def test_the_upserts_of_one_transaction_fail_together(database: Database) -> None:
    with pytest.raises(InputError), database.write() as connection:  # noqa: PT012
        upsert(connection, "items", [{"item_id": "a"}], NOW)
        assert next_sequence(connection) == 2
        upsert(connection, "items", [{"title": "no id"}], NOW)
    assert stored(database, "items") == []

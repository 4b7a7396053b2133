"""Items, stores, stock, members and identities over HTTP: whole calls or nothing, repeatable, conflicts
told.
"""

import sqlite3

import pytest

from api.services import Services
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.api.checked import CheckedClient

CALLS = {
    "items": {"item_id": "x1", "title": "X", "price_cents": 5, "available_from": "2026-01-01T00:00:00Z"},
    "stores": {"store_id": "x1", "city": "Suzhou", "closed_on": "2027-01-01"},
    "inventory": {"store_id": "s1", "item_id": "x1", "on_hand": 2.5, "as_of": "2026-01-01T00:00:00+08:00"},
    "members": {"member_id": "x1", "kind": "consumer", "adult": "true", "birth_date": "1990-02-28"},
    "identities": {"namespace": "card", "value": "x1", "member_id": "m01"},
}
KEYS = {"items": "item_id", "stores": "store_id", "inventory": "item_id", "members": "member_id", "identities": "value"}


def rows(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(fetch(connection, f"SELECT count(*) FROM {table} WHERE {KEYS[table]} = 'x1'")[0][0])


def put(client: CheckedClient, table: str, *sent: dict[str, object]) -> dict[str, object]:
    response = client.put(f"/v1/{table}", {table: list(sent)})
    assert response.status_code == 200, response.text
    assert response.json is not None
    found: dict[str, object] = response.json
    return found


@pytest.mark.parametrize("table", CALLS)
def test_rows_are_added_once_and_changed_when_they_differ(
    services: Services, client: CheckedClient, table: str
) -> None:
    assert put(client, table, CALLS[table])["added"] == 1
    assert put(client, table, CALLS[table])["unchanged"] == 1
    assert rows(services.database, table) == 1


@pytest.mark.parametrize("table", CALLS)
def test_one_wrong_row_means_that_nothing_is_written(services: Services, client: CheckedClient, table: str) -> None:
    wrong = {name: value for name, value in CALLS[table].items() if name != KEYS[table]}
    response = client.put(f"/v1/{table}", {table: [CALLS[table], wrong, {**CALLS[table], "colour": "red"}]})
    assert response.status_code == 400
    assert response.json is not None
    fields = [error["field"] for error in response.json["errors"]]
    assert fields == [f"{table}[1].{KEYS[table]}", f"{table}[2].colour"]
    assert rows(services.database, table) == 0


def test_what_a_row_leaves_out_keeps_its_value_and_null_clears_it(services: Services, client: CheckedClient) -> None:
    put(client, "items", CALLS["items"])
    assert put(client, "items", {"item_id": "x1", "brand": "B"})["changed"] == 1
    assert put(client, "items", {"item_id": "x1", "price_cents": None})["changed"] == 1
    with services.database.read() as connection:
        found = fetch(connection, "SELECT title, brand, price_cents FROM items WHERE item_id = 'x1'")
    assert found == [("X", "B", None)]


def test_older_stock_counts_are_ignored(services: Services, client: CheckedClient) -> None:
    put(client, "inventory", CALLS["inventory"])
    older = {**CALLS["inventory"], "on_hand": 9, "as_of": "2025-12-31T00:00:00Z"}
    newer = {**CALLS["inventory"], "on_hand": 1, "as_of": "2026-01-02T00:00:00Z"}
    assert put(client, "inventory", older)["unchanged"] == 1
    assert put(client, "inventory", newer)["changed"] == 1
    with services.database.read() as connection:
        assert fetch(connection, "SELECT on_hand FROM inventory WHERE item_id = 'x1'") == [(1.0,)]


def test_a_value_linked_to_two_members_is_a_conflict_until_one_is_unlinked(client: CheckedClient) -> None:
    first = CALLS["identities"]
    assert put(client, "identities", first)["conflicts"] == []
    told = put(client, "identities", {**first, "value": "other"}, {**first, "member_id": "m02"})
    assert told["conflicts"] == [{"row": 1, "namespace": "card"}]
    asked = {"identity": {"namespace": "card", "value": "x1"}}
    assert "identity_conflict" in client.post("/v1/recommendations", asked).json["flags"]
    unnamed = {"namespace": "card", "value": "x1"}
    refused = client.call("DELETE", "/v1/identities", json={"identities": [unnamed]})
    assert refused.status_code == 400
    assert refused.json["errors"][0]["field"] == "identities[0].member_id"
    named = {**unnamed, "member_id": "m02"}
    assert client.call("DELETE", "/v1/identities", json={"identities": [named]}).json["unlinked"] == 1
    assert client.call("DELETE", "/v1/identities", json={"identities": [named]}).json["unlinked"] == 0
    assert client.call("DELETE", "/v1/identities", json={"identities": [unnamed]}).json["unlinked"] == 1


def test_a_link_can_be_made_again(client: CheckedClient) -> None:
    link = CALLS["identities"]
    put(client, "identities", link)
    client.call("DELETE", "/v1/identities", json={"identities": [{"namespace": "card", "value": "x1"}]})
    assert put(client, "identities", link)["changed"] == 1


def test_a_locked_database_is_a_503_and_nothing_is_half_written(
    services: Services, client: CheckedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = services.settings.home / "memberwise.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for statement in ("PRAGMA busy_timeout = 20",):
        with services.database.read() as connection:
            connection.exec_driver_sql(statement)
    with services.database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    response = client.put("/v1/items", {"items": [CALLS["items"]]})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert client.post("/v1/recommendations", {"member_id": "m01"}).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert rows(services.database, "items") == 0
    assert put(client, "items", CALLS["items"])["added"] == 1

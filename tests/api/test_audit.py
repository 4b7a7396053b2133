"""The audit trail: an entry per write, in its transaction; streams are counted; nobody but an admin reads it."""

from datetime import timedelta

import pytest

from api.app import create_app
from api.services import Services
from recommender.storage.audit import count, prune_audit, read_audit, read_counts, record
from recommender.storage.statements import fetch
from tests.api.checked import CheckedClient
from tests.api.test_member_access import event
from tests.shop import NOW, make_key


@pytest.fixture
def admin(services: Services) -> CheckedClient:
    return CheckedClient(create_app(services), make_key(services.database, "admin"))


def test_a_write_is_on_record_with_its_key(client: CheckedClient, admin: CheckedClient) -> None:
    client.put("/v1/items", {"items": [{"item_id": "i01", "price_cents": 5}, {"item_id": "i02", "price_cents": 6}]})
    client.put("/v1/members", {"members": [{"member_id": "m-secret", "tier": "gold"}]})
    identity = {"namespace": "phone", "value": "13800138000", "member_id": "m-secret"}
    client.put("/v1/identities", {"identities": [identity]})
    answer = admin.get("/v1/audit?limit=3")
    assert answer.json is not None
    entries = answer.json["entries"]
    assert [entry["action"] for entry in entries] == ["put_identities", "put_members", "put_items"]
    assert entries[2]["details"] == {"items": 2, "first": ["i01", "i02"]}
    assert entries[1]["details"] == {"members": 1}
    assert len({entry["caller"] for entry in entries}) == 1
    assert "m-secret" not in answer.text
    assert "138" not in answer.text.replace(entries[0]["at"], "")
    older = admin.get(f"/v1/audit?limit=1&before={answer.json['entries'][1]['sequence']}")
    assert older.json is not None
    assert older.json["entries"] == [entries[2]]
    only = admin.get("/v1/audit?action=put_members").json
    assert only is not None
    assert [entry["sequence"] for entry in only["entries"]] == [entries[1]["sequence"]]


def test_streams_are_counted(client: CheckedClient, admin: CheckedClient, services: Services) -> None:
    for number in range(3):
        client.post("/v1/events", {"events": [event(event_id=f"a{number}"), event(event_id=f"b{number}")]})
    client.put("/v1/inventory", {"inventory": [{"store_id": "s1", "item_id": "i01", "on_hand": 4}]})
    found = admin.get("/v1/audit").json
    assert found is not None
    assert [(one["action"], one["calls"], one["rows"]) for one in found["streams"]] == [
        ("post_events", 3, 6),
        ("put_inventory", 1, 1),
    ]
    with services.database.read() as connection:
        assert read_audit(connection, action="post_events") == []


def test_what_was_refused_or_only_read_leaves_no_entry(client: CheckedClient, services: Services) -> None:
    with services.database.read() as connection:
        before = len(read_audit(connection))
    assert client.put("/v1/items", {"items": [{"item_id": ""}]}).status_code == 400
    assert client.post("/v1/recommendations", {"member_id": "m01"}).status_code == 200
    with services.database.read() as connection:
        assert len(read_audit(connection)) == before
        assert read_counts(connection, NOW.replace(year=2000)) == []


def test_the_entry_and_the_change_exist_together(client: CheckedClient, services: Services) -> None:
    with services.database.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    assert client.put("/v1/items", {"items": [{"item_id": "brand-new"}]}).status_code >= 500
    with services.database.read() as connection:
        assert fetch(connection, "SELECT 1 FROM items WHERE item_id = 'brand-new'") == []


def test_what_is_old_is_forgotten(services: Services) -> None:
    with services.database.write() as connection:
        for days in (1, 40, 50):
            record(connection, "k", "act", f"{days}", NOW - timedelta(days=days))
            count(connection, "k", "stream", 5, NOW - timedelta(days=days))
    assert prune_audit(services.database, NOW - timedelta(days=30), rows=1) == 4
    with services.database.read() as connection:
        assert [entry.target for entry in read_audit(connection, caller="k")] == ["1"]
        assert [one.rows for one in read_counts(connection, NOW - timedelta(days=100))] == [5]


def test_only_admins_read_it(client: CheckedClient) -> None:
    assert client.get("/v1/audit").status_code == 403

"""Events over HTTP: a result for each, nothing counted twice, contact data never kept in clear."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from api.services import Services
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.api.checked import CheckedClient
from tests.shop import NOW


def event(event_id: str = "e1", **fields: object) -> dict[str, object]:
    made: dict[str, object] = {
        "event_id": event_id,
        "occurred_at": NOW.isoformat(),
        "kind": "view",
        "channel": "app",
        "member_id": "m01",
        "item_id": "i25",
    }
    return {name: value for name, value in (made | fields).items() if value is not None}


def send(client: CheckedClient, *events: object) -> dict[str, object]:
    response = client.post("/v1/events", {"events": list(events)})
    assert response.status_code == 200, response.text
    assert response.json is not None
    found: dict[str, object] = response.json
    return found


def statuses(answer: dict[str, object]) -> list[str]:
    return [result["status"] for result in answer["results"]]


def count(database: Database) -> int:
    with database.read() as connection:
        return int(fetch(connection, "SELECT count(*) FROM events WHERE event_id LIKE 'e%'")[0][0])


def test_the_same_batch_can_be_sent_again(services: Services, client: CheckedClient) -> None:
    batch = [event("e1"), event("e2", kind="purchase", quantity=2, order_id="o1", order_line="1")]
    assert statuses(send(client, *batch)) == ["accepted", "accepted"]
    assert statuses(send(client, *batch)) == ["duplicate", "duplicate"]
    assert statuses(send(client, *reversed(batch), event("e3"))) == ["duplicate", "duplicate", "accepted"]
    assert count(services.database) == 3


def test_an_id_twice_in_one_batch_is_one_event(services: Services, client: CheckedClient) -> None:
    answer = send(client, event(), event(), event(item_id="i26"))
    assert statuses(answer) == ["accepted", "duplicate", "conflicting_duplicate"]
    assert (answer["accepted"], answer["duplicate"], answer["conflicting_duplicate"]) == (1, 1, 1)
    assert count(services.database) == 1


def test_the_same_id_with_other_content_is_told(client: CheckedClient) -> None:
    send(client, event())
    answer = send(client, event(kind="favorite"))
    assert statuses(answer) == ["conflicting_duplicate"]
    assert answer["results"][0]["errors"][0]["field"] == "event_id"


def test_wrong_events_are_rejected_with_their_reasons(services: Services, client: CheckedClient) -> None:
    late = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = send(
        client,
        event("e1"),
        event("e2", kind="look"),
        event("e3", channel="fax"),
        event("e4", occurred_at=late),
        event("e5", occurred_at=None),
        event("e6", price=3),
        event("e7", identity={"namespace": "phone", "value": "unknown"}, member_id=None),
        event("e8", identity={"namespace": "card", "value": "1"}),
        "e9",
    )
    assert statuses(answer) == ["accepted"] + ["rejected"] * 8
    fields = [[error["field"] for error in result["errors"]] for result in answer["results"]]
    assert fields == [
        [],
        ["kind"],
        ["channel"],
        ["occurred_at"],
        ["occurred_at"],
        ["price"],
        ["identity.value"],
        ["body"],
        ["body"],
    ]
    assert answer["results"][-1]["event_id"] is None
    assert count(services.database) == 1


def test_a_clock_a_little_ahead_is_accepted(client: CheckedClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    assert statuses(send(client, event(occurred_at=soon))) == ["accepted"]


def test_a_batch_has_1_to_1000_events(client: CheckedClient) -> None:
    assert client.post("/v1/events", {"events": []}).status_code == 400
    thousand = [event(f"e{number}") for number in range(1000)]
    assert send(client, *thousand)["accepted"] == 1000
    assert client.post("/v1/events", {"events": [*thousand, event("x")]}).status_code == 400


def test_everything_of_an_event_is_kept(services: Services, client: CheckedClient) -> None:
    full = event(
        kind="purchase",
        store_id="s1",
        order_id="o1",
        order_line="2",
        revision=3,
        status="paid",
        fulfilment="pick_up",
        quantity=1.5,
        unit_price_cents=250,
        discount_cents=10,
        coupon_id="c1",
        recommendation_id="r1",
        position=4,
        value=2.5,
        attributes={"b": "值", "a": [1, None]},
    )
    assert statuses(send(client, full)) == ["accepted"]
    with services.database.read() as connection:
        columns = (
            "subject, kind, channel, item_id, store_id, order_id, order_line, revision, status, fulfilment, "
            "quantity, unit_price_cents, discount_cents, coupon_id, recommendation_id, position, value,"
            " attributes"
        )
        (row,) = fetch(connection, f"SELECT {columns} FROM events WHERE event_id = 'e1'")
    assert row[:-1] == (
        *("member:m01", "purchase", "app", "i25", "s1", "o1", "2", 3, "paid", "pick_up"),
        *(1.5, 250, 10, "c1", "r1", 4, 2.5),
    )
    assert orjson.loads(row[-1]) == {"a": [1, None], "b": "值"}


def test_contact_data_is_never_kept_in_clear(services: Services, client: CheckedClient) -> None:
    phone, mail = "138 0013 8000", "Someone@Example.com"
    by_phone = event("e1", member_id=None, identity={"namespace": "phone", "value": phone})
    again = event("e2", member_id=None, identity={"namespace": "phone", "value": "+86 138-0013-8000"})
    by_mail = event("e3", member_id=None, identity={"namespace": "email", "value": mail})
    assert send(client, by_phone, again, by_mail)["accepted"] == 3
    link = {"namespace": "phone", "value": phone, "member_id": "m39"}
    assert client.put("/v1/identities", {"identities": [link]}).status_code == 200
    client.post("/v1/recommendations", {"identity": {"namespace": "email", "value": mail}})
    with services.database.read() as connection:
        found = fetch(connection, "SELECT subject FROM events WHERE event_id IN ('e1', 'e2', 'e3') ORDER BY event_id")
    assert found[0] == found[1] != found[2]
    services.database.dispose()
    for path in Path(services.settings.home).rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            assert b"13800138000" not in content.replace(b" ", b"")
            assert b"someone@example.com" not in content, path

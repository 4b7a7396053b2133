"""What happens now shows in the next answer of two workers: newcomers, events, links, replaced codes, stock."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.app import build_services, close_services, create_app
from api.services import Services
from api.settings import ServiceSettings
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.shop import ITEMS, MEMBERS, make_key

PATIENCE_SECONDS = 5.0
OWN = ITEMS[1:9]
"""What member m01 buys every week."""


@pytest.fixture
def workers(shop_settings: ServiceSettings) -> Iterator[list[CheckedClient]]:
    """Two workers of one installation; the first keeps the stock file."""
    services = [build_services(shop_settings) for _ in range(2)]
    token = make_key(services[0].database, "recommend", "events", "catalog")
    yield [CheckedClient(create_app(one), token) for one in services]
    for one in services:
        close_services(one)


def answer(client: CheckedClient, **body: object) -> Any:
    response = client.post("/v1/recommendations", {"member_id": "m01", "store_id": "s1", "count": 10} | body)
    assert response.status_code == 200, response.text
    return response.json


def items(client: CheckedClient, **body: object) -> list[str]:
    return [item["item_id"] for item in answer(client, **body)["items"]]


def soon(workers: list[CheckedClient], holds: Callable[[CheckedClient], bool]) -> None:
    """Wait until something holds in every worker; busy machines are given longer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(holds(worker) for worker in workers):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def event(number: int, kind: str, item_id: str, **changes: object) -> dict[str, object]:
    plain = {"event_id": f"x{number}", "occurred_at": datetime.now(UTC).isoformat(), "kind": kind, "channel": "app"}
    return plain | {"member_id": "m01", "item_id": item_id} | changes


def post(worker: CheckedClient, *events: dict[str, object]) -> None:
    found = worker.post("/v1/events", {"events": list(events)}).json
    assert found["accepted"] == len(events), found


def put(worker: CheckedClient, table: str, *rows: dict[str, object]) -> None:
    assert worker.put(f"/v1/{table}", {table: list(rows)}).status_code == 200


def add_newcomer(worker: CheckedClient, category: str | None) -> None:
    kinds = {item_id: f"food > {'own' if item_id in OWN else 'other'}" for item_id in ITEMS}
    put(worker, "items", *({"item_id": name, "category": kind, "brand": "B"} for name, kind in kinds.items()))
    put(worker, "items", {"item_id": "novel", "title": "Novel", "category": category, "brand": "B", "price_cents": 104})
    put(worker, "inventory", {"store_id": "s1", "item_id": "novel", "on_hand": 5})


def test_a_new_item_like_what_a_member_buys_is_shown_to_them(workers: list[CheckedClient]) -> None:
    add_newcomer(workers[0], "food > own")
    soon(workers, lambda worker: "novel" in items(worker))
    for worker in workers:
        found = answer(worker)["items"]
        (novel,) = (item for item in found if item["item_id"] == "novel")
        assert 5 <= novel["position"] < 9, "not at the end: it is like what m01 buys"
        assert novel["reasons"][0]["code"] == "new"
        assert "novel" in items(worker, scenario="new", count=3)
        assert "novel" in items(worker, scenario="discover")
        assert "novel" not in items(worker, scenario="buy_again", count=8)
        assert "novel" in items(worker, scenario="similar", context={"item_id": OWN[0]}, count=15)


def test_a_new_item_that_everybody_wants_is_shown_without_content(workers: list[CheckedClient]) -> None:
    add_newcomer(workers[0], None)
    soon(workers, lambda worker: "novel" in items(worker, count=30))
    assert "novel" not in items(workers[0])
    bought = [event(number, "purchase", "novel", member_id=name) for number, name in enumerate(MEMBERS[10:40])]
    post(workers[0], *bought)
    soon(workers, lambda worker: "novel" in items(worker))
    soon(workers, lambda worker: "novel" in items(worker, scenario="trending", member_id="m05"))
    put(workers[0], "items", {"item_id": "novel", "hidden": True})
    soon(workers, lambda worker: "novel" not in items(worker, count=30))


def test_stock_price_hiding_and_adjustments_reach_every_worker(workers: list[CheckedClient]) -> None:
    first, second, third = items(workers[0])[:3]
    put(workers[1], "inventory", {"store_id": "s1", "item_id": first, "on_hand": 0})
    put(workers[1], "items", {"item_id": second, "hidden": True})
    put(workers[0], "prices", {"store_id": "s1", "item_id": third, "price_cents": 5})
    soon(workers, lambda worker: not {first, second} & set(items(worker)))
    priced = {item["item_id"]: item["price_cents"] for item in answer(workers[1])["items"]}
    assert priced[third] == 5
    body = {"adjustments": [{"store_id": "s1", "item_id": first, "delta": 2}]}
    assert workers[0].post("/v1/inventory:adjust", body, headers={"Idempotency-Key": "k"}).status_code == 200
    put(workers[0], "items", {"item_id": second, "hidden": False})
    soon(workers, lambda worker: {first, second} <= set(items(worker)))
    counted = {item["item_id"]: item["availability"] for item in answer(workers[1])["items"]}
    assert counted[first] == {"store_id": "s1", "on_hand": 2.0, "state": "known"}


def test_events_act_on_the_next_answer_of_every_worker(workers: list[CheckedClient]) -> None:
    stranger = {"member_id": "stranger"}
    assert answer(workers[1], **stranger)["strategy"] == "popular"
    post(workers[0], event(1, "view", "i25", **stranger))
    for worker in workers:
        assert items(worker, **stranger)[0] == "i25", "browsed"
    post(workers[1], *(event(number, "purchase", name, **stranger) for number, name in enumerate(ITEMS[11:15], 2)))
    for worker in workers:
        found = answer(worker, **stranger)["items"]
        assert {item["item_id"] for item in found[:6]} >= set(ITEMS[11:15]), "repeat"
        codes = {reason["code"] for item in found for reason in item["reasons"]}
        assert codes & {"goes_with", "similar_members", "bought_with"}, "neighbours, or members alike by factors"
        assert set(items(worker, scenario="buy_again", count=4, **stranger)) == set(ITEMS[11:15])
        assert not set(items(worker, scenario="discover", **stranger)) & set(ITEMS[11:15])
    post(workers[0], event(9, "return", ITEMS[11], **stranger))
    for worker in workers:
        assert ITEMS[11] not in items(worker, scenario="buy_again", count=3, **stranger)


def test_views_of_a_session_count_at_once(workers: list[CheckedClient]) -> None:
    seen = {"events": [{"item_id": "i12"}, {"item_id": "i13", "kind": "basket_add"}]}
    plain = items(workers[0], scenario="session", member_id=None, context={"events": [{"item_id": "i26"}]})
    other = items(workers[0], scenario="session", member_id=None, context=seen)
    assert plain != other
    assert not {"i12", "i13"} & set(other)
    assert other == items(workers[1], scenario="session", member_id=None, context=seen)


def test_a_log_in_brings_the_visit_with_it_and_unlinking_takes_it_back(workers: list[CheckedClient]) -> None:
    device = {"namespace": "device", "value": "d-1"}
    post(workers[0], event(1, "view", "i27", member_id=None, identity=device))
    before = items(workers[1])
    assert "i27" not in before
    assert items(workers[1], member_id=None, identity=device)[0] == "i27"
    put(workers[0], "identities", device | {"member_id": "m01"})
    for worker in workers:
        assert "i27" in items(worker)
        assert items(worker, member_id=None, identity=device) == items(worker), "the device is m01 now"
    put(workers[1], "items", {"item_id": "x"})
    gone = workers[1].call("DELETE", "/v1/identities", json={"identities": [device]})
    assert gone.json["unlinked"] == 1
    for worker in workers:
        assert items(worker) == before
        assert items(worker, member_id=None, identity=device)[0] == "i27"


def test_events_of_a_replaced_code_count_for_the_successor(workers: list[CheckedClient]) -> None:
    stranger = {"member_id": "stranger"}
    put_relation = {"relations": [{"item_id": "i25", "related_item_id": "old-code", "relation": "replaces"}]}
    assert workers[0].put("/v1/item-relations", put_relation).status_code == 200
    post(workers[0], event(1, "purchase", "old-code", **stranger))
    soon(workers, lambda worker: items(worker, scenario="buy_again", count=1, **stranger) == ["i25"])
    # What is bought under a code newer than the models belongs to the item that it replaces.
    put(workers[0], "items", {"item_id": "new-code"})
    put(workers[0], "inventory", {"store_id": "s1", "item_id": "new-code", "on_hand": 5})
    put_relation = {"relations": [{"item_id": "new-code", "related_item_id": "i26", "relation": "replaces"}]}
    assert workers[0].put("/v1/item-relations", put_relation).status_code == 200
    post(workers[1], event(2, "purchase", "new-code", **stranger))
    soon(workers, lambda worker: set(items(worker, scenario="buy_again", count=2, **stranger)) == {"i25", "new-code"})


def test_a_substitute_takes_the_place_of_what_is_sold_out(workers: list[CheckedClient]) -> None:
    lost = items(workers[0])[0]
    relations = [{"item_id": lost, "related_item_id": "i20", "relation": "substitute"}]
    workers[0].put("/v1/item-relations", {"relations": relations})
    put(workers[0], "inventory", {"store_id": "s1", "item_id": lost, "on_hand": 0})
    soon(workers, lambda worker: lost not in items(worker))
    told = [
        (item["item_id"], reason)
        for item in answer(workers[1])["items"]
        for reason in item["reasons"]
        if reason["code"] == "in_place_of"
    ]
    for _, reason in told:
        assert reason["evidence"] == {"item_id": lost}
        assert reason["text"].startswith("In place of Item ")


def test_events_of_the_future_and_repeated_events_do_no_harm(workers: list[CheckedClient]) -> None:
    stranger = {"member_id": "stranger"}
    soon = (datetime.now(UTC) + timedelta(seconds=200)).isoformat()
    post(workers[0], event(1, "view", "i25", occurred_at=soon, **stranger))
    assert items(workers[1], **stranger)[0] == "i25", "a clock that runs fast"
    late = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    found = workers[0].post("/v1/events", {"events": [event(2, "view", "i26", occurred_at=late, **stranger)]}).json
    assert found["results"][0]["errors"][0]["field"] == "occurred_at"
    again = workers[1].post("/v1/events", {"events": [event(1, "view", "i25", occurred_at=soon, **stranger)] * 3}).json
    assert again["duplicate"] == 3
    other = workers[1].post("/v1/events", {"events": [event(1, "view", "i24", occurred_at=soon, **stranger)]}).json
    assert other["conflicting_duplicate"] == 1
    assert items(workers[0], **stranger)[0] == "i25"


ODD = [
    "a b",
    "a:b",
    "a>b",
    "%41",
    "'; DROP TABLE items; --",
    "\u202eabc",
    "会员",
    "🙂",
    "..",
    "\x01",
    "a\nb",
    '"',
    "\\",
    "x" * 128,
]


@pytest.mark.parametrize("name", [*ODD, "x" * 128])
def test_ids_may_hold_every_odd_character(workers: list[CheckedClient], name: str) -> None:
    put(workers[0], "items", {"item_id": name, "title": "Odd", "category": "odd > " + name.replace(">", "")[:50]})
    put(workers[0], "inventory", {"store_id": name, "item_id": name, "on_hand": 5})
    put(workers[0], "members", {"member_id": name, "home_store_id": name})
    post(workers[0], event(1, "purchase", name, member_id=name, store_id=name), event(2, "view", "i03", member_id=name))
    soon(workers, lambda worker: items(worker, member_id=name, store_id=name, count=3) == [name])
    assert items(workers[1], member_id=name, store_id="s1", count=3)[0] == "i03"
    disliked = event(3, "not_interested", name, member_id=name)
    post(workers[0], disliked)
    assert items(workers[1], member_id=name, store_id=name, count=3) == []


def test_disk_full_and_clocks_are_told(workers: list[CheckedClient], shop_settings: ServiceSettings) -> None:
    shutil.rmtree(shop_settings.spool_folder, ignore_errors=True)
    shop_settings.spool_folder.write_text("no folder: nothing can be written here")
    found = answer(workers[0])
    assert "exposure_not_recorded" in found["flags"]
    assert len(found["items"]) == 10


def test_an_import_of_dislikes_counts_too(services: Services, client: CheckedClient) -> None:
    with services.database.write() as connection:
        upsert(connection, "items", [{"item_id": "i03", "brand": "B"}], datetime.now(UTC))
    post(client, event(1, "not_interested", "i02", attributes={"category": 7, "brand": ""}))
    assert "i02" not in items(client), "what names no brand and no category is about the item"

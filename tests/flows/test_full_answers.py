"""Full slates end to end: random stock, filters, pins and exclusions over HTTP, against rules read by hand."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from api.app import build_services, close_services, create_app
from api.services import Services
from recommender.context import CONTEXT_FIELDS
from recommender.query import Scenario
from tests.api.checked import CheckedClient
from tests.api.freshness import look_again
from tests.shop import ITEMS, MEMBERS, make_key, open_shop, settings_at

Row = dict[str, Any]
CATEGORIES = ["food > dairy", "food > bakery", "food", "toys > dolls", None]
BRANDS = ["Alm", "Hop", None]
NEW_ITEMS = ["n1", "n2", "n3"]
HIDDEN = "i07"
NUMBERS = itertools.count()


def row_of(number: int, item_id: str) -> Row:
    """Return what the catalogue says of an item, a different mixture for each."""
    return {
        "item_id": item_id,
        "title": f"Item {number}",
        "category": CATEGORIES[number % len(CATEGORIES)],
        "brand": BRANDS[number % len(BRANDS)],
        "price_cents": None if number % 7 == 6 else 100 * (number % 10),
        "sponsored": number % 4 == 0,
        "season": "summer" if number % 6 == 1 else None,
        "hidden": item_id == HIDDEN,
        "attributes": {"size": "SML"[number % 3], "weight": number % 5, "tags": ["a", "b", "c"][: number % 4]},
    }


CATALOG = {item_id: row_of(number, item_id) for number, item_id in enumerate([*ITEMS, *NEW_ITEMS])}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, CheckedClient]]:
    """A shop whose items have facts, three of them newer than the models."""
    folder: Path = tmp_path_factory.mktemp("full") / "shop"
    folder.mkdir()
    open_shop(settings_at(folder))
    services = build_services(settings_at(folder))
    client = CheckedClient(create_app(services), make_key(services.database, "recommend", "catalog"))
    assert client.put("/v1/items", {"items": list(CATALOG.values())}).status_code == 200
    yield services, client
    close_services(services)
    shutil.rmtree(folder)


LEAVES: list[tuple[object, Callable[[Row], bool]]] = [
    ({"category": "food"}, lambda row: (row["category"] or "").startswith("food")),
    ({"category": ["food > dairy", "toys"]}, lambda row: row["category"] in ("food > dairy", "toys > dolls")),
    ({"brand": "Alm"}, lambda row: row["brand"] == "Alm"),
    ({"brand": ["Alm", "Hop"]}, lambda row: row["brand"] is not None),
    (
        {"price_cents": {"min": 200, "max": 600}},
        lambda row: row["price_cents"] is not None and 200 <= row["price_cents"] <= 600,
    ),
    ({"sponsored": True}, lambda row: bool(row["sponsored"])),
    ({"season": "summer"}, lambda row: row["season"] == "summer"),
    ({"item_id": ["i01", "i02", "n1"]}, lambda row: row["item_id"] in ("i01", "i02", "n1")),
    ({"attribute": {"name": "size", "in": ["S", "M"]}}, lambda row: row["attributes"]["size"] in "SM"),
    ({"attribute": {"name": "weight", "min": 2}}, lambda row: row["attributes"]["weight"] >= 2),
    ({"attribute": {"name": "tags", "is": "b"}}, lambda row: "b" in row["attributes"]["tags"]),
    ({"attribute": {"name": "nothing", "exists": True}}, lambda row: False),
]
FILTERS = st.recursive(
    st.sampled_from(range(len(LEAVES))).map(lambda at: LEAVES[at][0]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"and": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"or": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=5,
)


def holds(condition: Mapping[str, Any], row: Row) -> bool:
    """Tell whether a filter holds for one item, read one condition after the other."""
    if "and" in condition:
        return all(holds(part, row) for part in condition["and"])
    if "or" in condition:
        return any(holds(part, row) for part in condition["or"])
    if "not" in condition:
        return not holds(condition["not"], row)
    return next(check(row) for leaf, check in LEAVES if leaf == condition)


SOME = st.sets(st.sampled_from([*ITEMS, *NEW_ITEMS]))
PINS = st.lists(st.tuples(st.sampled_from([*ITEMS, *NEW_ITEMS, "unknown"]), st.integers(1, 8)), max_size=3)


def bought_by(member_id: str | None) -> set[str]:
    if member_id is None:
        return set()
    first = MEMBERS.index(member_id)
    return {ITEMS[(first + place) % (len(ITEMS) - 1)] for place in range(8)}


def body_of(scenario: Scenario, data: st.DataObject) -> Row:
    """Draw a request of a scenario."""
    about = data.draw(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=3, unique=True))
    context: Row = {
        "item_id": about[0],
        "basket_item_ids": about,
        "events": [{"item_id": item_id} for item_id in about],
    }
    needed = CONTEXT_FIELDS.get(scenario)
    pins = dict(data.draw(PINS))
    placed = {position: item_id for item_id, position in pins.items()}
    return {
        "scenario": scenario,
        "member_id": data.draw(st.sampled_from([None, *MEMBERS[:5]])),
        "count": data.draw(st.integers(1, 35)),
        "exclude": sorted(data.draw(SOME)),
        "filters": data.draw(st.none() | FILTERS),
        "bury": data.draw(st.none() | FILTERS),
        "pins": [{"item_id": item_id, "position": position} for position, item_id in placed.items()],
        "context": {} if needed is None else {needed: context[needed]},
    }


def allowed_in(body: Row, stock: set[str]) -> set[str]:
    """Return what a slate may hold, worked out by hand."""
    context = body["context"]
    about = {context.get("item_id"), *context.get("basket_item_ids", ())}
    about |= (
        {event["item_id"] for event in context.get("events", ())} if body["scenario"] is Scenario.SESSION else set()
    )
    found = stock - {HIDDEN} - set(body["exclude"]) - about
    if body["scenario"] in (Scenario.DISCOVER, Scenario.NEW):
        found -= bought_by(body["member_id"])
    if body["filters"] is not None:
        found = {item_id for item_id in found if holds(body["filters"], CATALOG[item_id])}
    return found


@pytest.mark.parametrize("scenario", list(Scenario))
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failed example smaller takes many requests
)
@given(data=st.data())
def test_every_answer_is_full_and_allowed(
    service: tuple[Services, CheckedClient], scenario: Scenario, data: st.DataObject
) -> None:
    services, client = service
    store_id = f"s-{next(NUMBERS)}"
    stock = data.draw(SOME)
    rows = [{"store_id": store_id, "item_id": item_id, "on_hand": int(item_id in stock)} for item_id in CATALOG]
    assert client.put("/v1/stores", {"stores": [{"store_id": store_id}]}).status_code == 200
    assert client.put("/v1/inventory", {"inventory": rows}).status_code == 200
    look_again(services)
    body = body_of(scenario, data) | {"store_id": store_id}
    allowed, shown, page = allowed_in(body, stock), [], dict(body)
    while True:
        answer = client.post("/v1/recommendations", page).json
        again = client.post("/v1/recommendations", page).json
        assert answer is not None
        assert again is not None
        found = [item["item_id"] for item in answer["items"]]
        assert [item["item_id"] for item in again["items"]] == found
        assert [item["position"] for item in answer["items"]] == list(range(1, len(found) + 1))
        assert len(found) == min(body["count"], len(allowed) - len(shown))
        shown += found
        if answer["next"] is None:
            break
        page["next"] = answer["next"]
    assert len(shown) == len(set(shown))
    assert set(shown) == allowed
    checked_pins(client, body, allowed)


def checked_pins(client: CheckedClient, body: Row, allowed: set[str]) -> None:
    """Pins that may be shown stand where they were put as far as the slate reaches; others are flagged."""
    answer = client.post("/v1/recommendations", body).json
    applies = client.post("/v1/recommendations", body | {"validate_only": True}).json
    assert answer is not None
    assert applies is not None
    found = [item["item_id"] for item in answer["items"]]
    pins = {pin["item_id"]: pin for pin in applies["applies"]["pins"]}
    for pin in pins.values():
        if pin["shown"]:
            assert pin["item_id"] in found
            if len(found) == body["count"]:
                assert found[pin["position"] - 1] == pin["item_id"]
        elif pin["item_id"] not in allowed:
            assert pin["item_id"] not in found
    dropped = [pin for pin in pins.values() if not pin["shown"] and pin["position"] <= body["count"]]
    assert ("pin_dropped" in answer["flags"]) == bool(dropped)

"""The rules of now hold for slates that were ranked in advance as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.app import build_services, close_services
from api.services import Services
from api.settings import ServiceSettings
from recommender.query import Scenario
from recommender.request import SlateRequest
from recommender.storage.database import open_database
from tests.api.checked import CheckedClient
from tests.api.test_retail_rules import EVERY, goods, post, put
from tests.shop import train


@pytest.fixture
def services(shop_settings: ServiceSettings) -> Iterator[Services]:
    database = open_database(shop_settings)
    train(database, shop_settings, seed=9, prepared=True)
    database.dispose()
    built = build_services(shop_settings)
    yield built
    close_services(built)


def first(client: CheckedClient, scenario: str) -> list[str]:
    context = {"item_id": "i20", "basket_item_ids": ["i21"], "events": [{"item_id": "i22"}]}
    asked = {"scenario": scenario, "member_id": "m01", "store_id": "s1", "count": 4}
    response = client.post("/v1/recommendations", asked | ({} if scenario in PREPARED else {"context": context}))
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json["items"]]


PREPARED = ("home", "buy_again", "discover")


def test_slates_of_known_members_are_ranked_in_advance(services: Services) -> None:
    serving = services.serving.current()
    assert serving is not None
    now = services.clock()
    request = SlateRequest(Scenario.HOME, 4, "member:m01", "s1")
    assert serving.source.query(request, serving.live.current(now), now)[0].ready is not None


@EVERY
def test_rules_take_items_out_and_put_them_in(services: Services, client: CheckedClient, scenario: str) -> None:
    gone = first(client, scenario)[0]
    assert client.post(f"/v1/items/{gone}:recall", {"reason": "x"}).status_code == 200
    sold_out = first(client, scenario)[1]
    put(services, "inventory", {"store_id": "s1", "item_id": sold_out, "on_hand": 0})
    after = first(client, scenario)
    assert not {gone, sold_out} & set(after)
    tobacco = after[0]
    put(services, "items", goods(tobacco, restricted_class="tobacco"))
    replaced = first(client, scenario)[0]
    assert replaced != tobacco
    put(services, "items", goods("fresh-code"))
    put(services, "inventory", {"store_id": "s1", "item_id": "fresh-code", "on_hand": 9})
    put(services, "item_relations", {"item_id": "fresh-code", "related_item_id": replaced, "relation": "replaces"})
    after = first(client, scenario)
    assert replaced not in after
    assert "fresh-code" in after or scenario in ("new", "substitutes", "similar")
    disliked = next(item_id for item_id in after if item_id != "fresh-code")
    post(services, client, event_id="e1", kind="not_interested", item_id=disliked)
    after = first(client, scenario)
    assert disliked not in after
    assert len(after) == 4

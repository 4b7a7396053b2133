"""Recommendations over HTTP: full slates for everybody, flags for what is not known, live stock and catalogue."""

from dataclasses import replace
from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from api.app import create_app
from api.services import Services
from recommender.context import CONTEXT_FIELDS
from recommender.exposures import ExposureLog, read_spool, spool_files
from recommender.query import Scenario
from tests.api.checked import CheckedClient
from tests.api.freshness import look_again
from tests.shop import ITEMS, NOW, SOLD_OUT, make_key

OWN = [ITEMS[(1 + place) % 29] for place in range(8)]
"""What member m01 buys."""


def ask(client: CheckedClient, **body: object) -> dict[str, object]:
    response = client.post("/v1/recommendations", body)
    assert response.status_code == 200, response.text
    assert response.json is not None
    answer: dict[str, object] = response.json
    return answer


def items(answer: dict[str, object] | TestResponse) -> list[str]:
    body = answer.json if isinstance(answer, TestResponse) else answer
    assert body is not None
    return [item["item_id"] for item in body["items"]]


def test_a_member_gets_what_they_buy(shared_client: CheckedClient) -> None:
    answer = ask(shared_client, member_id="m01", count=8)
    assert set(items(answer)) == set(OWN)
    assert answer["strategy"] == "personal"
    first = answer["items"][0]
    assert first["position"] == 1
    assert first["reasons"][0]["code"] == "bought_regularly"
    assert first["reasons"][0]["evidence"]["every_days"] == 7
    assert first["title"].startswith("Item ")
    assert first["price_cents"] == 100 + int(first["item_id"][1:])
    assert first["availability"] == {"store_id": "s1", "on_hand": 5.0, "state": "known"}


def test_scenarios_differ(shared_client: CheckedClient) -> None:
    assert set(items(ask(shared_client, member_id="m01", scenario="buy_again", count=8))) == set(OWN)
    assert not set(items(ask(shared_client, member_id="m01", scenario="discover", count=10))) & set(OWN)
    assert len(items(ask(shared_client, member_id="m01", scenario="trending", count=10))) == 10


def test_get_and_post_agree(shared_client: CheckedClient) -> None:
    got = shared_client.get(
        "/v1/members/m01/recommendations?scenario=home&count=7&store_id=s1&channel=app&exclude=i01&exclude=i02"
    )
    assert got.status_code == 200
    posted = ask(shared_client, member_id="m01", count=7, store_id="s1", channel="app", exclude=["i01", "i02"])
    assert items(got) == items(posted)
    assert not {"i01", "i02"} & set(items(posted))
    assert posted["dropped"] == {"excluded": 2, "out_of_stock": 1} or posted["dropped"]["excluded"] == 2


@pytest.mark.parametrize("scenario", list(Scenario))
@pytest.mark.parametrize(
    ("body", "flag"),
    [
        ({"member_id": "nobody"}, "unknown_member"),
        ({"member_id": "nobody"}, "empty_history"),
        ({"identity": {"namespace": "wechat_openid", "value": "openid-1"}}, "unlinked_identity"),
        ({"identity": {"namespace": "wechat_openid", "value": "new"}}, "empty_history"),
        ({}, "anonymous"),
        ({"member_id": "m01", "store_id": "s2"}, "stock_unknown"),
        ({"member_id": "m01", "store_id": "nowhere"}, "unknown_store"),
        ({"member_id": "会员/🙂 'x'"}, "unknown_member"),
    ],
)
def test_slates_are_full_and_say_what_is_not_known(
    shared_client: CheckedClient, scenario: str, body: dict[str, object], flag: str
) -> None:
    context = {"item_id": "i03", "basket_item_ids": ["i04"], "events": [{"item_id": "i05"}]}
    answer = ask(shared_client, scenario=scenario, count=12, context=context, **body)
    found = items(answer)
    assert len(found) == len(set(found)) == 12
    assert [item["position"] for item in answer["items"]] == list(range(1, 13))
    assert flag in answer["flags"]


@pytest.mark.parametrize(
    ("scenario", "context", "shown"),
    [
        ("similar", {"item_id": "i03"}, ["i03"]),
        ("substitutes", {"item_id": "i03"}, ["i03"]),
        ("basket", {"basket_item_ids": ["i03", "i04"]}, ["i03", "i04"]),
        ("session", {"events": [{"item_id": "i03"}, {"item_id": "i04", "kind": "basket_add"}]}, ["i03", "i04"]),
    ],
)
def test_slates_about_items_do_not_show_them(
    shared_client: CheckedClient, scenario: str, context: dict[str, object], shown: list[str]
) -> None:
    answer = ask(shared_client, scenario=scenario, count=28, context=context)
    assert answer["strategy"] in ("context", "context+filled")
    assert not set(items(answer)) & set(shown)
    assert len(items(answer)) == 28


def test_items_like_one_can_be_asked_for_by_its_address(shared_client: CheckedClient) -> None:
    got = shared_client.get("/v1/items/i03/similar?count=5&store_id=s1&exclude=i04")
    assert got.status_code == 200
    posted = ask(shared_client, scenario="similar", context={"item_id": "i03"}, count=5, store_id="s1", exclude=["i04"])
    assert items(got) == items(posted)
    assert not {"i03", "i04"} & set(items(got))
    assert "unknown_item" in shared_client.get("/v1/items/nothing/similar").json["flags"]
    assert shared_client.get("/v1/items/i03/similar?scenario=home").status_code == 400


@pytest.mark.parametrize("scenario", list(CONTEXT_FIELDS))
def test_scenarios_about_items_need_their_context(shared_client: CheckedClient, scenario: Scenario) -> None:
    field = CONTEXT_FIELDS[scenario]
    for response in (
        shared_client.post("/v1/recommendations", {"scenario": scenario, "context": {}}),
        shared_client.get(f"/v1/members/m01/recommendations?scenario={scenario}"),
    ):
        assert response.status_code == 400
        assert [error["field"] for error in response.json["errors"]] == [f"context.{field}"]


def test_an_unknown_or_missing_context_is_told_and_answered(shared_client: CheckedClient) -> None:
    answer = ask(shared_client, scenario="similar", context={"item_id": "nothing like it"})
    assert "unknown_item" in answer["flags"]
    assert (len(items(answer)), answer["strategy"]) == (10, "popular")
    for scenario, context in (("basket", {"basket_item_ids": []}), ("session", {"events": []})):
        answer = ask(shared_client, scenario=scenario, context=context)
        assert "empty_context" in answer["flags"]
        assert len(items(answer)) == 10


def test_what_lies_in_the_basket_is_not_shown(shared_client: CheckedClient) -> None:
    answer = ask(shared_client, member_id="m01", count=8, context={"basket_item_ids": OWN[:3]})
    assert not set(items(answer)) & set(OWN[:3])
    assert answer["dropped"]["in_context"] == 3


def test_the_running_visit_counts_with_the_history(shared_client: CheckedClient) -> None:
    visit = {"events": [{"item_id": "i25", "kind": "basket_add"}, {"item_id": "i26"}]}
    answer = ask(shared_client, scenario="home", count=10, context=visit)
    assert {"i25", "i26"} <= set(items(answer)[:2])
    assert answer["strategy"] == "personal"
    assert not {"i25", "i26"} & set(items(ask(shared_client, scenario="home", count=2)))


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({"events": [{"item_id": "i01", "kind": "purchase"}]}, "context.events[0].kind"),
        ({"events": [{"kind": "view"}]}, "context.events[0].item_id"),
        (
            {"events": [{"item_id": "i01"}, {"item_id": "i02", "occurred_at": "2026-03-01T08:30:00+08:00"}]},
            "context",
        ),
        ({"basket_item_ids": ["i01", ""]}, "context.basket_item_ids[1]"),
        ({"item": "i01"}, "context.item"),
    ],
)
def test_a_wrong_context_is_named(shared_client: CheckedClient, context: dict[str, object], field: str) -> None:
    response = shared_client.post("/v1/recommendations", {"scenario": "session", "context": context})
    assert response.status_code == 400
    assert [error["field"] for error in response.json["errors"]] == [field]


def test_an_identity_has_its_own_history(shared_client: CheckedClient) -> None:
    answer = ask(shared_client, identity={"namespace": "wechat_openid", "value": "openid-1"}, count=2)
    assert set(items(answer)) == {"i20", "i21"}
    assert answer["items"][0]["reasons"][0]["code"] == "viewed"


def test_reasons_and_titles_are_in_the_readers_language(shared_client: CheckedClient) -> None:
    english = shared_client.get("/v1/members/m01/recommendations?count=1").json
    chinese = shared_client.get("/v1/members/m01/recommendations?count=1", headers={"Accept-Language": "zh-CN"}).json
    assert english is not None
    assert chinese is not None
    assert english["items"][0]["reasons"][0]["text"].startswith("Bought 10 times, about every 7 days")
    assert chinese["items"][0]["reasons"][0]["text"].startswith("买过10次")
    assert chinese["items"][0]["title"].startswith("商品")


def test_what_is_sold_out_is_not_shown(shared_client: CheckedClient) -> None:
    answer = ask(shared_client, member_id="m01", store_id="s1", count=30)
    assert SOLD_OUT not in items(answer)
    assert len(items(answer)) == 29
    assert SOLD_OUT in items(ask(shared_client, member_id="m01", store_id="s2", count=30))


def test_stock_hiding_and_prices_act_at_once(services: Services, client: CheckedClient) -> None:
    before = items(ask(client, member_id="m01", store_id="s1", count=8))
    sold_out, hidden, repriced = before[:3]
    row = {"store_id": "s1", "item_id": sold_out, "on_hand": 0}
    assert client.put("/v1/inventory", {"inventory": [row]}).status_code == 200
    rows = [{"item_id": hidden, "hidden": True}, {"item_id": repriced, "price_cents": 77}]
    assert client.put("/v1/items", {"items": rows}).status_code == 200
    look_again(services)
    answer = ask(client, member_id="m01", store_id="s1", count=8)
    assert len(items(answer)) == 8
    assert not {sold_out, hidden} & set(items(answer))
    prices = {item["item_id"]: item["price_cents"] for item in answer["items"]}
    assert prices[repriced] == 77


def test_an_item_that_came_after_training_can_be_shown(services: Services, client: CheckedClient) -> None:
    client.put("/v1/items", {"items": [{"item_id": "brand-new", "title": "Brand new"}]})
    client.put("/v1/inventory", {"inventory": [{"store_id": "s1", "item_id": "brand-new", "on_hand": 3}]})
    look_again(services)
    assert "brand-new" in items(ask(client, member_id="m01", store_id="s1", count=30))


def test_a_view_and_a_purchase_change_the_next_answer(client: CheckedClient) -> None:
    asked = {"member_id": "stranger", "count": 3}
    assert ask(client, **asked)["strategy"] == "popular"
    event = {
        "event_id": "e1",
        "occurred_at": NOW.isoformat(),
        "kind": "view",
        "channel": "app",
        "member_id": "stranger",
        "item_id": "i25",
    }
    assert client.post("/v1/events", {"events": [event]}).json["accepted"] == 1
    viewed = ask(client, **asked)
    assert viewed["strategy"] == "personal"
    assert items(viewed)[0] == "i25"
    bought = event | {"event_id": "e2", "kind": "purchase", "item_id": "i17"}
    client.post("/v1/events", {"events": [bought]})
    assert "i17" in items(ask(client, **asked))
    assert items(ask(client, **asked, scenario="buy_again"))[0] == "i17"
    assert "i17" not in items(ask(client, **asked, scenario="discover"))


def test_a_link_brings_the_history_and_unlinking_takes_it_back(client: CheckedClient) -> None:
    link = {"namespace": "wechat_openid", "value": "openid-1", "member_id": "newcomer"}
    assert "empty_history" in ask(client, member_id="newcomer", count=2)["flags"]
    assert client.put("/v1/identities", {"identities": [link]}).json["added"] == 1
    assert set(items(ask(client, member_id="newcomer", count=2))) == {"i20", "i21"}
    by_identity = ask(client, identity={"namespace": "wechat_openid", "value": "openid-1"}, count=2)
    assert "unlinked_identity" not in by_identity["flags"]
    gone = client.call("DELETE", "/v1/identities", json={"identities": [link]})
    assert gone.json == {"received": 1, "unlinked": 1}
    assert "empty_history" in ask(client, member_id="newcomer", count=2)["flags"]


@pytest.mark.parametrize("identity", [{"namespace": "phone", "value": "x"}, {"namespace": "email", "value": "x"}])
def test_identities_that_cannot_be(shared_client: CheckedClient, identity: dict[str, str]) -> None:
    response = shared_client.post("/v1/recommendations", {"identity": identity})
    assert response.status_code == 400
    assert response.json["errors"][0]["field"] == "identity.value"


def test_channels_are_checked(shared_client: CheckedClient) -> None:
    response = shared_client.post("/v1/recommendations", {"channel": "fax"})
    assert response.status_code == 400
    assert "mini_program" in response.json["errors"][0]["accepted"]


def test_every_answer_is_recorded(services: Services, client: CheckedClient) -> None:
    answers = [ask(client, member_id="m01", count=3, channel="app"), ask(client, count=2)]
    (file,) = spool_files(services.settings.spool_folder)
    recorded = read_spool(file, 0).exposures
    assert [exposure.recommendation_id for exposure in recorded] == [a["recommendation_id"] for a in answers]
    assert [list(exposure.item_id) for exposure in recorded] == [items(answer) for answer in answers]
    first, second = recorded
    assert (first.subject, first.channel, first.store_id, first.bundle_id) == (
        "member:m01",
        "app",
        "s1",
        answers[0]["bundle_id"],
    )
    assert first.reason[0] == "bought_regularly"
    assert second.subject is None
    assert first.recommendation_id != second.recommendation_id


def test_a_disk_that_takes_nothing_is_flagged(services: Services) -> None:
    blocked = services.settings.home / "blocked"
    blocked.write_text("a file where the spool folder should be")
    broken = replace(services, exposures=ExposureLog(blocked))
    client = CheckedClient(create_app(broken), make_key(services.database, "recommend"))
    answer = ask(client, member_id="m01", count=5)
    assert len(items(answer)) == 5
    assert "exposure_not_recorded" in answer["flags"]
    ready = client.get("/readyz").json
    assert ready is not None
    assert "could not be recorded" in ready["warnings"][0]
    assert "memberwise_exposures_failed_total 1.0" in client.get("/metrics").text


def test_opting_out_is_honoured(services: Services, client: CheckedClient) -> None:
    from recommender.storage.upserts import upsert

    consent = {"member_id": "m01", "purpose": "personalization", "granted": False, "at": NOW}
    with services.database.write() as connection:
        upsert(connection, "consents", [consent], NOW + timedelta(seconds=1))
    answer = ask(client, member_id="m01", count=8)
    assert answer["strategy"] == "popular"
    assert "not_personalised" in answer["flags"]
    assert items(answer) == items(ask(client, count=8, store_id="s1"))

"""Campaigns over HTTP: a whole life, refusals with the reason, budgets by compare-and-set, pages and exports."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import orjson
import pytest

from api.app import create_app
from api.services import Services
from recommender.campaigns.assignments import Assignment, add_assignments
from recommender.campaigns.holdout import Arm
from recommender.campaigns.plans import finish_plan, take_plan
from recommender.campaigns.running import advance
from recommender.campaigns.transports import put_transport
from recommender.coupons.counters import Count, move
from recommender.storage.audit import read_audit
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.shop import NOW, make_key

KEYS = count()
Json = dict[str, Any]
TERMS: Json = {
    "name": "Spring",
    "starts_at": NOW.isoformat(),
    "ends_at": (NOW + timedelta(days=14)).isoformat(),
    "budget_cents": 1000,
    "offers": ["ten"],
    "settings": {
        "holdout_share": 0.2,
        "transport": "crm",
        "message": {"texts": {"zh": {"body": "{offer}"}, "en": {"body": "{offer} until {until}"}}},
        "undo_seconds": 60,
    },
}
FIGURES: Json = {
    "members": 3,
    "groups": {"treated": 2, "holdout": 1, "global_holdout": 0},
    "reach": 1,
    "control": 1,
    "explorers": 0,
    "budget_cents": 1000,
    "planned_cost_cents": 250,
    "expected_cost_cents": 200.0,
    "contact_cents": 0,
    "expected_profit_cents": {"mean": 12_345.0, "low": -100.0, "high": 24_790.0},
    "bound_cents": 12_400.0,
    "gap": 0.01,
    "shadow_price": 0.23,
    "assumed_coupons": 0,
    "propensity": 0.8,
    "by_offer": [{"offer_id": "ten", "coupons": 1, "expected_profit_cents": 12_345.0, "expected_cost_cents": 200.0}],
    "left_out": {"no_consent": 7, "held_out": 1},
    "unusable_offers": {"<b>old</b>": "It ended."},
    "curve": [{"budget_cents": 1000, "profit_cents": 12_345.0, "shadow_price": 0.23}],
    "power": {"smallest_effect_total_cents": 5000.0},
    "warnings": ["an_offer_ends_before_the_campaign"],
}


@pytest.fixture
def shop(services: Services) -> CheckedClient:
    """A client that may look after campaigns, of a shop with an offer."""
    with services.database.write() as connection:
        put_transport(connection, "crm", "file", {}, True, "test", NOW)
        upsert(connection, "offers", [{"offer_id": "ten", "kind": "amount_off", "value": 100, "title": "Ten"}], NOW)
    return CheckedClient(create_app(services), make_key(services.database, "campaigns"))


def ask(client: CheckedClient, path: str, body: Json | None = None, status: int = 200, key: str | None = None) -> Json:
    response = client.post(path, body or {}, headers={"Idempotency-Key": key or f"k{next(KEYS)}"})
    assert response.status_code == status, response.text
    found: Json = response.json
    return found


def create(client: CheckedClient, campaign_id: str = "spring", status: int = 200, **changes: Any) -> Json:
    return ask(client, "/v1/campaigns", {"campaign_id": campaign_id, **TERMS, **changes}, status)


def step(client: CheckedClient, verb: str, status: int = 200, **body: Any) -> Json:
    return ask(client, f"/v1/campaigns/spring:{verb}", body, status)


def make_plan(services: Services) -> None:
    """Play the planner."""
    rows = [
        Assignment("m01", "member:m01", Arm.TREATED, 0.8, "ten", 1.0, 40.0, 10.0),
        Assignment("m02", "member:m02", Arm.HOLDOUT, 0.8, "ten", 1.0, 30.0, 10.0),
        Assignment("=m03", "member:=m03", Arm.TREATED, 0.8),
    ]
    with services.database.write() as connection:
        job = take_plan(connection, NOW)
        assert job is not None
        add_assignments(connection, job.campaign_id, rows, NOW)
        finish_plan(connection, job, "b1", FIGURES, NOW)


def test_a_whole_life(shop: CheckedClient, services: Services) -> None:
    made = create(shop)
    assert (made["status"], made["version"], made["kind"]) == ("draft", 1, "one_off")
    job = step(shop, "plan")
    assert (job["status"], job["progress"]) == ("requested", 0.0)
    assert shop.get("/v1/campaigns/spring/plan").json["plan_id"] == job["plan_id"]
    make_plan(services)
    found = shop.get("/v1/campaigns/spring/plan").json
    assert (found["status"], found["figures"]["reach"]) == ("done", 1)
    assert step(shop, "approve")["approved_by"] == made["author"]
    launched = step(shop, "launch")
    assert launched["status"] == "scheduled"
    assert step(shop, "undo")["status"] == "approved"
    step(shop, "launch")
    later = NOW + timedelta(hours=1)
    assert advance(services.database, later) >= 1
    assert shop.get("/v1/campaigns/spring").json["status"] == "running"
    assert step(shop, "pause", reason="A typo.")["status"] == "paused"
    assert step(shop, "resume")["status"] == "running"
    assert step(shop, "cancel")["possible"] == []
    steps = shop.get("/v1/campaigns/spring/timeline").json["steps"]
    wanted = [
        "create",
        "plan",
        "planned",
        "approve",
        "launch",
        "undo",
        "launch",
        "start",
        "enqueued",
        "pause",
        "resume",
    ]
    assert [one["action"] for one in steps] == [*wanted, "cancel"]
    assert steps[9]["details"] == {"reason": "A typo."}
    with services.database.read() as connection:
        audited = read_audit(connection, target="spring")
    assert len(audited) == len(steps)


def test_the_same_step_sent_twice_is_taken_once(shop: CheckedClient) -> None:
    body = {"campaign_id": "spring", **TERMS}
    first = ask(shop, "/v1/campaigns", body, key="once")
    assert ask(shop, "/v1/campaigns", body, key="once") == first
    ask(shop, "/v1/campaigns", {**body, "name": "Other"}, 409, key="once")
    ask(shop, "/v1/campaigns", body, 409)


def test_a_step_that_is_not_allowed_says_why(shop: CheckedClient) -> None:
    create(shop)
    for verb in ("approve", "launch", "undo", "pause", "resume"):
        refused = step(shop, verb, 409)
        assert "It has no plan yet." in refused["detail"]
    step(shop, "cancel")
    assert "It was cancelled." in step(shop, "plan", 409)["detail"]
    assert "changed meanwhile" in step(shop, "plan", 409, version=1)["detail"]
    assert ask(shop, "/v1/campaigns/nobody:plan", {}, 404)["status"] == 404


def test_terms_are_put_from_a_version(shop: CheckedClient) -> None:
    create(shop)
    new = {**TERMS, "name": "Summer", "version": 1}
    assert shop.put("/v1/campaigns/spring", new).json["name"] == "Summer"
    assert shop.put("/v1/campaigns/spring", new).status_code == 409
    wrong = shop.put("/v1/campaigns/spring", {**new, "version": 2, "settings": {"explore": 3}})
    assert wrong.status_code == 400
    assert wrong.json["errors"][0]["field"] == "settings.explore"


def test_a_budget_is_never_less_than_what_is_spent(shop: CheckedClient, services: Services) -> None:
    create(shop)
    with services.database.write() as connection:
        move(connection, Count.COMMITTED, "spring", "", 700, NOW)
    assert shop.put("/v1/campaigns/spring/budget", {"budget_cents": 700, "version": 1}).json["spent_cents"] == 700
    refused = shop.put("/v1/campaigns/spring/budget", {"budget_cents": 699, "version": 2})
    assert refused.status_code == 409
    assert "spent or reserved" in refused.json["detail"]
    assert shop.put("/v1/campaigns/spring/budget", {"budget_cents": None, "version": 2}).json["budget_cents"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"offers": ["gone"]}, "offers"),
        ({"ends_at": NOW.isoformat()}, "ends_at"),
        ({"settings": {"caps": {"per_day": 2, "per_week": 1}}}, "settings.caps.per_week"),
        ({"settings": {"audience": {"expression": {"tierr": "gold"}}}}, "expression"),
    ],
)
def test_bad_terms_are_named(shop: CheckedClient, changes: Json, field: str) -> None:
    assert create(shop, status=400, **changes)["errors"][0]["field"].startswith(field)


def test_campaigns_are_listed_page_by_page(shop: CheckedClient) -> None:
    for name in ("a", "b", "c"):
        create(shop, name)
    first = shop.get("/v1/campaigns?limit=2").json
    assert [one["campaign_id"] for one in first["campaigns"]] == ["a", "b"]
    rest = shop.get(f"/v1/campaigns?limit=2&after={first['next']}").json
    assert ([one["campaign_id"] for one in rest["campaigns"]], rest["next"]) == (["c"], None)
    assert shop.get("/v1/campaigns?status=running").json["campaigns"] == []


def test_the_plan_is_a_page_in_both_languages(shop: CheckedClient, services: Services) -> None:
    create(shop)
    assert shop.get("/v1/campaigns/spring/plan.html").status_code == 404
    step(shop, "plan")
    assert "being made" in shop.get("/v1/campaigns/spring/plan.html").text
    make_plan(services)
    english = shop.get("/v1/campaigns/spring/plan.html").text
    chinese = shop.get("/v1/campaigns/spring/plan.html", headers={"Accept-Language": "zh-CN"}).text
    for page in (english, chinese):
        assert "123.45" in page
        assert "247.90" in page
        assert "230.00" in page  # what one more 1,000.00 earns
        assert "<b>old</b>" not in page
        assert "<details>" in page
    assert "Did not agree to messages" in english
    assert "增量利润" in chinese
    assert "未同意接收消息" in chinese


def test_members_are_exported_as_lines_and_as_a_safe_spreadsheet(shop: CheckedClient, services: Services) -> None:
    create(shop)
    step(shop, "plan")
    make_plan(services)
    lines = shop.get("/v1/campaigns/spring/allocations").text.splitlines()
    rows = {row["member_id"]: row for row in map(orjson.loads, lines)}
    assert (rows["m01"]["offer_id"], rows["m01"]["arm"], rows["m01"]["profit_cents"]) == ("ten", "treated", 40.0)
    assert (rows["m02"]["arm"], rows["=m03"]["offer_id"]) == ("holdout", None)
    table = shop.get("/v1/campaigns/spring/allocations?format=csv")
    assert table.mimetype == "text/csv"
    found = table.text.splitlines()
    assert len(found) == 4
    assert found[0].startswith('"member_id","unit","arm"') or found[0].startswith("member_id,unit,arm")
    assert found[1].startswith('"\'=m03"')


def test_other_keys_do_not_reach_campaigns(services: Services) -> None:
    client = CheckedClient(create_app(services), make_key(services.database, "coupons"))
    assert client.get("/v1/campaigns").status_code == 403


def test_messages_are_previewed_on_real_members(shop: CheckedClient, services: Services) -> None:
    create(shop)
    step(shop, "plan")
    make_plan(services)
    with services.database.write() as connection:
        upsert(connection, "members", [{"member_id": "m01", "attributes": {"language": "zh"}}], NOW)
        consent = {"member_id": "m01", "purpose": "push", "granted": True, "at": NOW}
        upsert(connection, "consents", [consent], NOW)
    found = shop.post("/v1/campaigns/spring:preview", {}).json["messages"]
    assert [(one["member_id"], one["language"], one["body"], one["problem"]) for one in found] == [
        ("m01", "zh", "Ten", None)
    ]
    named = shop.post("/v1/campaigns/spring:preview", {"member_ids": ["m02", "nobody"]}).json["messages"]
    assert [one["problem"] for one in named] == ["no_consent", "unknown_member"]
    create(shop, "silent", settings={})
    assert shop.post("/v1/campaigns/silent:preview", {}).status_code == 400


def test_a_transport_that_cannot_carry_the_message_is_refused_at_plan_time(
    shop: CheckedClient, services: Services
) -> None:
    create(shop, settings={**TERMS["settings"], "transport": "gone"})
    assert step(shop, "plan", 404)["errors"][0]["value"] == "gone"
    create(shop, "off", settings={**TERMS["settings"], "transport": "off"})
    with services.database.write() as connection:
        put_transport(connection, "off", "file", {}, False, "test", NOW)
    assert "switched off" in ask(shop, "/v1/campaigns/off:plan", {}, 409)["detail"]

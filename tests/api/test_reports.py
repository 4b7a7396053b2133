"""The report on recommendations: from an answer over its events to the figures."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from api.app import create_app
from api.routes.reports import OPERATIONS
from api.services import Services
from api.worker import drain_spool
from recommender.cli import main
from recommender.storage.attribution import attribute
from tests.api.checked import CheckedClient
from tests.shop import make_key

REPORT = "/v1/reports/recommendations"


@pytest.fixture
def reader(services: Services) -> CheckedClient:
    return CheckedClient(create_app(services), make_key(services.database, "models", "recommend", "events"))


def act(event_id: str, kind: str, item: dict[str, object], **said: object) -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    sent = {"event_id": event_id, "occurred_at": now, "kind": kind, "channel": "app", "member_id": "m01"}
    return {**sent, "item_id": item["item_id"], **said}


def test_an_answer_is_followed_to_the_till(services: Services, reader: CheckedClient) -> None:
    body = {"member_id": "m01", "channel": "app", "count": 4}
    answer = reader.post("/v1/recommendations", body).json
    assert answer is not None
    first, second = answer["items"][:2]
    named = {"recommendation_id": answer["recommendation_id"]}
    line = {"order_id": "o1", "order_line": "1", "quantity": 2, "unit_price_cents": 150}
    sent = [
        act("e1", "view", first, **named, position=1),
        act("e2", "purchase", first, **named, **line),
        act("e3", "purchase", second, channel="pos", order_id="o2", order_line="1", unit_price_cents=90),
        act("e4", "return", first, order_id="o1", quantity=1),
    ]
    assert reader.post("/v1/events", {"events": sent}).status_code == 200
    drain_spool(services.database, services.settings.spool_folder)
    attribute(services.database, services.settings.attribution_window, datetime.now(UTC))
    found = reader.get(f"{REPORT}?group_by=scenario&group_by=channel&group_by=bundle&group_by=day").json
    assert found is not None
    (group,) = found["groups"]
    assert group["group"]["scenario"] == "home"
    assert group["group"]["bundle"] == answer["bundle_id"]
    assert (group["slates"], group["items"], group["customers"]) == (1, 4, 1)
    attributed, assisted = group["attributed"], group["assisted"]
    assert attributed["viewed"]["items"] == attributed["purchased"]["items"] == 1
    assert attributed["viewed"]["rate"]["value"] == 0.25
    assert attributed["revenue"]["cents"] == 150
    assert (assisted["purchased"]["items"], assisted["revenue"]["cents"]) == (1, 90)
    by_position = reader.get(f"{REPORT}?group_by=position&scenario=home").json
    assert by_position is not None
    assert [row["attributed"]["viewed"]["items"] for row in by_position["groups"]] == [1, 0, 0, 0]


def test_without_exposures_there_are_no_groups(reader: CheckedClient) -> None:
    found = reader.get(REPORT).json
    assert found is not None
    assert found["groups"] == []
    assert found["window_days"] == 7


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group_by=colour", "group_by[0]"),
        ("from=2026-01-01", "from"),
        ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("to=0001-01-01T00:00:00Z", "to"),
        ("scenario=none", "scenario"),
        ("&".join(f"group_by={name}" for name in ("day", "store", "bundle", "channel", "reason")), "group_by"),
        ("since=1", "since"),
    ],
)
def test_what_cannot_be_reported_is_told(reader: CheckedClient, query: str, field: str) -> None:
    response = reader.get(f"{REPORT}?{query}")
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["errors"][0]["field"] == field


def test_reports_need_the_scope(client: CheckedClient) -> None:
    assert client.get(REPORT).status_code == 403
    assert {operation.scope for operation in OPERATIONS} == {"models"}


def test_a_wide_time_is_fine(reader: CheckedClient) -> None:
    since = (datetime.now(UTC) - timedelta(days=4000)).isoformat().replace("+", "%2B")
    assert reader.get(f"{REPORT}?from={since}").status_code == 200


def test_the_command_prints_what_the_route_answers(services: Services, reader: CheckedClient) -> None:
    reader.post("/v1/recommendations", {"member_id": "m01", "count": 4})
    drain_spool(services.database, services.settings.spool_folder)
    own: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MEMBERWISE_")}
    own |= {"MEMBERWISE_HOME": str(services.settings.home), "MEMBERWISE_HASH_KEY": services.settings.hash_key}
    words = ["reports", "recommendations", "--group-by", "scenario", "--group-by", "position"]
    told = CliRunner(env=own).invoke(main, words)
    assert told.exit_code == 0, told.output
    assert "home" in told.stdout
    printed = json.loads(CliRunner(env=own).invoke(main, [*words, "--json"]).stdout)
    answered = reader.get(f"{REPORT}?group_by=scenario&group_by=position").json
    assert answered is not None
    assert printed["groups"] == answered["groups"]
    assert len(printed["groups"]) == 4
    assert CliRunner(env=own).invoke(main, [*words, "--from", "yesterday"]).exit_code == 2

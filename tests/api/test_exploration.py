"""Exploration as it is served: chances are recorded, a retry gets the same, and it is off unless switched on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api.services import Services
from api.worker import drain_spool
from recommender.storage.scenarios import save_version
from recommender.storage.statements import fetch
from tests.api.checked import CheckedClient
from tests.shop import MEMBERS

SHARE = 0.2


@pytest.fixture
def exploring(services: Services, client: CheckedClient) -> CheckedClient:
    with services.database.write() as connection:
        settings = f'{{"exploration_share": {SHARE}}}'
        save_version(connection, "home", settings, "test", datetime.now(UTC))
    serving = services.serving.current()
    assert serving is not None
    serving.live._next_poll = 0.0
    return client


def ask(client: CheckedClient, **body: object) -> list[str]:
    answer = client.post("/v1/recommendations", {"count": 5, **body}).json
    assert answer is not None
    return [item["item_id"] for item in answer["items"]]


def chances(services: Services) -> list[tuple[str, str, int, float | None]]:
    drain_spool(services.database, services.settings.spool_folder)
    with services.database.read() as connection:
        found = fetch(
            connection,
            "SELECT strategy, subject, position, propensity FROM exposures ORDER BY recommendation_id, position",
        )
    return [(row[0], row[1], row[2], row[3]) for row in found]


def test_chances_are_recorded_and_a_retry_gets_the_same(services: Services, exploring: CheckedClient) -> None:
    slates = {member_id: ask(exploring, member_id=member_id) for member_id in MEMBERS}
    assert slates == {member_id: ask(exploring, member_id=member_id) for member_id in MEMBERS}
    rows = chances(services)
    assert len(rows) == 2 * 5 * len(MEMBERS)
    explored = {subject for strategy, subject, _, _ in rows if strategy.endswith("+explored")}
    assert 0 < len(explored) < len(MEMBERS) / 2
    pool = 10
    assert {round(chance or 0, 9) for _, _, _, chance in rows} == {
        round(SHARE / pool, 9),
        round(SHARE / pool + 1 - SHARE, 9),
    }
    for strategy, _, _, chance in rows:
        assert strategy.endswith("+explored") or chance == pytest.approx(SHARE / pool + 1 - SHARE)


def test_nobody_known_and_other_placements_are_not_explored(services: Services, exploring: CheckedClient) -> None:
    ask(exploring)
    ask(exploring, member_id="m01", scenario="discover")
    assert {chance for _, _, _, chance in chances(services)} == {None}


def test_without_a_share_nothing_is_explored(services: Services, client: CheckedClient) -> None:
    ask(client, member_id="m01")
    assert [chance for _, _, _, chance in chances(services)] == [None] * 5


def test_explanations_say_when_the_order_shown_is_another(services: Services, exploring: CheckedClient) -> None:
    flagged = set()
    for member_id in MEMBERS:
        ask(exploring, member_id=member_id)
        explained = exploring.post("/v1/explain", {"member_id": member_id, "item_id": "i05"}).json
        assert explained is not None
        if "explored" in explained["flags"]:
            flagged.add(f"member:{member_id}")
    assert flagged == {subject for strategy, subject, _, _ in chances(services) if strategy.endswith("+explored")}


@pytest.mark.parametrize("most", [104, 107, 112])
def test_explanations_agree_with_slates_that_are_not_shuffled(exploring: CheckedClient, most: int) -> None:
    asked = {"bury": {"price_cents": {"min": most}}, "count": 5}
    compared = 0
    for member_id in MEMBERS[::4]:
        slate = exploring.post("/v1/recommendations", {"member_id": member_id, **asked}).json
        assert slate is not None
        for item in [] if slate["strategy"].endswith("+explored") else slate["items"]:
            body = {"member_id": member_id, "item_id": item["item_id"], **asked}
            explained = exploring.post("/v1/explain", body).json
            assert explained is not None
            assert (explained["position"], explained["reasons"]) == (item["position"], item["reasons"])
            compared += 1
    assert compared

"""From exploring answers over events to what another bundle would have earned."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.app import build_services, close_services, create_app
from api.services import Services
from api.worker import drain_spool
from recommender.cli import main
from recommender.errors import InputError
from recommender.placement import parse_placement
from recommender.query import Scenario
from recommender.storage.attribution import attribute
from recommender.storage.logged_slates import count_logged, read_logged
from recommender.storage.scenarios import save_version
from tests.api.checked import CheckedClient
from tests.shop import MEMBERS, make_key, open_shop, settings_at, train
from training.place import Place
from training.progress import Silent
from training.replay_log import Question, evaluate_off_policy

COUNT = 5
LATER = timedelta(days=8)
"""After this the time for attribution is over."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A shop that explored in `home`, where members bought what stood first; `discover` did not explore."""
    settings = settings_at(tmp_path_factory.mktemp("explored"))
    open_shop(settings)
    services = build_services(settings)
    with services.database.write() as connection:
        save_version(connection, "home", '{"exploration_share": 0.2}', "test", datetime.now(UTC))
    serving = services.serving.current()
    assert serving is not None
    serving.live._next_poll = 0.0
    client = CheckedClient(create_app(services), make_key(services.database, "recommend", "events"))
    for member_id in MEMBERS:
        ask(client, member_id, scenario="discover")
        ask(client, member_id, exclude=["i00"])
        answer = ask(client, member_id)
        event = {
            "event_id": f"after-{member_id}",
            "occurred_at": datetime.now(UTC).isoformat(),
            "kind": "purchase",
            "channel": "app",
            "member_id": member_id,
            "item_id": answer["items"][0]["item_id"],
            "recommendation_id": answer["recommendation_id"],
            "unit_price_cents": 100,
        }
        assert client.post("/v1/events", {"events": [event]}).status_code == 200
    drain_spool(services.database, settings.spool_folder)
    attribute(services.database, settings.attribution_window, datetime.now(UTC))
    yield services
    close_services(services)


def ask(client: CheckedClient, member_id: str, **said: object) -> dict[str, list[dict[str, str]]]:
    body = {"member_id": member_id, "count": COUNT, "channel": "app", **said}
    return client.post("/v1/recommendations", body).json  # type: ignore[return-value]


def question(scenario: Scenario = Scenario.HOME, **said: object) -> Question:
    now = datetime.now(UTC)
    return Question(scenario, now - timedelta(days=1), now + LATER, "purchased", **said)  # type: ignore[arg-type]


def place_of(services: Services) -> Place:
    return Place(services.database, services.settings)


def test_the_bundle_that_was_served_is_worth_what_it_earned(shop: Services) -> None:
    place = place_of(shop)
    found = evaluate_off_policy(place, place.registry.open(), question(), datetime.now(UTC) + LATER, Silent())
    assert found["slates"] == {"slates": 80, "without_chances": 0, "narrowed": 40, "usable": 40}
    estimates = found["estimates"]
    assert (estimates["items"], estimates["customers"]) == (40 * COUNT, 40)
    assert estimates["logged"]["value"] == pytest.approx(1 / COUNT), "each bought the first of five"
    # Slates as ranked agree at all positions, shuffled ones here and there.
    assert 0.6 < estimates["matched"] < 1.0
    assert estimates["snips"]["value"] == pytest.approx(1 / COUNT, abs=0.05)
    assert estimates["mean_weight"]["low"] < 1.0 < estimates["mean_weight"]["high"] + 0.25


def test_other_settings_are_another_policy(shop: Services) -> None:
    place = place_of(shop)
    pinned = parse_placement({"pins": [{"item_id": "i28", "position": 1}]})
    now = datetime.now(UTC) + LATER
    found = evaluate_off_policy(place, place.registry.open(), question(placement=pinned), now, Silent())
    plain = evaluate_off_policy(place, place.registry.open(), question(), now, Silent())
    assert found["estimates"]["matched"] < plain["estimates"]["matched"]
    assert found["estimates"]["ips"]["value"] < plain["estimates"]["ips"]["value"]


def test_logs_without_chances_say_nothing(shop: Services) -> None:
    place = place_of(shop)
    now = datetime.now(UTC) + LATER
    found = evaluate_off_policy(place, place.registry.open(), question(Scenario.DISCOVER), now, Silent())
    assert found["estimates"] is None
    assert found["status"] == "undetermined"
    assert found["statement"].startswith("Nothing can be said: of 40 slates 40 were served without exploration")
    young = evaluate_off_policy(place, place.registry.open(), question(), datetime.now(UTC), Silent())
    assert young["slates"]["slates"] == 0, "acts may still come"
    with pytest.raises(InputError):
        evaluate_off_policy(place, place.registry.open(), question(Scenario.SIMILAR), now, Silent())


def test_logged_slates_are_whole_however_they_are_read(shop: Services) -> None:
    start, end = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    with shop.database.read() as connection:
        whole = list(read_logged(connection, "home", start, end, "revenue"))
        for rows in (1, 3, COUNT, 7, 40 * COUNT):
            assert list(read_logged(connection, "home", start, end, "revenue", rows)) == whole
        assert count_logged(connection, "home", start, end).usable == len(whole) == 40
    assert {len(slate.item_id) for slate in whole} == {COUNT}
    assert sum(sum(slate.reward) for slate in whole) == 40 * 100


def test_the_command_says_what_it_can(shop: Services, tmp_path: Path) -> None:
    own: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MEMBERWISE_")}
    own |= {"MEMBERWISE_HOME": str(shop.settings.home), "MEMBERWISE_MODELS": str(shop.settings.models)}
    own["MEMBERWISE_ATTRIBUTION_DAYS"] = "0.01"
    wrong = tmp_path / "settings.json"
    wrong.write_text("{", "utf-8")
    words = ["evaluate", "--off-policy", "--scenario", "home"]
    told = CliRunner(env=own).invoke(main, words)
    assert told.exit_code == 0, told.output
    assert "Status: undetermined" in told.stdout
    document = json.loads(CliRunner(env=own).invoke(main, [*words, "--json", "--reward", "revenue"]).stdout)
    assert document["scenario"] == "home"
    refused = CliRunner(env=own).invoke(main, [*words, "--scenario-settings", str(wrong)])
    assert refused.exit_code == 2


def test_a_bundle_of_a_running_experiment_is_not_removed(shop: Services) -> None:
    other = train(shop.database, shop.settings, seed=9, promote=False)
    client = CheckedClient(create_app(shop), make_key(shop.database, "models"))
    started = client.put("/v1/experiments/kept", {"scenarios": ["new"], "treatment": {"bundle_id": other}})
    assert started.status_code == 200
    own: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MEMBERWISE_")}
    own |= {"MEMBERWISE_HOME": str(shop.settings.home), "MEMBERWISE_MODELS": str(shop.settings.models)}
    refused = CliRunner(env=own).invoke(main, ["bundles", "remove", other])
    assert refused.exit_code == 2
    assert "The experiment kept needs this bundle." in refused.output
    client.call("POST", "/v1/experiments/kept:stop")
    assert CliRunner(env=own).invoke(main, ["bundles", "remove", other]).exit_code == 0

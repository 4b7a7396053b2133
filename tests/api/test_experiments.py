"""Experiments as they are served: two bundles or two settings at once, and never a mixture of them."""

from __future__ import annotations

import shutil
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.app import create_app
from api.services import Services
from api.worker import drain_spool
from recommender.events import subject_key
from recommender.registry import Registry
from recommender.storage.identities import Link, link
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.shop import MEMBERS, NOW, make_key, train

SLATE = "/v1/recommendations"
PATH = "/v1/experiments/trial"
SETTINGS = {"treatment": {"settings": {"pins": [{"item_id": "i05", "position": 1}]}}, "scenarios": ["home"]}


@pytest.fixture
def person(services: Services) -> CheckedClient:
    return CheckedClient(create_app(services), make_key(services.database, "models", "recommend", "events"))


def notice(services: Services) -> None:
    """Let this process poll at once, as it does within a second."""
    serving = services.serving.current()
    assert serving is not None
    serving.live._next_poll = 0.0
    services.serving.check()


def ask(person: CheckedClient, **body: object) -> dict[str, object]:
    answer: dict[str, object] = person.post(SLATE, {"count": 5, **body}).json  # type: ignore[assignment]
    return answer


def group_of(answer: dict[str, object]) -> str | None:
    found = answer["experiment"]
    assert found is None or isinstance(found, dict)
    return None if found is None else str(found["group"])


def first_item(answer: dict[str, object]) -> str:
    items = answer["items"]
    assert isinstance(items, list)
    return str(items[0]["item_id"])


def test_two_settings_of_a_scenario(services: Services, person: CheckedClient) -> None:
    started = person.put(PATH, SETTINGS).json
    assert started is not None
    assert (started["state"], started["control_share"], started["unit"]) == ("running", 0.5, "member")
    notice(services)
    answers = {member_id: ask(person, member_id=member_id) for member_id in MEMBERS}
    groups = {member_id: group_of(answer) for member_id, answer in answers.items()}
    assert set(groups.values()) == {"control", "treatment"}
    for member_id, answer in answers.items():
        checked = ask(person, member_id=member_id, validate_only=True)
        assert group_of(checked) == groups[member_id]
        assert bool(checked["applies"]["pins"]) is (groups[member_id] == "treatment")  # type: ignore[index]
        if groups[member_id] == "treatment":
            assert first_item(answer) == "i05"
        assert group_of(ask(person, member_id=member_id)) == groups[member_id], "a retry is in the same group"
    assert group_of(ask(person, member_id="m01", scenario="discover")) is None
    assert group_of(ask(person)) is None, "nobody known takes no part"
    drain_spool(services.database, services.settings.spool_folder)
    with services.database.read() as connection:
        rows = fetch(
            connection,
            "SELECT DISTINCT subject, experiment_group, experiment_unit IS NULL FROM exposures WHERE experiment = ?",
            ("trial",),
        )
    assert {row[0]: row[1] for row in rows} == {f"member:{name}": group for name, group in groups.items()}
    assert {bool(row[2]) for row in rows} == {False}
    result = person.get(f"{PATH}/results").json
    assert result is not None
    assert result["control"]["units"] + result["treatment"]["units"] == len(MEMBERS)
    assert result["sample_ratio"]["mismatch"] is False
    assert person.call("POST", f"{PATH}:stop").json["state"] == "stopped"  # type: ignore[index]
    notice(services)
    assert group_of(ask(person, member_id="m01")) is None


def test_an_identity_and_a_household_get_their_members_group(services: Services, person: CheckedClient) -> None:
    members = [{"member_id": member_id, "household_id": f"h{n // 2}"} for n, member_id in enumerate(MEMBERS)]
    with services.database.write() as connection:
        link(connection, [Link("wechat_openid", f"o-{name}", name) for name in MEMBERS], NOW)
        upsert(connection, "members", members, NOW)
    person.put(PATH, {**SETTINGS, "unit": "household"})
    notice(services)
    by_household: dict[int, set[str | None]] = defaultdict(set)
    for number, name in enumerate(MEMBERS):
        identity = {"namespace": "wechat_openid", "value": f"o-{name}"}
        by_household[number // 2] |= {group_of(ask(person, member_id=name)), group_of(ask(person, identity=identity))}
    assert all(len(groups) == 1 for groups in by_household.values())
    assert set.union(*by_household.values()) == {"control", "treatment"}
    stranger = ask(person, identity={"namespace": "card", "value": "9"})
    assert group_of(stranger) in ("control", "treatment"), subject_key("card", "9")


def test_two_bundles_are_served_at_once_and_never_mixed(services: Services, person: CheckedClient) -> None:
    promoted = Registry(services.settings.models).current_id()
    other = train(services.database, services.settings, seed=8, promote=False)
    assert person.put(PATH, {"treatment": {"bundle_id": other}}).status_code == 200
    notice(services)
    served = {group_of(answer): answer["bundle_id"] for answer in (ask(person, member_id=name) for name in MEMBERS)}
    assert served == {"control": promoted, "treatment": other}
    for name in MEMBERS[:10]:
        explained = person.post("/v1/explain", {"member_id": name, "item_id": "i05"}).json
        assert explained is not None
        assert explained["bundle_id"] == served[group_of(ask(person, member_id=name))]
    # Promoting the treatment's bundle makes it everybody's, without opening it a second time.
    beside = services.serving.serving_of(other)
    Registry(services.settings.models).promote(other, datetime.now(UTC))
    services.serving.check()
    assert services.serving.current() is beside
    assert {ask(person, member_id=name)["bundle_id"] for name in MEMBERS} == {other}
    person.call("POST", f"{PATH}:stop")
    notice(services)
    assert promoted is not None
    assert services.serving.serving_of(promoted) is None, "what no experiment needs is let go"


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_a_bundle_that_cannot_be_served_falls_back_and_is_flagged(
    services: Services, person: CheckedClient, damage: str
) -> None:
    promoted = Registry(services.settings.models).current_id()
    other = train(services.database, services.settings, seed=8, promote=False)
    folder = Path(services.settings.models) / other
    assert person.put(PATH, {"treatment": {"bundle_id": other}}).status_code == 200
    if damage == "missing":
        shutil.rmtree(folder)
    else:
        next(folder.glob("*.npy")).write_bytes(b"not an array")
    notice(services)
    for name in MEMBERS[:20]:
        answer = ask(person, member_id=name)
        assert answer["bundle_id"] == promoted
        flags = answer["flags"]
        assert isinstance(flags, list)
        assert ("experiment_fallback" in flags) == (group_of(answer) == "treatment")
    drain_spool(services.database, services.settings.spool_folder)
    result = person.get(f"{PATH}/results").json
    assert result is not None
    assert result["treatment"]["fallbacks"] == result["treatment"]["slates"] > 0
    assert result["control"]["fallbacks"] == 0
    assert any("promoted bundle" in warning for warning in result["warnings"])


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"treatment": {}}, "treatment"),
        ({"treatment": {"bundle_id": "20260101-000000000000"}}, "treatment.bundle_id"),
        ({"treatment": {"settings": {"colour": 1}}}, "treatment.settings.colour"),
        ({"treatment_share": 0.6}, "treatment_share"),
        ({"treatment_share": 0}, "treatment_share"),
        ({"unit": "store"}, "unit"),
        ({"scenarios": ["none"]}, "scenarios[0]"),
    ],
)
def test_what_cannot_be_compared_is_told(person: CheckedClient, changed: dict[str, object], field: str) -> None:
    response = person.put(PATH, {**SETTINGS, **changed})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["errors"][0]["field"] == field


def test_names_conflicts_and_scopes(person: CheckedClient, client: CheckedClient) -> None:
    assert person.put("/v1/experiments/Bad Name", SETTINGS).status_code == 400
    assert person.put(PATH, SETTINGS).status_code == 200
    assert person.put("/v1/experiments/second", SETTINGS).status_code == 409
    assert person.put(PATH, {**SETTINGS, "scenarios": []}).status_code == 409
    assert person.put(PATH, {**SETTINGS, "control_share": 0.25}).status_code == 200
    listed = person.get("/v1/experiments").json
    assert listed is not None
    assert [(entry["name"], entry["control_share"]) for entry in listed["experiments"]] == [("trial", 0.25)]
    assert person.get("/v1/experiments/none").status_code == 404
    assert person.get("/v1/experiments/none/results").status_code == 404
    assert person.call("POST", "/v1/experiments/none:stop").status_code == 404
    assert client.get(PATH).status_code == 403

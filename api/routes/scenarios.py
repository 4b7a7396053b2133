"""Scenario settings: what marketers keep of each placement as data, every version of it."""

from __future__ import annotations

import orjson

from api import problems
from api.auth import Scope
from api.openapi import Operation, Reply
from api.scenario_schemas import (
    RestoreRequest,
    ScenarioAnswer,
    ScenarioRequest,
    ScenariosAnswer,
    VersionsAnswer,
)
from api.services import Call, Services
from recommender.errors import NotFoundError
from recommender.placement import parse_placement
from recommender.query import Scenario
from recommender.storage.scenarios import (
    ScenarioVersion,
    list_versions,
    read_version,
    restore_version,
    save_version,
)

TAG = "scenarios"


def get_scenarios(services: Services, _call: Call) -> Reply:
    """Return the settings that hold of every scenario."""
    with services.database.read() as connection:
        found = [(scenario, read_version(connection, scenario)) for scenario in Scenario]
    return Reply({"scenarios": [_answer(scenario, version) for scenario, version in found]})


def get_scenario(services: Services, _call: Call, name: str) -> Reply:
    """Return the settings that hold."""
    scenario = _scenario(name)
    with services.database.read() as connection:
        return Reply(_answer(scenario, read_version(connection, scenario)))


def get_scenario_versions(services: Services, _call: Call, name: str) -> Reply:
    """Return every version."""
    scenario = _scenario(name)
    with services.database.read() as connection:
        return Reply({"versions": [_answer(scenario, one) for one in list_versions(connection, scenario)]})


def put_scenario(services: Services, call: Call, name: str, body: ScenarioRequest) -> Reply:
    """Replace the settings."""
    scenario = _scenario(name)
    settings = body.settings.model_dump(exclude_unset=True, exclude_none=True)
    parse_placement(settings)
    text = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS).decode()
    call.audited = True  # with the version, by the storage
    with services.database.write(durable=True) as connection:
        made = save_version(connection, scenario, text, _who(call), call.now, expected=body.expected_version)
    call.notes |= {"scenario": scenario, "version": made.version}
    return Reply(_answer(scenario, made))


def restore_scenario(services: Services, call: Call, name: str, body: RestoreRequest) -> Reply:
    """Make an earlier version hold again."""
    scenario = _scenario(name)
    call.audited = True  # with the version, by the storage
    with services.database.write(durable=True) as connection:
        made = restore_version(connection, scenario, _who(call), call.now, version=body.version)
    call.notes |= {"scenario": scenario, "version": made.version}
    return Reply(_answer(scenario, made))


def _scenario(name: str) -> Scenario:
    if name not in tuple(Scenario):
        accepted = "one of " + ", ".join(Scenario)
        raise NotFoundError("There is no such scenario.", field="name", value=name, accepted=accepted)
    return Scenario(name)


def _who(call: Call) -> str:
    assert call.caller is not None, "the operation has a scope"
    return call.caller.key_id


def _answer(scenario: Scenario, version: ScenarioVersion | None) -> dict[str, object]:
    if version is None:
        nothing = dict.fromkeys(("created_at", "created_by", "restored_from"))
        return {"scenario": scenario, "version": 0, "settings": {}, **nothing}
    return {
        "scenario": scenario,
        "version": version.version,
        "settings": orjson.loads(version.settings),
        "created_at": version.created_at.isoformat(),
        "created_by": version.created_by,
        "restored_from": version.restored_from,
    }


_SETTINGS = """
`filters`, `boosts`, `bury` and `pins` apply to every slate of the scenario, together with those of the request: both
filters must hold; where both pin an item or a position, the request has it. `cool_down` keeps back what a member
bought until its usual interval is nearly over. `diversity` and `repeat_share` count in place of what training chose.
Every answer honours a change within a second. Nothing is lost: each change is a new version, any version can be
restored, and the audit names who made it.
"""

OPERATIONS = (
    Operation(
        id="get_scenarios",
        method="GET",
        path="/v1/scenarios",
        tag=TAG,
        summary="The settings of all scenarios.",
        description="Those that hold now; version 0 where none were ever made.",
        view=get_scenarios,
        answers={200: ScenariosAnswer},
        scope=Scope.CAMPAIGNS,
    ),
    Operation(
        id="get_scenario",
        method="GET",
        path="/v1/scenarios/{name}",
        tag=TAG,
        summary="The settings of a scenario.",
        description="Those that hold now; version 0 if none were ever made.",
        view=get_scenario,
        answers={200: ScenarioAnswer},
        scope=Scope.CAMPAIGNS,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="put_scenario",
        method="PUT",
        path="/v1/scenarios/{name}",
        tag=TAG,
        summary="Set what holds in a scenario.",
        description=_SETTINGS,
        view=put_scenario,
        answers={200: ScenarioAnswer},
        scope=Scope.CAMPAIGNS,
        body=ScenarioRequest,
        problems=(problems.NOT_FOUND, problems.CONFLICT),
    ),
    Operation(
        id="get_scenario_versions",
        method="GET",
        path="/v1/scenarios/{name}/versions",
        tag=TAG,
        summary="Every version of a scenario's settings.",
        description="The last hundred, newest first.",
        view=get_scenario_versions,
        answers={200: VersionsAnswer},
        scope=Scope.CAMPAIGNS,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="restore_scenario",
        method="POST",
        path="/v1/scenarios/{name}:restore",
        tag=TAG,
        summary="Make an earlier version hold again.",
        description="The one before the last, or the one named; it becomes a new version, so that this can be undone.",
        view=restore_scenario,
        answers={200: ScenarioAnswer},
        scope=Scope.CAMPAIGNS,
        body=RestoreRequest,
        problems=(problems.NOT_FOUND,),
    ),
)

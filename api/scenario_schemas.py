"""Request and answers of scenario settings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.fields import Answer, Body
from api.steering_schemas import SteeringBody
from recommender.placement import (
    MAX_COOL_DOWN_CATEGORIES,
    MAX_COOL_DOWN_DAYS,
    MAX_DIVERSITY,
    MAX_EXPLORATION_SHARE,
)
from recommender.query import Scenario

_INT32 = 2**31 - 1
_SETTINGS: JsonDict = {
    "filters": {"not": {"category": "household > trial packs"}},
    "boosts": [{"filters": {"brand": "Alm"}, "factor": 1.3}],
    "pins": [{"item_id": "milk-1l", "position": 3}],
    "cool_down": {"share": 0.8, "categories": {"household > cleaning": 30}},
    "diversity": 0.2,
    "repeat_share": 0.5,
    "exploration_share": 0.02,
}
_VERSION: JsonDict = {
    "scenario": "home",
    "version": 4,
    "settings": _SETTINGS,
    "created_at": "2026-03-01T00:30:00+00:00",
    "created_by": "k-7f3a",
    "restored_from": None,
}
Days = Annotated[int, Field(ge=0, le=MAX_COOL_DOWN_DAYS)]


class CoolDownBody(Body):
    """How long an item bought lately is kept back: shown again only where nothing else is left."""

    share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="The part of the usual interval between two purchases (the member's own rhythm, or else the"
            " item's) that must have passed, such as 0.8; 0 = no cool-down.",
        ),
    ] = 0.0
    categories: Annotated[
        dict[str, Days],
        Field(
            max_length=MAX_COOL_DOWN_CATEGORIES,
            description="Days in place of that share, by category and all below it; the longest path holds; 0 = none.",
        ),
    ] = Field(default_factory=dict)


class SettingsBody(SteeringBody):
    """The settings of a scenario. What is left out, or null, stays as the bundle has it."""

    cool_down: CoolDownBody | None = None
    diversity: Annotated[
        float | None,
        Field(ge=0, le=MAX_DIVERSITY, description="How much less an item is worth after one of its category."),
    ] = None
    repeat_share: Annotated[
        float | None, Field(ge=0, le=1, description="The part of a slate held for items bought before.")
    ] = None
    exploration_share: Annotated[
        float | None,
        Field(ge=0, le=MAX_EXPLORATION_SHARE, description="The part of slates that try something else."),
    ] = None


class ScenarioRequest(Body):
    """New settings of a scenario; they replace all earlier ones."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"settings": _SETTINGS, "expected_version": 3}]})
    settings: SettingsBody
    expected_version: Annotated[
        int | None,
        Field(ge=0, le=_INT32, description="The version you saw, 0 for none: another one is a conflict."),
    ] = None


class RestoreRequest(Body):
    """Which version to restore."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"version": 2}]})
    version: Annotated[int | None, Field(ge=1, le=_INT32, description="Null or left out: the one before the last.")] = (
        None
    )


class SettingsAnswer(Answer):
    """Settings as they were put; what is missing stays as the bundle has it."""

    model_config = ConfigDict(extra="allow")


class ScenarioAnswer(Answer):
    """One version of a scenario's settings; version 0 has none."""

    model_config = ConfigDict(json_schema_extra={"examples": [_VERSION]})
    scenario: Scenario
    version: int
    settings: SettingsAnswer
    created_at: datetime | None
    created_by: str | None
    restored_from: int | None


class ScenariosAnswer(Answer):
    """The settings that hold, of every scenario."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scenarios": [_VERSION]}]})
    scenarios: list[ScenarioAnswer]


class VersionsAnswer(Answer):
    """The versions of a scenario's settings, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"versions": [_VERSION]}]})
    versions: list[ScenarioAnswer]

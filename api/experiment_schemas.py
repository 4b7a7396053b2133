"""Request and response bodies of experiments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.fields import Answer, Body, Id
from api.report_schemas import EstimateAnswer
from recommender.query import Scenario

Share = Annotated[float, Field(ge=0.0001, le=1, description="Part of all units, in steps of 0.0001.")]
ScenarioName = Annotated[Scenario, Field(strict=False)]


class ArmBody(Body):
    """How one group is served."""

    bundle_id: Annotated[Id | None, Field(description="A bundle; null stands for the promoted one.")] = None
    settings: Annotated[
        dict[str, Any] | None,
        Field(description="Settings of the scenarios in place of those that hold, as `PUT /v1/scenarios/{name}` has."),
    ] = None


class ExperimentBody(Body):
    """What is compared with what, where, and on whom."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "scenarios": ["home"],
                    "unit": "member",
                    "control": {},
                    "treatment": {"settings": {"diversity": 0.3}},
                    "control_share": 0.5,
                    "treatment_share": 0.5,
                }
            ]
        }
    )
    scenarios: Annotated[
        list[ScenarioName], Field(max_length=len(Scenario), description="Where it runs; empty: everywhere.")
    ] = Field(default_factory=list)
    unit: Annotated[
        Literal["member", "household"], Field(description="What is assigned as a whole; households where known.")
    ] = "member"
    control: ArmBody = Field(default_factory=ArmBody)
    treatment: ArmBody
    control_share: Share = 0.5
    treatment_share: Share = 0.5


_EXPERIMENT: JsonDict = {
    "name": "more-variety",
    "state": "running",
    "scenarios": ["home"],
    "unit": "member",
    "control": {"bundle_id": None, "settings": None},
    "treatment": {"bundle_id": None, "settings": {"diversity": 0.3}},
    "control_share": 0.5,
    "treatment_share": 0.5,
    "started_at": "2026-03-01T00:30:00+00:00",
    "stopped_at": None,
}
_GROUPS: tuple[JsonDict, JsonDict] = (
    {
        "units": 10_120,
        "slates": 40_310,
        "items": 403_100,
        "fallbacks": 0,
        "per_unit": {"purchases": {"value": 0.412, "low": 0.401, "high": 0.423}},
    },
    {
        "units": 10_084,
        "slates": 40_102,
        "items": 401_020,
        "fallbacks": 0,
        "per_unit": {"purchases": {"value": 0.437, "low": 0.426, "high": 0.448}},
    },
)
_RESULT: JsonDict = {
    "experiment": _EXPERIMENT,
    "complete_until": "2026-03-20T00:00:00+00:00",
    "window_days": 7.0,
    "method": "Welch",
    "control": _GROUPS[0],
    "treatment": _GROUPS[1],
    "differences": {
        "purchases": {
            "absolute": {"value": 0.025, "low": 0.009, "high": 0.041},
            "relative": {"value": 0.061, "low": 0.023, "high": 0.099},
            "p_value": 0.0018,
            "verdict": "better",
        }
    },
    "sample_ratio": {"expected": [0.5, 0.5], "seen": [10_120, 10_084], "p_value": 0.8, "mismatch": False},
    "units_in_both": 0,
    "warnings": [],
}


class ArmAnswer(Answer):
    """How one group is served."""

    bundle_id: str | None
    settings: dict[str, Any] | None


class ExperimentAnswer(Answer):
    """An experiment; `scenarios` empty: everywhere."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXPERIMENT]})
    name: str
    state: Literal["running", "stopped"]
    scenarios: list[Scenario]
    unit: Literal["member", "household"]
    control: ArmAnswer
    treatment: ArmAnswer
    control_share: float
    treatment_share: float
    started_at: str
    stopped_at: str | None


class ExperimentsAnswer(Answer):
    """Every experiment, the latest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"experiments": [_EXPERIMENT]}]})
    experiments: list[ExperimentAnswer]


class GroupAnswer(Answer):
    """One group: units seen, what they were shown, and each measure per unit.

    `fallbacks`: slates of the promoted bundle, since the group's own could not be served.
    """

    units: int
    slates: int
    items: int
    fallbacks: int
    per_unit: dict[str, EstimateAnswer]


class DifferenceAnswer(Answer):
    """Treatment against control, per unit. `verdict` says what the interval allows to say."""

    absolute: EstimateAnswer
    relative: EstimateAnswer
    p_value: float | None
    verdict: Literal["better", "worse", "undetermined"]


class SampleRatioAnswer(Answer):
    """Whether the groups have the sizes that were asked for; if not, nothing else here is to be trusted."""

    expected: list[float]
    seen: list[int]
    p_value: float | None
    mismatch: bool


class ExperimentResultAnswer(Answer):
    """What came of an experiment. `complete_until`: later slates may still be credited with acts to come."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RESULT]})
    experiment: ExperimentAnswer
    complete_until: str
    window_days: float
    method: str
    control: GroupAnswer
    treatment: GroupAnswer
    differences: dict[str, DifferenceAnswer]
    sample_ratio: SampleRatioAnswer
    units_in_both: int
    warnings: list[str]

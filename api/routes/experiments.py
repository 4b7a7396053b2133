"""Experiments: started, read, stopped, and what came of them."""

from __future__ import annotations

import re
from datetime import datetime

from api import problems
from api.auth import Scope
from api.experiment_schemas import (
    ArmBody,
    ExperimentAnswer,
    ExperimentBody,
    ExperimentResultAnswer,
    ExperimentsAnswer,
)
from api.openapi import Operation, Reply
from api.outcomes import Body, estimate_body
from api.services import Call, Services
from recommender.errors import InputError, NotFoundError
from recommender.experiments import BUCKETS, Arm, Experiment, Group, Unit
from recommender.intervals import Difference
from recommender.registry import Registry
from recommender.storage.experiment_report import RATIO_ALARM, ExperimentResult, GroupResult, read_result
from recommender.storage.experiments import get_experiment, list_experiments, put_experiment, stop_experiment

TAG = "reports"
METHOD = (
    "Each unit counts once, in the group it was assigned to, whatever answered it. Measures are totals per unit over"
    " its slates in the experiment; differences are Welch's with the normal distribution, relative ones by the delta"
    " method (Deng, Knoblich and Lu, 2018), at 95 %. The sample ratio is checked by chi-square (Fabijan et al., 2019)."
    " The intervals hold for one look at a time chosen beforehand."
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NAMES = 'up to 64 of a-z, 0-9, "_" and "-"'


def put_one(services: Services, call: Call, name: str, body: ExperimentBody) -> Reply:
    """Start an experiment, or change the shares of one that runs."""
    if not _NAME.fullmatch(name):
        raise InputError("This cannot be the name of an experiment.", field="name", value=name, accepted=_NAMES)
    wanted = Experiment(
        name=name,
        scenarios=tuple(sorted({str(scenario) for scenario in body.scenarios})),
        unit=Unit(body.unit),
        control=_arm(services, "control", body.control),
        treatment=_arm(services, "treatment", body.treatment),
        control_share=round(body.control_share * BUCKETS),
        treatment_share=round(body.treatment_share * BUCKETS),
        salt="",
        started_at=call.now,
    )
    with services.database.write(durable=True) as connection:
        return Reply(_body(put_experiment(connection, wanted)))


def get_all(services: Services, _call: Call) -> Reply:
    """List every experiment."""
    with services.database.read() as connection:
        return Reply({"experiments": [_body(found) for found in list_experiments(connection)]})


def get_one(services: Services, _call: Call, name: str) -> Reply:
    """Return one experiment."""
    with services.database.read() as connection:
        return Reply(_body(get_experiment(connection, name)))


def stop_one(services: Services, call: Call, name: str) -> Reply:
    """End an experiment."""
    with services.database.write(durable=True) as connection:
        return Reply(_body(stop_experiment(connection, name, call.now)))


def get_results(services: Services, call: Call, name: str) -> Reply:
    """Compare the groups of an experiment."""
    with services.database.read() as connection:
        experiment = get_experiment(connection, name)
        result = read_result(connection, experiment, call.now)
    return Reply(_results(services, call.now, experiment, result))


def _arm(services: Services, name: str, body: ArmBody) -> Arm:
    if body.bundle_id is not None:
        try:
            Registry(services.settings.models).path(body.bundle_id)
        except NotFoundError as error:
            raise InputError(
                error.message, field=f"{name}.bundle_id", value=body.bundle_id, accepted=error.accepted
            ) from None
    return Arm(body.bundle_id, body.settings)


def _body(experiment: Experiment) -> Body:
    stopped = experiment.stopped_at
    return {
        "name": experiment.name,
        "state": "running" if stopped is None else "stopped",
        "scenarios": list(experiment.scenarios),
        "unit": experiment.unit.value,
        "control": {"bundle_id": experiment.control.bundle_id, "settings": experiment.control.settings},
        "treatment": {"bundle_id": experiment.treatment.bundle_id, "settings": experiment.treatment.settings},
        "control_share": experiment.control_share / BUCKETS,
        "treatment_share": experiment.treatment_share / BUCKETS,
        "started_at": experiment.started_at.isoformat(),
        "stopped_at": None if stopped is None else stopped.isoformat(),
    }


def _results(services: Services, now: datetime, experiment: Experiment, result: ExperimentResult) -> Body:
    control, treatment = result.groups[Group.CONTROL], result.groups[Group.TREATMENT]
    complete = min(experiment.stopped_at or now, now - services.settings.attribution_window.length)
    mismatch = result.ratio_p is not None and result.ratio_p < RATIO_ALARM
    whole = experiment.control_share + experiment.treatment_share
    return {
        "experiment": _body(experiment),
        "complete_until": complete.isoformat(),
        "window_days": services.settings.attribution_days,
        "method": METHOD,
        "control": _group(control),
        "treatment": _group(treatment),
        "differences": {name: _difference(found, mismatch) for name, found in result.differences.items()},
        "sample_ratio": {
            "expected": [experiment.control_share / whole, experiment.treatment_share / whole],
            "seen": [control.units, treatment.units],
            "p_value": result.ratio_p,
            "mismatch": mismatch,
        },
        "units_in_both": result.units_in_both,
        "warnings": _warnings(result, mismatch),
    }


def _group(found: GroupResult) -> Body:
    return {
        "units": found.units,
        "slates": found.slates,
        "items": found.items,
        "fallbacks": found.fallbacks,
        "per_unit": {name: estimate_body(mean) for name, mean in found.means.items()},
    }


def _difference(found: Difference, mismatch: bool) -> Body:
    low, high = found.absolute.low, found.absolute.high
    verdict = "undetermined"
    if low is not None and high is not None and not mismatch:
        verdict = "better" if low > 0 else "worse" if high < 0 else "undetermined"
    return {
        "absolute": estimate_body(found.absolute),
        "relative": estimate_body(found.relative),
        "p_value": found.p_value,
        "verdict": verdict,
    }


def _warnings(result: ExperimentResult, mismatch: bool) -> list[str]:
    told = []
    if mismatch:
        told.append("The groups do not have the sizes asked for: find out why before trusting any difference.")
    if result.units_in_both:
        told.append(f"{result.units_in_both} units were seen in both groups, since shares or links changed.")
    fallbacks = sum(group.fallbacks for group in result.groups.values())
    if fallbacks:
        told.append(f"{fallbacks} slates came from the promoted bundle, since their group's could not be served.")
    return told


OPERATIONS = (
    Operation(
        id="put_experiment",
        method="PUT",
        path="/v1/experiments/{name}",
        tag=TAG,
        summary="Start an experiment, or change the shares of one that runs.",
        description=(
            "Compares two bundles or two settings of scenarios. Each member, or household, falls into a group by a hash"
            " with a salt of the experiment: the same customer always gets the same group, in every worker. Answers"
            " name the group in `experiment`, and it is recorded with what was shown. One experiment runs in a scenario"
            " at a time. Enlarging a share moves nobody between the groups. Customers nobody knows take no part."
        ),
        view=put_one,
        answers={200: ExperimentAnswer},
        scope=Scope.MODELS,
        body=ExperimentBody,
        problems=(problems.CONFLICT,),
    ),
    Operation(
        id="get_experiments",
        method="GET",
        path="/v1/experiments",
        tag=TAG,
        summary="All experiments.",
        description="The latest first.",
        view=get_all,
        answers={200: ExperimentsAnswer},
        scope=Scope.MODELS,
    ),
    Operation(
        id="get_experiment",
        method="GET",
        path="/v1/experiments/{name}",
        tag=TAG,
        summary="One experiment.",
        description="What it compares, and whether it runs.",
        view=get_one,
        answers={200: ExperimentAnswer},
        scope=Scope.MODELS,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="stop_experiment",
        method="POST",
        path="/v1/experiments/{name}:stop",
        tag=TAG,
        summary="End an experiment.",
        description="Everybody is served as outside of it within a second. It cannot be started again under its name.",
        view=stop_one,
        answers={200: ExperimentAnswer},
        scope=Scope.MODELS,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="get_experiment_results",
        method="GET",
        path="/v1/experiments/{name}/results",
        tag=TAG,
        summary="What came of an experiment.",
        description=(
            "Both groups per unit, their difference with 95 % intervals, and whether the groups have the sizes that"
            " were asked for. A difference whose interval holds zero is `undetermined`."
        ),
        view=get_results,
        answers={200: ExperimentResultAnswer},
        scope=Scope.MODELS,
        problems=(problems.NOT_FOUND,),
    ),
)

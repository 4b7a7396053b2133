"""Experiments in SQL: started once, enlarged, stopped once; every worker learns of it through the change counter."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.errors import ConflictError, InputError, NotFoundError
from recommender.experiments import EVERYWHERE, Arm, Experiment, Group, Unit, check_experiment
from recommender.placement import Placement
from recommender.storage.statements import execute, fetch, marks, next_sequence, set_counter
from recommender.storage.types import from_micros, to_micros

logger = logging.getLogger(__name__)

_COLUMNS = (
    "name",
    "scenarios",
    "unit",
    "control",
    "treatment",
    "control_share",
    "treatment_share",
    "salt",
    "started_at",
    "stopped_at",
)
_CHOSEN = f"SELECT {', '.join(_COLUMNS)} FROM experiments"
_INSERT = f"INSERT INTO experiments ({', '.join(_COLUMNS)}, change_sequence) VALUES ({marks(len(_COLUMNS) + 1)})"
_SHARES = "UPDATE experiments SET control_share = ?, treatment_share = ?, change_sequence = ? WHERE name = ?"
_STOP = "UPDATE experiments SET stopped_at = ?, change_sequence = ? WHERE name = ? AND stopped_at IS NULL"


@dataclass(frozen=True, slots=True)
class RunningExperiment:
    """An experiment as serving keeps it, with each group's settings read."""

    experiment: Experiment
    placements: Mapping[Group, Placement | None]


def put_experiment(connection: Connection, wanted: Experiment) -> Experiment:
    """Start an experiment, or change the shares of one that runs; inside a write transaction.

    Args:
        wanted: its salt is replaced by a new one, or by that of the experiment that runs.
    Returns: the experiment as it is stored.
    Raises: InputError if it cannot be run; ConflictError if it has ended, if the one that runs under this name compares
        something else, or if another one runs in one of its scenarios.
    """
    check_experiment(wanted)
    sequence = next_sequence(connection)  # keeps other writers waiting, so that what is read here stays
    old = find_experiment(connection, wanted.name)
    if old is not None:
        return _change(connection, old, wanted, sequence)
    for other in running_experiments(connection):
        if wanted.meets(other):
            raise ConflictError(
                f"The experiment {other.name} runs in one of these scenarios.",
                field="scenarios",
                value=", ".join(wanted.scenarios) or "all",
                accepted="scenarios without a running experiment",
            )
    started = replace(wanted, salt=f"{wanted.name}-{secrets.token_hex(8)}", stopped_at=None)
    execute(connection, _INSERT, (*_values(started), sequence))
    set_counter(connection, "changed:experiments", sequence)
    return started


def stop_experiment(connection: Connection, name: str, now: datetime) -> Experiment:
    """End an experiment, inside a write transaction; one that has ended stays as it is.

    Raises: NotFoundError.
    """
    sequence = next_sequence(connection)
    if execute(connection, _STOP, (to_micros(now), sequence, name)):
        set_counter(connection, "changed:experiments", sequence)
    return get_experiment(connection, name)


def get_experiment(connection: Connection, name: str) -> Experiment:
    """Return an experiment. Raises: NotFoundError."""
    found = find_experiment(connection, name)
    if found is None:
        raise NotFoundError("There is no such experiment.", field="name", value=name)
    return found


def find_experiment(connection: Connection, name: str) -> Experiment | None:
    """Return an experiment, or None."""
    rows = fetch(connection, f"{_CHOSEN} WHERE name = ?", (name,))
    return _experiment(rows[0]) if rows else None


def list_experiments(connection: Connection) -> list[Experiment]:
    """Return every experiment, the latest first."""
    return [_experiment(row) for row in fetch(connection, f"{_CHOSEN} ORDER BY started_at DESC, name")]


def running_experiments(connection: Connection) -> tuple[Experiment, ...]:
    """Return the experiments that run."""
    return tuple(map(_experiment, fetch(connection, f"{_CHOSEN} WHERE stopped_at IS NULL ORDER BY name")))


def read_running(connection: Connection) -> Mapping[str, RunningExperiment]:
    """Return the experiment that runs, by scenario or EVERYWHERE.

    One that this release cannot read is left out and logged.
    """
    found: dict[str, RunningExperiment] = {}
    for experiment in running_experiments(connection):
        try:
            placements = {group: experiment.arm(group).placement() for group in Group}
        except InputError as error:
            logger.error("experiment_not_used name=%s reason=%s", experiment.name, error)
            continue
        found |= dict.fromkeys(experiment.scenarios or (EVERYWHERE,), RunningExperiment(experiment, placements))
    return found


def _change(connection: Connection, old: Experiment, wanted: Experiment, sequence: int) -> Experiment:
    shares = {"control_share": wanted.control_share, "treatment_share": wanted.treatment_share}
    new = replace(old, **shares)  # type: ignore[arg-type]
    if old.stopped_at is not None or new != replace(wanted, salt=old.salt, started_at=old.started_at):
        state = "has ended" if old.stopped_at is not None else "runs, and only its shares can change"
        raise ConflictError(f"The experiment {old.name} {state}.", field="name", value=old.name, accepted="a new name")
    if new != old:
        execute(connection, _SHARES, (new.control_share, new.treatment_share, sequence, new.name))
        set_counter(connection, "changed:experiments", sequence)
    return new


def _values(experiment: Experiment) -> tuple[object, ...]:
    stopped = experiment.stopped_at
    return (
        experiment.name,
        ",".join(experiment.scenarios),
        experiment.unit.value,
        _arm_text(experiment.control),
        _arm_text(experiment.treatment),
        experiment.control_share,
        experiment.treatment_share,
        experiment.salt,
        to_micros(experiment.started_at),
        None if stopped is None else to_micros(stopped),
    )


def _experiment(row: Sequence[Any]) -> Experiment:
    name, scenarios, unit, control, treatment, control_share, treatment_share, salt, started_at, stopped_at = row
    return Experiment(
        name=name,
        scenarios=tuple(part for part in scenarios.split(",") if part),
        unit=Unit(unit),
        control=_arm(control),
        treatment=_arm(treatment),
        control_share=control_share,
        treatment_share=treatment_share,
        salt=salt,
        started_at=from_micros(started_at),
        stopped_at=None if stopped_at is None else from_micros(stopped_at),
    )


def _arm_text(arm: Arm) -> str:
    return orjson.dumps({"bundle_id": arm.bundle_id, "settings": arm.settings}, option=orjson.OPT_SORT_KEYS).decode()


def _arm(text: str) -> Arm:
    return Arm(**orjson.loads(text))

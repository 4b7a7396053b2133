"""Scenario settings: every version that marketers made of them, the highest is the one that holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.errors import ConflictError, NotFoundError
from recommender.storage import audit
from recommender.storage.statements import fetch, next_sequence, set_counter
from recommender.storage.tables import scenario_versions

_LATEST = """
SELECT s.scenario, s.version, s.settings FROM scenario_versions s
JOIN (SELECT scenario, MAX(version) AS version FROM scenario_versions GROUP BY scenario) latest
ON latest.scenario = s.scenario AND latest.version = s.version ORDER BY s.scenario"""


@dataclass(frozen=True, slots=True)
class ScenarioVersion:
    """One version of a scenario's settings; `settings` is JSON, `restored_from` the version it repeats."""

    scenario: str
    version: int
    settings: str
    created_at: datetime
    created_by: str
    restored_from: int | None


def save_version(
    connection: Connection,
    scenario: str,
    settings: str,
    caller: str,
    now: datetime,
    *,
    expected: int | None = None,
    restored_from: int | None = None,
) -> ScenarioVersion:
    """Add a version, which holds from now on; inside a write transaction.

    Args:
        scenario: its name.
        settings: checked JSON.
        caller: who made it, the id of a key or a person.
        now: the present.
        expected: the version that the caller saw, 0 for none; None does not ask.
        restored_from: the version that this one repeats.
    Raises: ConflictError if another version than the expected one holds.
    """
    sequence = next_sequence(connection)  # keeps other writers waiting, so that versions are counted one by one
    last = _last_version(connection, scenario)
    if expected is not None and expected != last:
        raise ConflictError(
            "Somebody else has changed these settings.", field="expected_version", value=expected, accepted=str(last)
        )
    made = ScenarioVersion(scenario, last + 1, settings, now, caller, restored_from)
    row = {name: getattr(made, name) for name in ScenarioVersion.__slots__}
    connection.execute(scenario_versions.insert(), row)
    set_counter(connection, "changed:scenario_versions", sequence)
    action = "scenarios.put" if restored_from is None else "scenarios.restore"
    details = orjson.dumps({"version": made.version, "restored_from": restored_from}).decode()
    audit.record(connection, caller, action, scenario, now, details)
    return made


def restore_version(
    connection: Connection, scenario: str, caller: str, now: datetime, *, version: int | None = None
) -> ScenarioVersion:
    """Make an earlier version hold again, as a new version; inside a write transaction.

    Args:
        scenario: its name.
        caller: who restores it.
        now: the present.
        version: which one; None the one before the last.
    Raises: NotFoundError if there is no such version.
    """
    next_sequence(connection)  # before reading: other writers wait
    wanted = _last_version(connection, scenario) - 1 if version is None else version
    found = read_version(connection, scenario, wanted)
    if found is None:
        field = "version" if version is not None else "scenario"
        raise NotFoundError(f"The scenario {scenario} has no version {max(wanted, 0)} to restore.", field=field)
    return save_version(connection, scenario, found.settings, caller, now, restored_from=found.version)


def read_version(connection: Connection, scenario: str, version: int | None = None) -> ScenarioVersion | None:
    """Return a version of a scenario's settings, the last one if none is named; None if there is none."""
    wanted = scenario_versions.c.scenario == scenario
    if version is not None:
        wanted &= scenario_versions.c.version == version
    chosen = sa.select(scenario_versions).where(wanted).order_by(scenario_versions.c.version.desc()).limit(1)
    row = connection.execute(chosen).mappings().first()
    return None if row is None else ScenarioVersion(**row)


def list_versions(connection: Connection, scenario: str, limit: int = 100) -> list[ScenarioVersion]:
    """Return the versions of a scenario's settings, newest first."""
    table = scenario_versions
    chosen = sa.select(table).where(table.c.scenario == scenario).order_by(table.c.version.desc()).limit(limit)
    return [ScenarioVersion(**row) for row in connection.execute(chosen).mappings()]


def read_latest(connection: Connection) -> list[tuple[str, int, str]]:
    """Return scenario, version and settings of every scenario that has any."""
    return [(scenario, version, settings) for scenario, version, settings in fetch(connection, _LATEST)]


def _last_version(connection: Connection, scenario: str) -> int:
    found = fetch(connection, "SELECT MAX(version) FROM scenario_versions WHERE scenario = ?", (scenario,))
    return int(found[0][0] or 0)

"""Experiments in SQL: one per scenario, only shares change, and results by hand on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recommender.errors import ConflictError, NotFoundError
from recommender.experiments import EVERYWHERE, Arm, Experiment, Group, Unit
from recommender.exposures import Exposure
from recommender.intervals import sample_ratio_p
from recommender.storage.database import Database
from recommender.storage.experiment_report import FALLBACK, read_result
from recommender.storage.experiments import (
    get_experiment,
    list_experiments,
    put_experiment,
    read_running,
    stop_experiment,
)
from recommender.storage.exposures import drain
from recommender.storage.statements import execute, read_counter

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
WANTED = Experiment(
    name="diversity",
    scenarios=("discover", "home"),
    unit=Unit.HOUSEHOLD,
    control=Arm("20260301-0123456789ab"),
    treatment=Arm("20260301-0123456789ac", {"diversity": 0.3}),
    control_share=1000,
    treatment_share=1000,
    salt="",
    started_at=NOW,
)


def put(database: Database, experiment: Experiment = WANTED) -> Experiment:
    with database.write() as connection:
        return put_experiment(connection, experiment)


def test_what_is_put_is_read(database: Database) -> None:
    stored = put(database)
    assert stored.salt.startswith("diversity-")
    with database.read() as connection:
        assert get_experiment(connection, "diversity") == stored
        assert list_experiments(connection) == [stored]
        running = read_running(connection)
        assert set(running) == {"discover", "home"}
        assert running["home"].experiment == stored
        treated = running["home"].placements[Group.TREATMENT]
        assert treated is not None
        assert treated.diversity == 0.3
        assert read_counter(connection, "changed:experiments") > 0


def test_only_shares_of_a_running_experiment_change(database: Database) -> None:
    stored = put(database)
    later = replace(WANTED, started_at=NOW + timedelta(days=1))
    assert put(database, later) == stored
    assert put(database, replace(later, treatment_share=5000)) == replace(stored, treatment_share=5000)
    with pytest.raises(ConflictError):
        put(database, replace(later, treatment=Arm()))


def test_one_experiment_runs_in_a_scenario_at_a_time(database: Database) -> None:
    put(database)
    with pytest.raises(ConflictError) as raised:
        put(database, replace(WANTED, name="other", scenarios=()))
    assert raised.value.field == "scenarios"
    put(database, replace(WANTED, name="elsewhere", scenarios=("new",)))
    with database.write() as connection:
        for name in ("diversity", "elsewhere"):
            stopped = stop_experiment(connection, name, NOW + timedelta(days=1))
            assert stopped.stopped_at == NOW + timedelta(days=1)
            assert stop_experiment(connection, name, NOW + timedelta(days=2)) == stopped
        assert read_running(connection) == {}
    with pytest.raises(ConflictError):
        put(database)
    put(database, replace(WANTED, name="other", scenarios=()))
    with database.read() as connection:
        assert set(read_running(connection)) == {EVERYWHERE}


def test_an_unknown_experiment_is_told(database: Database) -> None:
    with database.write() as connection, pytest.raises(NotFoundError):
        stop_experiment(connection, "none", NOW)


def show(database: Database, number: int, group: Group, unit: int, flags: tuple[str, ...] = (), hours: int = 1) -> None:
    exposure = Exposure(
        recommendation_id=f"r{number}",
        occurred_at=NOW + timedelta(hours=hours),
        scenario="home",
        bundle_id="b",
        strategy="personal",
        subject=None,
        store_id=None,
        channel="app",
        item_id=("milk", "bread"),
        score=(1.0, 0.5),
        source=("repeat", "repeat"),
        reason=(None, None),
        experiment="diversity",
        experiment_group=group.value,
        experiment_unit=unit,
        flags=flags,
    )
    with database.write() as connection:
        assert drain(connection, f"r{number}", 0, 1, [exposure])
        statement = "UPDATE exposures SET views = ?, revenue_cents = ? WHERE recommendation_id = ? AND position = 1"
        execute(connection, statement, (number, 100 * number, f"r{number}"))


def test_results_count_each_unit_once(database: Database) -> None:
    stored = put(database)
    # Views by unit, control: 1 + 2, 3; treatment: 4, 5 + 6, 7.
    for number, group, unit in (
        (1, Group.CONTROL, -9),
        (2, Group.CONTROL, -9),
        (3, Group.CONTROL, 8),
        (4, Group.TREATMENT, 1),
        (5, Group.TREATMENT, 2),
        (6, Group.TREATMENT, 2),
        (7, Group.TREATMENT, 3),
    ):
        show(database, number, group, unit, (FALLBACK, "stock_unknown") if number == 7 else ())
    show(database, 9, Group.TREATMENT, 4, hours=-1)
    with database.read() as connection:
        found = read_result(connection, stored, NOW + timedelta(days=1))
    control, treatment = found.groups[Group.CONTROL], found.groups[Group.TREATMENT]
    assert (control.units, control.slates, control.items, control.fallbacks) == (2, 3, 6, 0)
    assert (treatment.units, treatment.slates, treatment.items, treatment.fallbacks) == (3, 4, 8, 1)
    assert control.means["views"].value == 3
    assert treatment.means["views"].value == pytest.approx(22 / 3)
    difference = found.differences["views"]
    # Variances: control 0 / 2, treatment (16 + 121 + 49 - 3 * (22 / 3) ** 2) / 2 / 3.
    half = 1.959963984540054 * ((186 - 484 / 3) / 6) ** 0.5
    assert difference.absolute.value == pytest.approx(13 / 3)
    assert difference.absolute.low == pytest.approx(13 / 3 - half)
    assert found.differences["revenue_cents"].absolute.value == pytest.approx(1300 / 3)
    assert found.ratio_p == sample_ratio_p((2, 3), (0.5, 0.5))
    assert found.units_in_both == 0


def test_a_unit_in_both_groups_is_told(database: Database) -> None:
    stored = put(database)
    show(database, 1, Group.CONTROL, 5)
    show(database, 2, Group.TREATMENT, 5)
    with database.read() as connection:
        assert read_result(connection, stored, NOW + timedelta(days=1)).units_in_both == 1
        empty = read_result(connection, replace(stored, name="none"), NOW + timedelta(days=1))
    assert (empty.ratio_p, empty.groups[Group.CONTROL].units) == (None, 0)

"""Experiments: stable groups of the sizes asked for, independent of one another, that grow without moving anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recommender.errors import InputError
from recommender.experiments import Arm, Experiment, Group, Unit, check_experiment
from recommender.intervals import sample_ratio_p

EXPERIMENT = Experiment(
    name="diversity",
    scenarios=("home",),
    unit=Unit.MEMBER,
    control=Arm(),
    treatment=Arm(settings={"diversity": 0.3}),
    control_share=5000,
    treatment_share=5000,
    salt="diversity-1",
    started_at=datetime(2026, 3, 1, tzinfo=UTC),
)
UNITS = [f"member:{number}" for number in range(20_000)]


def groups(experiment: Experiment) -> list[Group | None]:
    return [experiment.group(experiment.number(unit)) for unit in UNITS]


def test_groups_have_the_sizes_asked_for() -> None:
    doubtful = []
    for number in range(20):
        found = groups(replace(EXPERIMENT, treatment_share=2000, salt=f"salt-{number}"))
        counts = (found.count(Group.CONTROL), found.count(Group.TREATMENT))
        p_value = sample_ratio_p(counts, (5000, 2000))
        assert p_value is not None
        assert p_value > 0.001
        doubtful.append(p_value < 0.05)
        assert found.count(None) == pytest.approx(0.3 * len(UNITS), rel=0.05)
    assert sum(doubtful) <= 4, "one in twenty, give or take"


def test_a_unit_keeps_its_group() -> None:
    assert groups(EXPERIMENT) == groups(replace(EXPERIMENT))


def test_enlarging_a_share_moves_nobody_between_groups() -> None:
    small = groups(replace(EXPERIMENT, control_share=500, treatment_share=500))
    large = groups(EXPERIMENT)
    assert None not in large
    assert all(before in (None, after) for before, after in zip(small, large, strict=True))


def test_experiments_are_independent_of_one_another() -> None:
    first, second = groups(EXPERIMENT), groups(replace(EXPERIMENT, salt="diversity-2"))
    both = sum(a is b is Group.TREATMENT for a, b in zip(first, second, strict=True))
    assert both == pytest.approx(len(UNITS) / 4, rel=0.05)


def test_hashes_fit_the_database() -> None:
    numbers = [EXPERIMENT.number(unit) for unit in UNITS]
    assert len(set(numbers)) == len(UNITS)
    assert min(numbers) < 0
    assert min(numbers) >= -(2**63)
    assert max(numbers) < 2**63


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"treatment_share": 5001}, "treatment_share"),
        ({"treatment": Arm()}, "treatment"),
        ({"treatment": Arm(settings={"colour": 1})}, "treatment.settings.colour"),
        ({"control": Arm(settings={"diversity": 3})}, "control.settings.diversity"),
    ],
)
def test_what_cannot_be_compared_is_told(changed: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as raised:
        check_experiment(replace(EXPERIMENT, **changed))  # type: ignore[arg-type]
    assert raised.value.field == field


def test_experiments_meet_in_a_scenario_or_everywhere() -> None:
    assert EXPERIMENT.meets(replace(EXPERIMENT, scenarios=()))
    assert EXPERIMENT.meets(replace(EXPERIMENT, scenarios=("discover", "home")))
    assert not EXPERIMENT.meets(replace(EXPERIMENT, scenarios=("discover",)))

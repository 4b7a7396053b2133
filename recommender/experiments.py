"""Experiments: two ways to recommend, and which of them a customer or a household gets, by a salted hash.

The hash falls into one of BUCKETS. Treatment takes buckets from the bottom and control from the top, so that enlarging
a share moves nobody from one group to the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.errors import InputError
from recommender.placement import Placement, parse_placement

BUCKETS = 10_000
EVERYWHERE = "*"
"""Stands for the scenarios of an experiment that runs in all of them."""


class Group(StrEnum):
    """A side of an experiment."""

    CONTROL = "control"
    TREATMENT = "treatment"


class Unit(StrEnum):
    """What is assigned to a group as a whole."""

    MEMBER = "member"
    HOUSEHOLD = "household"


@dataclass(frozen=True, slots=True)
class Arm:
    """How one group is served.

    bundle_id: None stands for the promoted one.
    settings: of its scenarios in place of those that hold, as JSON gives them; None leaves those.
    """

    bundle_id: str | None = None
    settings: Mapping[str, Any] | None = None

    def placement(self, path: str = "settings") -> Placement | None:
        """Return the settings as the core takes them. Raises: InputError."""
        return None if self.settings is None else parse_placement(self.settings, path=path)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A comparison.

    scenarios: where it runs; none means everywhere.
    shares: of the units of each group, in buckets; the others are not part of it.
    salt: makes its assignment independent of that of other experiments.
    """

    name: str
    scenarios: tuple[str, ...]
    unit: Unit
    control: Arm
    treatment: Arm
    control_share: int
    treatment_share: int
    salt: str
    started_at: datetime
    stopped_at: datetime | None = None

    def number(self, unit: str) -> int:
        """Return the hash of a unit: a signed number of 64 bits, which says nothing of whom it stands for."""
        return unit_number(self.salt, unit)

    def group(self, number: int) -> Group | None:
        """Return the group of a unit by its hash, None if it takes no part."""
        bucket = number % BUCKETS
        if bucket < self.treatment_share:
            return Group.TREATMENT
        return Group.CONTROL if bucket >= BUCKETS - self.control_share else None

    def arm(self, group: Group) -> Arm:
        """Return how a group is served."""
        return self.treatment if group is Group.TREATMENT else self.control

    def meets(self, other: Experiment) -> bool:
        """Tell whether two experiments run in one scenario."""
        return not self.scenarios or not other.scenarios or bool(set(self.scenarios) & set(other.scenarios))


def unit_number(salt: str, unit: str) -> int:
    """Hash a unit with a salt to a signed number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{unit}".encode(), digest_size=8).digest(), "big", signed=True)


def bucket_of(salt: str, unit: str) -> int:
    """Return the bucket of a unit, 0 to BUCKETS - 1."""
    return unit_number(salt, unit) % BUCKETS


def buckets_of(salt: str, units: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return the buckets of many units, int32, (n,), each as bucket_of()."""
    start = hashlib.blake2b(f"{salt}\0".encode(), digest_size=8)

    def digest(unit: str) -> bytes:
        own = start.copy()
        own.update(unit.encode())
        return own.digest()

    numbers = np.frombuffer(b"".join(map(digest, units)), ">i8")
    return (numbers % BUCKETS).astype(np.int32)


def check_experiment(experiment: Experiment) -> None:
    """Check that an experiment compares two things, in shares that fit, with settings that can be used.

    Raises: InputError that names the field.
    """
    total = experiment.control_share + experiment.treatment_share
    if total > BUCKETS:
        raise InputError(
            "The groups are larger than everybody.",
            field="treatment_share",
            value=total / BUCKETS,
            accepted="shares that add up to at most 1",
        )
    for name, arm in (("control", experiment.control), ("treatment", experiment.treatment)):
        arm.placement(f"{name}.settings")
    if experiment.control == experiment.treatment:
        raise InputError(
            "Both groups are served alike.", field="treatment", accepted="another bundle_id or other settings"
        )

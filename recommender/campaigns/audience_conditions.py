"""The conditions of audiences: each answers for all members at once. `audience_parsing.py` reads them from JSON."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from recommender.campaigns.audience_terms import Bounds, Expression, Ground
from recommender.campaigns.member_columns import (
    NO_DAY,
    NO_POINTS,
    BoolVector,
    granted,
    refused,
    scalar_name,
)
from recommender.item_facts import Scalar


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Expression, ...]

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return np.asarray(np.logical_and.reduce([part.mask(ground) for part in self.parts]), bool)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Expression, ...]

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return np.asarray(np.logical_or.reduce([part.mask(ground) for part in self.parts]), bool)


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Expression

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return np.logical_not(self.part.mask(ground))


@dataclass(frozen=True, slots=True)
class Everyone:
    """Holds for every member."""

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return np.ones(len(ground.features), bool)


@dataclass(frozen=True, slots=True)
class LabelIs:
    """A column of the member table has one of some values."""

    column: str
    values: tuple[str, ...]

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        found: BoolVector = getattr(ground.features.columns, self.column).among(self.values)
        return found


@dataclass(frozen=True, slots=True)
class IsMember:
    """One of some members."""

    member_ids: tuple[str, ...]

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return ground.marked(ground.features.rows(self.member_ids))


@dataclass(frozen=True, slots=True)
class BornIn:
    """Born in one of some months; `ahead` counts them from the present one: 0 is this month, 1 the next."""

    months: tuple[int, ...] = ()
    ahead: tuple[int, ...] = ()

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        born = ground.features.columns.birth_day
        known = born != NO_DAY
        local = ground.now + timedelta(microseconds=ground.features.facts.day_offset)
        wanted = [*self.months, *((local.month - 1 + step) % 12 + 1 for step in self.ahead)]
        month = np.where(known, born, 0).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1
        return np.asarray(known & np.isin(month, wanted), bool)


@dataclass(frozen=True, slots=True)
class PointsWithin:
    """Has so many points."""

    bounds: Bounds

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        points = ground.features.columns.points
        return np.asarray((points != NO_POINTS) & self.bounds.hold(points), bool)


@dataclass(frozen=True, slots=True)
class AttributeIs:
    """An attribute has one of some values; of a list one suffices."""

    key: str
    values: tuple[Scalar, ...]

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        one = ground.features.columns.attributes.get(self.key)
        if one is None:
            return np.zeros(len(ground.features), bool)
        wanted = {scalar_name(value) for value in self.values if isinstance(value, str | bool)}
        codes = [code for code, name in enumerate(one.names) if name in wanted]
        numbers = [float(value) for value in self.values if not isinstance(value, str | bool)]
        found = ground.marked(one.texts.row[np.isin(one.texts.value, codes)])
        return found | ground.marked(one.numbers.row[np.isin(one.numbers.value, numbers)])


@dataclass(frozen=True, slots=True)
class AttributeWithin:
    """An attribute has a number within bounds."""

    key: str
    bounds: Bounds

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        one = ground.features.columns.attributes.get(self.key)
        if one is None:
            return np.zeros(len(ground.features), bool)
        return ground.marked(one.numbers.row[self.bounds.hold(one.numbers.value)])


@dataclass(frozen=True, slots=True)
class AttributeKnown:
    """An attribute has any value, or none."""

    key: str
    wanted: bool

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        one = ground.features.columns.attributes.get(self.key)
        rows = np.empty(0, np.int32) if one is None else np.concatenate((one.texts.row, one.numbers.row))
        return np.asarray(ground.marked(rows) == self.wanted, bool)


@dataclass(frozen=True, slots=True)
class Consented:
    """The latest consent for a purpose is given, or refused; where there is none, neither."""

    purpose: str
    channel: str | None
    wanted: bool

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        stamps = ground.features.columns.latest(self.purpose, self.channel)
        return granted(stamps) if self.wanted else refused(stamps)


@dataclass(frozen=True, slots=True)
class OfAudience:
    """A member of a saved audience, as it is now."""

    audience_id: str

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return ground.audience(self.audience_id).mask(ground)


@dataclass(frozen=True, slots=True)
class OnList:
    """On an uploaded list."""

    list_id: str

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return ground.marked(ground.features.rows(ground.card_list(self.list_id)))


@dataclass(frozen=True, slots=True)
class RandomShare:
    """A random share of all households (members where none is known), the same for the same salt."""

    share: float
    salt: str

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        salt = np.frombuffer(hashlib.blake2b(self.salt.encode(), digest_size=8).digest(), np.uint64)[0]
        return np.asarray((scrambled(ground.features.mix ^ salt) >> np.uint64(11)) * 2.0**-53 < self.share, bool)


def scrambled(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return numbers that look random and depend on every bit of the given ones, uint64.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    found = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    return found ^ (found >> np.uint64(31))

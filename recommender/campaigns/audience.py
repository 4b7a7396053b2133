"""Audiences: select() finds the members an expression holds for, and says who of them is left out, and why.

`parse_expression` reads an expression from JSON, `audience_store.open_ground` gives what it is asked on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recommender.campaigns.audience_parsing import parse_expression as parse_expression
from recommender.campaigns.audience_terms import Expression as Expression
from recommender.campaigns.audience_terms import Ground as Ground
from recommender.campaigns.member_columns import ADULT, NO_DAY, UNKNOWN, BoolVector, granted, refused
from recommender.campaigns.member_features import MemberFeatures
from recommender.columns import LEARNED_KINDS, MEMBER_KINDS
from recommender.ids import IdIndex
from recommender.storage.members import ADULT_AGE_YEARS, GUARDIAN_PERSONALIZATION, PERSONALIZATION
from recommender.storage.types import to_day_number

Units = npt.NDArray[np.bytes_]


class LeftOut(StrEnum):
    """Why a member whom the expression holds for is not reached; the first that holds counts."""

    ERASED = "erased"
    KIND = "kind"
    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    HELD_OUT = "held_out"
    CAPPED = "capped"


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may be reached.

    purpose, channel: of the consent that is needed; purpose None: none is.
    held_out: who is kept back, bool, (n,), of all members of the features.
    capped: tells which units ("household:ID" or "member:ID", bytes) had enough messages.
    """

    purpose: str | None = "push"
    channel: str | None = None
    held_out: BoolVector | None = None
    capped: Callable[[Units], BoolVector] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Members found. rows: int32, of the features, by rising member id.  left_out: how many, by reason."""

    features: MemberFeatures
    rows: npt.NDArray[np.int32]
    left_out: Mapping[LeftOut, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def matched(self) -> int:
        """How many members the expression holds for, those left out among them."""
        return len(self.rows) + sum(self.left_out.values())

    @property
    def members(self) -> IdIndex:
        """The members' ids."""
        return IdIndex(self.features.keys()[self.rows])

    def count_units(self) -> int:
        """Return how many households, and members without one, the members are."""
        return len(np.unique(self.features.mix[self.rows]))

    def units(self) -> Units:
        """Return what is assigned as a whole, "household:ID" or "member:ID", aligned with members; bytes, (n,)."""
        return self.features.units(self.rows)


def select(ground: Ground, expression: Expression, rules: Rules | None = None) -> Selection:
    """Return the members that an expression holds for and who may be reached.

    Raises: InputError if it names an audience, list or offer that does not exist; ConflictError if it asks a model
        and none is promoted.
    """
    rules, features = rules or Rules(), ground.features
    left = expression.mask(ground).copy()
    counts: dict[LeftOut, int] = {}
    for reason, mask in _reasons(ground, rules):
        counts[reason] = int(np.count_nonzero(left & mask))
        left &= ~mask
    rows = np.flatnonzero(left).astype(np.int32)
    if rules.capped is not None:
        gone = rules.capped(features.units(rows))
        counts[LeftOut.CAPPED] = int(np.count_nonzero(gone))
        rows = rows[~gone]
    if len(features.extra):
        rows = rows[np.argsort(features.keys()[rows], kind="stable")]
    return Selection(features, rows, counts)


def _reasons(ground: Ground, rules: Rules) -> list[tuple[LeftOut, BoolVector]]:
    columns = ground.features.columns
    unlearned = [kind for kind in MEMBER_KINDS if kind not in LEARNED_KINDS]
    opted_out = refused(columns.latest(PERSONALIZATION))
    minors = _minors(ground) & ~granted(columns.latest(GUARDIAN_PERSONALIZATION))
    found = [
        (LeftOut.ERASED, ground.features.erased),
        (LeftOut.KIND, columns.kind.among(unlearned)),
        (LeftOut.OPTED_OUT, opted_out | minors),
    ]
    if rules.purpose is not None:
        found.append((LeftOut.NO_CONSENT, ~granted(columns.latest(rules.purpose, rules.channel))))
    if rules.held_out is not None:
        found.append((LeftOut.HELD_OUT, rules.held_out))
    return found


def _minors(ground: Ground) -> BoolVector:
    """Return who is known to be under age, by the flag, else by the date of birth."""
    columns = ground.features.columns
    local = (ground.now + timedelta(microseconds=ground.features.facts.day_offset)).date()
    day = min(local.day, 28) if local.month == 2 else local.day
    limit = to_day_number(date(local.year - ADULT_AGE_YEARS, local.month, day))
    young = (columns.birth_day != NO_DAY) & (columns.birth_day > limit)
    return np.asarray(np.where(columns.adult == UNKNOWN, young, columns.adult != ADULT), bool)

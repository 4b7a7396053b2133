"""Groups of campaigns: who is treated and who is kept back, by a salted hash of the household, before eligibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.events import member_subject, subject_key
from recommender.experiments import BUCKETS
from recommender.experiments import bucket_of as bucket_of
from recommender.experiments import buckets_of as buckets_of
from recommender.storage.holdouts import HOUSEHOLD, Period
from recommender.storage.statements import fetch

Arms = npt.NDArray[np.int8]
_HOUSEHOLDS = "SELECT member_id, household_id FROM members WHERE household_id IS NOT NULL"


class Arm(StrEnum):
    """A group of a campaign: treated, kept back by the campaign, or kept back from all campaigns."""

    TREATED = "treated"
    HOLDOUT = "holdout"
    GLOBAL_HOLDOUT = "global_holdout"


ARMS = tuple(Arm)
"""By their codes."""
TREATED, HOLDOUT, GLOBAL_HOLDOUT = range(len(ARMS))


@dataclass(frozen=True, slots=True)
class Draw:
    """By what the groups of one campaign are drawn.

    salt: the campaign's.  share: of its holdout, in buckets.  period: the global holdout; None: there is none.
    """

    salt: str
    share: int
    period: Period | None = None

    @property
    def propensity(self) -> float:
        """The chance of a unit to be treated."""
        kept = 0 if self.period is None else self.period.share
        return (1 - kept / BUCKETS) * (1 - self.share / BUCKETS)

    def arms(self, units: Sequence[str]) -> Arms:
        """Return the group of each unit as a code, int8, (n,).

        The global holdout is drawn first and independently, so that each share of it is alike in every campaign.
        """
        arms = np.zeros(len(units), np.int8)
        arms[buckets_of(self.salt, units) < self.share] = HOLDOUT
        if self.period is not None:
            arms[buckets_of(self.period.salt, units) < self.period.share] = GLOBAL_HOLDOUT
        return arms


def read_units(connection: Connection, member_ids: Sequence[str]) -> list[str]:
    """Return the unit of each member: the household where it is known, else the member."""
    households = {str(member): str(household) for member, household in fetch(connection, _HOUSEHOLDS)}
    return [
        subject_key(HOUSEHOLD, households[member]) if member in households else member_subject(member)
        for member in member_ids
    ]

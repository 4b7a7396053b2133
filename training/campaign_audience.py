"""The audience of a campaign as rows of the members who are learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from recommender.campaigns.campaign import Campaign
from recommender.errors import InputError
from recommender.ids import IdIndex
from training.place import Place


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """Whom a campaign may reach: rows, int32, rising; None: everybody.  left_out: how many were not taken, and why."""

    rows: npt.NDArray[np.int32] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


def find_audience(place: Place, campaign: Campaign, members: IdIndex, now: datetime) -> Audience:
    """Return the audience of a campaign.

    Args:
        members: who is learned from.
        now: as of when.
    Raises: InputError if the audience cannot be read.
    """
    if campaign.settings.audience.everybody:
        return Audience()
    raise InputError("Audiences are not available.", field="settings.audience", accepted="no audience")

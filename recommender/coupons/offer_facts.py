"""OfferFacts: what a plan knew of its offers, kept for decisions between plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class OfferFacts:
    """Facts of k offers at the time of the plan: as in Terms, Setting and Economics; float32, (k,), unless said.

    past: float32, (2,): when the history began, in days since 1970-01-01 UTC, and the average rate of
    redemption.
    """

    face_cents: FloatVector
    occasion_cents: FloatVector
    rate: FloatVector
    line_cents: FloatVector
    rest_cents: FloatVector
    own_share: FloatVector
    window_days: FloatVector
    size: FloatVector
    kind: FloatVector
    past: FloatVector

    def parts(self) -> dict[str, FloatVector]:
        """Return the arrays by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_parts(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> OfferFacts:
        """Make the facts whose parts() these are. Raises: KeyError if one is missing."""
        return cls(*(np.asarray(arrays[entry.name], np.float32) for entry in fields(cls)))

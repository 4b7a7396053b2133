"""ResponseModel: the calibrated chance that something happens between a member and an offer, from features.

A logistic regression and boosted trees are averaged in log-odds, then calibrated on rows that neither had seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recommender.bundle import Array
from recommender.retrievers.base import Json, as_number

if TYPE_CHECKING:
    from lightgbm import Booster

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]

MOST_LOG_ODDS = 30.0


@dataclass(frozen=True, slots=True)
class ResponseModel:
    """A calibrated chance.

    centre, scale: float64, (p,), by which features are standardised for the regression.
    coefficients: float64, (p + 1,), the intercept first.
    trees: LightGBM's text, "" where too little was known to grow any.
    slope, shift: calibration of the averaged log-odds.
    doubt: relative standard error of the chance as a whole.
    """

    centre: FloatVector
    scale: FloatVector
    coefficients: FloatVector
    trees: str
    slope: float
    shift: float
    doubt: float
    _booster: list[Booster] = field(default_factory=list, init=False, repr=False, compare=False)

    def chance(self, features: FloatMatrix) -> FloatVector:
        """Return the chance of each row.

        Args:
            features: float32, (n, p).
        Returns: float64, (n,), in (0, 1).
        """
        value = np.clip(self.slope * self.log_odds(features) + self.shift, -MOST_LOG_ODDS, MOST_LOG_ODDS)
        found: FloatVector = 1.0 / (1.0 + np.exp(-value))
        return found

    def log_odds(self, features: FloatMatrix) -> FloatVector:
        """Return the averaged log-odds before calibration, float64, (n,)."""
        flat = np.clip((features - self.centre) / self.scale, -8.0, 8.0) @ self.coefficients[1:] + self.coefficients[0]
        if not self.trees or len(features) == 0:
            return np.asarray(flat, np.float64)
        grown = self._opened().predict(features, raw_score=True, num_threads=1)
        return 0.5 * np.asarray(flat, np.float64) + 0.5 * np.asarray(grown, np.float64)

    def _opened(self) -> Booster:
        """Read the trees when they are first asked."""
        if not self._booster:
            from lightgbm import Booster

            self._booster.append(Booster(model_str=self.trees))
        return self._booster[0]

    def parts(self) -> tuple[dict[str, Array], dict[str, Json], str]:
        """Return arrays, a JSON description and text, from which from_parts() makes the same model."""
        arrays: dict[str, Array] = {
            "centre": self.centre,
            "scale": self.scale,
            "coefficients": self.coefficients,
        }
        return arrays, {"slope": self.slope, "shift": self.shift, "doubt": self.doubt}, self.trees

    @classmethod
    def from_parts(cls, arrays: Mapping[str, Array], description: Mapping[str, Json], trees: str) -> ResponseModel:
        """Make the model whose parts() these are."""
        return cls(
            np.asarray(arrays["centre"], np.float64),
            np.asarray(arrays["scale"], np.float64),
            np.asarray(arrays["coefficients"], np.float64),
            trees,
            as_number(description["slope"]),
            as_number(description["shift"]),
            as_number(description["doubt"]),
        )

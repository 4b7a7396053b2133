"""OfferScores: what each offer is expected to earn and cost with each member, as models hand it to allocation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
import numpy.typing as npt

from recommender.errors import InputError
from recommender.ids import IdIndex

FloatMatrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OfferScores:
    """Estimates for n members and k offers at one time; all matrices are float32 or float64, (n, k).

    members: the member of each row.  offer_id: the offer of each column.  at: the time the estimates are for.
    expected_profit_cents: incremental profit of giving the offer, against giving none; NaN where it cannot be said.
    standard_error_cents: of the expected profit; at least 0.
    expected_cost_cents: the retailer's share of the discount, times the chance that it is redeemed; at least 0.
    cost_bound_cents: its upper confidence bound, which budgets are planned with; no less than the expected cost.
    redemption_probability: in [0, 1].
    assumed: bool, (k,): the offer's profit was not learned from randomised sends.
    """

    members: IdIndex
    offer_id: tuple[str, ...]
    at: datetime
    expected_profit_cents: FloatMatrix
    standard_error_cents: FloatMatrix
    expected_cost_cents: FloatMatrix
    cost_bound_cents: FloatMatrix
    redemption_probability: FloatMatrix
    assumed: BoolVector

    def __post_init__(self) -> None:
        shape = (len(self.members), len(self.offer_id))
        for part in fields(self):
            value = getattr(self, part.name)
            wanted = shape[1:] if part.name == "assumed" else shape
            if isinstance(value, np.ndarray) and value.shape != wanted:
                raise InputError(
                    "Scores have one row per member and one column per offer.",
                    field=part.name,
                    value=value.shape,
                    accepted=str(wanted),
                )

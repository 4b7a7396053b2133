"""Rankers: scores of several retrievers into one order.

Blend is a weighted sum; a learned ranker takes the same seat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recommender.candidates import Pool, relative_scores
from recommender.errors import BundleError
from recommender.query import Batch, Scenario
from recommender.retrievers.base import Json, as_number, as_table

FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranked:
    """The worth of every candidate of a pool.

    score: float32, (n,), finite; higher is better.
    source: int64, (n,), column of the retriever that did most for the candidate.
    """

    score: FloatVector
    source: npt.NDArray[np.int64]


class Ranker(Protocol):
    """Gives every candidate one score; pure, and independent of the other queries of a batch."""

    def rank(self, pool: Pool, batch: Batch, scenarios: Sequence[Scenario]) -> Ranked:
        """Score a pool; `scenarios` names the placement of each query."""
        ...

    def heeded(self, scenario: Scenario) -> frozenset[str]:
        """Return the names of the retrievers whose scores count in a placement; the others need not be asked."""
        ...

    def describe(self) -> dict[str, Json]:
        """Return what ranker_from() needs to make the same ranker."""
        ...


@dataclass(frozen=True, slots=True)
class Blend:
    """Weighted sum of retriever scores, each relative to the retriever's best candidate of the query.

    weights: per scenario, the weight of each retriever by name; a retriever that is not named weighs 0.
    """

    weights: Mapping[Scenario, Mapping[str, float]]

    def rank(self, pool: Pool, batch: Batch, scenarios: Sequence[Scenario]) -> Ranked:
        """Score a pool; `scenarios` names the placement of each query."""
        table = np.array(
            [[self.weights[scenario].get(name, 0.0) for name in pool.retrievers] for scenario in scenarios],
            np.float32,
        )
        weights = table[pool.query]
        parts = relative_scores(pool) * weights
        # The source is a retriever that found the candidate, and before all others one that counts.
        credit = np.where(weights > 0, parts, np.float32(-1))
        credit[np.isnan(pool.scores)] = -2
        # Summed column by column: retrievers that were asked for other queries of the batch change no digit.
        score = np.zeros(len(parts), np.float32)
        for column in parts.T:
            score += column
        return Ranked(score, credit.argmax(axis=1))

    def heeded(self, scenario: Scenario) -> frozenset[str]:
        """Return the names of the retrievers that weigh more than nothing."""
        return frozenset(name for name, weight in self.weights[scenario].items() if weight > 0)

    def describe(self) -> dict[str, Json]:
        """Return the weights as JSON."""
        return {"kind": "blend", "weights": {str(name): dict(part) for name, part in self.weights.items()}}


def ranker_from(description: Mapping[str, Json]) -> Ranker:
    """Make the ranker that describe() described.

    Raises: BundleError if this version does not know its kind.
    """
    if description["kind"] != "blend":
        raise BundleError("The bundle has an unknown ranker.", value=description["kind"], accepted="blend")
    weights = as_table(description["weights"])
    return Blend(
        {
            Scenario(name): {key: as_number(weight) for key, weight in as_table(part).items()}
            for name, part in weights.items()
        }
    )

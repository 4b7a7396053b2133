"""The protocol that every retriever keeps, and the form in which its fitted state is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Candidates
from recommender.errors import BundleError
from recommender.interactions import Weights
from recommender.query import Batch

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class State:
    """A fitted retriever as a bundle keeps it.

    arrays: by name, each saved as one .npy file and loaded as a memory map.
    settings: small JSON values that the retriever needs to score.
    """

    arrays: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    settings: Mapping[str, Json] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """Return a numeric setting."""
        return as_number(self.settings[name])

    def weights(self) -> Weights:
        """Return the interaction weights kept under "weights"."""
        return weights_from(as_table(self.settings["weights"]))


class Retriever(Protocol):
    """Finds a few hundred candidates per query; fitted, frozen, and pure.

    `name` is the retriever's name in bundles, reports and reasons. `state` and `from_state` are inverses.
    """

    name: ClassVar[str]

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return at most `count` candidates per query, fewer or none where it has nothing to say.

        The answer for a query does not depend on the other queries of the batch.
        """
        ...

    def state(self) -> State:
        """Return the fitted state."""
        ...

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the retriever from its fitted state."""
        ...


def weights_to(weights: Weights) -> dict[str, Json]:
    """Return interaction weights as JSON."""
    return {
        "purchase_half_life_days": weights.purchase_half_life_days,
        "browse_half_life_days": weights.browse_half_life_days,
        "by_kind": list(weights.by_kind),
        "by_channel": list(weights.by_channel),
    }


def weights_from(value: Mapping[str, Json]) -> Weights:
    """Return the interaction weights that weights_to() wrote."""
    return Weights(
        as_number(value["purchase_half_life_days"]),
        as_number(value["browse_half_life_days"]),
        as_numbers(value["by_kind"]),
        as_numbers(value["by_channel"]),
    )


def as_number(value: Json) -> float:
    """Return a JSON number. Raises: BundleError if it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BundleError("The bundle's description is damaged.", value=value, accepted="a number")
    return float(value)


def as_list(value: Json) -> list[Json]:
    """Return a JSON array. Raises: BundleError if it is something else."""
    if not isinstance(value, list):
        raise BundleError("The bundle's description is damaged.", value=value, accepted="a list")
    return value


def as_numbers(value: Json) -> tuple[float, ...]:
    """Return a JSON array of numbers. Raises: BundleError if it is something else."""
    return tuple(as_number(part) for part in as_list(value))


def as_texts(value: Json) -> tuple[str, ...]:
    """Return a JSON array of texts. Raises: BundleError if it is something else."""
    return tuple(str(part) for part in as_list(value))


def as_table(value: Json) -> Mapping[str, Json]:
    """Return a JSON object. Raises: BundleError if it is something else."""
    if not isinstance(value, dict):
        raise BundleError("The bundle's description is damaged.", value=value, accepted="an object")
    return value

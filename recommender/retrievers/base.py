"""The protocol that every retriever keeps."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Candidates
from recommender.query import Batch

Arrays = dict[str, npt.NDArray[np.generic]]
"""A retriever's fitted state, array by name; saved as one .npy file each, loaded as memory maps."""


class Retriever(Protocol):
    """Finds a few hundred candidates per query; fitted, frozen, and pure.

    `name` is the retriever's name in bundles, reports and reasons. `arrays` and `from_arrays` are inverses.
    """

    name: ClassVar[str]

    def retrieve(self, batch: Batch, count: int) -> Candidates:
        """Return at most `count` candidates per query, fewer or none where it has nothing to say.

        The answer for a query does not depend on the other queries of the batch.
        """
        ...

    def arrays(self) -> Arrays:
        """Return the fitted state."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Make the retriever from its fitted state."""
        ...

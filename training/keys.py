"""Sets of integer keys, such as (person, item) pairs packed into one number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def is_in(keys: npt.NDArray[np.integer], members: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Tell which keys are among the members.

    Sorts the members and searches them: on packed pairs many times faster than numpy's hashing isin.

    Args:
        keys: (n,), in any order.
        members: (m,), in any order, repeats allowed.
    Returns: bool, (n,).
    """
    if len(members) == 0:
        return np.zeros(len(keys), bool)
    ordered = np.sort(members)
    at = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return np.asarray(ordered[at] == keys)

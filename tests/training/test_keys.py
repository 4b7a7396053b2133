"""Sets of integer keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.learning import CHEAP
from training.keys import is_in

KEYS = st.lists(st.integers(-5, 12), max_size=15)


@CHEAP
@given(KEYS, KEYS)
def test_is_in_is_membership(keys: list[int], members: list[int]) -> None:
    found = is_in(np.array(keys, np.int64), np.array(members, np.int64))
    assert found.dtype == bool
    assert found.tolist() == [key in members for key in keys]

"""Candidates are remembered for a customer and placement while nothing else is heard, and not for long."""

from __future__ import annotations

import numpy as np

from recommender.lately import LATELY_MINUTES, Lately
from recommender.query import Ready

READY = Ready(np.array([3], np.int32), np.ones(1, np.float32), np.zeros(1, np.int64), ("popularity",))


def test_a_slot_holds_while_nothing_else_is_heard() -> None:
    lately = Lately()
    slot = lately.slot("m", "two views", 100)
    assert slot.ready is None
    slot.ready = READY
    assert lately.slot("m", "two views", 100 + LATELY_MINUTES - 1).ready is READY
    assert lately.slot("other", "two views", 100).ready is None
    assert lately.slot("m", "three views", 101).ready is None
    assert lately.slot("m", "two views", 101).ready is None, "what was heard before does not come back"


def test_a_slot_ends_with_time() -> None:
    lately = Lately()
    for minute in (100 + LATELY_MINUTES, 99):
        lately.slot("m", "", 100).ready = READY
        assert lately.slot("m", "", minute).ready is None


def test_the_least_used_are_let_go() -> None:
    lately = Lately(kept=2)
    for key in "ab":
        lately.slot(key, "", 0).ready = READY
    lately.slot("a", "", 0)
    lately.slot("c", "", 0)
    assert len(lately) == 2
    assert [lately.slot(key, "", 0).ready for key in "ab"] == [READY, None]

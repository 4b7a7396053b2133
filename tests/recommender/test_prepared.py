"""What is ranked in advance is found by a member's subjects, at a cost that does not grow with members."""

from __future__ import annotations

import time

import numpy as np

from recommender.prepared import SCENARIOS, WIDTH, Prepared, check_of
from recommender.query import Scenario


def of_members(count: int) -> Prepared:
    """Return candidates of many members, all alike."""
    shape = (count, len(SCENARIOS), WIDTH)
    return Prepared(
        person=np.arange(count, dtype=np.int32),
        check=np.full(count, check_of([7]), np.uint32),
        peers=np.zeros(count, np.uint16),
        row=np.broadcast_to(np.arange(WIDTH, dtype=np.int32), shape),
        score=np.broadcast_to(np.ones(1, np.float32), shape),
        source=np.broadcast_to(np.zeros(1, np.uint8), shape),
        company=np.broadcast_to(np.zeros(1, np.uint16), shape),
        partner=np.broadcast_to(np.full(1, -1, np.int32), shape),
        names=("popularity",),
    )


def seconds(prepared: Prepared) -> float:
    """Return the shortest of several looks."""
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        assert prepared.of(Scenario.HOME, [7]) is not None
        best = min(best, time.perf_counter() - start)
    return best


def test_a_look_costs_the_same_among_few_and_among_many() -> None:
    assert seconds(of_members(2_000_000)) < 10 * seconds(of_members(1_000))

"""What a history says of single items is what its whole summary says of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.events import KIND_CODES, EventKind
from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE, Weights, summarize
from recommender.touches import Touch, last_purchase, touches_of

VIEW_CODE = KIND_CODES[EventKind.VIEW]
WEIGHTS = Weights(90.0, 90.0, (1.0,) * len(KIND_CODES), (1.0,))


def history_of(*events: tuple[int, int, int]) -> Histories:
    """Return a history of (row, minute, kind), by rising minute."""
    row, minute, kind = (np.array(column) for column in zip(*events, strict=True)) if events else (np.empty(0),) * 3
    ones = np.ones(len(row), np.uint8)
    indptr = np.array([0, len(row)], np.int64)
    return Histories(indptr, row.astype(np.int32), minute.astype(np.int32), kind.astype(np.uint8), ones * 0, ones)


def test_purchases_count_before_views() -> None:
    history = history_of((4, 10, VIEW_CODE), (4, 20, PURCHASE_CODE), (7, 25, VIEW_CODE), (4, 30, PURCHASE_CODE))
    assert touches_of(history, {4, 7, 9}) == {4: Touch(2, 20, 30), 7: Touch(0, 25, 25)}
    assert last_purchase(history) == 30


def test_nothing_is_said_of_nothing() -> None:
    assert touches_of(history_of(), {1}) == {}
    assert touches_of(history_of((1, 5, VIEW_CODE)), set()) == {}
    assert last_purchase(history_of((1, 5, VIEW_CODE))) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 30), st.sampled_from([VIEW_CODE, PURCHASE_CODE])),
        max_size=30,
        unique=True,
    )
)
def test_touches_agree_with_the_summary(events: list[tuple[int, int, int]]) -> None:
    rising = sorted(((row, day * MINUTES_PER_DAY, kind) for row, day, kind in events), key=lambda event: event[1])
    history = history_of(*rising)
    pairs = summarize(history, np.array([31 * MINUTES_PER_DAY], np.int32), WEIGHTS)
    summed = zip(pairs.item_row.tolist(), pairs.bought.tolist(), pairs.first.tolist(), pairs.last.tolist(), strict=True)
    assert touches_of(history, range(6)) == {row: Touch(int(n), first, last) for row, n, first, last in summed}

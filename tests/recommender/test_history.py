"""Histories: ragged entries, cut by time, stacked and merged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.events import KIND_CODES
from recommender.history import MINUTES_PER_DAY, Histories, merge, stack
from tests.learning import PURCHASE, VIEW, histories, history, minutes_ago

BUY, LOOK = KIND_CODES[PURCHASE], KIND_CODES[VIEW]
Tuples = list[list[tuple[int, int, int]]]


def at(*entries: tuple[int, int, int], channel: int = 0) -> Histories:
    """Return one history of (minute, item row, kind code) in the order given."""
    table = np.array(entries, np.int64).reshape(-1, 3)
    return Histories(
        np.array([0, len(table)], np.int64),
        table[:, 1].astype(np.int32),
        table[:, 0].astype(np.int32),
        table[:, 2].astype(np.uint8),
        np.full(len(table), channel, np.uint8),
        np.ones(len(table), np.uint8),
    )


def entries_of(whole: Histories) -> Tuples:
    """Return (minute, item row, kind code) per segment."""
    parts = [whole.of(i) for i in range(len(whole))]
    return [list(zip(part.minute.tolist(), part.item_row.tolist(), part.kind.tolist(), strict=True)) for part in parts]


def test_empty_histories() -> None:
    assert len(Histories.empty(3)) == 3
    assert entries_of(Histories.empty(2)) == [[], []]
    assert entries_of(stack([Histories.empty(1), at((5, 1, BUY)), Histories.empty(2)])) == [[], [(5, 1, BUY)], [], []]


def test_of_takes_one_segment() -> None:
    whole = histories([(1, 3)], [], [(2, 2), (4, 1)])
    assert entries_of(whole.of(1)) == [[]]
    assert entries_of(whole.of(2)) == [[(minutes_ago(2), 2, BUY), (minutes_ago(1), 4, BUY)]]


def test_before_leaves_out_the_minute_itself() -> None:
    whole = stack([at((5, 1, BUY), (6, 2, BUY)), at((6, 3, BUY), (7, 1, LOOK)), at((4, 0, LOOK))])
    assert entries_of(whole.before(6)) == [[(5, 1, BUY)], [], [(4, 0, LOOK)]]
    assert entries_of(whole.before(8)) == entries_of(whole)


def test_where_keeps_segments_apart() -> None:
    whole = stack([at((1, 1, BUY), (2, 2, LOOK)), at((3, 3, LOOK)), at((4, 4, BUY))])
    assert entries_of(whole.where(whole.kind == BUY)) == [[(1, 1, BUY)], [], [(4, 4, BUY)]]


def test_merge_orders_by_time_and_then_item_and_kind() -> None:
    merged = merge([at((1, 5, BUY), (9, 1, BUY)), at((1, 5, LOOK), (9, 0, BUY), (4, 2, LOOK))], 0)
    assert entries_of(merged) == [[(1, 5, LOOK), (1, 5, BUY), (4, 2, LOOK), (9, 0, BUY), (9, 1, BUY)]]


def test_merge_keeps_the_first_entry_of_an_item_day_and_kind() -> None:
    # Minutes 1439 and 1440 lie on two days; minutes 10 and 1439 on one.
    merged = merge([at((10, 1, BUY), (1439, 2, BUY)), at((9, 1, LOOK), (1439, 1, BUY), (1440, 1, BUY))], 0)
    assert entries_of(merged) == [[(9, 1, LOOK), (10, 1, BUY), (1439, 2, BUY), (1440, 1, BUY)]]


def test_merge_goes_by_local_days() -> None:
    # In Shanghai, 8 hours ahead, minutes 959 (23:59) and 960 (0:00) lie on two days, 960 and 1500 on one.
    parts = [at((959, 1, BUY)), at((960, 1, BUY)), at((1500, 1, BUY))]
    assert entries_of(merge(parts, 480)) == [[(959, 1, BUY), (960, 1, BUY)]]
    assert entries_of(merge(parts, 0)) == [[(959, 1, BUY), (1500, 1, BUY)]]


def test_merge_keeps_the_channel_of_the_first() -> None:
    merged = merge([at((5, 1, BUY), channel=1), at((4, 1, BUY), (8, 2, BUY), channel=0)], 0)
    assert merged.channel.tolist() == [0, 0]
    assert merge([at((5, 1, BUY), channel=1), at((8, 2, BUY), channel=0)], 0).channel.tolist() == [1, 0]


def test_merge_of_nothing() -> None:
    assert entries_of(merge([Histories.empty(1), Histories.empty(1)], 480)) == [[]]
    assert entries_of(merge([Histories.empty(3)], 0)) == [[]]


def test_merge_joins_all_segments_of_a_part() -> None:
    whole = stack([at((8, 1, BUY)), at((2, 2, BUY))])
    assert entries_of(merge([whole], 0)) == [[(2, 2, BUY), (8, 1, BUY)]]


def test_days_ago_helper_counts_back_from_the_present() -> None:
    assert history((1, 2)).minute.tolist() == [minutes_ago(0) - 2 * MINUTES_PER_DAY]


def test_what_happened_again_on_a_day_is_counted() -> None:
    day = 5 * MINUTES_PER_DAY
    first = at((day, 1, LOOK), (day + 10, 2, LOOK))
    second = at((day + 20, 1, LOOK), (day + MINUTES_PER_DAY, 1, LOOK))
    both = merge([first, second], 0)
    assert both.item_row.tolist() == [1, 2, 1]
    assert both.times.tolist() == [2, 1, 1]
    # What was counted before counts on; the count ends where its numbers end.
    assert merge([both, first], 0).times.tolist() == [3, 2, 1]
    many = replace(first, times=np.array([200, 1], np.uint8))
    assert merge([many, many], 0).times.tolist() == [255, 2]

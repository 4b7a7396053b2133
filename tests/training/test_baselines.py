"""Baselines on histories small enough to rank by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.events import KIND_CODES, EventKind
from recommender.history import MINUTES_PER_DAY, Histories
from training.baselines import PERSONAL, PERSONAL_DECAYED, POPULARITY, baseline_lists, past_of, popularity_counts
from training.windows import Subset

BUY, VIEW = KIND_CODES[EventKind.PURCHASE], KIND_CODES[EventKind.VIEW]
NOW = 100 * MINUTES_PER_DAY

# (person, item, day, kind). Person 0 bought item 0 twice long ago and item 1 once lately, and looked at item 4.
ENTRIES = [
    (0, 0, 10, BUY),
    (0, 0, 20, BUY),
    (0, 4, 90, VIEW),
    (0, 1, 99, BUY),
    (1, 2, 95, BUY),
    (1, 3, 95, BUY),
    (2, 2, 96, BUY),
    (2, 0, 30, BUY),
]


def histories() -> Histories:
    person, item, day, kind = np.array(ENTRIES).T
    indptr = np.concatenate(([0], np.cumsum(np.bincount(person, minlength=4))))
    return Histories(
        indptr.astype(np.int64),
        item.astype(np.int32),
        (day * MINUTES_PER_DAY).astype(np.int32),
        kind.astype(np.uint8),
        np.zeros(len(item), np.uint8),
        np.ones(len(item), np.uint8),
    )


def lists(name: str, subset: Subset, count: int = 5) -> list[list[int]]:
    past = past_of(histories(), np.full(4, NOW, np.int32), half_life_days=10)
    popularity, _ = popularity_counts(histories(), NOW, 28, 5)
    made = baseline_lists(name, subset, past, popularity, count)
    return [made.row[made.indptr[i] : made.indptr[i + 1]].tolist() for i in range(4)]


def test_popularity_counts_member_days_lately() -> None:
    popularity, buyers = popularity_counts(histories(), NOW, 28, 5)
    assert popularity.tolist() == [0, 1, 2, 1, 0]
    assert buyers.tolist() == [2, 1, 2, 1, 0]


def test_popularity_counts_everything_when_nothing_is_recent() -> None:
    popularity, _ = popularity_counts(histories(), NOW + 300 * MINUTES_PER_DAY, 28, 5)
    assert popularity.tolist() == [3, 1, 2, 1, 0]


def test_popularity_lists() -> None:
    assert lists(POPULARITY, Subset.ALL) == [[2, 1, 3]] * 4
    assert lists(POPULARITY, Subset.NOVEL)[:2] == [[2, 3], [1]]
    assert lists(POPULARITY, Subset.REPEAT) == [[1, 0], [2, 3], [2, 0], []]


def test_personal_frequency_is_filled_with_popularity() -> None:
    assert lists(PERSONAL, Subset.ALL)[0] == [0, 1, 2, 3]
    assert lists(PERSONAL, Subset.ALL)[3] == [2, 1, 3]
    assert lists(PERSONAL, Subset.ALL, count=2)[0] == [0, 1]


def test_decay_puts_the_recent_first() -> None:
    assert lists(PERSONAL_DECAYED, Subset.ALL)[0] == [1, 0, 2, 3]
    assert lists(PERSONAL_DECAYED, Subset.REPEAT)[0] == [1, 0]


def test_equal_counts_are_told_apart_by_popularity() -> None:
    assert lists(PERSONAL, Subset.ALL)[2] == [2, 0, 1, 3]


def test_novel_lists_hold_nothing_bought_and_never_seen_ones_nothing_met() -> None:
    past = past_of(histories(), np.full(4, NOW, np.int32), half_life_days=10)
    everything = np.ones(5, np.int64)
    novel = baseline_lists(PERSONAL, Subset.NOVEL, past, everything, 5)
    unseen = baseline_lists(PERSONAL, Subset.NEVER_SEEN, past, everything, 5)
    assert novel.row[: novel.indptr[1]].tolist() == [2, 3, 4]
    assert unseen.row[: unseen.indptr[1]].tolist() == [2, 3]


def test_past_counts_days_and_decays_them() -> None:
    past = past_of(histories(), np.full(4, NOW, np.int32), half_life_days=10)
    assert past.bought.row[:2].tolist() == [0, 1]
    assert past.count[:2].tolist() == [2.0, 1.0]
    assert past.decayed[:2] == pytest.approx([2**-9 + 2**-8, 2**-0.1])

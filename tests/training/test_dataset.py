"""Datasets: cut at a minute, with and without the people who must not shape the models."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from tests.training.datasets import START, dataset_of, minute_of
from training.dataset import Dataset, Sales, snapshot

LINES = [("p", "a", 1), ("p", "b", 3), ("q", "a", 2), ("r", "c", 5), ("staff", "a", 1)]


def dataset() -> Dataset:
    sales = Sales(
        np.array([2, 0], np.int32), np.array([0, 0], np.int32), np.array([minute_of(2), minute_of(3)], np.int32)
    )
    return replace(dataset_of(LINES, not_learned=["staff"]), sales=sales)


def test_histories_before_a_minute() -> None:
    found = dataset().histories(minute_of(3))
    assert [found.of(i).item_row.tolist() for i in range(4)] == [[0], [0], [], [0]]
    assert found.of(0).minute.tolist() == [minute_of(1)]
    assert [len(dataset().histories(minute_of(9)).of(i).item_row) for i in range(4)] == [2, 1, 1, 1]


def test_a_snapshot_lies_before_its_minute_and_leaves_people_out() -> None:
    data = snapshot(dataset(), minute_of(3))
    assert (data.n_items, data.n_stores, data.n_channels, data.as_of) == (3, 0, 1, minute_of(3))
    assert data.entries.person_row.tolist() == [0, 1]
    assert [data.histories.of(i).item_row.tolist() for i in range(4)] == [[0], [0], [], []]
    assert data.sales.item_row.tolist() == [2]
    assert data.sales.minute.tolist() == [minute_of(2)]


def test_a_snapshot_of_everything() -> None:
    data = snapshot(dataset(), minute_of(100))
    assert len(data.entries) == 4
    assert len(data.sales.minute) == 2


def test_the_end_is_rounded_up_to_a_minute() -> None:
    end = START + timedelta(hours=1)
    assert replace(dataset(), until=end).until_minute == minute_of(1 / 24)
    assert replace(dataset(), until=end + timedelta(microseconds=1)).until_minute == minute_of(1 / 24) + 1

"""Fitted intervals and lifts, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.learning import plain_weights
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import Snapshot, snapshot
from training.fit.repeat import DUE_EDGES, due_lift, fit_repeat

WEIGHTS = plain_weights(purchase_half_life=14, n_channels=1)


def on_day(day: float, *lines: Line, product_row: list[int] | None = None) -> Snapshot:
    data = snapshot(dataset_of(lines), minute_of(day))
    if product_row is None:
        return data
    return replace(data, facts=replace(data.facts, product_row=np.array(product_row, np.int32)))


def intervals(data: Snapshot) -> list[float]:
    return list(fit_repeat(data, WEIGHTS, horizon_days=28, prior_gaps=3).item_interval_days)


def test_intervals_are_shrunk_towards_that_of_all_items() -> None:
    # a: p has two gaps in 20 days, q one gap of 4. c: p has one gap of 2. Of all: 26 days in 4 gaps, 6.5, worth
    # 10 gaps. a: (24 + 65) / 13; c: (2 + 65) / 11; b, never bought twice: 6.5.
    data = on_day(
        30,
        *(("p", "a", day) for day in (0, 10, 20)),
        *(("q", "a", day) for day in (0, 4)),
        *(("p", "c", day) for day in (0, 2)),
        ("p", "b", 3),
        ("p", "b", 5, "view"),
    )
    assert intervals(data) == pytest.approx([89 / 13, 6.5, 67 / 11])


def test_without_any_repetition_an_interval_is_a_month() -> None:
    assert intervals(on_day(30, ("p", "a", 1), ("p", "b", 2))) == [30, 30]


def test_packs_of_a_product_have_one_interval() -> None:
    # p buys a and c, packs of one product, in turn: two gaps in 12 days. q buys b: one gap of 20, and r buys c
    # once more after 4 days. Of all: 36 days in 4 gaps, 9. Packs: (12 + 4 + 90) / (3 + 10); b: (20 + 90) / 11.
    lines: list[Line] = [("p", "a", 0), ("p", "c", 6), ("p", "a", 12), ("q", "b", 0), ("q", "b", 20)]
    lines += [("r", "c", 0), ("r", "c", 4), ("s", "a", 3, "view"), ("s", "c", 3)]
    data = on_day(30, *lines, product_row=[0, 1, 0])
    assert intervals(data) == pytest.approx([106 / 13, 10, 106 / 13])
    # Alone, a has one gap of 12 days and c one of 4.
    alone = on_day(30, *lines)
    assert intervals(alone) == pytest.approx([(12 + 120) / 11, (20 + 120) / 11, (4 + 120) / 11])


def lifts(data: Snapshot, interval: float = 28) -> list[float]:
    return list(due_lift(data, WEIGHTS, np.full(data.n_items, interval, np.float32), 28, prior_gaps=1))


def test_lift_compares_what_was_bought_with_what_frequency_lets_expect() -> None:
    # As of day 56 the last 28 days are the future. On day 28, a was bought 28 days ago: weight 1/4, ratio
    # 28 / 28 = 1. b was bought 14 days ago: weight 1/2, ratio 0.5. Later a was bought and b was not: of one
    # purchase, 1/3 was expected of a and 2/3 of b. Both sides count 20 more.
    found = lifts(on_day(56, ("p", "a", 0), ("p", "b", 14), ("p", "a", 30), ("p", "c", 31), ("q", "b", 40)))
    place = {1.0: list(DUE_EDGES).index(1.0), 0.5: list(DUE_EDGES).index(0.5)}
    expected = [1.0] * (len(DUE_EDGES) + 1)
    expected[place[1.0]] = 21 / (20 + 1 / 3)
    expected[place[0.5]] = 20 / (20 + 2 / 3)
    assert found == pytest.approx(expected)


def test_another_pack_of_the_product_counts_for_how_due_it_is() -> None:
    # b, another pack of a, was bought 14 days before day 28. One own gap of 14 days and one of the item's 14:
    # interval 14, ratio 1 for both. Alone, a would have a ratio of 2.
    lines: tuple[Line, ...] = (("p", "a", 0), ("p", "b", 14), ("p", "a", 30))
    shared = lifts(on_day(56, *lines, product_row=[0, 0]), interval=14)
    assert [i for i, lift in enumerate(shared) if lift != 1] == []  # one range holds all that was expected
    alone = lifts(on_day(56, *lines), interval=14)
    assert [float(DUE_EDGES[i]) for i, lift in enumerate(alone) if lift != 1] == [1.0, 2.0]


def test_without_a_future_nothing_is_lifted() -> None:
    assert lifts(on_day(56, ("p", "a", 0), ("p", "b", 14))) == [1.0] * (len(DUE_EDGES) + 1)
    assert lifts(on_day(20, ("p", "a", 0))) == [1.0] * (len(DUE_EDGES) + 1)


def test_the_retriever_gets_what_was_learned() -> None:
    data = on_day(56, ("p", "a", 0), ("p", "a", 30), product_row=[0])
    part = fit_repeat(data, WEIGHTS, 28, 3)
    assert (part.weights, part.prior_gaps, part.product_row.tolist()) == (WEIGHTS, 3, [0])
    assert part.due_edges.tolist() == DUE_EDGES.tolist()
    assert len(part.due_lift) == len(part.due_edges) + 1

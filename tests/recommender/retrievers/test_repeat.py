"""Repeat purchases: decayed frequency times how due an item is, packs of one product in one rhythm."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.history import MINUTES_PER_DAY
from recommender.interactions import summarize
from recommender.retrievers.repeat import RepeatRetriever, due_ratio, share_rhythm
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import AS_OF, VIEW, answer, ask, histories, plain_weights

WEIGHTS = plain_weights(purchase_half_life=10)


def repeat(n_items: int = 5, interval: float = 7.0, product_row: tuple[int, ...] = ()) -> RepeatRetriever:
    """Lift 0.5 below half the interval, 2 around it, 1 beyond; an item's interval is worth two own gaps."""
    return RepeatRetriever(
        WEIGHTS,
        np.array(product_row or range(n_items), np.int32),
        np.full(n_items, interval, np.float32),
        np.array([0.5, 1.5], np.float32),
        np.array([0.5, 2.0, 1.0], np.float32),
        2.0,
    )


class TestContract(RetrieverContract):
    def retriever(self) -> RepeatRetriever:
        rng = np.random.default_rng(1)
        product_row = np.arange(N_ITEMS, dtype=np.int32)
        product_row[[5, 9, 30]] = 5
        return RepeatRetriever(
            WEIGHTS,
            product_row,
            rng.uniform(1, 60, N_ITEMS).astype(np.float32),
            np.array([0.5, 1.0, 2.0], np.float32),
            np.array([0.3, 1.1, 1.7, 0.6], np.float32),
            3.0,
        )


def test_frequency_times_lift() -> None:
    # Item 0, bought 10 and 20 days ago: 1/2 + 1/4 = 0.75. One gap of 10 days and two of the item's 7 make an
    # interval of (10 + 2 * 7) / (1 + 2) = 8; 10 days since are 1.25 intervals: lift 2, score 1.5.
    # Item 1, bought 10 days ago: 1/2. No gap, so the interval is 7; 10 / 7 = 1.43: lift 2, score 1.
    # Item 2, bought 20 days ago: 1/4; 20 / 7 = 2.9: lift 1, score 0.25.
    found = answer(repeat(), ask((0, 10), (0, 20), (1, 10), (2, 20)))
    assert found == pytest.approx({0: 1.5, 1: 1.0, 2: 0.25})
    assert list(found) == [0, 1, 2]


def test_what_was_just_bought_is_not_due() -> None:
    # Item 0, a day ago: 2 ** -0.1, 1 / 7 of the interval: lift 0.5, score 0.467. Item 1, due: score 1.
    assert answer(repeat(), ask((0, 1), (1, 10))) == pytest.approx({1: 1.0, 0: 0.5 * 2**-0.1})


def test_only_bought_items_are_found() -> None:
    assert list(answer(repeat(), ask((0, 10), (1, 1, VIEW), (0, 2, VIEW)))) == [0]
    assert answer(repeat(), ask((1, 1, VIEW))) == {}


def test_a_bound_belongs_to_the_range_below() -> None:
    # 3.5 days are exactly 0.5 intervals of 7 days, and 10.5 days exactly 1.5.
    assert answer(repeat(), ask((0, 3.5))) == pytest.approx({0: 0.5 * 2**-0.35})
    assert answer(repeat(), ask((0, 10.5))) == pytest.approx({0: 2 * 2**-1.05})


def test_packs_of_a_product_share_a_rhythm() -> None:
    # Items 1 and 3 are packs of one product, bought 40, 30, 20, 10 days ago in turn. Together: three gaps in 30
    # days, interval (30 + 2 * 7) / (3 + 2) = 8.8; 10 days since are 1.14 intervals: lift 2.
    # Alone, item 3 would have one gap of 20: (20 + 14) / 3 = 11.3; its 20 days since would be 1.8: lift 1.
    entries = ((3, 40), (1, 30), (3, 20), (1, 10))
    together = answer(repeat(product_row=(0, 1, 2, 1, 4)), ask(*entries))
    assert together == pytest.approx({1: 2 * (1 / 8 + 1 / 2), 3: 2 * (1 / 16 + 1 / 4)})
    alone = answer(repeat(), ask(*entries))
    assert alone[3] == pytest.approx(1 / 16 + 1 / 4)


def test_a_just_bought_large_pack_makes_the_small_one_wait() -> None:
    # Item 1 bought 10 days ago is due by itself; its other pack, item 3, was bought yesterday: 1 / 8 intervals.
    assert answer(repeat(product_row=(0, 1, 2, 1, 4)), ask((1, 10), (3, 1))) == pytest.approx(
        {3: 0.5 * 2**-0.1, 1: 0.5 * 0.5}
    )


def test_sharing_stays_within_a_member_and_leaves_what_was_only_viewed() -> None:
    people = histories([(1, 10), (3, 4), (2, 3, VIEW)], [(3, 20)], [])
    pairs = summarize(people, np.full(3, AS_OF, np.int32), WEIGHTS)
    shared = share_rhythm(pairs, np.array([0, 1, 1, 1], np.int32))
    assert pairs.item_row.tolist() == [1, 2, 3, 3]
    assert shared.bought.tolist() == [2, 0, 2, 1]
    assert ((AS_OF - shared.first) / MINUTES_PER_DAY).tolist() == [10, 3, 10, 20]
    assert ((AS_OF - shared.last) / MINUTES_PER_DAY).tolist() == [4, 3, 4, 20]
    assert shared.purchased.tolist() == pairs.purchased.tolist()


def test_the_interval_is_at_least_a_day() -> None:
    pairs = summarize(histories([(0, 2)]), np.array([AS_OF], np.int32), WEIGHTS)
    ratio = due_ratio(pairs, np.array([AS_OF], np.int32), np.array([0.1], np.float32), 1.0)
    assert ratio.tolist() == [2.0]

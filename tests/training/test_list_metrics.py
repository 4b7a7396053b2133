"""What lists are like, against values worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.training.datasets import dataset_of
from training.categories import category_groups, category_levels
from training.dataset import ItemFacts
from training.list_metrics import coverage, gini, intra_list_diversity, novelty, sales_tenths, shown_by_tenth
from training.metrics import Ragged

LISTS = Ragged.of([[5, 3, 8], [2, 1], [4]])


def facts_of(*paths: str) -> ItemFacts:
    """Return the facts of one item per category path."""
    names = (*sorted(set(paths) - {""}), "")
    items = [f"i{number}" for number in range(len(paths))]
    facts = dataset_of([("ann", item, 1.0) for item in items]).facts
    return replace(facts, categories=names, category_row=np.array([names.index(path) for path in paths], np.int32))


def test_coverage_counts_distinct_items_in_the_first_k() -> None:
    assert coverage(LISTS, 1, 10) == pytest.approx(3 / 10)
    assert coverage(LISTS, 2, 10) == pytest.approx(5 / 10)
    assert coverage(Ragged.of([]), 10, 5) == 0.0


def test_novelty_is_the_surprisal_of_what_is_shown() -> None:
    # Item 0: bought by 3 of 3 members, 4/4 after smoothing, 0 bits. Item 1: by none, 1/4, 2 bits.
    assert novelty(Ragged.of([[0, 1]]), 2, np.array([3, 0]), 3) == pytest.approx(1.0)
    assert novelty(Ragged.of([[0, 1]]), 1, np.array([3, 0]), 3) == pytest.approx(0.0)
    assert math.isnan(novelty(Ragged.of([[]]), 10, np.array([1]), 1))


def test_gini_of_equal_and_of_single_exposure() -> None:
    assert gini(Ragged.of([[0, 1], [2, 3]]), 2, 4) == pytest.approx(0.0)
    # One item of four has everything: (n - 1) / n.
    assert gini(Ragged.of([[2], [2]]), 2, 4) == pytest.approx(3 / 4)
    assert math.isnan(gini(Ragged.of([[]]), 2, 4))


def test_category_levels_share_numbers_where_paths_do() -> None:
    levels = category_levels(facts_of("food > dairy > milk", "food > dairy > cheese", "food", "", "home > soap"))
    assert levels.shape == (5, 3)
    assert (levels[0] == levels[1]).tolist() == [True, True, False]
    assert (levels[2] == levels[0]).tolist() == [True, False, False]
    assert levels[3].tolist() == [0, 0, 0]
    assert levels[4, 0] not in (0, levels[0, 0])
    assert category_levels(facts_of("", "")).tolist() == [[0], [0]]


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    levels = category_levels(facts_of("food > dairy", "food > dairy", "food > bread", "home", ""))
    # Pairs: same leaf 0, same department 1/2, and 1/2 again.
    assert intra_list_diversity(Ragged.of([[0, 1, 2]]), 3, levels) == pytest.approx([1 / 3])
    assert intra_list_diversity(Ragged.of([[0, 1, 2]]), 2, levels) == pytest.approx([0.0])
    # The item without a category is left out; what remains is one pair of departments, or nothing.
    found = intra_list_diversity(Ragged.of([[0, 4, 3], [4, 0], []]), 3, levels)
    assert found[0] == pytest.approx(1.0)
    assert np.isnan(found[1:]).all()


def test_groups_are_the_first_level_that_tells_items_apart() -> None:
    names, group = category_groups(facts_of("shop > food > milk", "shop > home", "", "shop > food > tea"))
    assert names == ("shop > food", "shop > home", "none")
    assert group.tolist() == [0, 1, 2, 0]
    assert category_groups(facts_of("", ""))[0] == ("none",)


def test_tenths_sell_equally_much() -> None:
    # Twenty items sell one each: two per tenth, in order of rows; the last never sold.
    tenth = sales_tenths(np.array([1] * 20 + [0]))
    assert tenth.tolist() == [number // 2 for number in range(20)] + [10]
    # One item sells nearly everything: it stands where its sales begin.
    assert sales_tenths(np.array([1, 99])).tolist() == [9, 0]
    assert sales_tenths(np.zeros(2, np.int64)).tolist() == [10, 10]


def test_shown_by_tenth_counts_positions() -> None:
    shares = shown_by_tenth(Ragged.of([[0, 1], [1, 2, 0]]), 2, np.array([0, 9, 10]))
    assert shares.tolist() == [1 / 4] + [0.0] * 8 + [1 / 2, 1 / 4]
    assert np.isnan(shown_by_tenth(Ragged.of([[]]), 2, np.array([0]))).all()

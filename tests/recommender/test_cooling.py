"""Cool-down: what is kept back, for how long, and where categories say otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.cooling import RULE, cooling_mask
from recommender.item_facts import Labels
from recommender.placement import CoolDown
from recommender.query import Query
from tests.learning import VIEW, ask
from tests.toy_shop import repeat_retriever

REPEAT = repeat_retriever(5)
"""Every item is usually bought again after seven days; that is worth two gaps of the member's own."""
NO_CATEGORIES = Labels.of([None] * 6)


def kept_back(query: Query, cool_down: CoolDown, categories: Labels = NO_CATEGORIES) -> list[int]:
    mask = cooling_mask(query, cool_down, REPEAT, categories)
    if mask is None:
        return []
    assert (mask.rule, mask.yields, len(mask.allowed)) == (RULE, True, 6)
    return np.flatnonzero(~mask.allowed).tolist()


def test_an_item_is_kept_back_until_its_interval_is_nearly_over() -> None:
    # Bought once: the usual 7 days hold. At 0.8 it is kept back for 5.6 days.
    query = ask((0, 5), (1, 6), (2, 1, VIEW))
    assert kept_back(query, CoolDown(0.8)) == [0]
    assert kept_back(query, CoolDown(0.5)) == []
    assert kept_back(query, CoolDown(1.0)) == [0, 1]
    assert kept_back(query, CoolDown()) == []


def test_the_members_own_rhythm_counts() -> None:
    # Item 0: 30 and 3 days ago, one gap of 27 days: (27 + 2 * 7) / 3 = 13.7 days. 3 / 13.7 = 0.22.
    # Item 1: 5 and 3 days ago, one gap of 2 days: (2 + 14) / 3 = 5.3 days. 3 / 5.3 = 0.56.
    query = ask((0, 30), (1, 5), (0, 3), (1, 3))
    assert kept_back(query, CoolDown(0.3)) == [0]
    assert kept_back(query, CoolDown(0.6)) == [0, 1]


def test_packs_of_a_product_cool_together() -> None:
    product = np.array([0, 1, 1, 3, 4], np.int32)
    mask = cooling_mask(ask((1, 1)), CoolDown(0.5), replace(REPEAT, product_row=product), NO_CATEGORIES)
    assert mask is not None
    assert np.flatnonzero(~mask.allowed).tolist() == [1, 2]


def test_days_of_a_category_count_in_place_of_the_interval() -> None:
    categories = Labels.of(["food > dairy", "food", "toys", "food > dairy > milk", None, None])
    query = ask((0, 4), (1, 4), (2, 4), (3, 4), (4, 4))
    days = {"food": 3, "food > dairy": 10, "toys": 0}
    assert kept_back(query, CoolDown(0.9, days), categories) == [0, 3, 4]
    assert kept_back(query, CoolDown(0.0, days), categories) == [0, 3]
    assert not CoolDown(0.0, {"toys": 0}).active


def test_who_opted_out_or_bought_nothing_has_no_cool_down() -> None:
    assert kept_back(ask((0, 1), personal=False), CoolDown(1.0)) == []
    assert kept_back(ask((0, 1, VIEW)), CoolDown(1.0)) == []
    assert kept_back(ask(), CoolDown(1.0)) == []

"""Newcomers stand where what they are like stands; stand-ins take the places of what is sold out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.catalog import Catalog, ItemColumns
from recommender.ids import IdIndex
from recommender.item_facts import ItemFacts
from recommender.likeness import Likeness
from recommender.newcomers import Newcomers
from recommender.pipeline import Recommender
from recommender.query import Mask, Query, Scenario
from recommender.retrievers.substitutes import SubstituteRetriever
from recommender.stand_ins import find_stand_ins
from tests.learning import AS_OF, history
from tests.toy_shop import toy_recommender

OLD = ["a", "b", "c", "d"]


def catalog(**items: tuple[str, str, int | None]) -> Catalog:
    """A catalogue of OLD and of later items: category, brand, price by id."""
    found = Catalog.of(IdIndex.of(OLD))
    names = list(items)
    columns = replace(
        ItemColumns.unknown(len(names)),
        price_cents=np.array([items[name][2] or 0 for name in names], np.int64),
        priced=np.array([items[name][2] is not None for name in names], bool),
    )
    facts = ItemFacts.of(
        [items[name][0] for name in names], [items[name][1] for name in names], [None] * len(names), [None] * len(names)
    )
    return found.with_items(names, columns, facts)


GOODS: Mapping[str, tuple[str, str, int | None]] = {
    "a": ("food > tea", "X", 100),
    "b": ("food > tea", "Y", 100),
    "c": ("food > rice", "X", 100),
    "d": ("home", "X", 100),
}


def likeness(
    new: Mapping[str, tuple[str, str, int | None]],
    named: Sequence[tuple[str, str]] = (),
    successors: Sequence[tuple[int, int]] = (),
) -> dict[str, float]:
    """Return the likeness of the first newcomer by the ids of its donors."""
    found = Likeness.of(catalog(**GOODS, **new), named, successors)
    assert found is not None
    column = found.donors.tocsc()[:, 0].toarray().ravel()
    return {OLD[row]: round(float(column[row]), 4) for row in np.flatnonzero(column)}


def test_newcomers_are_like_items_of_their_category_brand_and_price() -> None:
    assert likeness({"n": ("food > tea", "X", 100)}) == {"a": 0.9, "b": 0.7}
    assert likeness({"n": ("food > tea", "X", None)}) == {"a": 0.8, "b": 0.6}
    # Twice the price: exp(-log 2) = 1/2 of what one price is worth.
    assert likeness({"n": ("food > tea", "Z", 200)}) == {"a": 0.6, "b": 0.6}


def test_without_a_donor_of_the_category_the_one_above_serves() -> None:
    assert likeness({"n": ("food > noodles", "X", 100)}) == {"a": 0.54, "b": 0.42, "c": 0.54}
    assert likeness({"n": ("", "X", 100)}) == {}


def test_the_retailers_word_and_a_replacement_count_more() -> None:
    assert likeness({"n": ("", "", None)}, named=[("d", "n"), ("a", "b"), ("n", "nobody")]) == {"d": 0.95}
    assert likeness({"n": ("food > tea", "X", 100)}, successors=[(0, 4)]) == {"a": 1.0, "b": 0.7}


def test_nothing_is_newer() -> None:
    assert Likeness.of(catalog(**GOODS), (), ()) is None


def newcomers(first: int, donors: Mapping[tuple[int, int], float], count: int = 2, **more: object) -> Newcomers:
    matrix = sp.lil_matrix((first, count), dtype=np.float32)
    for place, value in donors.items():
        matrix[place] = value
    buzz = np.zeros(count, np.float32)
    for place, value in dict(more.get("buzz", {})).items():  # type: ignore[call-overload]
        buzz[place] = value
    return Newcomers(Likeness(first, matrix.tocsr(), dict(more.get("replaces", {}))), buzz)  # type: ignore[call-overload]


SHOP = toy_recommender(popular=[12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
"""Twelve items, the first the most popular."""


def ask(found: Newcomers, scenario: Scenario = Scenario.HOME, count: int = 10, **changes: object) -> list[int]:
    allowed = np.ones(12 + len(found.buzz), bool)
    masks = (Mask("sellable", allowed),)
    query = Query(scenario, count, AS_OF, masks=masks, newcomers=found)
    (slate,) = SHOP.recommend([replace(query, **changes)])  # type: ignore[arg-type]
    assert len(set(slate.row.tolist())) == len(slate.row)
    assert (np.diff(slate.score) <= 0).all()
    return slate.row.tolist()


def test_a_newcomer_stands_below_its_donor_and_not_among_the_first() -> None:
    assert ask(newcomers(12, {(0, 0): 0.9})) == [0, 1, 2, 3, 12, 4, 5, 6, 7, 8]
    # 0.5 of 12 is 6: behind item 6, whose score that is.
    assert ask(newcomers(12, {(0, 0): 0.5})) == [0, 1, 2, 3, 4, 5, 6, 12, 7, 8]


def test_at_most_one_place_in_five_is_a_newcomers() -> None:
    found = newcomers(12, {(0, place): 0.9 for place in range(4)}, count=4)
    assert ask(found) == [0, 1, 2, 3, 12, 4, 5, 6, 7, 13]
    assert ask(found, count=4) == [0, 1, 2, 3]


def test_an_item_that_replaces_another_stands_in_its_place() -> None:
    found = newcomers(12, {(1, 0): 1.0}, count=1, replaces={12: 1})
    allowed = np.ones(13, bool)
    allowed[1] = False
    assert ask(found, masks=(Mask("replaced", allowed),), count=4) == [0, 12, 2, 3]


def test_buzz_needs_no_donor() -> None:
    found = newcomers(12, {}, buzz={1: 0.9})
    assert ask(found)[:6] == [0, 1, 2, 3, 4, 13], "0.7 x 0.9 x 12 = 7.56"
    assert ask(newcomers(12, {})) == list(range(10))


def test_only_bought_items_and_their_successors_are_bought_again() -> None:
    bought = history((3, 9), (3, 2), (5, 4))
    found = newcomers(12, {(3, 0): 0.9, (5, 1): 1.0}, buzz={0: 0.9}, replaces={13: 5})
    rows = ask(found, Scenario.BUY_AGAIN, 3, history=bought)
    assert 13 in rows
    assert 12 not in rows


def test_new_items_are_what_new_is_about() -> None:
    found = newcomers(12, {(3, 1): 0.6})
    assert ask(found, Scenario.NEW, 2, history=history((3, 9))) == [13, 12]
    assert ask(found, Scenario.NEW, 4, history=history((3, 9))) == [13, 12, 0, 1]


def test_masks_hold_for_newcomers() -> None:
    allowed = np.ones(14, bool)
    allowed[12] = False
    assert 12 not in ask(newcomers(12, {(0, 0): 0.9}), masks=(Mask("hidden", allowed),), count=12)


def shop_with_substitutes(pairs: Mapping[tuple[int, int], float]) -> Recommender:
    matrix = sp.lil_matrix((12, 12), dtype=np.float32)
    for place, value in pairs.items():
        matrix[place] = value
    retrievers = (*SHOP.retrievers, SubstituteRetriever(matrix.tocsr()))
    return replace(SHOP, retrievers=retrievers, depth={**SHOP.depth, SubstituteRetriever.name: 10})


def stock(*sold_out: int) -> Mask:
    allowed = np.ones(12, bool)
    allowed[list(sold_out)] = False
    return Mask("out_of_stock", allowed)


def test_the_best_substitute_in_stock_takes_the_place_of_what_is_sold_out() -> None:
    shop = shop_with_substitutes({(0, 9): 0.9, (0, 10): 0.8, (1, 10): 0.5})
    (slate,) = shop.recommend([Query(Scenario.HOME, 4, AS_OF, masks=(stock(0, 9),))])
    # 0.95 of 12 is 11.4: before item 1, which has 11.
    assert slate.row.tolist() == [10, 1, 2, 3]
    assert slate.source[0] == "substitutes"
    assert slate.instead_of == {10: 0}
    (slate,) = shop.recommend([Query(Scenario.HOME, 4, AS_OF, masks=(stock(0, 1, 9),))])
    assert slate.row.tolist() == [10, 2, 3, 4], "one item stands in for one"


@pytest.mark.parametrize("scenario", [Scenario.SIMILAR, Scenario.SUBSTITUTES, Scenario.NEW, Scenario.TRENDING])
def test_scenarios_about_likeness_and_novelty_look_for_none(scenario: Scenario) -> None:
    query = Query(scenario, 4, AS_OF, masks=(stock(0),))
    likeness_of = sp.csr_matrix(([1.0], ([0], [9])), shape=(12, 12))
    row, score = np.arange(12, dtype=np.int32), np.arange(12, 0, -1).astype(np.float32)
    assert find_stand_ins(likeness_of, query, row, score, stock(0).allowed, None) == []
    asked = replace(query, scenario=Scenario.HOME)
    assert [one.row for one in find_stand_ins(likeness_of, asked, row, score, stock(0).allowed, None)] == [9]
    bought = np.zeros(12, bool)
    assert find_stand_ins(likeness_of, asked, row, score, stock(0).allowed, bought) == []


def test_what_other_rules_remove_has_no_stand_in() -> None:
    shop = shop_with_substitutes({(0, 9): 0.9})
    hidden = np.ones(12, bool)
    hidden[0] = False
    (slate,) = shop.recommend([Query(Scenario.HOME, 3, AS_OF, masks=(Mask("not_sellable", hidden), stock(0)))])
    assert slate.row.tolist() == [1, 2, 3]
    (slate,) = shop.recommend([Query(Scenario.HOME, 3, AS_OF, masks=(Mask("not_sellable", hidden),))])
    assert slate.instead_of == {}

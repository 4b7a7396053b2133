"""Filters: what conditions hold for, and how clearly a wrong one is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from recommender.catalog import ALWAYS, RESTRICTED_CODES, Catalog, ItemColumns
from recommender.errors import InputError
from recommender.filter_parsing import parse_filter
from recommender.filters import MaskCache, Reach
from recommender.ids import IdIndex
from recommender.item_facts import ItemFacts
from recommender.json_trees import MAX_CONDITIONS, MAX_DEPTH
from recommender.json_values import MAX_VALUES

NOW = 30_000_000
DAY = 1440
IDS = ["ale", "bread", "cheese", "doll", "eggs"]
CATEGORIES = ["food > drinks > beer", "food>bakery", "food > dairy", "toys", None]
BRANDS = ["Hop", "Korn", "Alm", None, "Alm"]
ATTRIBUTES = [
    '{"size": "L", "tags": ["cold", "new"], "alcohol": 4.8, "titles": {"zh": "x"}}',
    '{"size": "M", "organic": true, "weight_g": 500}',
    '{"size": "L", "organic": false, "weight_g": 250, "food": {"fat": 30}}',
    "{}",
    None,
]


@dataclass(frozen=True)
class Shelf:
    """A shop that has all but bread, and within reach nothing is known."""

    catalog: Catalog
    minute: int = NOW

    def prices(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        return np.array([300, 250, 800, 0, 199]), np.array([True, True, True, False, True])

    def stock(self, reach: Reach) -> npt.NDArray[np.bool_] | None:
        return np.array([True, False, True, True, True]) if reach is Reach.STORE else None


def catalog() -> Catalog:
    columns = replace(
        ItemColumns.unknown(5),
        sponsored=np.array([False, True, False, False, False]),
        restricted=np.array([RESTRICTED_CODES["alcohol"], 0, 0, 0, 0], np.uint8),
        available_from=np.array([NOW - 3 * DAY, NOW - 40 * DAY, ALWAYS, NOW - DAY, ALWAYS], np.int32),
    )
    seasons = ["summer", None, None, "xmas", None]
    return Catalog.of(IdIndex.of(IDS)).with_items(IDS, columns, ItemFacts.of(CATEGORIES, BRANDS, seasons, ATTRIBUTES))


def held(value: object) -> str:
    """Return the first letters of the items that a filter holds for."""
    mask = parse_filter(value).expression.mask(Shelf(catalog()))
    assert mask.dtype == bool
    return "".join(IDS[row][0] for row in np.flatnonzero(mask))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"category": "food"}, "abc"),
        ({"category": "food >drinks"}, "a"),
        ({"category": ["toys", "food > bakery"]}, "bd"),
        ({"category": "foo"}, ""),
        ({"brand": "Alm"}, "ce"),
        ({"brand": ["Hop", "Korn", "Nobody"]}, "ab"),
        ({"season": "summer"}, "a"),
        ({"item_id": ["eggs", "unknown", "ale"]}, "ae"),
        ({"restricted_class": "alcohol"}, "a"),
        ({"sponsored": True}, "b"),
        ({"sponsored": False}, "acde"),
        ({"price_cents": {"min": 200, "max": 300}}, "ab"),
        ({"price_cents": {"max": 199}}, "e"),
        ({"price_cents": {"min": 0}}, "abce"),
        ({"available": "store"}, "acde"),
        ({"available": "reachable"}, "abcde"),
        ({"new_within_days": 7}, "ad"),
        ({"new_since": "2027-01-13"}, "d"),
        ({"new_since": "0001-01-01"}, "abd"),
        ({"new_since": "9999-12-31T00:00:00-12:00"}, ""),
        ({"attribute": {"name": "size", "is": "L"}}, "ac"),
        ({"attribute": {"name": "size", "in": ["M", "S"]}}, "b"),
        ({"attribute": {"name": "tags", "is": "new"}}, "a"),
        ({"attribute": {"name": "organic", "is": True}}, "b"),
        ({"attribute": {"name": "organic", "is": "True"}}, ""),
        ({"attribute": {"name": "organic", "exists": True}}, "bc"),
        ({"attribute": {"name": "organic", "exists": False}}, "ade"),
        ({"attribute": {"name": "weight_g", "is": 250}}, "c"),
        ({"attribute": {"name": "weight_g", "min": 251}}, "b"),
        ({"attribute": {"name": "weight_g", "min": 250, "max": 250.0}}, "c"),
        ({"attribute": {"name": "food.fat", "max": 30}}, "c"),
        ({"attribute": {"name": "titles.zh", "exists": True}}, ""),
        ({"attribute": {"name": "nothing", "in": [1, "a", False]}}, ""),
        ({"not": {"category": "food"}}, "de"),
        ({"and": [{"category": "food"}, {"not": {"brand": "Hop"}}]}, "bc"),
        ({"or": [{"brand": "Hop"}, {"season": "xmas"}]}, "ad"),
    ],
)
def test_what_a_condition_holds_for(value: object, expected: str) -> None:
    assert held(value) == expected


def nested(levels: int) -> object:
    value: object = {"sponsored": True}
    for _ in range(levels - 1):
        value = {"not": value}
    return value


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "filters"),
        ([], "filters"),
        ({}, "filters"),
        ({"brand": "a", "category": "b"}, "filters"),
        ({"colour": "red"}, "filters"),
        ({"and": []}, "filters.and"),
        ({"and": {"brand": "a"}}, "filters.and"),
        ({"or": [{"brand": "a"}, {"brand": 7}]}, "filters.or[1].brand"),
        ({"not": {"price_cents": {"min": 1.5}}}, "filters.not.price_cents.min"),
        ({"price_cents": {"min": 10, "max": 9}}, "filters.price_cents.max"),
        ({"price_cents": {}}, "filters.price_cents"),
        ({"price_cents": {"from": 1}}, "filters.price_cents.from"),
        ({"price_cents": {"min": True}}, "filters.price_cents.min"),
        ({"price_cents": {"min": -1}}, "filters.price_cents.min"),
        ({"category": " > "}, "filters.category"),
        ({"brand": ["a", ""]}, "filters.brand[1]"),
        ({"brand": ["a"] * (MAX_VALUES + 1)}, "filters.brand"),
        ({"available": "everywhere"}, "filters.available"),
        ({"sponsored": "yes"}, "filters.sponsored"),
        ({"restricted_class": "weapons"}, "filters.restricted_class"),
        ({"new_since": "yesterday"}, "filters.new_since"),
        ({"new_since": "2026-03-01T08:00:00"}, "filters.new_since"),
        ({"new_within_days": 0}, "filters.new_within_days"),
        ({"attribute": {"is": 1}}, "filters.attribute.name"),
        ({"attribute": {"name": "a"}}, "filters.attribute"),
        ({"attribute": {"name": "a", "is": 1, "in": [1]}}, "filters.attribute"),
        ({"attribute": {"name": "a", "is": None}}, "filters.attribute.is"),
        ({"attribute": {"name": "a", "min": 10**400}}, "filters.attribute.min"),
        ({"attribute": {"name": "a", "in": [[1]]}}, "filters.attribute.in[0]"),
        ({"attribute": {"name": "a", "min": None}}, "filters.attribute"),
        ({"item_id": ["\ud800"]}, "filters"),
        (nested(MAX_DEPTH + 1), "filters" + ".not" * MAX_DEPTH),
        ({"or": [{"sponsored": True}] * MAX_CONDITIONS}, f"filters.or[{MAX_CONDITIONS - 1}]"),
    ],
)
def test_what_is_wrong_is_named(value: object, field: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_filter(value)
    assert refused.value.field == field
    assert refused.value.message


def test_the_limits_themselves_are_kept() -> None:
    parse_filter(nested(MAX_DEPTH))
    parse_filter({"or": [{"sponsored": True}] * (MAX_CONDITIONS - 1)})
    parse_filter({"brand": ["a"] * MAX_VALUES})


def test_what_a_filter_depends_on() -> None:
    assert not parse_filter({"brand": "a"}).of_store
    assert parse_filter({"not": {"available": "store"}}).of_store
    assert parse_filter({"or": [{"price_cents": {"min": 1}}]}).of_store
    assert parse_filter({"new_within_days": 2}).of_moment
    left = parse_filter({"attribute": {"name": "a", "is": 1}})
    assert left.key == parse_filter({"attribute": {"is": 1, "name": "a"}}).key


def test_changed_items_leave_what_they_had() -> None:
    facts = ItemFacts.of(["toys"], ["New"], [None], ['{"size": "S"}'])
    changed = catalog().with_items(["cheese"], ItemColumns.unknown(1), facts)
    mask = parse_filter({"attribute": {"name": "size", "exists": True}}).expression.mask(Shelf(changed))
    assert np.flatnonzero(mask).tolist() == [0, 1, 2]
    assert changed.facts.attribute_is("size", ["L"]).tolist() == [True, False, False, False, False]
    assert changed.facts.category.below(["toys"]).tolist() == [False, False, True, True, False]
    assert changed.facts.brand.among(["Alm"]).tolist() == [False] * 4 + [True]


def test_items_that_arrive_later_move_the_rows_of_extra_items() -> None:
    first = catalog().with_items(["x"], ItemColumns.unknown(1), ItemFacts.of(["toys"], ["X"], [None], ['{"a": 1}']))
    second = first.with_items(["f"], ItemColumns.unknown(1), ItemFacts.of(["toys"], ["F"], [None], ['{"a": [2, 3]}']))
    assert [second.row("f"), second.row("x")] == [5, 6]
    assert np.flatnonzero(second.facts.attribute_is("a", [1])).tolist() == [6]
    assert np.flatnonzero(second.facts.attribute_is("a", [3])).tolist() == [5]
    assert np.flatnonzero(second.facts.brand.among(["F"])).tolist() == [5]
    assert np.flatnonzero(second.facts.category.below(["toys"])).tolist() == [3, 5, 6]


def test_masks_are_made_once_and_few_are_kept() -> None:
    cache, made = MaskCache(2), []

    def make(name: str) -> npt.NDArray[np.bool_]:
        made.append(name)
        return np.ones(1, bool)

    for name in ("a", "b", "a", "c", "b"):
        assert not cache.get(name, lambda name=name: make(name)).flags.writeable  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
    assert len(cache) == 2

"""ItemFacts: what filters ask of items beside ItemColumns: category, brand, season and attributes, as compact columns.

A name is kept once and items carry its number; attributes are kept by key, as (row, value) pairs of the items that
have them, texts by a hash. No Python object belongs to an item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

BoolVector = npt.NDArray[np.bool_]
RowVector = npt.NDArray[np.int32]
Scalar = str | bool | int | float

CATEGORY_SEPARATOR = ">"
UNFILTERED_KEYS = frozenset({"titles"})
"""Attributes that describe and are not filtered by."""
MOST_LEVELS = 4
"""How deep objects inside attributes are looked into."""


@dataclass(frozen=True, slots=True)
class Labels:
    """One name per item: `code` is int32, (n,), the position in `names`; names[0] is "", for none."""

    code: RowVector
    names: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Labels:
        """Number the names of items; None and "" are none."""
        numbers = {"": 0}
        code = np.array([numbers.setdefault(text or "", len(numbers)) for text in texts], np.int32)
        return cls(code, tuple(numbers))

    def put(self, count: int, own: RowVector, others: Labels, theirs: RowVector) -> Labels:
        """As ItemFacts.put."""
        numbers = {name: number for number, name in enumerate(self.names)}
        renumbered = np.array([numbers.setdefault(name, len(numbers)) for name in others.names], np.int32)
        code = np.zeros(count, np.int32)
        code[own] = self.code
        code[theirs] = renumbered[others.code]
        code.setflags(write=False)
        return Labels(code, tuple(numbers))

    def among(self, wanted: Iterable[str]) -> BoolVector:
        """Return which items have one of some names, bool, (n,)."""
        chosen = set(wanted)
        return np.array([name in chosen and name != "" for name in self.names], bool)[self.code]

    def below(self, paths: Iterable[str]) -> BoolVector:
        """Return which items have one of some category paths, or one below, bool, (n,)."""
        chosen = {normal_path(path) for path in paths} - {""}
        return np.array([not chosen.isdisjoint(_path_and_above(name)) for name in self.names], bool)[self.code]


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one attribute: item row[i] has value[i]; an item may have several.

    row: int32, (k,).  value: (k,), int64 hashes of texts and truth values, or float64 numbers.
    """

    row: RowVector
    value: npt.NDArray[Any]

    def put(self, own: RowVector, others: Values | None, theirs: RowVector, kept: BoolVector) -> Values:
        """As ItemFacts.put; `kept` tells which new rows keep what they had, bool, (count,)."""
        row, value = own[self.row], self.value
        stays = kept[row]
        if not stays.all():
            row, value = row[stays], value[stays]
        if others is not None and len(others.row):
            row = np.concatenate((row, theirs[others.row])).astype(np.int32)
            value = np.concatenate((value, others.value))
        return Values(row, value)


NO_TEXTS = Values(np.empty(0, np.int32), np.empty(0, np.int64))
NO_NUMBERS = Values(np.empty(0, np.int32), np.empty(0, np.float64))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of all items, its texts and truth values apart from its numbers."""

    texts: Values = NO_TEXTS
    numbers: Values = NO_NUMBERS


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What filters ask of items; every part covers the same rows.

    attributes: by key; keys of objects inside are joined by ".".
    """

    category: Labels
    brand: Labels
    season: Labels
    attributes: Mapping[str, Attribute]

    def __len__(self) -> int:
        return len(self.category.code)

    @classmethod
    def unknown(cls, count: int) -> ItemFacts:
        """Return the facts of items of which nothing is known."""
        none = Labels(np.zeros(count, np.int32), ("",))
        return cls(none, none, none, {})

    @classmethod
    def of(
        cls,
        categories: Sequence[str | None],
        brands: Sequence[str | None],
        seasons: Sequence[str | None],
        attributes: Sequence[str | None],
    ) -> ItemFacts:
        """Return the facts of some items from the columns of the item table; attributes as JSON texts."""
        paths = [None if path is None else normal_path(path) for path in categories]
        return cls(Labels.of(paths), Labels.of(brands), Labels.of(seasons), _by_key(attributes))

    def put(self, count: int, own: RowVector, others: ItemFacts, theirs: RowVector) -> ItemFacts:
        """Return facts of `count` items: row own[i] of these stays at i, then others are put at `theirs`.

        Args:
            count: items in all.
            own: int32, (len(self),), the new rows of these entries.
            others: entries to put in.
            theirs: int32, (len(others),), their new rows, distinct.
        """
        kept = np.ones(count, bool)
        kept[theirs] = False
        nothing = Attribute()
        attributes: dict[str, Attribute] = {}
        for key in self.attributes.keys() | others.attributes.keys():
            mine, added = self.attributes.get(key, nothing), others.attributes.get(key)
            attributes[key] = Attribute(
                mine.texts.put(own, None if added is None else added.texts, theirs, kept),
                mine.numbers.put(own, None if added is None else added.numbers, theirs, kept),
            )
        return ItemFacts(
            self.category.put(count, own, others.category, theirs),
            self.brand.put(count, own, others.brand, theirs),
            self.season.put(count, own, others.season, theirs),
            attributes,
        )

    def attribute_is(self, key: str, wanted: Sequence[Scalar]) -> BoolVector:
        """Return which items have one of some values under a key, bool, (n,)."""
        found = np.zeros(len(self), bool)
        attribute = self.attributes.get(key)
        if attribute is None:
            return found
        numbers = [float(value) for value in wanted if not isinstance(value, str | bool)]
        texts = [text_hash(value) for value in wanted if isinstance(value, str | bool)]
        for values, chosen in ((attribute.texts, texts), (attribute.numbers, numbers)):
            if chosen and len(values.row):
                found[values.row[np.isin(values.value, chosen)]] = True
        return found

    def attribute_between(self, key: str, least: float | None, most: float | None) -> BoolVector:
        """Return which items have a number within bounds under a key, bool, (n,); both bounds belong to it."""
        found = np.zeros(len(self), bool)
        attribute = self.attributes.get(key)
        if attribute is None:
            return found
        values = attribute.numbers
        inside = np.ones(len(values.row), bool)
        if least is not None:
            inside &= values.value >= least
        if most is not None:
            inside &= values.value <= most
        found[values.row[inside]] = True
        return found

    def has_attribute(self, key: str) -> BoolVector:
        """Return which items have any value under a key, bool, (n,)."""
        found = np.zeros(len(self), bool)
        attribute = self.attributes.get(key)
        if attribute is not None:
            found[attribute.texts.row] = True
            found[attribute.numbers.row] = True
        return found


def normal_path(path: str) -> str:
    """Return a category path with one way of spacing: "a>b " and "a > b" are one category."""
    parts = (part.strip() for part in path.split(CATEGORY_SEPARATOR))
    return f" {CATEGORY_SEPARATOR} ".join(part for part in parts if part)


def text_hash(value: str | bool) -> int:
    """Return the number under which a text or a truth value is kept, 64 bits, signed; the same in one process only."""
    if isinstance(value, str):
        return hash(value)
    return _TRUE if value else _FALSE


_TRUE, _FALSE = -1, -2
"""Python gives no text the first of them, and the other to one of 2 ** 64."""


def _path_and_above(path: str) -> Iterator[str]:
    """Yield a path in normal form and all paths above it."""
    while path:
        yield path
        path = path.rpartition(f" {CATEGORY_SEPARATOR} ")[0]


Rows = list[int]


def _by_key(documents: Sequence[str | None]) -> dict[str, Attribute]:
    """Return the attributes of items by key, from one JSON text per item."""
    texts: dict[str, tuple[Rows, list[int]]] = {}
    numbers: dict[str, tuple[Rows, list[float]]] = {}
    for row, document in enumerate(documents):
        for key, value in leaves(document):
            if isinstance(value, str | bool):
                rows, hashes = texts.get(key) or texts.setdefault(key, ([], []))
                rows.append(row)
                hashes.append(text_hash(value))
            else:
                rows, found = numbers.get(key) or numbers.setdefault(key, ([], []))
                rows.append(row)
                found.append(value)
    return {
        key: Attribute(
            Values(*_arrays(*texts[key], np.int64)) if key in texts else NO_TEXTS,
            Values(*_arrays(*numbers[key], np.float64)) if key in numbers else NO_NUMBERS,
        )
        for key in sorted(texts.keys() | numbers.keys())
    }


def _arrays(rows: Rows, values: list[int] | list[float], kind: type[np.generic]) -> tuple[RowVector, npt.NDArray[Any]]:
    return np.array(rows, np.int32), np.array(values, kind)


def leaves(document: str | None) -> list[tuple[str, Scalar]]:
    """Return the values of a JSON text of attributes with their keys; what is no object holds none."""
    if document is None or document == "{}":
        return []
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError:
        return []
    values: list[tuple[str, Scalar]] = []
    if isinstance(found, dict):
        for key, value in found.items():
            if key not in UNFILTERED_KEYS:
                _collect(key, value, 1, values)
    return values


def _collect(key: str, value: Any, level: int, leaves: list[tuple[str, Scalar]]) -> None:
    """Add the values below a key: of a list each one, of an object each with its own key behind a dot."""
    if isinstance(value, str | bool | int | float):
        leaves.append((key, value))
    elif isinstance(value, list):
        leaves += [(key, one) for one in value if isinstance(one, str | bool | int | float)]
    elif isinstance(value, dict) and level < MOST_LEVELS:
        for name, one in value.items():
            _collect(f"{key}.{name}", one, level + 1, leaves)

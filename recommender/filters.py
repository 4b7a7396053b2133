"""Filters: a small typed JSON expression over items, its evaluation over all items at once; docs/filters.md tells it.

An expression is an object with one key: `and`, `or` or `not` around others, or one condition. `filter_parsing.py`
reads it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recommender.catalog import ALWAYS, RESTRICTED_CODES, Catalog
from recommender.history import MINUTES_PER_DAY
from recommender.item_facts import Scalar

BoolVector = npt.NDArray[np.bool_]
CentsVector = npt.NDArray[np.int64]

MASKS_KEPT = 512
"""Masks that are remembered for one state of the catalogue, one bit per item each."""


class Reach(StrEnum):
    """Where an item must be in stock."""

    STORE = "store"
    REACHABLE = "reachable"


class Shelf(Protocol):
    """What conditions are about: the items, and the prices and stock that hold for one request."""

    @property
    def catalog(self) -> Catalog:
        """Every item."""
        ...

    @property
    def minute(self) -> int:
        """The present, minutes since 1970-01-01 UTC."""
        ...

    def prices(self) -> tuple[CentsVector, BoolVector]:
        """Return the price of each item now, int64 cents, and whether it is known, bool."""
        ...

    def stock(self, reach: Reach) -> BoolVector | None:
        """Return which items are in stock, None where nothing is known."""
        ...


class Expression(Protocol):
    """One condition, or several joined."""

    def mask(self, shelf: Shelf) -> BoolVector:
        """Return which items it holds for, bool, (len(shelf.catalog),)."""
        ...


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Expression, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return np.asarray(np.logical_and.reduce([part.mask(shelf) for part in self.parts]), bool)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Expression, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return np.asarray(np.logical_or.reduce([part.mask(shelf) for part in self.parts]), bool)


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Expression

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return np.logical_not(self.part.mask(shelf))


@dataclass(frozen=True, slots=True)
class InCategory:
    """In one of some categories, or anywhere below one."""

    paths: tuple[str, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return shelf.catalog.facts.category.below(self.paths)


@dataclass(frozen=True, slots=True)
class OfBrand:
    """Of one of some brands."""

    names: tuple[str, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return shelf.catalog.facts.brand.among(self.names)


@dataclass(frozen=True, slots=True)
class OfSeason:
    """Of one of some seasons."""

    names: tuple[str, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return shelf.catalog.facts.season.among(self.names)


@dataclass(frozen=True, slots=True)
class IsItem:
    """One of some items."""

    item_ids: tuple[str, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        found = np.zeros(len(shelf.catalog), bool)
        found[shelf.catalog.rows(self.item_ids)[0]] = True
        return found


@dataclass(frozen=True, slots=True)
class OfClass:
    """Of one of some restricted classes."""

    names: tuple[str, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return np.isin(shelf.catalog.columns.restricted, [RESTRICTED_CODES[name] for name in self.names])


@dataclass(frozen=True, slots=True)
class Sponsored:
    """Whether a supplier pays for the item's being shown."""

    wanted: bool

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return np.asarray(shelf.catalog.columns.sponsored == self.wanted, bool)


@dataclass(frozen=True, slots=True)
class Priced:
    """The price now lies within bounds that belong to it; without a known price it does not."""

    least: int | None
    most: int | None

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        cents, known = shelf.prices()
        found = known.copy()
        if self.least is not None:
            found &= cents >= self.least
        if self.most is not None:
            found &= cents <= self.most
        return found


@dataclass(frozen=True, slots=True)
class Available:
    """In stock in the store, or in one that the customer can reach; also where no stock is known."""

    reach: Reach

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        stock = shelf.stock(self.reach)
        return np.ones(len(shelf.catalog), bool) if stock is None else stock


@dataclass(frozen=True, slots=True)
class NewSince:
    """On sale since a minute at the earliest; items that do not say since when are not new."""

    minute: int

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        begins = shelf.catalog.columns.available_from
        return np.asarray((begins >= self.minute) & (begins != ALWAYS), bool)


@dataclass(frozen=True, slots=True)
class NewWithin:
    """On sale since at most so many days."""

    days: int

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return NewSince(shelf.minute - self.days * MINUTES_PER_DAY).mask(shelf)


@dataclass(frozen=True, slots=True)
class AttributeIs:
    """An attribute has one of some values; of a list one entry is enough."""

    key: str
    values: tuple[Scalar, ...]

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return shelf.catalog.facts.attribute_is(self.key, self.values)


@dataclass(frozen=True, slots=True)
class AttributeBetween:
    """An attribute is a number within bounds that belong to it."""

    key: str
    least: float | None
    most: float | None

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return shelf.catalog.facts.attribute_between(self.key, self.least, self.most)


@dataclass(frozen=True, slots=True)
class AttributeKnown:
    """An attribute has any value, or has none."""

    key: str
    wanted: bool

    def mask(self, shelf: Shelf) -> BoolVector:
        """As Expression.mask."""
        return np.asarray(shelf.catalog.facts.has_attribute(self.key) == self.wanted, bool)


@dataclass(frozen=True, slots=True)
class Filter:
    """An expression with what is to be known of it.

    key: its canonical JSON: equal filters have equal keys.
    of_store: it asks for prices or stock, and so depends on the stores of a request.
    of_moment: what it holds for changes with time alone.
    """

    expression: Expression
    key: str
    of_store: bool
    of_moment: bool


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A mask of `count` items in an eighth of its size."""

    bits: npt.NDArray[np.uint8]
    count: int

    @classmethod
    def of(cls, mask: BoolVector) -> Packed:
        """Pack a mask."""
        return cls(np.packbits(mask), len(mask))

    def mask(self) -> BoolVector:
        """Return the mask; it cannot be written to."""
        mask = np.unpackbits(self.bits, count=self.count).view(np.bool_)
        mask.setflags(write=False)
        return mask


class MaskCache:
    """Masks by key, the least used let go; safe to share between threads."""

    def __init__(self, size: int = MASKS_KEPT) -> None:
        self._size = size
        self._masks: OrderedDict[object, Packed] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._masks)

    def get(self, key: object, make: Callable[[], BoolVector]) -> BoolVector:
        """Return the mask of a key, made at the first call; it cannot be written to."""
        found = self.find(key)
        return self.keep(key, make()) if found is None else found

    def find(self, key: object) -> BoolVector | None:
        """Return the mask of a key, None if there is none; it cannot be written to."""
        with self._lock:
            known = self._masks.get(key)
            if known is None:
                return None
            self._masks.move_to_end(key)
        return known.mask()

    def keep(self, key: object, mask: BoolVector) -> BoolVector:
        """Remember a mask and return it; it cannot be written to any more."""
        mask.setflags(write=False)
        packed = Packed.of(mask)
        with self._lock:
            self._masks[key] = packed
            if len(self._masks) > self._size:
                self._masks.popitem(last=False)
        return mask

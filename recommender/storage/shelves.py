"""Shelves: each store's stock and assortment, loaded when asked for, the least used let go."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from sqlalchemy.engine import Connection

from recommender.catalog import ALWAYS, NEVER, Catalog, MinuteVector
from recommender.storage.statements import fetch
from recommender.storage.stock_file import Shelf

V = TypeVar("V")

MINUTE_MICROS = 60_000_000
MOST_STOCK_CHANGES = 20_000
"""With more changes than this at once, all stock is read anew when asked for."""

_STOCK = "SELECT item_id, on_hand, as_of FROM inventory WHERE store_id = ?"
_STOCK_CHANGES = "SELECT store_id, item_id, on_hand, as_of FROM inventory WHERE change_sequence > ? LIMIT ?"
_ASSORTMENT = "SELECT item_id, listed_from, listed_until FROM assortment WHERE store_id = ?"

Listing = tuple[MinuteVector, MinuteVector]
"""First minute at which each item is listed, and first minute at which it is not any more; int32, aligned."""


class StoreCache(Generic[V]):
    """Values by store, loaded at first use; None is kept too: the store has no rows.

    Args:
        load: reads one store's value.
        size: most stores kept.
        known: values to begin with.
    """

    def __init__(self, load: Callable[[str], V | None], size: int, known: Iterable[tuple[str, V | None]] = ()) -> None:
        self._load = load
        self._size = size
        self._values: OrderedDict[str, V | None] = OrderedDict(known)
        self._lock = threading.Lock()

    def get(self, store_id: str) -> V | None:
        """Return a store's value, loading it if need be."""
        with self._lock:
            if store_id in self._values:
                self._values.move_to_end(store_id)
                return self._values[store_id]
        value = self._load(store_id)
        with self._lock:
            self._values[store_id] = value
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return value

    def as_known(self) -> StoreCache[V]:
        """Return a cache of what is loaded, in which nothing is known of other stores."""
        return StoreCache(lambda _store_id: None, self._size, self.known())

    def known(self) -> list[tuple[str, V | None]]:
        """Return what is loaded, least used first."""
        with self._lock:
            return list(self._values.items())


def read_stock(connection: Connection, catalog: Catalog, store_id: str) -> Shelf | None:
    """Return the stock of a store, None if it has no stock rows at all, so that nothing is known."""
    rows = fetch(connection, _STOCK, (store_id,))
    if not rows:
        return None
    empty = Shelf(np.zeros(len(catalog), np.float32), np.zeros(len(catalog), np.int32))
    return with_counts(catalog, empty, rows)


def with_counts(catalog: Catalog, shelf: Shelf, rows: Iterable[tuple[Any, ...]]) -> Shelf:
    """Return a store's stock with what (item_id, on_hand, as_of) rows say."""
    item_ids, counted, times = zip(*rows, strict=True)
    places, known = catalog.rows(item_ids)
    on_hand, as_of = shelf.on_hand.copy(), shelf.as_of.copy()
    on_hand[places] = np.array(counted, np.float32)[known]
    as_of[places] = count_minutes(times)[known]
    return Shelf(on_hand, as_of)


def changed_stock(
    connection: Connection, catalog: Catalog, stock: Mapping[str, Shelf | None], after: int
) -> dict[str, Shelf | None]:
    """Return loaded stock with what changed after a sequence; a store to be read anew is left out."""
    rows = fetch(connection, _STOCK_CHANGES, (after, MOST_STOCK_CHANGES + 1)) if stock else []
    if len(rows) > MOST_STOCK_CHANGES:
        return {}
    by_store: dict[str, list[tuple[Any, ...]]] = {}
    for store_id, *count in rows:
        by_store.setdefault(store_id, []).append(tuple(count))
    result = dict(stock)
    for store_id, changes in by_store.items():
        old = result.pop(store_id, None)
        if old is not None:
            result[store_id] = with_counts(catalog, old, changes)
    return result


def read_listing(connection: Connection, catalog: Catalog, store_id: str) -> Listing | None:
    """Return when a store lists each item; None if it has no assortment, so that everything may be shown."""
    rows = fetch(connection, _ASSORTMENT, (store_id,))
    if not rows:
        return None
    item_ids, begins, ends = zip(*rows, strict=True)
    places, known = catalog.rows(item_ids)
    listed_from, listed_until = np.full(len(catalog), NEVER), np.full(len(catalog), NEVER)
    listed_from[places] = minutes(begins, ALWAYS)[known]
    listed_until[places] = minutes(ends, NEVER)[known]
    return listed_from, listed_until


def minutes(micros: Iterable[int | None], missing: np.int32) -> MinuteVector:
    """Return times in microseconds as minutes, `missing` where there is none; int32."""
    values = [missing if value is None else value // MINUTE_MICROS for value in micros]
    return np.clip(np.array(values, np.int64), ALWAYS, NEVER).astype(np.int32)


def count_minutes(as_of: Iterable[int | None]) -> MinuteVector:
    """Return the minutes of counts from microseconds, int32; a count of no known time is of the first minute."""
    return np.maximum(minutes(as_of, np.int32(1)), np.int32(1))

"""Shelves: each store's stock and assortment, loaded when asked for, the least used let go."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import numpy as np
from sqlalchemy.engine import Connection

from recommender.catalog import ALWAYS, NEVER, BoolVector, Catalog, MinuteVector
from recommender.storage.statements import fetch

V = TypeVar("V")

MINUTE_MICROS = 60_000_000

_STOCK = "SELECT item_id, on_hand FROM inventory WHERE store_id = ?"
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

    def known(self) -> list[tuple[str, V | None]]:
        """Return what is loaded, least used first."""
        with self._lock:
            return list(self._values.items())


def read_stock(connection: Connection, catalog: Catalog, store_id: str) -> BoolVector | None:
    """Tell which items a store has; None if it has no stock rows at all, so that nothing is known.

    Returns: bool, (len(catalog),); False for items without a row.
    """
    rows = fetch(connection, _STOCK, (store_id,))
    if not rows:
        return None
    stock = np.zeros(len(catalog), bool)
    put_stock(catalog, stock, rows)
    stock.setflags(write=False)
    return stock


def put_stock(catalog: Catalog, stock: BoolVector, rows: Iterable[tuple[Any, ...]]) -> None:
    """Note (item_id, on_hand) rows in a store's stock."""
    item_ids, on_hand = zip(*rows, strict=True)
    places, known = catalog.rows(item_ids)
    stock[places] = (np.array(on_hand, np.float64) > 0)[known]


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

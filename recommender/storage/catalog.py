"""Item details for the final slate: titles, brands and this store's prices, read when they are shown."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.catalog import ItemDetails
from recommender.storage.statements import fetch, marks
from recommender.storage.types import to_micros

_ITEMS = "SELECT item_id, title, attributes, category, brand, price_cents, sponsored FROM items WHERE item_id IN "
_PRICES = """
SELECT item_id, price_cents, member_price_cents FROM prices
WHERE store_id = ? AND valid_from <= ? AND (valid_until IS NULL OR valid_until > ?) AND item_id IN ({marks})
ORDER BY valid_from"""

_STAND_INS = """
SELECT other.item_id FROM items AS own JOIN items AS other ON other.category = own.category
WHERE own.item_id = ? AND other.item_id <> own.item_id
ORDER BY CASE WHEN other.brand = own.brand THEN 0 ELSE 1 END,
    CASE WHEN other.price_cents IS NULL OR own.price_cents IS NULL THEN 1 ELSE 0 END,
    ABS(other.price_cents - own.price_cents), other.item_id
LIMIT ?"""

_PRICED_STORES = """
WITH RECURSIVE priced(store_id) AS (
  SELECT MIN(store_id) FROM prices
  UNION ALL
  SELECT (SELECT MIN(store_id) FROM prices WHERE store_id > priced.store_id) FROM priced WHERE store_id IS NOT NULL)
SELECT store_id FROM priced WHERE store_id IS NOT NULL"""
"""The stores that have prices, one look into the index each."""

_NOTHING: Mapping[str, str] = {}


def read_items(
    connection: Connection, item_ids: Sequence[str], store_id: str | None, now: datetime
) -> list[ItemDetails]:
    """Return the details of items, in the order given; an unknown item has nothing but its id.

    Args:
        item_ids: at most some hundred.
        store_id: whose prices hold; where it has none for an item now, the item's own price holds.
        now: the present.
    """
    if not item_ids:
        return []
    found = read_own(connection, item_ids)
    return found if store_id is None else with_store_prices(connection, found, store_id, now)


def read_own(connection: Connection, item_ids: Sequence[str]) -> list[ItemDetails]:
    """Return the details of items with their own prices, in the order given; at least one, at most some hundred."""
    statement = f"{_ITEMS}({marks(len(item_ids))})"
    known = {row[0]: row for row in fetch(connection, statement, item_ids)}
    return [_details(item_id, known.get(item_id)) for item_id in item_ids]


def with_store_prices(
    connection: Connection, details: Sequence[ItemDetails], store_id: str, now: datetime
) -> list[ItemDetails]:
    """Return the details of items, at least one, with a store's prices where it has any now."""
    prices = _store_prices(connection, [one.item_id for one in details], store_id, now)
    return [
        one
        if one.item_id not in prices
        else replace(one, price_cents=prices[one.item_id][0], member_price_cents=prices[one.item_id][1])
        for one in details
    ]


def read_priced_stores(connection: Connection) -> frozenset[str]:
    """Return the stores that have prices of their own."""
    return frozenset(store_id for (store_id,) in fetch(connection, _PRICED_STORES))


def read_costs(connection: Connection, item_ids: Sequence[str]) -> dict[str, int]:
    """Return what items cost the retailer, in cents, where it is known; at most some hundred items."""
    if not item_ids:
        return {}
    rows = fetch(
        connection, f"SELECT item_id, cost_cents FROM items WHERE item_id IN ({marks(len(item_ids))})", item_ids
    )
    return {item_id: cents for item_id, cents in rows if cents is not None}


def nothing_known(item_id: str) -> ItemDetails:
    """Return the details of an item of which nothing is known."""
    return _details(item_id, None)


def read_stand_ins(connection: Connection, item_id: str, count: int) -> list[str]:
    """Return items of the same category as one, those of its brand and near its price first; none if it has none."""
    return [other for (other,) in fetch(connection, _STAND_INS, (item_id, count))]


def _store_prices(
    connection: Connection, item_ids: Sequence[str], store_id: str, now: datetime
) -> dict[str, tuple[int, int | None]]:
    """Return price and member price by item; of several that hold now, the one that began last."""
    micros = to_micros(now)
    statement = _PRICES.replace("{marks}", marks(len(item_ids)))
    rows = fetch(connection, statement, (store_id, micros, micros, *item_ids))
    return {item_id: (price, member_price) for item_id, price, member_price in rows}


def _details(item_id: str, row: tuple[Any, ...] | None) -> ItemDetails:
    _, title, attributes, category, brand, price_cents, sponsored = row or (item_id, *(None,) * 6)
    return ItemDetails(
        item_id=item_id,
        title=title,
        titles=_titles(attributes),
        # Of few different texts: remembered details share them.
        category=None if category is None else sys.intern(category),
        brand=None if brand is None else sys.intern(brand),
        price_cents=price_cents,
        member_price_cents=None,
        sponsored=bool(sponsored),
    )


def _titles(attributes: str | None) -> Mapping[str, str]:
    """Return attributes.titles where it is an object of texts."""
    if attributes is None or '"titles"' not in attributes:
        return _NOTHING
    try:
        titles = orjson.loads(attributes)["titles"]
        return {str(language): str(title) for language, title in titles.items()}
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return _NOTHING

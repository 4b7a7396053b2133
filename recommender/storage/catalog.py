"""Item details for the final slate: titles, brands and this store's prices, read when they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    statement = f"{_ITEMS}({marks(len(item_ids))})"
    known = {row[0]: row for row in fetch(connection, statement, item_ids)}
    prices = {} if store_id is None else _store_prices(connection, item_ids, store_id, now)
    return [_details(item_id, known.get(item_id), prices.get(item_id)) for item_id in item_ids]


def nothing_known(item_id: str) -> ItemDetails:
    """Return the details of an item of which nothing is known."""
    return _details(item_id, None, None)


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


def _details(item_id: str, row: tuple[Any, ...] | None, price: tuple[int, int | None] | None) -> ItemDetails:
    _, title, attributes, category, brand, own_price, sponsored = row or (item_id, *(None,) * 6)
    price_cents, member_price_cents = price or (own_price, None)
    return ItemDetails(
        item_id=item_id,
        title=title,
        titles=_titles(attributes),
        category=category,
        brand=brand,
        price_cents=price_cents,
        member_price_cents=member_price_cents,
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

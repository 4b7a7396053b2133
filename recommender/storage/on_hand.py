"""How much of each item of a slate is in a store, read when the slate is shown."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from recommender.storage.statements import fetch, marks

_ON_HAND = "SELECT item_id, on_hand FROM inventory WHERE store_id = ? AND item_id IN ({marks})"
_BY_COUNT = {count: _ON_HAND.replace("{marks}", marks(count)) for count in range(1, 101)}


def read_on_hand(connection: Connection, store_id: str, item_ids: Sequence[str]) -> dict[str, float]:
    """Return the stock of items in one store, by item; items without a row are left out.

    Args:
        item_ids: at most some hundred.
    """
    if not item_ids:
        return {}
    statement = _BY_COUNT.get(len(item_ids)) or _ON_HAND.replace("{marks}", marks(len(item_ids)))
    return dict(fetch(connection, statement, (store_id, *item_ids)))

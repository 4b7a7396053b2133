"""Price lists: each store's prices with the times at which they hold, loaded when a filter asks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.catalog import ALWAYS, NEVER, BoolVector, Catalog, CentsVector, MinuteVector, RowVector
from recommender.storage.shelves import minutes
from recommender.storage.statements import fetch

_PRICES = "SELECT item_id, price_cents, valid_from, valid_until FROM prices WHERE store_id = ? ORDER BY valid_from"


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one store, those that begin earlier first.

    row: int32, (n,); an item may have several.  cents: int64.
    valid_from, valid_until: int32, first minute at which a price holds, and at which it does not any more.
    """

    row: RowVector
    cents: CentsVector
    valid_from: MinuteVector
    valid_until: MinuteVector


def read_prices(connection: Connection, catalog: Catalog, store_id: str) -> PriceList | None:
    """Return the prices of a store; None if it has none of its own, so that the items' prices hold."""
    rows = fetch(connection, _PRICES, (store_id,))
    if not rows:
        return None
    item_ids, cents, begins, ends = zip(*rows, strict=True)
    places, known = catalog.rows(item_ids)
    return PriceList(
        places,
        np.array(cents, np.int64)[known],
        minutes(begins, ALWAYS)[known],
        minutes(ends, NEVER)[known],
    )


def prices_at(catalog: Catalog, prices: PriceList | None, minute: int) -> tuple[CentsVector, BoolVector]:
    """Return the price of each item, int64 cents, and whether it is known, bool; of several the one that began last."""
    columns = catalog.columns
    if prices is None:
        return columns.price_cents, columns.priced
    now: npt.NDArray[np.bool_] = (prices.valid_from <= minute) & (minute < prices.valid_until)
    cents, known = columns.price_cents.copy(), columns.priced.copy()
    cents[prices.row[now]] = prices.cents[now]  # of an item's several prices the last one stays
    known[prices.row[now]] = True
    return cents, known

"""Reads the rows behind the live state: items that changed, and the stores."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from recommender.catalog import (
    ALWAYS,
    NEVER,
    RESTRICTED_CODES,
    Catalog,
    ItemColumns,
    StoreFacts,
    day_end_minute,
)
from recommender.item_facts import ItemFacts
from recommender.storage.shelves import minutes
from recommender.storage.statements import fetch

PAGE_ROWS = 20_000
CLOSED = "closed"
"""The status of a store that is closed for good, whatever its date."""

_ITEMS = """
SELECT item_id, hidden, restricted_class, available_from, available_until, season_until, price_cents,
  sponsored, category, brand, season, attributes, change_sequence
FROM items WHERE change_sequence >= ? AND (change_sequence, item_id) > (?, ?)
ORDER BY change_sequence, item_id LIMIT ?"""
_FACTS = (8, 9, 10, 11)
"""Places of category, brand, season and attributes in a row."""
_STORES = "SELECT store_id, city, region, channel, status, closed_on, successor_store_id FROM stores ORDER BY store_id"


def read_changes(connection: Connection) -> dict[str, int]:
    """Return the sequence of the last change of every table that ever changed."""
    rows = fetch(connection, "SELECT name, value FROM counters")
    return {name.removeprefix("changed:"): value for name, value in rows if name.startswith("changed:")}


def read_changed_items(connection: Connection, catalog: Catalog, after: int, zone: tzinfo) -> Catalog:
    """Return the catalogue with every item changed after a sequence.

    Args:
        catalog: as it was then.
        after: the sequence; 0 reads every item.
        zone: seasons end at its midnight.
    """
    start: tuple[int, str] = (after + 1, "")
    while page := fetch(connection, _ITEMS, (start[0], *start, PAGE_ROWS)):
        item_ids = [row[0] for row in page]
        facts = ItemFacts.of(*([row[at] for row in page] for at in _FACTS))
        catalog = catalog.with_items(item_ids, _columns([row[1:8] for row in page], zone), facts)
        start = (page[-1][-1], page[-1][0])
    return catalog


def read_stores(connection: Connection, zone: tzinfo) -> dict[str, StoreFacts]:
    """Return what is known of every store. A store with `closed_on` is closed from that local day on."""
    stores: dict[str, StoreFacts] = {}
    for store_id, city, region, channel, status, closed_on, successor in fetch(connection, _STORES):
        closes_at = int(NEVER) if closed_on is None else day_end_minute(closed_on - 1, zone)
        closes_at = int(ALWAYS) if status == CLOSED else closes_at
        stores[store_id] = StoreFacts(city, region, channel, closes_at, successor)
    return stores


def _columns(rows: Iterable[tuple[Any, ...]], zone: tzinfo) -> ItemColumns:
    hidden, restricted, begins, ends, season, price, sponsored = zip(*rows, strict=True)
    day_ends = {day: day_end_minute(day, zone) for day in set(season) - {None}}
    return ItemColumns(
        hidden=np.array(hidden, bool),
        restricted=np.array([RESTRICTED_CODES.get(name or "", 0) for name in restricted], np.uint8),
        available_from=minutes(begins, ALWAYS),
        available_until=minutes(ends, NEVER),
        season_end=np.array([day_ends.get(day, NEVER) for day in season], np.int32),
        price_cents=np.array([cents or 0 for cents in price], np.int64),
        priced=np.array([cents is not None for cents in price], bool),
        sponsored=np.array([bool(flag) for flag in sponsored], bool),
    )

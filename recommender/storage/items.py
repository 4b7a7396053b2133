"""Items for training: what the catalogue says of each, and which ones were replaced by which."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy.engine import Connection

from recommender.storage.statements import fetch

MICROS_PER_MINUTE = 60_000_000

CatalogFact = tuple[str, str, int | None, int | None]
"""Category path ("" if unknown), brand ("" if unknown), price in cents, minute from which the item is sold."""


def catalog_facts(connection: Connection) -> dict[str, CatalogFact]:
    """Return what training uses of every item, by item id."""
    rows = fetch(connection, "SELECT item_id, category, brand, price_cents, available_from FROM items")
    return {
        item_id: (category or "", brand or "", price, None if start is None else start // MICROS_PER_MINUTE)
        for item_id, category, brand, price, start in rows
    }


def replacements(connection: Connection) -> dict[str, str]:
    """Return for each replaced item the item whose code is in use now; chains are followed to their end.

    A row (item, related item, replaces) says that the item replaces the related one. Where two items claim to
    replace one, the lower id wins; a circle replaces nothing.
    """
    rows = fetch(connection, "SELECT related_item_id, item_id FROM item_relations WHERE relation = 'replaces'")
    claims: defaultdict[str, list[str]] = defaultdict(list)
    for old, new in rows:
        claims[old].append(new)
    direct = {old: min(news) for old, news in claims.items()}
    found = {}
    for old in direct:
        seen, last = {old}, old
        while last in direct and direct[last] not in seen:
            last = direct[last]
            seen.add(last)
        if last != old and last not in direct:
            found[old] = last
    return found


def same_products(connection: Connection) -> list[tuple[str, str]]:
    """Return the pairs of items that are packs of the same product."""
    return _related(connection, "same_product")


def substitutes(connection: Connection) -> list[tuple[str, str]]:
    """Return the pairs of an item and what the retailer says can stand in for it."""
    return _related(connection, "substitute")


def _related(connection: Connection, relation: str) -> list[tuple[str, str]]:
    rows = fetch(
        connection, "SELECT item_id, related_item_id FROM item_relations WHERE relation = ? ORDER BY 1, 2", (relation,)
    )
    return [(item_id, related_id) for item_id, related_id in rows]

"""Stores for training: which region each lies in."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from recommender.storage.statements import fetch


def store_regions(connection: Connection) -> dict[str, str]:
    """Return the region, or else the city, of every store of which either is known, by store id."""
    rows = fetch(connection, "SELECT store_id, region, city FROM stores ORDER BY store_id")
    return {store_id: region or city for store_id, region, city in rows if region or city}

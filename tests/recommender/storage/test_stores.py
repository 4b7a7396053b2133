"""Regions of stores, on both databases."""

from __future__ import annotations

from recommender.storage.database import Database
from recommender.storage.stores import store_regions
from tests.factories import put_rows


def test_the_region_counts_and_else_the_city(database: Database) -> None:
    put_rows(
        database,
        "stores",
        {"store_id": "s1", "region": "East", "city": "Shanghai"},
        {"store_id": "s2", "city": "Chengdu"},
        {"store_id": "s3"},
    )
    with database.read() as connection:
        assert store_regions(connection) == {"s1": "East", "s2": "Chengdu"}

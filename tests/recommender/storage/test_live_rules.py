"""The live view: prices of stores, facts that filters ask for, and the settings of scenarios."""

from __future__ import annotations

import logging
from datetime import timedelta

import numpy as np
import pytest

from recommender.ids import IdIndex
from recommender.placement import NO_PLACEMENT
from recommender.storage.database import Database
from recommender.storage.live import LiveState, LiveView
from recommender.storage.scenarios import save_version
from tests.factories import NOW, put_rows

ITEMS = IdIndex.of(["a", "b", "c"])


@pytest.fixture
def state(database: Database) -> LiveState:
    return LiveState(database, ITEMS, poll_seconds=0)


def prices(view: LiveView, store_id: str | None) -> list[int | None]:
    cents, known = view.prices(store_id)
    return [value if has else None for value, has in zip(cents.tolist(), known.tolist(), strict=True)]


def test_the_price_of_the_store_that_began_last_holds(database: Database, state: LiveState) -> None:
    put_rows(database, "items", {"item_id": "a", "price_cents": 100}, {"item_id": "b", "price_cents": 200})
    put_rows(
        database,
        "prices",
        {"store_id": "s", "item_id": "a", "price_cents": 90},
        {"store_id": "s", "item_id": "a", "price_cents": 80, "valid_from": NOW - timedelta(hours=1)},
        {"store_id": "s", "item_id": "a", "price_cents": 70, "valid_from": NOW + timedelta(hours=1)},
        {"store_id": "s", "item_id": "b", "price_cents": 150, "valid_until": NOW - timedelta(hours=1)},
        {"store_id": "s", "item_id": "c", "price_cents": 300},
        {"store_id": "s", "item_id": "unknown", "price_cents": 1},
    )
    view = state.current(NOW)
    assert prices(view, None) == [100, 200, None]
    assert prices(view, "s") == [80, 200, 300]
    assert prices(view, "other") == [100, 200, None]
    later = state.current(NOW + timedelta(hours=2))
    assert prices(later, "s") == [70, 200, 300]
    put_rows(database, "prices", {"store_id": "s", "item_id": "c", "price_cents": 310})
    assert prices(state.current(NOW), "s") == [80, 200, 310]


def test_facts_follow_the_item_table(database: Database, state: LiveState) -> None:
    put_rows(database, "items", {"item_id": "b", "category": "food > dairy", "brand": "Alm", "attributes": {"fat": 3}})
    before = state.current(NOW)
    assert before.catalog.facts.category.below(["food"]).tolist() == [False, True, False]
    put_rows(database, "items", {"item_id": "b", "category": "toys", "attributes": {"fat": 2}}, {"item_id": "n"})
    after = state.current(NOW)
    assert after.catalog.facts.category.below(["food"]).tolist() == [False] * 4
    assert np.flatnonzero(after.catalog.facts.attribute_between("fat", 1, 2)).tolist() == [1]
    assert after.item_masks is not before.item_masks
    put_rows(database, "inventory", {"store_id": "s", "item_id": "a", "on_hand": 1})
    again = state.current(NOW)
    assert again.item_masks is after.item_masks
    assert again.masks is not after.masks


def test_settings_reach_the_next_view(database: Database, state: LiveState, caplog: pytest.LogCaptureFixture) -> None:
    assert state.current(NOW).placement("home") is NO_PLACEMENT
    with database.write() as connection:
        save_version(connection, "home", '{"diversity": 0.25}', "key", NOW)
    view = state.current(NOW)
    assert (view.placement("home").diversity, view.placement("home").version) == (0.25, 1)
    assert view.placement("discover") is NO_PLACEMENT
    with database.write() as connection, caplog.at_level(logging.ERROR):
        save_version(connection, "home", '{"unheard": 1}', "key", NOW)
    assert state.current(NOW).placement("home") is NO_PLACEMENT
    assert "scenario_settings_not_used scenario=home version=2" in caplog.text

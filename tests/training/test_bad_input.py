"""Histories that no retailer wants to have: training says what is wrong, or makes slates that make sense."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from recommender.errors import TrainingDataError
from recommender.events import Event, EventKind, member_subject
from recommender.query import Query, Scenario
from recommender.settings import CoreSettings
from recommender.storage.database import open_database
from tests.training.shops import NOW, SETTINGS, START, purchase, purchases, put_catalog, put_events
from training.place import Place
from training.progress import Silent
from training.report import to_json
from training.settings import SplitSettings, TrainingSettings
from training.train import Trained, train
from training.unify import read_dataset

PERSONAL = (Scenario.HOME, Scenario.BUY_AGAIN, Scenario.DISCOVER, Scenario.TRENDING)


def shop_of(folder: Path, events: Sequence[Event], catalog: bool = True) -> Place:
    """Open a shop with this history; without a catalogue, nothing is known of items but their ids."""
    settings = CoreSettings(home=folder / "home", models=folder / "models", hash_key="0123456789abcdef")
    settings.home.mkdir(parents=True)
    database = open_database(settings)
    database.migrate()
    if catalog:
        put_catalog(database)
    for at in range(0, len(events), 10_000):
        put_events(database, list(events[at : at + 10_000]))
    return Place(database, settings)


def train_shop(place: Place, settings: TrainingSettings = SETTINGS) -> Trained:
    """Train, and check that bundle and report hold numbers only and that slates are full, finite and in order."""
    trained = train(place, settings, None, True, NOW, Silent())
    assert "NaN" not in to_json(trained.report)
    recommender = place.registry.open().recommender()
    dataset = read_dataset(place.database, place.settings, None, NOW)
    known = dataset.histories(dataset.until_minute)
    longest = int(np.diff(known.indptr).argmax())
    nobody = known.of(0).where(np.zeros(int(known.indptr[1]), bool))
    for history in (known.of(0), known.of(longest), nobody):
        queries = [Query(scenario, 5, dataset.until_minute, history) for scenario in PERSONAL]
        for query, slate in zip(queries, recommender.recommend(queries), strict=True):
            bought = len(np.unique(history.item_row))
            least = min(5, bought if query.scenario is Scenario.BUY_AGAIN else len(recommender.items) - bought)
            assert least <= len(slate.row) <= 5
            assert len(np.unique(slate.row)) == len(slate.row)
            assert np.isfinite(slate.score).all()
            assert (np.diff(slate.score) <= 0).all()
    return trained


def at(day: float) -> datetime:
    return START + timedelta(days=day)


def test_one_event_per_member(tmp_path: Path) -> None:
    events = [purchase(f"m{number:03d}", f"i{number % 7:02d}", at(number / 3)) for number in range(200)]
    place = shop_of(tmp_path, events)
    report = train_shop(place).report
    novel = next(row for row in report["evaluations"][-1]["measures"] if row["subset"] == "novel")
    assert novel["interval"]["members"] == report["evaluations"][-1]["asked"]
    repeat = [row for row in report["evaluations"][-1]["measures"] if row["subset"] == "repeat"]
    assert all(row["interval"]["mean"] is None for row in repeat)  # nobody came twice
    place.database.dispose()


def test_a_member_with_fifty_thousand_events(tmp_path: Path) -> None:
    # A till's shared card: every item, all day, on each of the hundred days.
    card = [
        Event(
            event_id=f"card-{number}",
            occurred_at=at(number / 500),
            kind=EventKind.PURCHASE,
            channel="pos",
            subject=member_subject("card"),
            item_id=f"i{number % 40:02d}" if number % 2 else f"x{number % 600:03d}",
            store_id="s0",
            order_id=f"card-{number // 10}",
            order_line=str(number % 10),
            quantity=1.0,
        )
        for number in range(50_000)
    ]
    place = shop_of(tmp_path, [*card, *purchases()])
    report = train_shop(place).report
    assert report["data"]["people"] == 41
    assert report["gate"]["passed"]
    place.database.dispose()


def test_items_without_any_attribute(tmp_path: Path) -> None:
    place = shop_of(tmp_path, purchases(), catalog=False)
    report = train_shop(place).report
    groups = {row["group"] for row in report["evaluations"][-1]["groups"]}
    assert "category" not in groups
    assert report["insights"]["samples"][0]["slates"]["home"][0]["title"].startswith("i")
    place.database.dispose()


def test_all_purchases_on_one_day(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    events = [
        purchase(f"m{member:02d}", f"i{item:02d}", START + timedelta(minutes=int(minute)))
        for member in range(40)
        for minute in rng.integers(0, 1440, 4)
        for item in rng.choice(30, 3, replace=False)
    ]
    place = shop_of(tmp_path, list({event.event_id: event for event in events}.values()))
    split = train_shop(place).report["split"]
    assert split["window_days"] < 1
    place.database.dispose()


def test_all_purchases_at_one_time_cannot_be_split(tmp_path: Path) -> None:
    place = shop_of(tmp_path, [purchase(f"m{number}", f"i{number % 3}", START) for number in range(20)])
    with pytest.raises(TrainingDataError, match="at one time") as error:
        train(place, SETTINGS, None, True, NOW, Silent())
    assert "2024-01-01" in str(error.value)
    place.database.dispose()


def test_events_of_the_future_are_left_for_later(tmp_path: Path) -> None:
    future = [purchase("m00", "i39", NOW + timedelta(days=day)) for day in (1, 400)]
    place = shop_of(tmp_path, [*purchases(), *future])
    report = train_shop(place).report
    assert report["trained_until"] <= NOW.isoformat()
    assert report["days"][-1]["day"] <= f"{NOW:%Y-%m-%d}"
    place.database.dispose()


def with_a_hole() -> list[Event]:
    """Return a history with nothing between day 58 and day 82: the shop was closed in its validation window."""
    return [event for event in purchases() if not 58 <= (event.occurred_at - START).days < 82]


def test_a_validation_window_without_purchases(tmp_path: Path) -> None:
    place = shop_of(tmp_path, with_a_hole())
    split = train_shop(place).report["split"]
    assert split["protocol"] == "last_order"
    assert "validation window holds purchases of 0 members" in split["reason"]
    place.database.dispose()


def test_a_validation_window_without_purchases_that_was_asked_for(tmp_path: Path) -> None:
    place = shop_of(tmp_path, with_a_hole())
    settings = TrainingSettings(split=SplitSettings(protocol="time"))
    with pytest.raises(TrainingDataError, match="validation window holds purchases of 0 members") as error:
        train(place, settings, None, True, NOW, Silent())
    assert "last_order" in str(error.value)
    place.database.dispose()

"""A small shop with irregular shopping, for the tests that train: members buy favourites again and try others."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from recommender.events import Event, EventKind, member_subject
from recommender.settings import CoreSettings
from recommender.storage.database import Database, open_database
from recommender.storage.events import append_events
from recommender.storage.upserts import upsert
from tests.factories import put_rows
from training.demo_service import free_port
from training.place import Place
from training.settings import EvaluationSettings, FactorSettings, TrainingSettings

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 100
END = START + timedelta(days=DAYS)
NOW = END + timedelta(days=1)
SENT = START + timedelta(days=DAYS - 30)
"""When the coupons of put_campaigns() were sent."""
MEMBERS = tuple(f"m{number:02d}" for number in range(40))
ITEMS = tuple(f"i{number:02d}" for number in range(40))
FAVORITES = 6
SETTINGS = TrainingSettings(
    threads=1,
    factors=FactorSettings(factors=8, iterations=4, warm_iterations=2),
    evaluation=EvaluationSettings(bootstrap_rounds=50),
)


def open_shop(folder: Path, until: datetime = END) -> Place:
    """Make a shop below a folder, with the events before a time."""
    settings = CoreSettings(home=folder / "home", models=folder / "models", hash_key="0123456789abcdef")
    settings.home.mkdir(parents=True)
    database = open_database(settings)
    database.migrate()
    put_catalog(database)
    put_events(database, [event for event in purchases() if event.occurred_at < until])
    return Place(database, settings)


def environ_of(place: Place) -> dict[str, str]:
    """Return the environment of a process that works in a shop."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MEMBERWISE_")},
        "MEMBERWISE_HOME": str(place.settings.home),
        "MEMBERWISE_MODELS": str(place.settings.models),
        "MEMBERWISE_HASH_KEY": place.settings.hash_key,
        "MEMBERWISE_WORKERS": "1",
        "MEMBERWISE_PORT": str(free_port(0)),
    }


def put_catalog(database: Database) -> None:
    """Write items, stores and members."""
    items = [{"item_id": item, "title": f"Item {item}", "price_cents": 100} for item in ITEMS]
    with database.write() as connection:
        upsert(connection, "items", items, NOW)
        upsert(connection, "stores", [{"store_id": store} for store in ("s0", "s1")], NOW)
        upsert(connection, "members", [{"member_id": member} for member in MEMBERS], NOW)


def put_events(database: Database, events: list[Event]) -> None:
    """Append events as the service does."""
    with database.write() as connection:
        append_events(connection, events, NOW)


def favorites(number: int) -> list[str]:
    """Return what a member likes: neighbours by number like similar things."""
    return [ITEMS[(number + place) % len(ITEMS)] for place in range(FAVORITES)]


def purchases(seed: int = 1) -> list[Event]:
    """Return a history: about every fifth day three favourites and one item that everybody buys now and then."""
    rng = np.random.default_rng(seed)
    events = []
    for number, member in enumerate(MEMBERS):
        days = np.flatnonzero(rng.random(DAYS) < 0.2)
        for day in days:
            basket = {*rng.choice(favorites(number), 3, replace=False), ITEMS[int(rng.integers(0, 5))]}
            at = START + timedelta(days=int(day), minutes=int(rng.integers(480, 1200)))
            events += [purchase(member, str(item), at, f"s{number % 2}") for item in sorted(basket)]
    return events


def purchase(member: str, item: str, at: datetime, store: str = "s0") -> Event:
    """Return one purchase."""
    return Event(
        event_id=f"{member}-{item}-{at:%Y%m%d%H%M}",
        occurred_at=at,
        kind=EventKind.PURCHASE,
        channel="pos",
        subject=member_subject(member),
        item_id=item,
        store_id=store,
        order_id=f"{member}-{at:%Y%m%d%H%M}",
        order_line=item,
        quantity=1.0,
    )


def put_campaigns(database: Database) -> None:
    """Write a campaign that has ended, drawn by lot, and one to come."""
    rng = np.random.default_rng(3)
    scopes = ('{"items": ["i00", "i01"]}', '{"items": ["i02", "i03", "i04"]}')
    offers = [
        {"offer_id": f"{name}{place}", "kind": "amount_off", "value": 20, "scope": scope}
        for name in ("old", "new")
        for place, scope in enumerate(scopes)
    ]
    put_rows(database, "offers", *offers)
    ends = SENT + timedelta(days=14)
    put_rows(
        database,
        "campaigns",
        {"campaign_id": "past", "starts_at": SENT, "ends_at": ends, "offers": '["old0", "old1"]'},
        {"campaign_id": "next", "starts_at": END, "ends_at": END + timedelta(days=14), "offers": '["new0", "new1"]'},
    )
    sends, used = [], []
    for member in MEMBERS:
        draw = int(rng.integers(0, 3))
        send = {"campaign_id": "past", "member_id": member, "sent_at": SENT, "propensity": 1 / 3}
        sends.append(send | ({"offer_id": "", "arm": "holdout"} if draw == 2 else {"offer_id": f"old{draw}"}))
        if draw < 2 and rng.random() < 0.4:
            at = SENT + timedelta(days=3)
            row = {"redemption_id": member, "member_id": member, "offer_id": f"old{draw}", "redeemed_at": at}
            used.append(row | {"discount_cents": 20})
    put_rows(database, "sends", *sends)
    put_rows(database, "redemptions", *used)

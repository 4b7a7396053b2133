"""A small shop for the tests of serving: items, stores, members with histories, and bundles trained on them.

Thirty items, forty members "m00".."m39", each buying eight items of their own every week; store "s1" with
stock, "s2" of which nothing is known, "web" online. Times are counted back from NOW, the real present: a
served bundle is asked by the real clock.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from threadpoolctl import threadpool_limits

from api.settings import ServiceSettings
from recommender.bundle import BundleFacts, history_arrays, write_bundle
from recommender.events import Event, EventKind, member_subject, subject_key
from recommender.registry import Registry
from recommender.storage.database import Database, open_database
from recommender.storage.events import append_events
from recommender.storage.keys import create_key
from recommender.storage.upserts import upsert
from training.fit.recommender import fit_recommender
from training.panel import most_recent
from training.prepare import prepare
from training.settings import TrainingSettings, settings_text
from training.unify import read_dataset

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
ITEMS = [f"i{number:02d}" for number in range(30)]
MEMBERS = [f"m{number:02d}" for number in range(40)]
SOLD_OUT = "i29"
"""In the assortment of s1, but not in stock."""
LONER = subject_key("wechat_openid", "openid-1")
"""An identity with a history that is linked to no member."""
WEEKS = 10
BASKET = 8
SETTINGS = TrainingSettings(threads=1)


def settings_at(folder: Path) -> ServiceSettings:
    """Return the settings of a shop below a folder."""
    return ServiceSettings(
        home=folder / "home", models=folder / "models", hash_key="0123456789abcdef", log_level="warning"
    )


def open_shop(settings: ServiceSettings) -> str:
    """Fill the database, train and promote a bundle; return its id."""
    database = open_database(settings)
    fill(database)
    bundle_id = train(database, settings)
    database.dispose()
    return bundle_id


def fill(database: Database) -> None:
    """Write items, stores, stock, members and their events."""
    items = [
        {
            "item_id": item_id,
            "title": f"Item {number}",
            "price_cents": 100 + number,
            "attributes": {"titles": {"zh": f"商品{number}"}},
        }
        for number, item_id in enumerate(ITEMS)
    ]
    stores = [
        {"store_id": "s1", "city": "Shanghai", "channel": "pos"},
        {"store_id": "s2", "city": "Suzhou", "channel": "pos"},
        {"store_id": "web", "channel": "web"},
    ]
    stock = [{"store_id": "s1", "item_id": item_id, "on_hand": 0 if item_id == SOLD_OUT else 5} for item_id in ITEMS]
    members = [{"member_id": member_id, "home_store_id": "s1"} for member_id in MEMBERS]
    with database.write() as connection:
        for table, rows in (("items", items), ("stores", stores), ("inventory", stock), ("members", members)):
            upsert(connection, table, rows, NOW)
        append_events(connection, [*purchases(), *views_of_the_loner()], NOW)


def purchases() -> list[Event]:
    """Each member buys BASKET items of their own, once a week."""
    return [
        Event(
            event_id=f"p-{member_id}-{week}-{place}",
            occurred_at=NOW - timedelta(days=7 * week + 1, minutes=number),
            kind=EventKind.PURCHASE,
            channel="pos",
            subject=member_subject(member_id),
            item_id=ITEMS[(number + place) % (len(ITEMS) - 1)],
            store_id="s1",
            order_id=f"o-{member_id}-{week}",
            order_line=str(place),
            quantity=1.0,
        )
        for number, member_id in enumerate(MEMBERS)
        for week in range(WEEKS)
        for place in range(BASKET)
    ]


def views_of_the_loner() -> list[Event]:
    """Somebody nobody knows looks at two items."""
    return [
        Event(
            event_id=f"v-{place}",
            occurred_at=NOW - timedelta(days=2, minutes=place),
            kind=EventKind.VIEW,
            channel="mini_program",
            subject=LONER,
            item_id=ITEMS[20 + place],
        )
        for place in range(2)
    ]


def train(
    database: Database, settings: ServiceSettings, seed: int = 7, promote: bool = True, prepared: bool = False
) -> str:
    """Train on everything known now, and rank for members in advance if wanted; return the bundle's id."""
    chosen = replace(SETTINGS, seed=seed)
    dataset = read_dataset(database, settings, None, datetime.now(UTC))
    with threadpool_limits(1):
        recommender = fit_recommender(dataset, dataset.until_minute, chosen)
    arrays, description = recommender.parts()
    histories = most_recent(dataset.histories(dataset.until_minute), chosen.history_entries)
    arrays |= history_arrays(dataset.people, histories)
    if prepared:
        with threadpool_limits(1):
            arrays |= prepare(recommender, dataset, dict.fromkeys(MEMBERS, "s1"), chosen)
    facts = BundleFacts(dataset.until, dataset.last_sequence, seed, 1, NOW)
    bundle_id = write_bundle(settings.models, arrays, description, settings_text(chosen), facts, {})
    if promote:
        Registry(settings.models).promote(bundle_id, NOW)
    return bundle_id


def make_key(database: Database, *scopes: str) -> str:
    """Make an API key and return its token."""
    with database.write() as connection:
        return create_key(connection, "test", scopes, datetime.now(UTC)).token

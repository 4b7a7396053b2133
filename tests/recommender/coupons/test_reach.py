"""Offers that a member could not use are not planned for them: sold out in reach, or for other channels."""

from __future__ import annotations

from typing import Any

import pytest

from recommender.coupons.eligibility import LeftOut, read_eligibility
from recommender.coupons.offers import Offer, OfferKind, Scope
from recommender.coupons.reach import Reach, within_reach
from recommender.events import KNOWN_CHANNELS
from recommender.ids import IdIndex
from recommender.storage.database import Database
from recommender.storage.live import LiveState
from recommender.storage.recalls import recall
from tests.factories import NOW, put_rows
from tests.recommender.coupons.world import settle_in

MILK = Scope.of(items=["milk"])
NAMES = ["far", "m1", "m2", "nobody", "staff"]


@pytest.fixture
def shops(database: Database) -> Database:
    """s1 and s2 lie in one city, s9 in another; "web" sells online. m1 is at home in s1, far in s9."""
    settle_in(database)
    put_rows(
        database,
        "stores",
        {"store_id": "s1", "city": "Suzhou", "channel": "pos"},
        {"store_id": "s2", "city": "Suzhou", "channel": "pos"},
        {"store_id": "s9", "city": "Wuxi", "channel": "pos"},
        {"store_id": "web", "channel": "web"},
    )
    put_rows(
        database,
        "members",
        {"member_id": "m1", "home_store_id": "s1"},
        {"member_id": "m2"},
        {"member_id": "far", "home_store_id": "s9"},
    )
    return database


def stock(database: Database, item_id: str = "milk", **on_hand: float) -> None:
    rows = [{"store_id": store, "item_id": item_id, "on_hand": count} for store, count in on_hand.items()]
    put_rows(database, "inventory", *rows)


def reasons(database: Database, **terms: Any) -> dict[str, str | None]:
    """Return what speaks against an offer on milk, by member."""
    offers = (Offer("ten", OfferKind.AMOUNT_OFF, value=1000, scope=MILK, **terms),)
    members = IdIndex.of(NAMES)
    live = LiveState(database, IdIndex.of(["milk"])).current(NOW)
    with database.read() as connection:
        before = read_eligibility(connection, members, offers, None, NOW)
        found = within_reach(connection, before, members, offers, Reach(live, KNOWN_CHANNELS))
    by_code = {0: None} | {one.code: one.value for one in LeftOut}
    codes = dict(zip(NAMES, found.against[:, 0].tolist(), strict=True))
    assert sum(found.left_out.values()) == sum(code != 0 for code in codes.values())
    return {name: by_code[code] for name, code in codes.items()}


def test_a_store_without_stock_rows_is_taken_to_have_everything(shops: Database) -> None:
    assert reasons(shops) == {"far": None, "m1": None, "m2": None, "nobody": None, "staff": "kind"}


def test_what_is_sold_out_in_every_store_in_reach_is_not_planned(shops: Database) -> None:
    stock(shops, s1=0, s2=0, s9=5, web=0)
    found = reasons(shops)
    assert (found["m1"], found["far"]) == ("sold_out", None)
    assert found["staff"] == "kind"  # the first reason stays
    stock(shops, s2=3)
    assert reasons(shops)["m1"] is None  # another store of the city has it
    stock(shops, s2=0, web=3)
    assert reasons(shops)["m1"] is None  # so does what sells online


def test_a_store_with_stock_lacks_what_it_does_not_list(shops: Database) -> None:
    put_rows(shops, "items", {"item_id": "bread", "price_cents": 500})
    stock(shops, "bread", s1=5, s2=5, s9=5, web=5)
    assert set(reasons(shops).values()) == {"sold_out", "kind"}


def test_stores_of_the_offer_and_recalls_count(shops: Database) -> None:
    stock(shops, s1=0, s2=3, s9=5, web=3)
    assert reasons(shops, stores=frozenset({"s1"}))["m1"] == "sold_out"
    assert reasons(shops, stores=frozenset({"s1", "s2"}))["m1"] is None
    with shops.write() as connection:
        recall(connection, "milk", "glass", "test", NOW)
    assert reasons(shops)["m2"] == "sold_out"


def test_channels_choose_the_stores_that_count(shops: Database) -> None:
    stock(shops, s1=0, s2=0, s9=0, web=3)
    assert reasons(shops)["m1"] is None
    assert reasons(shops, channels=frozenset({"pos"}))["m1"] == "sold_out"
    assert reasons(shops, channels=frozenset({"app", "web"}))["m1"] is None
    stock(shops, web=0, s1=3)
    assert reasons(shops, channels=frozenset({"pos"}))["m1"] is None
    assert reasons(shops, channels=frozenset({"app"}))["m1"] == "sold_out"


def test_a_channel_that_no_store_in_reach_sells_through(shops: Database) -> None:
    put_rows(shops, "stores", {"store_id": "web", "city": "Wuxi", "channel": "pos"})  # online sales have ended
    found = reasons(shops, channels=frozenset({"app"}))
    assert (found["m1"], found["far"]) == ("channel", "channel")
    assert found["m2"] is None  # where this member buys is not known

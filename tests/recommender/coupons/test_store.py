from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recommender.coupons.offers import Offer, OfferKind, Scope, Wallet
from recommender.coupons.store import offer_of, read_offers, without_goods
from recommender.errors import InputError
from recommender.storage.database import Database
from recommender.storage.upserts import upsert
from tests.factories import NOW


def put(database: Database, *rows: dict[str, Any], items: dict[str, list[str]] | None = None) -> None:
    with database.write() as connection:
        upsert(connection, "offers", rows, NOW)
        pairs = [{"offer_id": one, "item_id": item} for one, found in (items or {}).items() for item in found]
        upsert(connection, "offer_items", pairs, NOW)


def test_offers_are_read_with_all_their_terms(database: Database) -> None:
    put(
        database,
        {
            "offer_id": "o1",
            "title": "One off",
            "kind": "percent_off",
            "value": 1500,
            "minimum_spend_cents": 2000,
            "maximum_discount_cents": 900,
            "scope": {"items": ["i1"], "categories": ["a>b"]},
            "stores": ["s1"],
            "channels": ["app", "pos"],
            "fulfilment": ["in_store"],
            "segments": ["gold"],
            "points_cost": 5,
            "valid_from": NOW,
            "valid_until": NOW + timedelta(days=1),
            "stock": 10,
            "per_member_limit": 2,
            "funded_share": 0.5,
            "wallet": "external",
            "exclusive_group": "g",
        },
        {"offer_id": "o2", "kind": "gift"},
        items={"o1": ["i3", "i2"]},
    )
    with database.read() as connection:
        book = read_offers(connection)
        assert read_offers(connection, ["o2", "nobody"]).offers == {"o2": Offer("o2", OfferKind.GIFT)}
    assert not book.unusable
    assert book.offers["o1"] == Offer(
        "o1",
        OfferKind.PERCENT_OFF,
        title="One off",
        value=1500,
        minimum_spend_cents=2000,
        maximum_discount_cents=900,
        scope=Scope.of(items=["i1", "i2", "i3"], categories=["a > b"]),
        stores=frozenset({"s1"}),
        channels=frozenset({"app", "pos"}),
        fulfilment=frozenset({"in_store"}),
        segments=frozenset({"gold"}),
        points_cost=5,
        valid_from=NOW,
        valid_until=NOW + timedelta(days=1),
        stock=10,
        per_member_limit=2,
        funded_share=0.5,
        wallet=Wallet.EXTERNAL,
        exclusive_group="g",
    )


def test_one_bad_offer_does_not_hide_the_others(database: Database) -> None:
    put(
        database,
        {"offer_id": "good", "kind": "amount_off", "value": 5},
        {"offer_id": "bad", "kind": "amount_off", "value": 0},
        {"offer_id": "odd", "kind": "amount_off", "value": 5, "scope": {"items": []}},
    )
    with database.read() as connection:
        book = read_offers(connection)
    assert list(book.offers) == ["good"]
    assert {offer_id: error.field for offer_id, error in book.unusable.items()} == {"bad": "value", "odd": "scope"}


def test_items_of_a_large_scope_save_an_empty_one(database: Database) -> None:
    put(database, {"offer_id": "o", "kind": "gift", "scope": {"items": []}}, items={"o": ["i1"]})
    with database.read() as connection:
        assert read_offers(connection).offers["o"].scope == Scope.of(items=["i1"])


def test_offers_on_nothing_but_restricted_or_unknown_goods_never_apply(database: Database) -> None:
    items = (
        {"item_id": "milk", "category": "food > dairy", "brand": "Acme"},
        {"item_id": "wine", "category": "drinks > wine", "brand": "Vine", "restricted_class": "alcohol"},
        {"item_id": "juice", "category": "drinks > juice"},
    )
    scopes = {
        "everything": Scope(),
        "mixed": Scope.of(items=["milk", "wine"]),
        "wine": Scope.of(items=["wine"]),
        "unknown": Scope.of(items=["bread"]),
        "drinks": Scope.of(categories=["drinks"]),
        "wines": Scope.of(categories=["drinks > wine"]),
        "acme": Scope.of(brands=["Acme"]),
        "vine": Scope.of(brands=["Vine"]),
        "either": Scope.of(items=["wine"], brands=["Acme"]),
    }
    offers = [Offer(name, OfferKind.AMOUNT_OFF, value=5, scope=scope) for name, scope in scopes.items()]
    with database.write() as connection:
        upsert(connection, "items", items, NOW)
    with database.read() as connection:
        assert without_goods(connection, offers) == {"wine", "unknown", "wines", "vine"}
        assert without_goods(connection, offers[:1]) == set()


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("kind", {"kind": "half_off"}),
        ("wallet", {"wallet": "purse"}),
        ("scope", {"scope": "{"}),
        ("scope", {"scope": '{"colours": ["red"]}'}),
        ("scope", {"scope": "[1]"}),
        ("scope.items", {"scope": '{"items": [1]}'}),
        ("stores", {"stores": '"s1"'}),
    ],
)
def test_rows_that_are_no_offer(field: str, row: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        offer_of({"offer_id": "o1", "kind": "amount_off", "value": 5} | row)
    assert caught.value.field == field

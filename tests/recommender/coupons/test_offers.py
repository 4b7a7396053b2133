from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recommender.coupons.basket import Basket, BasketLine, times
from recommender.coupons.offers import EVERYTHING, MAX_CENTS, Offer, OfferKind, Scope
from recommender.errors import InputError
from tests.factories import NOW


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("value", {"kind": OfferKind.AMOUNT_OFF, "value": 0}),
        ("value", {"kind": OfferKind.AMOUNT_OFF, "value": -1}),
        ("value", {"kind": OfferKind.AMOUNT_OFF}),
        ("value", {"kind": OfferKind.AMOUNT_OFF, "value": 2**63 - 1}),
        ("value", {"kind": OfferKind.PERCENT_OFF, "value": 10_001}),
        ("value", {"kind": OfferKind.FIXED_PRICE, "value": -1}),
        ("value", {"kind": OfferKind.GIFT, "value": 5}),
        ("value", {"kind": OfferKind.FREE_DELIVERY, "value": 5}),
        ("assumed_value_cents", {"value": None, "assumed_value_cents": 0}),
        ("minimum_spend_cents", {"minimum_spend_cents": -1}),
        ("minimum_spend_cents", {"minimum_spend_cents": MAX_CENTS + 1}),
        ("maximum_discount_cents", {"maximum_discount_cents": 0}),
        ("points_cost", {"points_cost": -1}),
        ("stock", {"stock": -1}),
        ("per_member_limit", {"per_member_limit": 0}),
        ("funded_share", {"funded_share": 1.01}),
        ("funded_share", {"funded_share": float("nan")}),
        ("fulfilment", {"fulfilment": frozenset({"by_drone"})}),
        ("fulfilment", {"kind": OfferKind.FREE_DELIVERY, "value": None, "fulfilment": frozenset({"in_store"})}),
        ("valid_until", {"valid_from": NOW, "valid_until": NOW}),
        ("valid_until", {"valid_until": datetime(2026, 3, 2)}),  # noqa: DTZ001
        ("id", {"offer_id": ""}),
    ],
)
def test_terms_that_cannot_be_are_refused_by_field(field: str, terms: dict[str, Any]) -> None:
    sound = {"offer_id": "o1", "kind": OfferKind.AMOUNT_OFF, "value": 100}
    with pytest.raises(InputError) as caught:
        Offer(**(sound if "kind" not in terms else {"offer_id": "o1"}) | terms)
    assert caught.value.field == field


def test_a_scope_covers_what_any_of_its_parts_names() -> None:
    scope = Scope.of(items=["i1"], categories=["food>dairy"], brands=["Acme"])
    assert scope.covers("i1", None, None)
    assert scope.covers("i2", "food > dairy", None)
    assert scope.covers("i2", "food > dairy > milk", None)
    assert scope.covers("i2", "toys", "Acme")
    assert not scope.covers("i2", "food > dairyfree", None)
    assert not scope.covers("i2", "food", "Other")
    assert not scope.covers("i2", None, None)


def test_an_empty_scope_covers_everything() -> None:
    assert EVERYTHING.covers("i1", None, None)
    assert EVERYTHING.everything


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"kind": OfferKind.AMOUNT_OFF, "value": 500}, 500),
        ({"kind": OfferKind.AMOUNT_OFF, "value": 500, "maximum_discount_cents": 300}, 300),
        ({"kind": OfferKind.PERCENT_OFF, "value": 1000}, None),
        ({"kind": OfferKind.PERCENT_OFF, "value": 1000, "maximum_discount_cents": 800}, 800),
        ({"kind": OfferKind.PERCENT_OFF, "assumed_value_cents": 70}, 70),
        ({"kind": OfferKind.FREE_DELIVERY}, None),
        ({"kind": OfferKind.GIFT}, 0),
    ],
)
def test_the_worst_case_of_an_offer(terms: dict[str, Any], expected: int | None) -> None:
    assert Offer(offer_id="o1", **terms).worst_case_cents == expected


def test_a_supplier_pays_the_share_it_funds() -> None:
    offer = Offer("o1", OfferKind.AMOUNT_OFF, value=500, funded_share=0.25)
    assert offer.retailer_share == 0.75


@pytest.mark.parametrize(
    ("unit_cents", "quantity", "expected"),
    [(199, 3.0, 597), (1000, 0.345, 345), (999, 0.5, 500), (1, 0.5, 1), (1, 0.49, 0), (100, 1.005, 101)],
)
def test_quantities_cost_what_is_written_with_halves_rounded_up(
    unit_cents: int, quantity: float, expected: int
) -> None:
    assert times(unit_cents, quantity) == expected


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("quantity", {"quantity": 0.0}),
        ("quantity", {"quantity": -1.0}),
        ("quantity", {"quantity": float("nan")}),
        ("unit_price_cents", {"unit_price_cents": -1}),
        ("unit_price_cents", {"unit_price_cents": 2**63}),
        ("discount_cents", {"discount_cents": 101}),
    ],
)
def test_lines_that_cannot_be_are_refused_by_field(field: str, line: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        BasketLine(**{"item_id": "i1", "quantity": 1.0, "unit_price_cents": 100} | line)
    assert caught.value.field == field


def test_a_basket_dearer_than_any_is_refused() -> None:
    with pytest.raises(InputError, match="lines"):
        Basket((BasketLine("i1", 1e9, MAX_CENTS),), NOW)


def test_a_basket_needs_an_aware_time() -> None:
    with pytest.raises(InputError, match="when"):
        Basket((), datetime(2026, 3, 2))  # noqa: DTZ001
    assert Basket((), NOW.astimezone(UTC) + timedelta(0)).amount_cents == 0

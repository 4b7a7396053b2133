from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.coupons.basket import Basket, BasketLine, MemberFacts
from recommender.coupons.discount import Discount, OfferUse, Refused, apportion, assess
from recommender.coupons.offers import MAX_CENTS, Offer, OfferKind, Scope
from recommender.coupons.refusals import Refusal
from tests.factories import NOW

MILK = BasketLine("milk", 2.0, 150, "food > dairy", "Acme")
BREAD = BasketLine("bread", 1.0, 299, "food > bakery")
WINE = BasketLine("wine", 1.0, 1000, "drinks", restricted_class="alcohol")


def basket(*lines: BasketLine, **fields: Any) -> Basket:
    return Basket(
        lines or (MILK, BREAD), NOW, **{"store_id": "s1", "channel": "pos", "fulfilment": "in_store"} | fields
    )


def offer(kind: OfferKind, value: int | None = None, **terms: Any) -> Offer:
    return Offer("o1", kind, value=value, **terms)


def taken(found: Discount | Refused) -> tuple[int, ...]:
    assert isinstance(found, Discount), found
    return found.line_cents


def reason(found: Discount | Refused) -> tuple[Refusal, int | None]:
    assert isinstance(found, Refused), found
    return found.reason, found.short_by


def test_an_amount_is_spread_over_the_lines_by_what_they_cost() -> None:
    # 100 * 300 / 599 = 50.08, 100 * 299 / 599 = 49.92: the cent left over goes to the larger remainder.
    assert taken(assess(offer(OfferKind.AMOUNT_OFF, 100), basket())) == (50, 50)


def test_an_amount_is_never_more_than_the_goods_in_scope() -> None:
    bread = offer(OfferKind.AMOUNT_OFF, 500, scope=Scope.of(items=["bread"]))
    assert taken(assess(bread, basket())) == (0, 299)


def test_a_percentage_is_rounded_once_half_up() -> None:
    # 5 % of 599 is 29.95; 2.5 % of 300 is 7.5.
    assert sum(taken(assess(offer(OfferKind.PERCENT_OFF, 500), basket()))) == 30
    dairy = offer(OfferKind.PERCENT_OFF, 250, scope=Scope.of(categories=["food > dairy"]))
    assert taken(assess(dairy, basket())) == (8, 0)


def test_a_percentage_is_capped() -> None:
    capped = offer(OfferKind.PERCENT_OFF, 5000, maximum_discount_cents=120)
    assert taken(assess(capped, basket())) == (60, 60)


def test_a_fixed_price_takes_off_what_each_unit_costs_above_it() -> None:
    assert taken(assess(offer(OfferKind.FIXED_PRICE, 100), basket())) == (100, 199)
    capped = offer(OfferKind.FIXED_PRICE, 100, maximum_discount_cents=30)
    assert taken(assess(capped, basket())) == (10, 20)


def test_a_fixed_price_above_the_price_takes_nothing() -> None:
    assert reason(assess(offer(OfferKind.FIXED_PRICE, 300), basket())) == (Refusal.NOTHING_TO_TAKE_OFF, None)


def test_free_delivery_takes_the_fee_and_nothing_from_the_goods() -> None:
    free = offer(OfferKind.FREE_DELIVERY, maximum_discount_cents=400)
    found = assess(free, basket(fulfilment="delivery", delivery_fee_cents=500))
    assert found == Discount((0, 0), 400, assumed=False)
    assert reason(assess(free, basket())) == (Refusal.WRONG_FULFILMENT, None)
    assert reason(assess(free, basket(fulfilment="delivery"))) == (Refusal.NOTHING_TO_TAKE_OFF, None)


def test_a_gift_applies_and_costs_the_basket_nothing() -> None:
    assert assess(offer(OfferKind.GIFT, minimum_spend_cents=599), basket()) == Discount((0, 0), 0, assumed=False)


def test_an_assumed_value_is_cents_off_and_flagged() -> None:
    for kind in (OfferKind.AMOUNT_OFF, OfferKind.PERCENT_OFF, OfferKind.FIXED_PRICE):
        found = assess(offer(kind, assumed_value_cents=100), basket())
        assert isinstance(found, Discount)
        assert (found.total_cents, found.assumed) == (100, True)


def test_restricted_goods_count_for_nothing() -> None:
    whole = offer(OfferKind.PERCENT_OFF, 1000, minimum_spend_cents=600)
    assert reason(assess(whole, basket(MILK, BREAD, WINE))) == (Refusal.BELOW_MINIMUM_SPEND, 1)
    assert taken(assess(replace(whole, minimum_spend_cents=599), basket(MILK, BREAD, WINE))) == (30, 30, 0)
    assert reason(assess(whole, basket(WINE))) == (Refusal.RESTRICTED_GOODS_ONLY, None)


def test_the_minimum_spend_counts_goods_in_scope_after_other_promotions() -> None:
    dairy = offer(OfferKind.AMOUNT_OFF, 50, scope=Scope.of(brands=["Acme"]), minimum_spend_cents=300)
    assert taken(assess(dairy, basket())) == (50, 0)
    assert reason(assess(dairy, basket(replace(MILK, discount_cents=20), BREAD))) == (Refusal.BELOW_MINIMUM_SPEND, 20)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"valid_from": NOW + timedelta(microseconds=1)}, Refusal.NOT_STARTED),
        ({"valid_until": NOW}, Refusal.ENDED),
        ({"stores": frozenset({"s2"})}, Refusal.WRONG_STORE),
        ({"channels": frozenset({"app"})}, Refusal.WRONG_CHANNEL),
        ({"fulfilment": frozenset({"delivery"})}, Refusal.WRONG_FULFILMENT),
        ({"segments": frozenset({"gold"})}, Refusal.NOT_IN_SEGMENT),
        ({"scope": Scope.of(items=["other"])}, Refusal.NOTHING_IN_SCOPE),
    ],
)
def test_conditions_that_are_not_met(terms: dict[str, Any], expected: Refusal) -> None:
    assert reason(assess(offer(OfferKind.AMOUNT_OFF, 100, **terms), basket()))[0] is expected


def test_conditions_that_are_just_met() -> None:
    terms = {
        "valid_from": NOW,
        "valid_until": NOW + timedelta(microseconds=1),
        "stores": frozenset({"s1"}),
        "channels": frozenset({"pos"}),
        "fulfilment": frozenset({"in_store"}),
        "segments": frozenset({"gold", "silver"}),
        "points_cost": 10,
        "stock": 3,
        "per_member_limit": 2,
    }
    member = MemberFacts(frozenset({"gold"}), 10)
    found = assess(offer(OfferKind.AMOUNT_OFF, 100, **terms), basket(member=member), use=OfferUse(2, 1))
    assert sum(taken(found)) == 100


def test_points_that_are_missing_or_unknown() -> None:
    costly = offer(OfferKind.AMOUNT_OFF, 100, points_cost=10)
    assert reason(assess(costly, basket(member=MemberFacts(points=7)))) == (Refusal.NOT_ENOUGH_POINTS, 3)
    assert reason(assess(costly, basket())) == (Refusal.NOT_ENOUGH_POINTS, 10)


def test_stock_that_is_gone_is_no_matter_of_coupons_that_are_held() -> None:
    gone = offer(OfferKind.AMOUNT_OFF, 100, stock=0)
    assert reason(assess(gone, basket(), use=OfferUse())) == (Refusal.OUT_OF_STOCK, None)
    assert sum(taken(assess(gone, basket()))) == 100


def test_a_member_who_has_had_enough() -> None:
    limited = offer(OfferKind.AMOUNT_OFF, 100, per_member_limit=2)
    assert reason(assess(limited, basket(), use=OfferUse(5, 2))) == (Refusal.MEMBER_LIMIT, None)


def test_amounts_at_the_limit() -> None:
    dear = basket(BasketLine("i1", 1.0, MAX_CENTS))
    assert taken(assess(offer(OfferKind.PERCENT_OFF, 9999), dear)) == (MAX_CENTS - MAX_CENTS // 10_000,)
    assert taken(assess(offer(OfferKind.AMOUNT_OFF, MAX_CENTS), dear)) == (MAX_CENTS,)


def test_parts_by_hand() -> None:
    assert apportion(10, [1, 1, 1, 17]) == (1, 1, 0, 8)
    assert apportion(0, [5, 5]) == (0, 0)
    assert apportion(0, []) == ()
    assert apportion(1, [0, 1]) == (0, 1)


LINES = st.lists(
    st.builds(
        BasketLine,
        item_id=st.sampled_from(["a", "b", "c"]),
        quantity=st.one_of(st.integers(1, 20).map(float), st.floats(0.001, 5.0)),
        unit_price_cents=st.integers(0, 10**7),
        category=st.sampled_from([None, "x", "x > y", "z"]),
        restricted_class=st.sampled_from([None, None, "tobacco"]),
    ),
    max_size=6,
).map(tuple)
SCOPES = st.sampled_from([Scope(), Scope.of(items=["a"]), Scope.of(categories=["x"]), Scope.of(["b"], ["z"])])


@st.composite
def offers(draw: st.DrawFn, offer_id: str = "o1") -> Offer:
    kind = draw(st.sampled_from(list(OfferKind)))
    most = {OfferKind.PERCENT_OFF: 10_000, OfferKind.AMOUNT_OFF: 10**8, OfferKind.FIXED_PRICE: 10**5}
    return Offer(
        offer_id,
        kind,
        value=draw(st.integers(1, most[kind])) if kind in most else None,
        scope=draw(SCOPES),
        minimum_spend_cents=draw(st.sampled_from([0, 0, 500, 10**6])),
        maximum_discount_cents=draw(st.none() | st.integers(1, 10**7)),
        exclusive_group=draw(st.sampled_from([None, "g1", "g2"])),
    )


@given(offers(), LINES, st.integers(0, 1000))
def test_a_discount_stays_within_all_its_bounds(terms: Offer, lines: tuple[BasketLine, ...], fee: int) -> None:
    found = assess(terms, Basket(lines, NOW, fulfilment="delivery", delivery_fee_cents=fee))
    if isinstance(found, Refused):
        return
    assert all(0 <= part <= line.amount_cents for part, line in zip(found.line_cents, lines, strict=True))
    assert all(
        part == 0 or (line.restricted_class is None and terms.scope.covers(line.item_id, line.category, line.brand))
        for part, line in zip(found.line_cents, lines, strict=True)
    )
    assert 0 <= found.delivery_cents <= fee
    assert terms.maximum_discount_cents is None or found.total_cents <= terms.maximum_discount_cents
    assert terms.worst_case_cents is None or found.total_cents <= terms.worst_case_cents
    if terms.kind is OfferKind.AMOUNT_OFF:
        assert found.total_cents <= (terms.value or 0)


@given(offers(), LINES)
def test_a_larger_basket_never_gets_less(terms: Offer, lines: tuple[BasketLine, ...]) -> None:
    small, large = Basket(lines, NOW), Basket((*lines, BasketLine("a", 1.0, 700, "x")), NOW)
    before, after = assess(terms, small), assess(terms, large)
    if isinstance(before, Discount):
        assert isinstance(after, Discount)
        assert after.total_cents >= before.total_cents


@given(st.lists(st.integers(0, 10**15), max_size=8), st.data())
def test_parts_add_up_and_stay_within_their_weights(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    parts = apportion(total, weights)
    assert sum(parts) == total
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))
    whole = sum(weights)
    assert all(abs(part * whole - total * weight) <= whole for part, weight in zip(parts, weights, strict=True))

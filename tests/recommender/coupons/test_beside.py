"""Which coupon stands beside which item of a slate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recommender.coupons.basket import MemberFacts
from recommender.coupons.beside import Beside, Counter, Shown, place_beside
from recommender.coupons.kept_plans import Decided
from recommender.coupons.offers import Offer, OfferKind, Scope
from recommender.coupons.prospects import Origin, Prospect
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Coupon, Status
from tests.factories import NOW

HERE = Counter(NOW, "s1", "app", MemberFacts())


def item(item_id: str, price: int | None = 1000, margin: float | None = 400.0, **fields: Any) -> Shown:
    plain: dict[str, Any] = {"category": "food", "brand": None, "restricted_class": None, "anyway": 0.0}
    return Shown(item_id=item_id, price_cents=price, margin_cents=margin, **plain | fields)


def offer(offer_id: str = "o1", value: int = 100, **fields: Any) -> Offer:
    return Offer(offer_id, OfferKind.AMOUNT_OFF, value=value, **fields)


def decided(one: Offer, redemption: float = 0.5) -> Prospect:
    return Prospect(Origin.PLAN, one, decided=Decided(one.offer_id, None, 10.0, redemption, 1.0, assumed=False))


def held(one: Offer, coupon_id: str = "k1", refused: Refusal | None = None) -> Prospect:
    coupon = Coupon(coupon_id, one.offer_id, "m1", None, Status.ISSUED, False, NOW, None)
    return Prospect(Origin.HELD, one, coupon, refused=refused)


def placed(found: list[Beside | None]) -> list[str | None]:
    return [None if one is None else one.prospect.offer.offer_id for one in found]


def test_a_coupon_stands_where_an_extra_sale_earns_most() -> None:
    items = [item("a", margin=200.0), item("b", margin=600.0), item("c", margin=400.0)]
    assert placed(place_beside([decided(offer())], items, HERE)) == [None, "o1", None]


def test_what_is_given_to_purchases_made_anyway_counts_against_an_item() -> None:
    # a: 0.5 * 0.6 * (400 - 100) - 0.4 * 100 = 50; b: 0.5 * (250 - 100) = 75.
    items = [item("a", margin=400.0, anyway=0.4), item("b", margin=250.0)]
    assert placed(place_beside([decided(offer())], items, HERE)) == [None, "o1"]


def test_what_a_supplier_pays_is_no_cost() -> None:
    # Without funding a is worth 0.5 * 0.6 * (400 - 100) - 40 = 50; funded 0.5 * 0.6 * 400 = 120, b 0.5 * 230 = 115.
    items = [item("a", margin=400.0, anyway=0.4), item("b", margin=230.0)]
    assert placed(place_beside([decided(offer())], items, HERE)) == [None, "o1"]
    assert placed(place_beside([decided(offer(funded_share=1.0))], items, HERE)) == ["o1", None]


def test_no_offer_beside_what_is_bought_anyway_but_what_is_held_may_stand_there() -> None:
    items = [item("a", anyway=0.5)]
    assert placed(place_beside([decided(offer())], items, HERE)) == [None]
    assert placed(place_beside([held(offer())], items, HERE)) == ["o1"]
    assert placed(place_beside([held(offer(), refused=Refusal.COUPON_LOCKED)], items, HERE)) == [None]


def test_two_coupons_share_two_items() -> None:
    wide, narrow = offer("wide", 50), offer("narrow", 40, scope=Scope.of(items=["b"]))
    items = [item("a", margin=300.0), item("b", margin=500.0)]
    # narrow on b is worth 0.5 * 460, wide on b 0.5 * 450: wide has to make do with a.
    assert placed(place_beside([decided(wide), decided(narrow)], items, HERE)) == ["wide", "narrow"]


def test_the_price_after_is_the_till_s() -> None:
    third = Offer("o2", OfferKind.PERCENT_OFF, value=3333, maximum_discount_cents=300)
    (found,) = place_beside([decided(third)], [item("a", price=799)], HERE)
    assert found is not None
    assert (found.price_after_cents, found.short_by_cents) == (799 - 266, None)  # 266.3 rounds to 266
    (capped,) = place_beside([decided(third)], [item("a", price=2000)], HERE)
    assert capped is not None
    assert capped.price_after_cents == 1700


def test_conditions_that_one_unit_does_not_meet_leave_the_price_open() -> None:
    (found,) = place_beside([decided(offer(minimum_spend_cents=2500))], [item("a")], HERE)
    assert found is not None
    assert (found.price_after_cents, found.short_by_cents) == (None, 1500)


def test_an_unknown_price_stays_unknown() -> None:
    (found,) = place_beside([decided(offer(minimum_spend_cents=2500))], [item("a", None, None)], HERE)
    assert found is not None
    assert (found.price_after_cents, found.short_by_cents) == (None, None)


def test_what_cannot_be_used_here_is_not_shown() -> None:
    shown = [item("a")]
    for one in (
        offer(stores=frozenset({"s2"})),
        offer(channels=frozenset({"pos"})),
        offer(segments=frozenset({"gold"})),
        offer(points_cost=5),
        offer(scope=Scope.of(categories=["drinks"])),
        offer(valid_from=NOW + timedelta(days=1)),
        Offer("p", OfferKind.FIXED_PRICE, value=1000),
        Offer("g", OfferKind.GIFT),
        Offer("d", OfferKind.FREE_DELIVERY),
    ):
        assert place_beside([decided(one)], shown, HERE) == [None], one
    assert place_beside([decided(offer())], [item("a", restricted_class="alcohol")], HERE) == [None]
    assert placed(place_beside([decided(offer(fulfilment=frozenset({"delivery"})))], shown, HERE)) == ["o1"]


@given(
    prices=st.lists(st.one_of(st.none(), st.integers(1, 5000)), max_size=8),
    values=st.lists(st.integers(1, 3000), max_size=5),
    anyway=st.floats(0, 1),
)
def test_each_coupon_and_each_item_once_and_never_below_zero(
    prices: list[int | None], values: list[int], anyway: float
) -> None:
    items = [
        item(str(place), price, None if price is None else price / 4, anyway=anyway)
        for place, price in enumerate(prices)
    ]
    prospects = [decided(offer(f"o{place}", value)) for place, value in enumerate(values)]
    found = place_beside(prospects, items, HERE)
    used = [name for name in placed(found) if name is not None]
    assert len(found) == len(items)
    assert len(used) == len(set(used)) == (min(len(items), len(prospects)) if anyway < 0.5 else 0)
    for one, shown in zip(found, items, strict=True):
        if one is not None and one.price_after_cents is not None:
            assert shown.price_cents is not None
            assert 0 <= one.price_after_cents < shown.price_cents

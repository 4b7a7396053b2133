from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from recommender.coupons.basket import Basket, BasketLine
from recommender.coupons.discount import Discount, Refused
from recommender.coupons.offers import Offer, OfferKind
from recommender.coupons.refusals import Refusal
from recommender.coupons.stacking import Held, Stacked, stack
from tests.factories import NOW
from tests.recommender.coupons.test_discount import LINES, offers

BASKET = Basket((BasketLine("a", 1.0, 1000), BasketLine("b", 1.0, 500)), NOW)


def held(coupon_id: str, value: int, kind: OfferKind = OfferKind.AMOUNT_OFF, group: str | None = None) -> Held:
    return Held(coupon_id, Offer(f"offer-{coupon_id}", kind, value=value, exclusive_group=group))


def summary(stacked: list[Stacked]) -> list[tuple[str, int | Refusal]]:
    return [
        (one.coupon_id, one.outcome.total_cents if isinstance(one.outcome, Discount) else one.outcome.reason)
        for one in stacked
    ]


def test_each_coupon_is_worth_something_on_what_is_left() -> None:
    # 300 first, then 10 % of the 1200 that are left.
    coupons = [held("c1", 1000, OfferKind.PERCENT_OFF), held("c2", 300)]
    assert summary(stack(BASKET, coupons)) == [("c2", 300), ("c1", 120)]


def test_of_a_group_only_the_best_counts() -> None:
    coupons = [held("c1", 100, group="g"), held("c2", 300, group="g"), held("c3", 50)]
    assert summary(stack(BASKET, coupons)) == [("c2", 300), ("c3", 50), ("c1", Refusal.EXCLUSIVE_GROUP)]


def test_equal_ones_go_by_expiry_then_by_id() -> None:
    first = Held("c9", held("c9", 100).offer, NOW + timedelta(days=1))
    coupons = [held("c2", 100), held("c1", 100), first]
    assert [one.coupon_id for one in stack(BASKET, coupons)] == ["c9", "c1", "c2"]


def test_a_minimum_spend_is_asked_of_what_is_left() -> None:
    later = Held("c2", Offer("o2", OfferKind.AMOUNT_OFF, value=50, minimum_spend_cents=1300))
    assert summary(stack(BASKET, [held("c1", 300), later])) == [("c1", 300), ("c2", Refusal.BELOW_MINIMUM_SPEND)]


def test_one_delivery_fee_is_waived_once() -> None:
    basket = Basket(BASKET.lines, NOW, fulfilment="delivery", delivery_fee_cents=500)
    coupons = [Held(name, Offer(name, OfferKind.FREE_DELIVERY)) for name in ("c1", "c2")]
    assert summary(stack(basket, coupons)) == [("c1", 500), ("c2", Refusal.NOTHING_TO_TAKE_OFF)]


def test_nothing_held() -> None:
    assert stack(BASKET, []) == []


@given(LINES, st.lists(offers(), max_size=5), st.integers(0, 900), st.randoms(use_true_random=False))
def test_together_they_never_take_more_than_there_is(lines: tuple, terms: list[Offer], fee: int, rng) -> None:  # type: ignore[type-arg, no-untyped-def]
    basket = Basket(lines, NOW, fulfilment="delivery", delivery_fee_cents=fee)
    coupons = [Held(f"c{number}", offer) for number, offer in enumerate(terms)]
    found = stack(basket, coupons)
    applied = [one for one in found if isinstance(one.outcome, Discount)]
    for place, line in enumerate(lines):
        assert sum(one.outcome.line_cents[place] for one in applied) <= line.amount_cents  # type: ignore[union-attr]
    assert sum(one.outcome.delivery_cents for one in applied) <= fee  # type: ignore[union-attr]
    groups = [coupons[int(one.coupon_id[1:])].offer.exclusive_group for one in applied]
    assert len([group for group in groups if group]) == len({group for group in groups if group})
    assert sorted(one.coupon_id for one in found) == [one.coupon_id for one in coupons]
    rng.shuffle(coupons)
    assert stack(basket, coupons) == found
    assert all(isinstance(one.outcome, Discount | Refused) for one in found)

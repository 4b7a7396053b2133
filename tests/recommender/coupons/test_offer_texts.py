"""Offers in words."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from recommender.coupons.offer_texts import _REASONS, CouponReason, WhyCoupon, conditions, headline
from recommender.coupons.offers import Offer, OfferKind, Scope

UNTIL = datetime(2026, 3, 31, 16, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("offer", "english", "chinese"),
    [
        (Offer("a", OfferKind.AMOUNT_OFF, value=1000), "10.00 off", "减10.00"),
        (Offer("a", OfferKind.AMOUNT_OFF, assumed_value_cents=150), "1.50 off", "减1.50"),
        (Offer("a", OfferKind.PERCENT_OFF, value=1500), "15 % off", "8.5折"),
        (Offer("a", OfferKind.PERCENT_OFF, value=1250), "12.5 % off", "8.75折"),
        (Offer("a", OfferKind.FIXED_PRICE, value=990), "9.90 each", "每件9.90"),
        (Offer("a", OfferKind.FREE_DELIVERY), "Free delivery", "免配送费"),
        (Offer("a", OfferKind.GIFT), "A gift", "赠品"),
    ],
)
def test_what_is_taken_off(offer: Offer, english: str, chinese: str) -> None:
    assert (headline(offer, "en"), headline(offer, "zh")) == (english, chinese)


def test_every_condition_is_told() -> None:
    offer = Offer(
        "a",
        OfferKind.AMOUNT_OFF,
        value=1000,
        minimum_spend_cents=3000,
        maximum_discount_cents=2000,
        scope=Scope.of(items=["i1"], categories=["food > dairy"], brands=["Alm"]),
        stores=frozenset(f"s{number}" for number in range(7)),
        channels=frozenset({"app"}),
        fulfilment=frozenset({"delivery"}),
        points_cost=5,
    )
    assert conditions(offer, UNTIL, "en", SHANGHAI) == [
        "On: food > dairy, Alm, 1 named item",
        "From 30.00 spent on these goods",
        "At most 20.00 off",
        "Only in stores: s0, s1, s2, s3, s4 and 2 more",
        "Only through: app",
        "Only for orders received by: delivery",
        "Costs 5 points",
        "Until 31 March 2026",
    ]
    assert conditions(offer, UNTIL, "zh", SHANGHAI)[:4] == [
        "适用于：food > dairy、Alm、1种指定商品",
        "此类商品满30.00可用",
        "最多优惠20.00",
        "限门店：s0、s1、s2、s3、s4等7项",
    ]


def test_every_reason_is_said_in_both_languages() -> None:
    facts = {"times": 3, "days": 180, "last_on": "2026-03-01", "since_on": "2026-03-02"}
    assert {language: set(texts) for language, texts in _REASONS.items()} == {
        "en": set(CouponReason),
        "zh": set(CouponReason),
    }
    for code in CouponReason:
        assert WhyCoupon(code, facts).text("en") != WhyCoupon(code, facts).text("zh")
    assert WhyCoupon(CouponReason.HELD, facts).text("zh") == "2026年3月2日起在您的卡包中"

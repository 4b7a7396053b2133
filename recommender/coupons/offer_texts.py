"""Offers in words, in English and Chinese: what they take off, under which conditions, and why a member sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum

from recommender.coupons.offers import WHOLE_BASIS_POINTS, Offer, OfferKind

Evidence = str | int | float
CENTS = 100
MOST_NAMES = 5
"""Names listed of a scope, stores or channels; the others are counted."""


class CouponReason(StrEnum):
    """Why a member sees a coupon or an offer."""

    BUYS_OFTEN = "buys_often"
    BOUGHT_LATELY = "bought_lately"
    NOT_LATELY = "not_lately"
    OPEN_TO_ALL = "open_to_all"
    HELD = "held"
    ENDS_SOON = "ends_soon"


_REASONS: dict[str, dict[CouponReason, str]] = {
    "en": {
        CouponReason.BUYS_OFTEN: "You bought these goods on {times} days of the last {days}, last on {last_on}",
        CouponReason.BOUGHT_LATELY: "You bought these goods last on {last_on}",
        CouponReason.NOT_LATELY: "You have not bought these goods in the last {days} days",
        CouponReason.OPEN_TO_ALL: "Open to all members",
        CouponReason.HELD: "In your wallet since {since_on}",
        CouponReason.ENDS_SOON: "Ends in {days} days",
    },
    "zh": {
        CouponReason.BUYS_OFTEN: "最近{days}天您有{times}天买过此类商品，上次是{last_on}",
        CouponReason.BOUGHT_LATELY: "您上次在{last_on}买过此类商品",
        CouponReason.NOT_LATELY: "最近{days}天您没有买过此类商品",
        CouponReason.OPEN_TO_ALL: "全体会员可用",
        CouponReason.HELD: "{since_on}起在您的卡包中",
        CouponReason.ENDS_SOON: "{days}天后到期",
    },
}


@dataclass(frozen=True, slots=True)
class WhyCoupon:
    """One reason; `evidence` holds the facts that the sentence states. Names that end in _on are ISO dates."""

    code: CouponReason
    evidence: Mapping[str, Evidence]

    def text(self, language: str) -> str:
        """Say it in one sentence."""
        values = {
            name: say_day(date.fromisoformat(str(value)), language) if name.endswith("_on") else str(value)
            for name, value in self.evidence.items()
        }
        return _REASONS.get(language, _REASONS["en"])[self.code].format(**values)


def headline(offer: Offer, language: str) -> str:
    """Say what an offer takes off."""
    chinese, value = language == "zh", offer.face_value or 0
    if offer.kind is OfferKind.FREE_DELIVERY:
        return "免配送费" if chinese else "Free delivery"
    if offer.kind is OfferKind.GIFT:
        return "赠品" if chinese else "A gift"
    if offer.kind is OfferKind.FIXED_PRICE and not offer.assumed:
        return f"每件{_money(value)}" if chinese else f"{_money(value)} each"
    if offer.kind is OfferKind.PERCENT_OFF and not offer.assumed:
        left = (WHOLE_BASIS_POINTS - value) / (WHOLE_BASIS_POINTS // 10)
        return f"{left:g}折" if chinese else f"{value / CENTS:g} % off"
    return f"减{_money(value)}" if chinese else f"{_money(value)} off"


def conditions(offer: Offer, expires_at: datetime | None, language: str, zone: tzinfo) -> list[str]:
    """Say under which conditions, one sentence each, those that decide most often first.

    Args:
        expires_at: the first moment at which it can no longer be used; the day before it is told.
    """
    chinese = language == "zh"
    found = [_goods(offer, language)]
    if offer.minimum_spend_cents:
        least = _money(offer.minimum_spend_cents)
        found.append(f"此类商品满{least}可用" if chinese else f"From {least} spent on these goods")
    if offer.maximum_discount_cents is not None and offer.kind is not OfferKind.GIFT:
        most = _money(offer.maximum_discount_cents)
        found.append(f"最多优惠{most}" if chinese else f"At most {most} off")
    named = (
        (offer.stores, "Only in stores: {}", "限门店：{}"),
        (offer.channels, "Only through: {}", "限渠道：{}"),
        (offer.fulfilment, "Only for orders received by: {}", "限取货方式：{}"),
    )
    found += [(zh if chinese else en).format(_names(names, language)) for names, en, zh in named if names]
    if offer.points_cost:
        found.append(f"需{offer.points_cost}积分" if chinese else f"Costs {offer.points_cost} points")
    if expires_at is not None:
        last = (expires_at - timedelta.resolution).astimezone(zone).date()
        day = say_day(last, language)
        found.append(f"有效期至{day}" if chinese else f"Until {day}")
    return found


def say_day(day: date, language: str) -> str:
    """Write a day by the language's custom."""
    return f"{day.year}年{day.month}月{day.day}日" if language == "zh" else f"{day.day} {day:%B %Y}"


def _goods(offer: Offer, language: str) -> str:
    chinese, scope = language == "zh", offer.scope
    if scope.everything:
        return "除受限商品外全场可用" if chinese else "On all goods but restricted ones"
    named = [*sorted(scope.categories), *sorted(scope.brands)]
    if scope.items:
        count = len(scope.items)
        named.append(f"{count}种指定商品" if chinese else f"{count} named item" + ("s" if count > 1 else ""))
    goods = _names(named, language)
    return f"适用于：{goods}" if chinese else f"On: {goods}"


def _names(names: frozenset[str] | list[str], language: str) -> str:
    listed = names if isinstance(names, list) else sorted(names)
    more = len(listed) - MOST_NAMES
    shown = ("、" if language == "zh" else ", ").join(listed[:MOST_NAMES])
    if more <= 0:
        return shown
    return f"{shown}等{len(listed)}项" if language == "zh" else f"{shown} and {more} more"


def _money(cents: int) -> str:
    return f"{cents / CENTS:.2f}"

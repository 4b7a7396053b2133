"""Audiences evaluated member by member in plain Python, to hold the engine against."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from recommender.events import BROWSING_KINDS, Event, EventKind
from tests.factories import NOW
from tests.recommender.campaigns.club import CHANNEL_KINDS, ITEMS, Club

SHANGHAI = timedelta(hours=8)


def plain_members(club: Club, expression: dict[str, Any]) -> set[str]:
    """Return the members an expression holds for."""
    return {member_id for member_id in club.members if holds(club, member_id, expression)}


def holds(club: Club, member_id: str, expression: dict[str, Any]) -> bool:
    """Tell whether an expression holds for a member."""
    ((name, content),) = expression.items()
    if name == "and":
        return all(holds(club, member_id, part) for part in content)
    if name == "or":
        return any(holds(club, member_id, part) for part in content)
    if name == "not":
        return not holds(club, member_id, content)
    return _CONDITIONS[name](club, member_id, content)


def local_day(time: datetime) -> date:
    return (time + SHANGHAI).date()


def _ago(time: datetime) -> int:
    return (local_day(NOW) - local_day(time)).days


def _within(value: float | None, bounds: dict[str, Any]) -> bool:
    if value is None:
        return False
    return bounds.get("min", -1e18) <= value <= bounds.get("max", 1e18)


def _in_window(time: datetime, channel: str | None, window: dict[str, Any]) -> bool:
    if "within_days" in window and not 0 <= _ago(time) < window["within_days"]:
        return False
    wanted = window.get("channel")
    wanted = [wanted] if isinstance(wanted, str) else wanted
    return wanted is None or channel in wanted or CHANNEL_KINDS.get(channel or "") in wanted


def _is_good(event: Event, goods: dict[str, Any]) -> bool:
    item = ITEMS[event.item_id or ""]
    category, brand = str(item.get("category", "")), item.get("brand")
    asked = [goods[name] for name in ("item_id", "category", "brand") if name in goods]
    if not asked:
        return True
    below = any(category == path or category.startswith(f"{path} > ") for path in goods.get("category", []))
    return event.item_id in goods.get("item_id", []) or brand in goods.get("brand", []) or below


def _acts(club: Club, member_id: str, kinds: list[str], asked: dict[str, Any]) -> list[Event]:
    return [
        one
        for one in club.events
        if one.subject == f"member:{member_id}"
        and str(one.kind) in kinds
        and _in_window(one.occurred_at, one.channel, asked)
        and _is_good(one, asked)
        and _ago(one.occurred_at) < 730
        and _profiled(club, member_id)
    ]


def _profiled(club: Club, member_id: str) -> bool:
    """Whether the member's history may be used: not refused, and no minor."""
    born = club.members[member_id]["birth_date"]
    return _latest(club, member_id, "personalization", None) != "refused" and not (born and born.year > 2008)


def _latest(club: Club, member_id: str, purpose: str, channel: str | None) -> str:
    rows = [
        one
        for one in club.consents
        if one["member_id"] == member_id
        and one["purpose"] == purpose
        and (channel is None or one["channel"] in ("", channel))
    ]
    if not rows:
        return "none"
    last = max(one["at"] for one in rows)
    return "granted" if all(one["granted"] for one in rows if one["at"] == last) else "refused"


def _paid(event: Event) -> tuple[float, float]:
    price = event.unit_price_cents
    if price is None:
        price = int(ITEMS[event.item_id or ""].get("price_cents", 0))  # type: ignore[call-overload]
    saved = event.discount_cents or 0
    full = round(price * (1 if event.quantity is None else event.quantity))
    return max(full - saved, 0), saved


def _orders(club: Club, member_id: str, window: dict[str, Any]) -> list[tuple[float, float]]:
    """Return paid and saved of each order; lines without one are an order per day and channel."""
    groups: dict[Any, list[Event]] = {}
    for one in club.events:
        if one.subject == f"member:{member_id}" and one.kind is EventKind.PURCHASE and _profiled(club, member_id):
            key = one.order_id or (local_day(one.occurred_at), one.channel)
            groups.setdefault(key, []).append(one)
    orders = []
    for lines in groups.values():
        first = min(lines, key=lambda one: local_day(one.occurred_at))
        # The channels are numbered in the order of their names, and the lowest of an order's is its own.
        if _in_window(first.occurred_at, min(one.channel for one in lines), window):
            money = [_paid(one) for one in lines]
            orders.append((sum(one[0] for one in money), sum(one[1] for one in money)))
    return orders


def _measure(name: str) -> Callable[[Club, str, dict[str, Any]], bool]:
    def check(club: Club, member_id: str, asked: dict[str, Any]) -> bool:
        orders = _orders(club, member_id, asked)
        spent, saved = sum(one[0] for one in orders), sum(one[1] for one in orders)
        value: float | None = {"orders": len(orders), "spend_cents": spent}.get(name)
        if name == "average_basket_cents" and orders:
            value = spent / len(orders)
        if name == "discount_share" and spent + saved > 0:
            value = saved / (spent + saved)
        return _within(value, asked)

    return check


def _did(kinds: list[str]) -> Callable[[Club, str, dict[str, Any]], bool]:
    def check(club: Club, member_id: str, asked: dict[str, Any]) -> bool:
        found = _acts(club, member_id, asked.get("kind", kinds), asked)
        enough = len(found) >= asked.get("min_times", 1)
        return enough and sum(_paid(one)[0] for one in found) >= asked.get("min_cents", 0)

    return check


def _since(club: Club, member_id: str, asked: dict[str, Any]) -> bool:
    buys = _acts_ever(club, member_id, ["purchase"])
    looks = _acts(club, member_id, list(map(str, BROWSING_KINDS)), {})
    times = {
        "registered": [club.members[member_id]["registered_at"]],
        "first_purchase": [min(buys, default=None)],
        "last_purchase": [max(buys, default=None)],
        "last_browse": [max((one.occurred_at for one in looks), default=None)],
        "coupon": [max(_given(club, member_id, None), default=None)],
        "redemption": [
            max((one["redeemed_at"] for one in club.redemptions if one["member_id"] == member_id), default=None)
        ],
    }[asked["what"]]
    return times[0] is not None and _within(_ago(times[0]), asked)


def _acts_ever(club: Club, member_id: str, kinds: list[str]) -> list[datetime]:
    return [one.occurred_at for one in _acts(club, member_id, kinds, {})]


def _given(club: Club, member_id: str, offers: list[str] | None) -> list[datetime]:
    return [
        one["sent_at"]
        for one in club.sends
        if one["member_id"] == member_id and one["arm"] == "treated" and (offers is None or one["offer_id"] in offers)
    ]


def _redeemed(club: Club, member_id: str) -> list[datetime]:
    return [one["redeemed_at"] for one in club.redemptions if one["member_id"] == member_id]


def _coupons(club: Club, member_id: str, asked: dict[str, Any]) -> bool:
    found = [
        (local_day(one["sent_at"]), one["offer_id"])
        for one in club.sends
        if one["member_id"] == member_id
        and one["arm"] == "treated"
        and one["offer_id"] in asked.get("offer_id", ("o1", "o2"))
        and _in_window(one["sent_at"], None, asked)
    ]
    return _within(len(set(found)), asked if asked.keys() & {"min", "max"} else {"min": 1})


def _attribute(club: Club, member_id: str, asked: dict[str, Any]) -> bool:
    value = (club.members[member_id]["attributes"] or {}).get(asked["name"], [])
    values = value if isinstance(value, list) else [value]
    if "exists" in asked:
        return bool(values) == asked["exists"]
    if "is" in asked:
        return any(one == asked["is"] and isinstance(one, bool) == isinstance(asked["is"], bool) for one in values)
    return any(_within(one, asked) for one in values if isinstance(one, int | float) and not isinstance(one, bool))


def _consent(club: Club, member_id: str, asked: dict[str, Any]) -> bool:
    wanted = "granted" if asked.get("granted", True) else "refused"
    return _latest(club, member_id, asked["purpose"], asked.get("channel")) == wanted


def _column(name: str) -> Callable[[Club, str, Any], bool]:
    return lambda club, member_id, values: club.members[member_id][name] in values


def _born(club: Club, member_id: str, months: list[int]) -> bool:
    born = club.members[member_id]["birth_date"]
    return born is not None and born.month in months


_CONDITIONS: dict[str, Callable[[Club, str, Any], bool]] = {
    "everyone": lambda _club, _member_id, _asked: True,
    "member_id": lambda _club, member_id, wanted: member_id in wanted,
    "tier": _column("tier"),
    "city": _column("city"),
    "home_store_id": _column("home_store_id"),
    "guide_id": _column("guide_id"),
    "kind": lambda club, member_id, kinds: (club.members[member_id]["kind"] or "consumer") in kinds,
    "birth_month": _born,
    "points": lambda club, member_id, asked: _within(club.members[member_id]["points_balance"], asked),
    "attribute": _attribute,
    "consent": _consent,
    "days_since": _since,
    "orders": _measure("orders"),
    "spend_cents": _measure("spend_cents"),
    "average_basket_cents": _measure("average_basket_cents"),
    "discount_share": _measure("discount_share"),
    "bought": _did(["purchase"]),
    "browsed": _did(list(map(str, BROWSING_KINDS))),
    "coupons_given": _coupons,
}

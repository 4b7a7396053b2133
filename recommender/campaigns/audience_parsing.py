"""Reads audiences from JSON: names the place, the value and what is accepted wherever one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recommender.campaigns.audience_behaviour import Bought, DaysSince, Did, Due, HadCoupons, Likes, OfRfm
from recommender.campaigns.audience_conditions import (
    All,
    AnyOf,
    AttributeIs,
    AttributeKnown,
    AttributeWithin,
    BornIn,
    Consented,
    Everyone,
    IsMember,
    LabelIs,
    Not,
    OfAudience,
    OnList,
    PointsWithin,
    RandomShare,
)
from recommender.campaigns.audience_terms import Bounds, Expression, Goods, Window
from recommender.campaigns.member_features import GIVEN, REDEEMED, RFM
from recommender.columns import MEMBER_KINDS
from recommender.errors import InputError
from recommender.events import BROWSING_KINDS, EventKind
from recommender.item_facts import normal_path
from recommender.json_trees import Grammar, TreeReader
from recommender.json_values import (
    check_bounds,
    read_list,
    read_number,
    read_object,
    read_scalar,
    read_texts,
    read_truth,
    read_whole,
)

MAX_DAYS = 3_650
MAX_CENTS = 10**15
MAX_TOP = 10_000_000
THIS_MONTH, NEXT_MONTH = "this", "next"
SINCE = ("registered", "first_purchase", "last_purchase", "last_browse", "coupon", "redemption")
GOODS = ("item_id", "category", "brand")


def parse_expression(value: object, path: str = "expression") -> Expression:
    """Read an audience.

    Args:
        value: as JSON gives it.
        path: what it is called in errors.
    Raises: InputError that names the place, the value found and what is accepted.
    """
    return TreeReader(_GRAMMAR).read(value, path)


def named_audiences(value: object) -> set[str]:
    """Return the saved audiences that an expression, as JSON gives it, names."""
    if isinstance(value, list):
        return {name for one in value for name in named_audiences(one)}
    if not isinstance(value, Mapping):
        return set()
    own = value.get("audience")
    found = {own} if isinstance(own, str) else set()
    return found | {name for key in ("and", "or", "not") for name in named_audiences(value.get(key))}


def _everyone(value: object, path: str) -> Expression:
    if value is not True:
        raise InputError("This is only ever true.", field=path, value=value, accepted="true")
    return Everyone()


def _label(column: str) -> Callable[[object, str], Expression]:
    return lambda value, path: LabelIs(column, read_texts(value, path))


def _kind(value: object, path: str) -> Expression:
    kinds = read_texts(value, path)
    _check_among(kinds, MEMBER_KINDS, path, "member")
    # Who has no kind is an ordinary consumer.
    return LabelIs("kind", kinds) if MEMBER_KINDS[0] not in kinds else Not(LabelIs("kind", _others(kinds)))


def _others(kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(kind for kind in MEMBER_KINDS if kind not in kinds)


def _birth_month(value: object, path: str) -> Expression:
    values = value if isinstance(value, list) else [value]
    months, ahead = [], []
    for month in values:
        if month in (THIS_MONTH, NEXT_MONTH):
            ahead.append((THIS_MONTH, NEXT_MONTH).index(month))
        elif isinstance(month, int) and not isinstance(month, bool) and 1 <= month <= 12:
            months.append(month)
        else:
            accepted = '1 to 12, "this" or "next", or a list of such'
            raise InputError("This is no month.", field=path, value=month, accepted=accepted)
    if not values:
        raise InputError("No month is named.", field=path, value=value, accepted="at least one month")
    return BornIn(tuple(months), tuple(ahead))


def _points(value: object, path: str) -> Expression:
    return PointsWithin(_whole_bounds(read_object(value, path, ("min", "max")), path, MAX_CENTS))


def _attribute(value: object, path: str) -> Expression:
    members = read_object(value, path, ("name", "is", "in", "min", "max", "exists"))
    (key,) = read_texts(members.get("name"), f"{path}.name", one=True)
    asked = members.keys() - {"name"}
    if asked == {"is"}:
        return AttributeIs(key, (read_scalar(members["is"], f"{path}.is"),))
    if asked == {"in"}:
        values = read_list(members["in"], f"{path}.in")
        return AttributeIs(key, tuple(read_scalar(one, f"{path}.in[{at}]") for at, one in enumerate(values)))
    if asked == {"exists"}:
        return AttributeKnown(key, read_truth(members["exists"], f"{path}.exists"))
    if asked and asked <= {"min", "max"}:
        return AttributeWithin(key, _bounds(members, path))
    accepted = "`name` and one of `is`, `in`, `exists`, or `min` and `max`"
    raise InputError("An attribute is asked for one thing.", field=path, value=", ".join(members), accepted=accepted)


def _consent(value: object, path: str) -> Expression:
    members = read_object(value, path, ("purpose", "channel", "granted"))
    (purpose,) = read_texts(members.get("purpose"), f"{path}.purpose", one=True)
    channel = members.get("channel")
    if channel is not None:
        (channel,) = read_texts(channel, f"{path}.channel", one=True)
    return Consented(purpose, channel, read_truth(members.get("granted", True), f"{path}.granted"))


def _days_since(value: object, path: str) -> Expression:
    members = read_object(value, path, ("what", "min", "max"))
    what = members.get("what")
    if what not in SINCE:
        accepted = "one of " + ", ".join(SINCE)
        raise InputError("Of this no day is known.", field=f"{path}.what", value=what, accepted=accepted)
    return DaysSince(str(what), _whole_bounds(members, path, MAX_DAYS))


def _measure(name: str) -> Callable[[object, str], Expression]:
    def read(value: object, path: str) -> Expression:
        members = read_object(value, path, ("min", "max", "within_days", "channel"))
        bounds = _bounds(members, path) if name == "discount_share" else _whole_bounds(members, path, MAX_CENTS)
        return Bought(name, _window(members, path), bounds)

    return read


def _rfm(value: object, path: str) -> Expression:
    parts = []
    for name, fifths in read_object(value, path, RFM).items():
        here = f"{path}.{name}"
        wanted = fifths if isinstance(fifths, list) and fifths else [fifths]
        for one in wanted:
            if isinstance(one, bool) or not isinstance(one, int) or not 1 <= one <= 5:
                accepted = "1 to 5, 5 the best, or a list of such"
                raise InputError("This is no fifth.", field=here, value=one, accepted=accepted)
        parts.append(OfRfm(name, tuple(wanted)))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _bought(value: object, path: str) -> Expression:
    members = read_object(value, path, (*GOODS, "within_days", "channel", "min_times", "min_cents"))
    cents = read_whole(members.get("min_cents"), f"{path}.min_cents", MAX_CENTS) or 0
    goods, window = _goods(members, path), _window(members, path)
    return Did((EventKind.PURCHASE,), goods, window, _times(members, path), cents)


def _browsed(value: object, path: str) -> Expression:
    members = read_object(value, path, (*GOODS, "within_days", "channel", "min_times", "kind"))
    kinds = tuple(map(str, BROWSING_KINDS))
    if "kind" in members:
        kinds = read_texts(members["kind"], f"{path}.kind")
        _check_among(kinds, tuple(map(str, BROWSING_KINDS)), f"{path}.kind", "browsing")
    goods, window = _goods(members, path), _window(members, path)
    return Did(tuple(map(EventKind, kinds)), goods, window, _times(members, path))


def _coupons(act: int) -> Callable[[object, str], Expression]:
    def read(value: object, path: str) -> Expression:
        members = read_object(value, path, ("offer_id", "within_days", "min", "max"))
        offers = read_texts(members["offer_id"], f"{path}.offer_id") if "offer_id" in members else ()
        asked = members.keys() & {"min", "max"}
        bounds = _whole_bounds(members, path, MAX_CENTS) if asked else Bounds(1)
        return HadCoupons(act, offers, _window(members, path), bounds)

    return read


def _due(value: object, path: str) -> Expression:
    members = read_object(value, path, (*GOODS, "within_days"))
    return Due(_goods(members, path), read_whole(members.get("within_days", 0), f"{path}.within_days", MAX_DAYS) or 0)


def _affinity(value: object, path: str) -> Expression:
    members = read_object(value, path, (*GOODS, "offer_id", "top", "top_share"))
    goods = _goods(members, path)
    offer = None
    if "offer_id" in members:
        (offer,) = read_texts(members["offer_id"], f"{path}.offer_id", one=True)
    if goods.everything == (offer is None):
        accepted = "`offer_id`, or some of `item_id`, `category` and `brand`"
        raise InputError("An affinity is to goods or to an offer.", field=path, value=dict(members), accepted=accepted)
    if len(members.keys() & {"top", "top_share"}) != 1:
        accepted = "`top`, so many members, or `top_share`, a share of all"
        raise InputError("An affinity has one size.", field=path, value=dict(members), accepted=accepted)
    top = read_whole(members.get("top"), f"{path}.top", MAX_TOP)
    return Likes(goods, offer, top, _share(members["top_share"], f"{path}.top_share") if top is None else None)


def _audience(value: object, path: str) -> Expression:
    return OfAudience(*read_texts(value, path, one=True))


def _card_list(value: object, path: str) -> Expression:
    return OnList(*read_texts(value, path, one=True))


def _random(value: object, path: str) -> Expression:
    members = read_object(value, path, ("share", "salt"))
    salt = read_texts(members.get("salt", "audience"), f"{path}.salt", one=True)
    return RandomShare(_share(members.get("share"), f"{path}.share"), *salt)


_CONDITIONS: dict[str, Callable[[object, str], Expression]] = {
    "everyone": _everyone,
    "member_id": lambda value, path: IsMember(read_texts(value, path)),
    "kind": _kind,
    "tier": _label("tier"),
    "city": _label("city"),
    "home_store_id": _label("home_store"),
    "guide_id": _label("guide"),
    "birth_month": _birth_month,
    "points": lambda value, path: PointsWithin(
        _whole_bounds(read_object(value, path, ("min", "max")), path, MAX_CENTS)
    ),
    "attribute": _attribute,
    "consent": _consent,
    "days_since": _days_since,
    "orders": _measure("orders"),
    "spend_cents": _measure("spend_cents"),
    "average_basket_cents": _measure("average_basket_cents"),
    "discount_share": _measure("discount_share"),
    "rfm": _rfm,
    "bought": _bought,
    "browsed": _browsed,
    "coupons_given": _coupons(GIVEN),
    "coupons_redeemed": _coupons(REDEEMED),
    "due": _due,
    "affinity": _affinity,
    "audience": _audience,
    "card_list": _card_list,
    "random": _random,
}
_GRAMMAR: Grammar[Expression] = Grammar("audience", "This is no condition.", _CONDITIONS, All, AnyOf, Not)
KINDS = _GRAMMAR.kinds
"""The keys that an expression may have."""


def _bounds(members: Mapping[str, Any], path: str) -> Bounds:
    least, most = (read_number(members.get(name), f"{path}.{name}") for name in ("min", "max"))
    check_bounds(members, path, least, most)
    return Bounds(least, most)


def _whole_bounds(members: Mapping[str, Any], path: str, highest: int) -> Bounds:
    least, most = (read_whole(members.get(name), f"{path}.{name}", highest) for name in ("min", "max"))
    check_bounds(members, path, least, most)
    return Bounds(least, most)


def _goods(members: Mapping[str, Any], path: str) -> Goods:
    item_ids, categories, brands = (
        read_texts(members[name], f"{path}.{name}") if name in members else () for name in GOODS
    )
    for text in categories:
        if not normal_path(text):
            accepted = 'such as "food > dairy"'
            raise InputError("This names no category.", field=f"{path}.category", value=text, accepted=accepted)
    return Goods(item_ids, categories, brands)


def _window(members: Mapping[str, Any], path: str) -> Window:
    days = read_whole(members.get("within_days"), f"{path}.within_days", MAX_DAYS)
    if days == 0:
        here = f"{path}.within_days"
        raise InputError("This is no number of days.", field=here, value=days, accepted=f"1 to {MAX_DAYS}")
    return Window(days, read_texts(members["channel"], f"{path}.channel") if "channel" in members else ())


def _times(members: Mapping[str, Any], path: str) -> int:
    times = read_whole(members.get("min_times", 1), f"{path}.min_times", MAX_TOP)
    if not times:
        here = f"{path}.min_times"
        raise InputError("This holds for everyone.", field=here, value=times, accepted="at least 1; `not` for never")
    return times


def _share(value: object, path: str) -> float:
    share = read_number(value, path)
    if share is None or not 0 < share <= 1:
        raise InputError("This is no share.", field=path, value=value, accepted="more than 0, at most 1")
    return share


def _check_among(values: tuple[str, ...], known: tuple[str, ...], path: str, what: str) -> None:
    for value in values:
        if value not in known:
            accepted = "one of " + ", ".join(known)
            raise InputError(f"There is no such kind of {what}.", field=path, value=value, accepted=accepted)

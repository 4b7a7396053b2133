"""Reads filters from JSON: names the place, the value and what is accepted wherever one is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import orjson

from recommender.catalog import RESTRICTED_CODES, minute_of
from recommender.errors import InputError
from recommender.filters import (
    All,
    AnyOf,
    AttributeBetween,
    AttributeIs,
    AttributeKnown,
    Available,
    Expression,
    Filter,
    InCategory,
    IsItem,
    NewSince,
    NewWithin,
    Not,
    OfBrand,
    OfClass,
    OfSeason,
    Priced,
    Reach,
    Sponsored,
)
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

MAX_CENTS = 10**15
MAX_DAYS = 3_650
OF_STORE = {"price_cents", "available"}
"""Conditions whose answer depends on the store."""
OF_MOMENT = {"new_within_days"}
"""Conditions whose answer changes by itself."""
TIME_ACCEPTED = 'a day such as "2026-03-01", or a time with an offset such as "2026-03-01T08:30:00+08:00"'


def parse_filter(value: object, path: str = "filters") -> Filter:
    """Read a filter.

    Args:
        value: as JSON gives it.
        path: what it is called in errors.
    Raises: InputError that names the place, the value found and what is accepted.
    """
    reader = TreeReader(_GRAMMAR)
    expression = reader.read(value, path)
    try:
        key = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError as error:
        raise InputError(f"The filter cannot be written as JSON: {error}.", field=path) from None
    return Filter(expression, key, bool(reader.names & OF_STORE), bool(reader.names & OF_MOMENT))


def _category(value: object, path: str) -> Expression:
    paths = read_texts(value, path)
    for text in paths:
        if not normal_path(text):
            raise InputError("This names no category.", field=path, value=text, accepted='such as "food > dairy"')
    return InCategory(paths)


def _restricted(value: object, path: str) -> Expression:
    names = read_texts(value, path)
    known = [name for name in RESTRICTED_CODES if name]
    for name in names:
        if name not in known:
            accepted = "one of " + ", ".join(known)
            raise InputError("There is no such class.", field=path, value=name, accepted=accepted)
    return OfClass(names)


def _sponsored(value: object, path: str) -> Expression:
    return Sponsored(read_truth(value, path))


def _price(value: object, path: str) -> Expression:
    bounds = read_object(value, path, ("min", "max"))
    least, most = (read_whole(bounds.get(name), f"{path}.{name}", MAX_CENTS) for name in ("min", "max"))
    check_bounds(bounds, path, least, most)
    return Priced(least, most)


def _available(value: object, path: str) -> Expression:
    if not isinstance(value, str) or value not in tuple(Reach):
        accepted = '"store", or "reachable" for any store that the customer can buy from'
        raise InputError("This is no place of stock.", field=path, value=value, accepted=accepted)
    return Available(Reach(value))


def _new_since(value: object, path: str) -> Expression:
    time: datetime | None = None
    if isinstance(value, str):
        try:
            if len(value) == len("2026-03-01"):
                day = date.fromisoformat(value)
                time = datetime(day.year, day.month, day.day, tzinfo=UTC)
            else:
                time = datetime.fromisoformat(value)
        except ValueError:
            time = None
    if time is None or time.tzinfo is None:
        raise InputError("This is no time.", field=path, value=value, accepted=TIME_ACCEPTED)
    return NewSince(minute_of(time))


def _new_within(value: object, path: str) -> Expression:
    days = read_whole(value, path, MAX_DAYS)
    if not days:
        raise InputError("This is no number of days.", field=path, value=value, accepted=f"1 to {MAX_DAYS}")
    return NewWithin(days)


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
        least, most = (read_number(members.get(name), f"{path}.{name}") for name in ("min", "max"))
        check_bounds(members, path, least, most)
        return AttributeBetween(key, least, most)
    accepted = "`name` and one of `is`, `in`, `exists`, or `min` and `max`"
    raise InputError("An attribute is asked for one thing.", field=path, value=", ".join(members), accepted=accepted)


_CONDITIONS: dict[str, Callable[[object, str], Expression]] = {
    "category": _category,
    "brand": lambda value, path: OfBrand(read_texts(value, path)),
    "price_cents": _price,
    "available": _available,
    "sponsored": _sponsored,
    "season": lambda value, path: OfSeason(read_texts(value, path)),
    "new_since": _new_since,
    "new_within_days": _new_within,
    "restricted_class": _restricted,
    "item_id": lambda value, path: IsItem(read_texts(value, path)),
    "attribute": _attribute,
}
_GRAMMAR: Grammar[Expression] = Grammar("filter", "This is no filter.", _CONDITIONS, All, AnyOf, Not)
KINDS = _GRAMMAR.kinds
"""The keys that an expression may have."""

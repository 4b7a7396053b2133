"""Reads filters from JSON: names the place, the value and what is accepted wherever one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

MAX_DEPTH = 8
"""How deep expressions may lie in one another."""
MAX_CONDITIONS = 200
"""Most conditions of one filter, `and`, `or` and `not` included."""
MAX_CENTS = 10**15
MAX_DAYS = 3_650
TIME_ACCEPTED = 'a day such as "2026-03-01", or a time with an offset such as "2026-03-01T08:30:00+08:00"'


@dataclass(slots=True)
class _Seen:
    """What was met while reading: how many conditions, and of which kinds."""

    conditions: int = 0
    of_store: bool = False
    of_moment: bool = False


def parse_filter(value: object, path: str = "filters") -> Filter:
    """Read a filter.

    Args:
        value: as JSON gives it.
        path: what it is called in errors.
    Raises: InputError that names the place, the value found and what is accepted.
    """
    seen = _Seen()
    expression = _read(value, path, 1, seen)
    try:
        key = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError as error:
        raise InputError(f"The filter cannot be written as JSON: {error}.", field=path) from None
    return Filter(expression, key, seen.of_store, seen.of_moment)


def _read(value: object, path: str, depth: int, seen: _Seen) -> Expression:
    seen.conditions += 1
    if depth > MAX_DEPTH:
        raise InputError("The filter is too deep.", field=path, value=depth, accepted=f"{MAX_DEPTH} levels")
    if seen.conditions > MAX_CONDITIONS:
        accepted = f"{MAX_CONDITIONS} conditions"
        raise InputError("The filter has too many conditions.", field=path, value=seen.conditions, accepted=accepted)
    if not isinstance(value, Mapping) or len(value) != 1:
        found = ", ".join(map(str, value)) if isinstance(value, Mapping) else value
        accepted = "an object with exactly one of " + ", ".join(KINDS)
        raise InputError("This is no filter.", field=path, value=found, accepted=accepted)
    name, content = next(iter(value.items()))
    here = f"{path}.{name}"
    if name in ("and", "or"):
        parts = tuple(
            _read(part, f"{here}[{number}]", depth + 1, seen) for number, part in enumerate(read_list(content, here))
        )
        return All(parts) if name == "and" else AnyOf(parts)
    if name == "not":
        return Not(_read(content, here, depth + 1, seen))
    reader = _CONDITIONS.get(name)
    if reader is None:
        raise InputError("There is no such condition.", field=path, value=name, accepted="one of " + ", ".join(KINDS))
    seen.of_store |= name in ("price_cents", "available")
    seen.of_moment |= name == "new_within_days"
    return reader(content, here)


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
KINDS = ("and", "or", "not", *_CONDITIONS)
"""The keys that an expression may have."""

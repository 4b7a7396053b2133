"""Values of JSON read by type; wherever one is wrong, an error names the place, the value and what is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recommender.errors import InputError
from recommender.item_facts import Scalar

MAX_VALUES = 1_000
"""Most values of one condition."""
MAX_TEXT = 500
MAX_NUMBER = 1e300
_LIST_ACCEPTED = f"a list of 1 to {MAX_VALUES} entries"


def read_list(value: object, path: str) -> list[Any]:
    """Read a list of 1 to MAX_VALUES entries."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_VALUES:
        found = f"{len(value)} entries" if isinstance(value, list) else value
        raise InputError("This is no list that can be used.", field=path, value=found, accepted=_LIST_ACCEPTED)
    return value


def read_texts(value: object, path: str, *, one: bool = False) -> tuple[str, ...]:
    """Read a text, or a list of texts."""
    values = [value] if one or not isinstance(value, list) else read_list(value, path)
    for at, text in enumerate(values):
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
            here = f"{path}[{at}]" if isinstance(value, list) else path
            accepted = f"text of 1 to {MAX_TEXT} characters" + ("" if one else ", or a list of such")
            raise InputError("This is no text that can be used.", field=here, value=text, accepted=accepted)
    return tuple(dict.fromkeys(values))


def read_object(value: object, path: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Read an object that has some of the named fields, at least one, and no other."""
    accepted = "an object with " + ", ".join(f"`{name}`" for name in names)
    if not isinstance(value, Mapping) or not value:
        raise InputError("This is no object that can be used.", field=path, value=value, accepted=accepted)
    for name in value:
        if name not in names:
            raise InputError("There is no such field.", field=f"{path}.{name}", value=name, accepted=accepted)
    return value


def check_bounds(bounds: Mapping[str, Any], path: str, least: float | None, most: float | None) -> None:
    """Refuse bounds `min` and `max` that are both missing, or hold nothing."""
    if least is None and most is None:
        raise InputError("Neither bound is given.", field=path, value=dict(bounds), accepted="`min`, `max` or both")
    if least is not None and most is not None and least > most:
        accepted = f"at least {least:g}"
        raise InputError("The bounds hold nothing.", field=f"{path}.max", value=most, accepted=accepted)


def read_whole(value: object, path: str, most: int) -> int | None:
    """Read a whole number from 0 to `most`; null is None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        accepted = f"a whole number from 0 to {most}"
        raise InputError("This is no number that can be used.", field=path, value=value, accepted=accepted)
    return value


def read_number(value: object, path: str) -> float | None:
    """Read a number; null is None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        raise InputError("This is no number.", field=path, value=value, accepted="a number")
    return float(value)


def read_truth(value: object, path: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise InputError("This is neither true nor false.", field=path, value=value, accepted="true or false")
    return value


def read_scalar(value: object, path: str) -> Scalar:
    """Read a text, a number, true or false."""
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) <= MAX_NUMBER):
        return value
    raise InputError("This is no value.", field=path, value=value, accepted="text, a number, true or false")

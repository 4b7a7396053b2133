"""What the schema library lets pass in JSON and should not: keys given twice, NaN and Infinity, deep nesting.

Every body is looked at, so the usual case must be quick: the members that a reader keeps are counted and compared
with the colons outside of texts. Only where these differ, or something odd is met, the body is read slowly to say
what is wrong.
"""

from __future__ import annotations

import json
import math
import re

import orjson

MAX_DEPTH = 32
"""Deepest nesting of objects and lists in a body."""

MOST_DIGITS = 20

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


class LaxJsonError(ValueError):
    """Says what is wrong with JSON that was read all the same."""


def check_json(data: bytes, depth: int = MAX_DEPTH) -> None:
    """Look once more at JSON that a lenient reader took.

    Args:
        data: valid JSON in UTF-8, but for what is checked here.
        depth: deepest nesting allowed.
    Raises: LaxJsonError.
    """
    outside = _TEXT.sub(b"", data) if b"\\" in data else b"".join(data.split(b'"')[::2])
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        _read_slowly(data, depth)
        raise LaxJsonError("it holds what cannot be a value of JSON") from None
    if outside.count(b":") != _members(found, depth) or _LONG_NUMBER.search(outside) is not None:
        _read_slowly(data, depth)


def _members(found: object, depth: int) -> int:
    """Count the members of all objects. Raises: LaxJsonError if they are nested too deeply."""
    members, level = 0, [found]
    for _ in range(depth):
        inner: list[object] = []
        for holder in level:
            if type(holder) is dict:
                members += len(holder)
                inner += [part for part in holder.values() if type(part) is dict or type(part) is list]
            elif type(holder) is list:
                inner += [part for part in holder if type(part) is dict or type(part) is list]
        if not inner:
            return members
        level = inner
    raise LaxJsonError(_too_deep(depth))


def _read_slowly(data: bytes, depth: int) -> None:
    """Say what is wrong, if anything is. Raises: LaxJsonError."""
    try:
        json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_distinct,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_storable,
        )
    except RecursionError:
        raise LaxJsonError(_too_deep(depth)) from None


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise LaxJsonError(f"the key {twice[:100]!r} is given twice")
    return found


def _refuse(name: str) -> object:
    raise LaxJsonError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise LaxJsonError("a number is too large")
    return value


def _storable(text: str) -> int:
    if len(text) > MOST_DIGITS or abs(value := int(text)) >= 2**63:
        raise LaxJsonError("a whole number does not fit into 64 bits")
    return value


def _too_deep(depth: int) -> str:
    return f"objects and lists are nested more than {depth} deep"

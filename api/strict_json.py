"""What the schema library lets pass in JSON and should not: keys given twice, NaN and Infinity, deep nesting."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

MAX_DEPTH = 32
"""Deepest nesting of objects and lists in a body."""


class LaxJsonError(ValueError):
    """Says what is wrong with JSON that was read all the same."""


def check_json(data: bytes, depth: int = MAX_DEPTH) -> None:
    """Look once more at JSON that a lenient reader took.

    Args:
        data: valid JSON in UTF-8, but for what is checked here.
        depth: deepest nesting allowed.
    Raises: LaxJsonError.
    """
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise LaxJsonError(_too_deep(depth)) from None
    if data.count(b"{") + data.count(b"[") > depth:
        _check_depth(found, depth)


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


def _check_depth(found: object, depth: int) -> None:
    level: Sequence[object] = [found]
    for _ in range(depth):
        level = [
            part
            for holder in level
            for part in (holder.values() if isinstance(holder, dict) else holder if isinstance(holder, list) else ())
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise LaxJsonError(_too_deep(depth))


def _too_deep(depth: int) -> str:
    return f"objects and lists are nested more than {depth} deep"

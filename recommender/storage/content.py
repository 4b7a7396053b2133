"""The content hash of an event, computed alike in Python and in DuckDB, that tells retries from conflicts.

The hash is the first 15 hexadecimal digits of the MD5 of the event's fields but event_id, in the order of
CONTENT, joined by the unit separator: times as microseconds since 1970-01-01 UTC, whole numbers in decimal,
other numbers in millionths rounded half up, nothing where a field is missing. It fits a signed 64-bit column.
MD5 only tells contents apart here; nothing secret depends on it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from recommender.events import Event
from recommender.storage.types import to_micros

CONTENT = (
    "occurred_at",
    "kind",
    "channel",
    "subject",
    "item_id",
    "store_id",
    "order_id",
    "order_line",
    "revision",
    "status",
    "fulfilment",
    "quantity",
    "unit_price_cents",
    "discount_cents",
    "coupon_id",
    "recommendation_id",
    "position",
    "value",
    "attributes",
)
"""The fields hashed, in order."""

_MILLIONTHS = ("quantity", "value")
_SEPARATOR = "\x1f"
_LARGEST = 1e30


def content_hash(event: Event) -> int:
    """Return the hash of what an event says; 60 bits, not negative."""
    fields = (
        str(to_micros(event.occurred_at)),
        event.kind.value,
        event.channel,
        event.subject or "",
        event.item_id or "",
        event.store_id or "",
        event.order_id or "",
        event.order_line or "",
        str(event.revision),
        event.status or "",
        event.fulfilment or "",
        _millionths(event.quantity),
        _whole(event.unit_price_cents),
        _whole(event.discount_cents),
        event.coupon_id or "",
        event.recommendation_id or "",
        _whole(event.position),
        _millionths(event.value),
        event.attributes or "",
    )
    digest = hashlib.md5(_SEPARATOR.join(fields).encode(), usedforsecurity=False).hexdigest()
    return int(digest[:15], 16)


def content_hash_sql(expressions: Mapping[str, str] | None = None) -> str:
    """Return the DuckDB expression, of type BIGINT, that computes `content_hash`.

    Args:
        expressions: DuckDB expression by name of CONTENT, where it is not the column of that name; of the
            event log's types (TIMESTAMPTZ, DOUBLE for quantity and value, BIGINT or VARCHAR).
    """
    given = expressions or {}
    parts = ", ".join(_sql(name, given.get(name, name)) for name in CONTENT)
    return f"CAST('0x' || substr(md5(concat_ws(chr(31), {parts})), 1, 15) AS BIGINT)"


def _sql(name: str, expression: str) -> str:
    if name == "occurred_at":
        return f"CAST(epoch_us({expression}) AS VARCHAR)"
    if name == "revision":
        return f"CAST(coalesce({expression}, 0) AS VARCHAR)"
    if name in _MILLIONTHS:
        scaled = f"floor({expression} * 1000000 + 0.5)"
        whole = f"CASE WHEN abs({scaled}) < 1e30 THEN CAST(CAST({scaled} AS HUGEINT) AS VARCHAR) END"
        return f"coalesce({whole}, '')"
    return f"coalesce(CAST({expression} AS VARCHAR), '')"


def _whole(number: int | None) -> str:
    return "" if number is None else str(number)


def _millionths(number: float | None) -> str:
    if number is None:
        return ""
    scaled = number * 1_000_000 + 0.5
    return str(math.floor(scaled)) if abs(scaled) < _LARGEST else ""

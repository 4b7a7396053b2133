"""Stock changed by what came or went, in place of a new count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.storage.statements import next_sequence
from recommender.storage.types import from_micros, to_micros
from recommender.storage.upserts import read_rows, upsert


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What came (positive) or went (negative) of one item in one store, and when it did; None: now."""

    store_id: str
    item_id: str
    delta: float
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class OnHand:
    """What is in one store after an adjustment."""

    store_id: str
    item_id: str
    on_hand: float


def adjust_stock(connection: Connection, adjustments: Sequence[Adjustment], now: datetime) -> list[OnHand]:
    """Add to stock, inside a write transaction; of what no count is known, there was none.

    A stock is as of the later of its count and its adjustments. Less than nothing is kept: it says that more was
    sold than counted.

    Returns: the stock after each adjustment, in the order given; those of one pair are done one after the other.
    """
    next_sequence(connection)  # holds back other writers, so that what is read here stays so
    keys = [(one.store_id, one.item_id) for one in adjustments]
    stored = read_rows(connection, "inventory", keys)
    known = {key: (float(row["on_hand"]), row["as_of"]) for key, row in stored.items()}
    results = []
    for one, key in zip(adjustments, keys, strict=True):
        on_hand, as_of = known.get(key, (0.0, None))
        moment = to_micros(min(one.as_of or now, now))
        known[key] = (on_hand + one.delta, moment if as_of is None else max(as_of, moment))
        results.append(OnHand(one.store_id, one.item_id, known[key][0]))
    rows = [
        {"store_id": store_id, "item_id": item_id, "on_hand": on_hand, "as_of": from_micros(as_of or 0)}
        for (store_id, item_id), (on_hand, as_of) in ((key, known[key]) for key in dict.fromkeys(keys))
    ]
    upsert(connection, "inventory", rows, now)
    return results

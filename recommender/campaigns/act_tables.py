"""Acts, orders and rhythms of members, grouped by DuckDB from the events that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recommender.campaigns.member_columns import MICROS_PER_DAY, NO_DAY, IntVector, RowVector
from recommender.campaigns.member_features import Acts, Days, Lately, Orders, Rhythms
from recommender.events import KIND_CODES, EventKind
from recommender.ids import IdIndex
from recommender.kept import BATCH_ROWS

FIFTHS = 5
RFM_DAYS = 365
MOST_TIMES = 65_535
MOST_CENTS = 2_147_483_647


@dataclass(frozen=True, slots=True)
class Found:
    """What members did."""

    channels: tuple[str, ...]
    acts: Acts
    orders: Orders
    rhythms: Rhythms
    lately: Lately


@dataclass(frozen=True, slots=True)
class Span:
    """What is read: days of acts with items that are kept; the present in microseconds; what to add to a microsecond so
    that local days begin at multiples of a day.
    """

    act_days: int
    now_micros: int
    day_offset: int

    @property
    def today(self) -> int:
        """The present local day, days since 1970-01-01."""
        return (self.now_micros + self.day_offset) // MICROS_PER_DAY


def read_acts(
    engine: duckdb.DuckDBPyConnection,
    owners: Mapping[str, str],
    members: IdIndex,
    items: IdIndex,
    prices: IntVector,
    span: Span,
) -> Found:
    """Group what members did.

    Args:
        engine: has the view `kept`.
        owners: member id by subject.
        prices: int64 cents, (len(items),), what a line without a price is counted with.
    """
    channels = [row[0] for row in engine.execute("SELECT DISTINCT channel FROM kept ORDER BY 1").fetchall()]
    rows, known = members.rows(list(owners.values()))
    subjects = np.array(list(owners), object)[known]
    _put(engine, "owner_rows", subject=pa.array(subjects, pa.string()), member_row=rows)
    _put(engine, "item_rows", item_id=items.ids(np.arange(len(items))), item_row=_count(len(items)), price=prices)
    _put(engine, "channel_rows", channel=pa.array(channels, pa.string()), channel_row=_count(len(channels)))
    _put(engine, "kind_rows", kind=[str(kind) for kind in KIND_CODES], kind_row=_count(len(KIND_CODES)))
    engine.execute(_LINES.format(offset=span.day_offset, purchase=KIND_CODES[EventKind.PURCHASE]))
    acts = Acts(*_by_day(engine, _ACTS.format(since=span.today - span.act_days), _ACT_TYPES))
    orders = Orders(*_by_day(engine, _ORDERS, (np.int32, np.uint8, np.int64, np.int64)))
    rhythms = Rhythms(*_columns(engine, _RHYTHMS, (np.int32,) * 5))
    return Found(tuple(channels), acts, orders, rhythms, _lately(len(members), acts, orders, span.today))


_ACT_TYPES = (np.int32, np.int32, np.uint8, np.uint8, np.uint16, np.int32)
_LINES = """
CREATE VIEW lines AS
SELECT member_row, item_row, kind_row, channel_row, order_id, store_id,
  CAST((micros + {offset}) // 86400000000 AS INTEGER) AS day,
  kind_row = {purchase} AS bought,
  CASE WHEN kind_row = {purchase} THEN CAST(greatest(round(
    coalesce(unit_price_cents, price) * coalesce(quantity, 1)) - coalesce(discount_cents, 0), 0) AS BIGINT)
    ELSE 0 END AS cents,
  CASE WHEN kind_row = {purchase} THEN coalesce(discount_cents, 0) ELSE 0 END AS saved
FROM kept JOIN owner_rows USING (subject) JOIN item_rows USING (item_id) JOIN channel_rows USING (channel)
  JOIN kind_rows USING (kind)"""
_ACTS = f"""
SELECT day, member_row, item_row, kind_row, channel_row, least(count(*), {MOST_TIMES}),
  least(sum(cents), {MOST_CENTS})
FROM lines WHERE day > {{since}} GROUP BY day, member_row, item_row, kind_row, channel_row
ORDER BY day, member_row, item_row, kind_row, channel_row"""
_ORDERS = """
SELECT day, member_row, channel, cents, saved FROM (
  SELECT min(day) AS day, member_row, min(channel_row) AS channel, sum(cents)::BIGINT AS cents,
    sum(saved)::BIGINT AS saved, order_key
  FROM (SELECT *, coalesce(order_id, concat_ws('|', day, channel_row, store_id)) AS order_key,
      order_id IS NULL AS unnamed FROM lines WHERE bought)
  GROUP BY member_row, order_key, unnamed)
ORDER BY day, member_row, channel, cents, saved"""
_RHYTHMS = """
SELECT member_row, item_row, count(DISTINCT day), min(day), max(day)
FROM lines WHERE bought GROUP BY member_row, item_row ORDER BY item_row, member_row"""


def _put(engine: duckdb.DuckDBPyConnection, name: str, **columns: Any) -> None:
    engine.register(name, pa.table({key: pa.array(column) for key, column in columns.items()}))


def _count(length: int) -> RowVector:
    return np.arange(length, dtype=np.int32)


def _columns(engine: duckdb.DuckDBPyConnection, query: str, kinds: tuple[type[Any], ...]) -> list[npt.NDArray[Any]]:
    parts: list[list[npt.NDArray[Any]]] = [[np.empty(0, kind)] for kind in kinds]
    for batch in engine.sql(query).to_arrow_reader(BATCH_ROWS):
        for at, (part, kind) in enumerate(zip(parts, kinds, strict=True)):
            part.append(batch.column(at).to_numpy(zero_copy_only=False).astype(kind))
    return [np.concatenate(part) for part in parts]


def _by_day(engine: duckdb.DuckDBPyConnection, query: str, kinds: tuple[type[Any], ...]) -> list[Any]:
    """Return the days of rows that come in their order, and the other columns."""
    day, *columns = _columns(engine, query, (np.int32, *kinds))
    return [Days.of(day), *columns]


def _lately(count: int, acts: Acts, orders: Orders, today: int) -> Lately:
    first, last, browsed = (np.full(count, NO_DAY) for _ in range(3))
    day = orders.days.expand()
    # Of repeated rows the one assigned last holds; the days rise.
    last[orders.member_row] = day
    first[orders.member_row[::-1]] = day[::-1]
    seen = acts.kind != KIND_CODES[EventKind.PURCHASE]
    browsed[acts.member_row[seen]] = acts.days.expand()[seen]
    window = orders.days.window(today, RFM_DAYS)
    member = orders.member_row[window]
    buys = np.bincount(member, minlength=count)
    spent = np.bincount(member, orders.cents[window], minlength=count)
    who = np.flatnonzero(buys)
    rfm = np.zeros((count, 3), np.uint8)
    measures: tuple[npt.NDArray[Any], ...] = (last, buys, spent)
    for column, values in enumerate(measures):
        rfm[who, column] = _fifths(values[who])
    return Lately(first, last, browsed, rfm)


def _fifths(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the fifth of each value, 1 to FIFTHS; equal values are in one: that of the middle of them."""
    if not len(values):
        return np.empty(0, np.uint8)
    ordered = np.sort(values)
    below, upto = np.searchsorted(ordered, values), np.searchsorted(ordered, values, "right")
    middle = (below + upto - 1) / 2
    found: npt.NDArray[np.uint8] = (1 + np.minimum(middle * FIFTHS // len(values), FIFTHS - 1)).astype(np.uint8)
    return found

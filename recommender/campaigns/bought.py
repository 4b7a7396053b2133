"""Bought: what each member bought in a window and in the time before it, from the event log and live events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from sqlalchemy.engine import Connection

from recommender.campaigns.assigned import subjects_of_members
from recommender.campaigns.effect import BoolVector, FloatVector, IntVector
from recommender.coupons.offers import Offer
from recommender.storage.statements import fetch

MICROS_PER_DAY = 86_400_000_000
MEASURES = ("sales", "margin", "orders", "visits")
_COUNTED = ("sales", "margin", "orders", "visits", "covered", "assumed")


@dataclass(frozen=True, slots=True)
class Goods:
    """What the catalogue says of each item: cents None where unknown; restricted: no offer is for it."""

    item_id: str
    category: str | None
    brand: str | None
    price_cents: int | None
    cost_cents: int | None
    restricted: bool


@dataclass(frozen=True, slots=True)
class Windows:
    """Whose purchases are looked at, and when; times int64, microseconds, (members,).

    before <= t < start is the time before, start <= t < end the window.  offer: int64, the place of each one's offer
    among those that are covered, -1: none.
    """

    member_ids: Sequence[str]
    before: IntVector
    start: IntVector
    end: IntVector
    offer: IntVector


@dataclass(frozen=True, slots=True)
class Bought:
    """What each member bought, (members,) each, by name of MEASURES, in the window and before it.

    covered: bool, something that the member's offer is for, in the window.
    assumed: part of the sales whose cost is not known.
    """

    after: Mapping[str, FloatVector]
    before: Mapping[str, FloatVector]
    covered: BoolVector
    assumed: float


def read_goods(connection: Connection) -> list[Goods]:
    """Return the catalogue, in order of item id."""
    statement = "SELECT item_id, category, brand, price_cents, cost_cents, restricted_class FROM items ORDER BY item_id"
    rows = fetch(connection, statement)
    return [
        Goods(item, category, brand, price, cost, kind is not None) for item, category, brand, price, cost, kind in rows
    ]


def put_lines(engine: duckdb.DuckDBPyConnection, goods: Sequence[Goods], margin_share: float) -> None:
    """Make the view `lines` of the purchases in `kept`, in whole cents, less what was given back of a line.

    Columns: event_id, subject (NULL: nobody known), item_id, store_id, channel, micros, order_id (made up from the
    subject and the minute where there is none), discounted (by anything), paid (after all discounts), margin, assumed
    (`paid`, where the cost is not known), restricted.

    Args:
        margin_share: of what was paid, where the cost is not known.
    """
    columns = {
        "item_id": pa.array([one.item_id for one in goods], pa.string()),
        "price": pa.array([one.price_cents for one in goods], pa.int64()),
        "cost": pa.array([one.cost_cents for one in goods], pa.int64()),
        "restricted": pa.array([one.restricted for one in goods], pa.bool_()),
    }
    engine.register("goods", pa.table(columns))
    engine.execute(_PARTLY_RETURNED)
    share = f"{margin_share!r}::DOUBLE"
    engine.execute(
        f"""
        CREATE VIEW lines AS
        WITH priced AS (
          SELECT k.event_id, k.subject, k.item_id, coalesce(k.store_id, '') AS store_id, k.channel, k.micros,
            (k.coupon_id IS NOT NULL OR coalesce(k.discount_cents, 0) > 0) AS discounted,
            coalesce(k.order_id, coalesce(k.subject, '') || ' ' || (k.micros // 60000000)) AS order_id,
            coalesce(k.quantity, 1) * (1 - coalesce(r.share, 0)) AS quantity,
            greatest(coalesce(k.unit_price_cents, g.price, 0) * coalesce(k.quantity, 1)
              - coalesce(k.discount_cents, 0), 0) * (1 - coalesce(r.share, 0)) AS paid, g.cost, g.restricted
          FROM kept k LEFT JOIN goods g USING (item_id)
            LEFT JOIN partly_returned r ON r.order_id = k.order_id AND r.item_id = k.item_id
          WHERE k.kind = 'purchase')
        SELECT event_id, subject, item_id, store_id, channel, micros, order_id, discounted, round(paid)::BIGINT AS paid,
          round(coalesce(paid - cost * quantity, paid * {share}))::BIGINT AS margin,
          CASE WHEN cost IS NULL THEN round(paid)::BIGINT ELSE 0 END AS assumed,
          coalesce(restricted, false) AS restricted
        FROM priced
        """
    )


# Whole lines that were given back are not in `kept`; of the others the part that was is taken off.
_PARTLY_RETURNED = """
CREATE TABLE partly_returned AS
WITH taken AS (
  SELECT order_id, item_id, sum(quantity) AS quantity FROM counted
  WHERE kind = 'return' AND order_id IS NOT NULL AND quantity IS NOT NULL GROUP BY ALL),
sold AS (
  SELECT order_id, item_id, sum(coalesce(quantity, 1)) AS quantity FROM kept SEMI JOIN taken USING (order_id, item_id)
  WHERE kind = 'purchase' GROUP BY ALL)
SELECT order_id, item_id, least(taken.quantity / sold.quantity, 1) AS share
FROM taken JOIN sold USING (order_id, item_id) WHERE sold.quantity > 0"""


def read_bought(
    engine: duckdb.DuckDBPyConnection,
    links: Mapping[str, str],
    windows: Windows,
    goods: Sequence[Goods],
    offers: Sequence[Offer | None],
    offset_micros: int,
) -> Bought:
    """Add up what members bought.

    Args:
        engine: holds `lines`.  links: member id by linked subject.
        offers: those of `windows.offer`; None: it is not known, and covers nothing.
        offset_micros: what to add to UTC to make the retailer's days.
    """
    subjects, rows = subjects_of_members(windows.member_ids, links)
    engine.register("owners", pa.table({"subject": pa.array(subjects, pa.string()), "row": pa.array(rows, pa.int32())}))
    engine.register(
        "windows",
        pa.table(
            {
                "row": pa.array(np.arange(len(windows.start), dtype=np.int32)),
                "earliest": pa.array(windows.before),
                "start": pa.array(windows.start),
                "finish": pa.array(windows.end),
                "offer": pa.array(windows.offer.astype(np.int32)),
            }
        ),
    )
    engine.register("covers", _covers(goods, offers))
    engine.register("whole", pa.table({"offer": pa.array(_whole(offers), pa.int32())}))
    found = engine.execute(_ADD_UP.replace("{offset}", str(offset_micros))).fetchnumpy()
    return _laid_out(found, len(windows.start))


_ADD_UP = f"""
SELECT row, after, sum(paid)::DOUBLE AS sales, sum(margin)::DOUBLE AS margin,
  count(DISTINCT order_id)::DOUBLE AS orders,
  count(DISTINCT (micros + {{offset}}) // {MICROS_PER_DAY})::DOUBLE AS visits,
  max(covered)::DOUBLE AS covered, sum(assumed)::DOUBLE AS assumed
FROM (
  SELECT o.row, l.micros >= w.start AS after, l.paid, l.margin, l.order_id, l.micros, l.assumed,
    (c.item_id IS NOT NULL OR (a.offer IS NOT NULL AND NOT l.restricted))::INTEGER AS covered
  FROM lines l JOIN owners o ON o.subject = l.subject JOIN windows w ON w.row = o.row
    LEFT JOIN covers c ON c.offer = w.offer AND c.item_id = l.item_id
    LEFT JOIN whole a ON a.offer = w.offer
  WHERE l.micros >= w.earliest AND l.micros < w.finish)
GROUP BY row, after"""


def _laid_out(found: Mapping[str, object], members: int) -> Bought:
    rows = np.asarray(found["row"], np.int64)
    after = np.asarray(found["after"], bool)
    parts: list[dict[str, FloatVector]] = []
    for inside in (after, ~after):
        laid: dict[str, FloatVector] = {}
        for name in _COUNTED:
            laid[name] = np.zeros(members)
            laid[name][rows[inside]] = np.asarray(found[name], np.float64)[inside]
        parts.append(laid)
    later, earlier = parts
    sold = float(later["sales"].sum())
    return Bought(
        after={name: later[name] for name in MEASURES},
        before={name: earlier[name] for name in MEASURES},
        covered=later["covered"] > 0,
        assumed=float(later["assumed"].sum()) / sold if sold > 0 else 0.0,
    )


def _covers(goods: Sequence[Goods], offers: Sequence[Offer | None]) -> pa.Table:
    """Return which items each offer is for; offers for everything are in `_whole`."""
    pairs = [
        (place, one.item_id)
        for place, offer in enumerate(offers)
        if offer is not None and not offer.scope.everything
        for one in goods
        if not one.restricted and offer.scope.covers(one.item_id, one.category, one.brand)
    ]
    places, items = [place for place, _ in pairs], [item for _, item in pairs]
    return pa.table({"offer": pa.array(places, pa.int32()), "item_id": pa.array(items, pa.string())})


def _whole(offers: Sequence[Offer | None]) -> list[int]:
    return [place for place, offer in enumerate(offers) if offer is not None and offer.scope.everything]

"""Returns: which purchases were given back, by order where the return names one, else the latest of the customer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa

from recommender.events import member_subject

Line = tuple[str, str, str, str, float | None]
"""Person, item, kind, event id and quantity."""

_BY_ORDER = """
CREATE TABLE returned AS
WITH taken AS (
  SELECT order_id, item_id, sum(coalesce(quantity, 1e9)) AS quantity FROM counted
  WHERE kind = 'return' AND order_id IS NOT NULL GROUP BY ALL),
lines AS MATERIALIZED (
  SELECT event_id, order_id, item_id, quantity FROM counted SEMI JOIN taken USING (order_id, item_id)
  WHERE kind = 'purchase'),
sold AS (SELECT order_id, item_id, sum(coalesce(quantity, 1)) AS quantity FROM lines GROUP BY ALL)
SELECT lines.event_id FROM lines JOIN sold USING (order_id, item_id) JOIN taken USING (order_id, item_id)
WHERE taken.quantity >= sold.quantity
"""
_WITHOUT_ORDER = """
WITH owned AS (
  SELECT coalesce(l.owner, c.subject) AS person, c.item_id, c.kind, c.event_id, c.quantity, c.micros
  FROM counted c LEFT JOIN owners l ON l.subject = c.subject
  WHERE c.subject IS NOT NULL AND (c.kind = 'purchase' OR (c.kind = 'return' AND c.order_id IS NULL))
    AND c.event_id NOT IN (SELECT event_id FROM returned)),
asked AS (SELECT DISTINCT person, item_id FROM owned WHERE kind = 'return')
SELECT person, item_id, kind, event_id, quantity FROM owned JOIN asked USING (person, item_id)
ORDER BY person, item_id, owned.micros, kind, event_id
"""


def find_returned(engine: duckdb.DuckDBPyConnection, links: Mapping[str, str]) -> bool:
    """Make the table `returned` of the ids of purchases given back, from `counted`; tell whether there are any.

    A line of an order is given back when all of its quantity is. A return without an order takes its quantity
    from the person's latest purchases of the item before it; without a quantity it takes all of the latest one.

    Args:
        engine: holds `counted`.
        links: member id by linked subject.
    """
    with_order, without_order = _count_returns(engine)
    if with_order + without_order == 0:
        return False
    engine.execute(_BY_ORDER)
    if without_order:
        owners = {"subject": list(links), "owner": [member_subject(member) for member in links.values()]}
        engine.register("owners", pa.table({name: pa.array(ids, pa.string()) for name, ids in owners.items()}))
        found = taken_back(engine.execute(_WITHOUT_ORDER).fetchall())
        engine.register("found_returned", pa.table({"event_id": pa.array(found, pa.string())}))
        engine.execute("INSERT INTO returned SELECT event_id FROM found_returned")
    return True


def _count_returns(engine: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Return how many returns name an order and how many do not."""
    counted = engine.execute("SELECT count(order_id), count(*) FROM counted WHERE kind = 'return'").fetchone()
    assert counted is not None
    return counted[0], counted[1] - counted[0]


def taken_back(lines: Iterable[Line]) -> list[str]:
    """Return the purchases that returns without an order take back whole.

    Args:
        lines: purchases and returns by person and item, each group in the order of time.
    """
    found: list[str] = []
    held: list[tuple[str, float]] = []
    group = ("", "")
    for person, item_id, kind, event_id, quantity in lines:
        if (person, item_id) != group:
            group, held = (person, item_id), []
        if kind == "purchase":
            held.append((event_id, 1.0 if quantity is None else quantity))
            continue
        left = held[-1][1] if held and quantity is None else quantity or 0.0
        while held and left > 0:
            purchase_id, owned = held.pop()
            if left < owned:
                held.append((purchase_id, owned - left))
            else:
                found.append(purchase_id)
            left -= owned
    return found

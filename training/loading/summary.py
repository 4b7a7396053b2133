"""What a load's events say as a whole: the ledger's counts, and items and channels that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb
import pyarrow as pa
from sqlalchemy.engine import Connection

from recommender.storage.loads import LedgerDay
from recommender.storage.statements import fetch, marks
from recommender.storage.types import from_day_number
from training.loading.counts import ItemGap, TableCounts
from training.loading.place import TableLoad
from training.loading.staging import Part
from training.sources.duck import text

_LOOKED_UP = 500
_SHOWN_GAPS = 10


def ledger_rows(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], source_name: str) -> dict[LedgerDay, int]:
    """Count staged events by source, store and UTC day."""
    if not parts:
        return {}
    rows = connection.execute(
        "SELECT coalesce(store_id, ''), epoch_us(occurred_at) // 86400000000, count(*) "
        f"FROM {_files([str(part.path) for part in parts])} GROUP BY ALL"
    ).fetchall()
    return {LedgerDay(source_name, store, from_day_number(day)): count for store, day, count in rows}


def summarise(load: TableLoad, paths: Sequence[str], counts: TableCounts) -> TableCounts:
    """Add the items and channels that events name and nobody knows."""
    if not paths:
        return counts
    named = load.duck.sql(
        f"SELECT item_id, count(*) AS events FROM {_files(paths)} WHERE item_id IS NOT NULL GROUP BY 1"
    ).to_arrow_table()
    with load.run.stores.database.read() as state:
        unknown = _unknown_items(state, named.column("item_id").to_pylist(), load.run.planned_items)
    gaps = named.filter(pa.array(unknown, pa.bool_()))
    gaps = gaps.sort_by([("events", "descending"), ("item_id", "ascending")])
    channels = load.duck.execute(f"SELECT channel, count(*) FROM {_files(paths)} GROUP BY 1 ORDER BY 1").fetchall()
    return replace(
        counts,
        unknown_items=gaps.num_rows,
        unknown_item_events=sum(gaps.column("events").to_pylist()),
        item_gaps=tuple(ItemGap(gap["item_id"], gap["events"]) for gap in gaps.slice(0, _SHOWN_GAPS).to_pylist()),
        unknown_channels={name: count for name, count in channels if name not in load.run.stores.channels},
    )


def _unknown_items(state: Connection, item_ids: Sequence[str], planned: set[str]) -> list[bool]:
    known = set(planned)
    for start in range(0, len(item_ids), _LOOKED_UP):
        chunk = item_ids[start : start + _LOOKED_UP]
        statement = f"SELECT item_id FROM items WHERE item_id IN ({marks(len(chunk))})"
        known.update(row[0] for row in fetch(state, statement, chunk))
    return [item_id not in known for item_id in item_ids]


def _files(paths: Sequence[str]) -> str:
    return f"read_parquet([{', '.join(text(path) for path in paths)}])"

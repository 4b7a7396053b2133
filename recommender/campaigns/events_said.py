"""What events say beside purchases: surveys, costs of fulfilment, messages opened; from log and live events."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from recommender.events import EventKind
from recommender.kept_sources import Sources
from recommender.quoting import texts

ANSWERS = (EventKind.PUSH_OPEN, EventKind.PUSH_CLICK)


def put_said(engine: duckdb.DuckDBPyConnection, sources: Sources) -> None:
    """Make the view `said` of every event: event_id, micros, kind, channel, store_id ("": none), value, attributes."""
    engine.register("fresh", sources.live)
    micros, store = "epoch_us(occurred_at) AS micros", "coalesce(store_id, '') AS store_id"
    columns = f"event_id, {micros}, kind, channel, {store}, value, attributes"
    logged = f"read_parquet([{texts(str(path) for path in sources.files)}])"
    if not sources.files:
        engine.execute(f"CREATE VIEW said AS SELECT {columns} FROM fresh")
        return
    engine.execute(f"CREATE TABLE logged AS SELECT event_id FROM {logged} SEMI JOIN fresh USING (event_id)")
    engine.execute(
        f"CREATE VIEW said AS SELECT {columns} FROM {logged}"
        f" UNION ALL SELECT {columns} FROM fresh ANTI JOIN logged USING (event_id)"
    )


def count_answers(engine: duckdb.DuckDBPyConnection, message_ids: Sequence[str]) -> dict[str, int]:
    """Return how many of some messages were answered, by kind of ANSWERS; an event names its message in attributes.

    Args:
        engine: holds `said`.
    """
    engine.register("messages", pa.table({"message_id": pa.array(message_ids, pa.string())}))
    rows = engine.execute(
        f"""
        SELECT kind, count(DISTINCT message_id) FROM (
          SELECT kind, json_extract_string(attributes, '$.message_id') AS message_id FROM said
          WHERE kind IN ({texts(str(kind) for kind in ANSWERS)}) AND contains(attributes, 'message_id'))
        SEMI JOIN messages USING (message_id) GROUP BY kind"""
    ).fetchall()
    found = {str(kind): int(count) for kind, count in rows}
    return {str(kind): found.get(str(kind), 0) for kind in ANSWERS}

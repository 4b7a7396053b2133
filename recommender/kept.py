"""Kept: the events of log and database that count, as a DuckDB view, and its rows with numbers in place of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recommender.events import UNPAID_STATUSES, EventKind
from recommender.interactions import HISTORY_KINDS
from recommender.quoting import text, texts
from recommender.returns import find_returned

RowVector = npt.NDArray[np.int32]

MICROS_PER_MINUTE = 60_000_000
BATCH_ROWS = 131_072

_CHOSEN = (
    "event_id, epoch_us(occurred_at) AS micros, kind, channel, subject, item_id, store_id, order_id, order_line, "
    "coalesce(revision, 0) AS revision, status, quantity, unit_price_cents, discount_cents, coupon_id"
)


@dataclass(frozen=True, slots=True)
class Numbering:
    """Numbers texts in the order in which they are met."""

    numbers: dict[str, int] = field(default_factory=dict)

    def take(self, column: pa.Array) -> RowVector:
        """Return the number of each text of a column without nulls, int32."""
        coded = column.dictionary_encode()
        numbers = self.numbers
        found = [numbers.setdefault(name, len(numbers)) for name in coded.dictionary.to_pylist()]
        rows: RowVector = np.array(found, np.int32)[np.from_dlpack(coded.indices)]
        return rows

    @property
    def texts(self) -> list[str]:
        """The texts in the order of their numbers."""
        return list(self.numbers)


def open_kept(
    engine: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    live: pa.Table,
    limit_micros: int,
    erased: Iterable[str],
    replaced: Mapping[str, str],
    links: Mapping[str, str],
    unprofiled: Iterable[str] = (),
) -> None:
    """Make the view `kept`: events that can matter, without superseded, cancelled, unpaid and returned lines.

    What an ordinary history lacks costs nothing: the tables behind a rule are joined only where they hold rows.

    Args:
        engine: in which the view is made.
        files: of the event log.
        live: events in the database; those with an id of the log are not counted again.
        limit_micros: only events before it, in microseconds since 1970-01-01 UTC.
        erased: subjects to leave out.
        replaced: item id in use by replaced item id.
        links: member id by linked subject.
        unprofiled: subjects whose events count like those of unknown customers.
    """
    source = _source(engine, [str(path) for path in files], live)
    item_id = "item_id"
    if replaced:
        _put(engine, "replaced", item_id=list(replaced), successor=list(replaced.values()))
        source = f"(SELECT * FROM {source} LEFT JOIN replaced USING (item_id))"
        item_id = "coalesce(successor, item_id)"
    kinds = texts(str(kind) for kind in (*HISTORY_KINDS, EventKind.RETURN))
    wanted = f"micros < {limit_micros} AND kind IN ({kinds}) AND item_id IS NOT NULL"
    gone, unnamed = sorted(erased), sorted(unprofiled)
    if unnamed:
        _put(engine, "unprofiled", subject=unnamed)
    if gone:
        _put(engine, "erased", subject=gone)
        wanted += " AND (subject IS NULL OR subject NOT IN (SELECT subject FROM erased))"
    engine.execute(f"CREATE VIEW raw AS SELECT * REPLACE ({item_id} AS item_id) FROM {source} WHERE {wanted}")
    _count_corrected(engine)
    returned = find_returned(engine, links)
    without = " ANTI JOIN returned USING (event_id)" if returned else ""
    chosen = "*"
    if unnamed:
        nobody = "CASE WHEN subject IN (SELECT subject FROM unprofiled) THEN NULL ELSE subject END"
        chosen = f"* REPLACE ({nobody} AS subject)"
    engine.execute(f"CREATE VIEW kept AS SELECT {chosen} FROM counted{without} WHERE kind <> 'return'")


def _source(engine: duckdb.DuckDBPyConnection, files: Sequence[str], live: pa.Table) -> str:
    """Return the relation of all events, each id once."""
    # DuckDB reads no list from a parameter of a view.
    logged = f"read_parquet([{texts(files)}])"
    if files and live.num_rows == 0:
        return f"(SELECT {_CHOSEN} FROM {logged})"
    engine.register("live_events", live)
    if not files:
        return f"(SELECT {_CHOSEN} FROM live_events)"
    engine.execute(f"CREATE TABLE logged_ids AS SELECT event_id FROM {logged} SEMI JOIN live_events USING (event_id)")
    fresh = f"SELECT {_CHOSEN} FROM live_events ANTI JOIN logged_ids USING (event_id)"
    return f"(SELECT {_CHOSEN} FROM {logged} UNION ALL {fresh})"


def _count_corrected(engine: duckdb.DuckDBPyConnection) -> None:
    """Make the view `counted`: `raw` without superseded, cancelled and unpaid lines."""
    engine.execute(
        """
        CREATE TABLE latest AS
        SELECT order_id, order_line, max(revision) AS latest FROM raw
        WHERE kind = 'purchase' AND order_id IS NOT NULL AND order_line IS NOT NULL AND revision > 0
        GROUP BY ALL
        """
    )
    counts = f"(kind <> 'purchase' OR coalesce(status, '') NOT IN ({texts(sorted(UNPAID_STATUSES))}))"
    source = "raw"
    if _holds_rows(engine, "latest"):
        source = "raw LEFT JOIN latest USING (order_id, order_line)"
        counts += " AND (kind <> 'purchase' OR latest IS NULL OR revision = latest)"
    engine.execute(f"CREATE VIEW counted AS SELECT raw.* FROM {source} WHERE {counts}")


def _holds_rows(engine: duckdb.DuckDBPyConnection, table: str) -> bool:
    found = engine.execute(f"SELECT count(*) FROM {table}").fetchone()
    return found is not None and found[0] > 0


def _put(engine: duckdb.DuckDBPyConnection, table: str, **columns: list[str]) -> None:
    engine.register(table, pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of the view `kept` with numbers in place of texts, in no order.

    subject, item, store: numbers of `subjects`, `items`, `stores`; a missing store is the text "".
    kind, channel: numbers of `kinds` and `channels`.  minute: minutes since 1970-01-01 UTC.
    """

    subject: RowVector
    item: RowVector
    store: RowVector
    kind: RowVector
    channel: RowVector
    minute: RowVector


class KeptReader:
    """Reads the view `kept` in batches; its numberings grow with what is met."""

    def __init__(self, engine: duckdb.DuckDBPyConnection) -> None:
        self._engine = engine
        self.subjects, self.items, self.stores = Numbering(), Numbering(), Numbering()
        self.kinds, self.channels = Numbering(), Numbering()

    def entries(self) -> Found:
        """Return all that known customers did."""
        return self._read(f"SELECT {_TEXTS}, {_MINUTE} AS minute FROM kept WHERE subject IS NOT NULL")

    def sales(self) -> Found:
        """Return purchases without a known customer, one per order and item (or minute, where orders have no id)."""
        kind = text(str(EventKind.PURCHASE))
        return self._read(
            f"""
            SELECT '' AS subject, item_id, coalesce(min(store_id), '') AS store_id, {kind} AS kind,
              min(channel) AS channel, min(minute) AS minute
            FROM (SELECT *, {_MINUTE} AS minute FROM kept WHERE subject IS NULL AND kind = {kind})
            GROUP BY item_id, coalesce(order_id, minute::VARCHAR)
            """
        )

    def _read(self, query: str) -> Found:
        numberings = (self.subjects, self.items, self.stores, self.kinds, self.channels)
        parts: list[list[RowVector]] = [[np.empty(0, np.int32)] for _ in range(len(numberings) + 1)]
        for batch in self._engine.sql(query).to_arrow_reader(BATCH_ROWS):
            for part, numbering, column in zip(parts, numberings, batch.columns, strict=False):
                part.append(numbering.take(column))
            parts[-1].append(np.asarray(np.from_dlpack(batch.column(len(numberings))), np.int32))
        return Found(*(np.concatenate(part).astype(np.int32, copy=False) for part in parts))


_TEXTS = "subject, item_id, coalesce(store_id, '') AS store_id, kind, channel"
_MINUTE = f"CAST(micros // {MICROS_PER_MINUTE} AS INTEGER)"

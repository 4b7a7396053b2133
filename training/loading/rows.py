"""RowLoad: the rows of one file for a table that lives in SQL, staged and then upserted at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy.engine import Connection

from recommender.columns import ColumnKind
from recommender.storage.identities import Link, conflicts, link
from recommender.storage.types import from_day_number, from_micros
from recommender.storage.upserts import UpsertCounts, upsert
from training.loading.counts import Shares, TableCounts
from training.loading.place import TableLoad
from training.loading.problems import check_rows, report_problems
from training.sources.duck import stream
from training.sources.highest import prepare_highest
from training.sources.selection import Selection, select

_BATCH_ROWS = 8_192
_CONVERT: dict[ColumnKind, Callable[[Any], Any]] = {
    ColumnKind.TIME: from_micros,
    ColumnKind.DATE: from_day_number,
}


class RowLoad:
    """The rows of one file for one table. `prepare` changes no state; `commit` does, in the file's transaction."""

    def __init__(self, load: TableLoad) -> None:
        self._load = load
        self.load_id = load.load_id
        self._rules = load.rules[0]
        self._spec = self._rules.spec
        self._staged = load.workspace / f"{load.load_id}.rows.parquet"
        self.counts = TableCounts(self._spec.name)

    def prepare(self) -> None:
        """Stage the file's good rows."""
        load = self._load
        highest = prepare_highest(load.duck, load.source, self._rules, load.context)
        selection = select(load.source, self._rules, load.context, load.run.now, highest)
        before, read, skipped = load.rejects.total, 0, 0
        reader = stream(load.duck, _query(selection), _BATCH_ROWS)
        fields = list(reader.schema)[: len(selection.filled)]
        with (
            load.run.progress.stage(load.title, load.source.rows) as step,
            pq.ParquetWriter(self._staged, pa.schema(fields)) as writer,
        ):
            for batch in reader:
                report_problems(load, selection, read, batch)
                read += batch.num_rows
                skipped += pc.sum(batch.column("skipped")).as_py() or 0
                good = pc.and_(pc.is_null(batch.column("problem")), pc.invert(batch.column("skipped")))
                writer.write_batch(batch.filter(good).select(list(selection.filled)))
                step(batch.num_rows)
        check_rows(load.source, read)
        rejected = load.rejects.total - before
        self.counts = replace(self.counts, read=read - skipped, rejected=rejected, skipped=skipped)

    def plan(self) -> None:
        """Note what a commit would do, as far as that is known without one: rows, and items that would be there."""
        shares = None
        if self._spec.name == "items":
            costs = {row["item_id"]: row.get("cost_cents") is not None for rows in self._chunks() for row in rows}
            self._load.run.planned_items.update(costs)
            shares = Shares(items=len(costs), without_cost=sum(not known for known in costs.values()))
        self.counts = replace(self.counts, added=self.counts.read - self.counts.rejected, shares=shares)

    def adopt(self) -> None:
        """Nothing leaves the workspace before the commit."""

    def refresh(self) -> None:
        """A repeated commit compares rows anew by itself."""

    def settle(self) -> None:
        """Nothing is left to do after the commit."""

    def finish(self) -> None:
        """Count identities that belong to nobody, because they are linked to several members."""
        if self._spec.name == "identities":
            with self._load.run.stores.database.read() as connection:
                self.counts = replace(self.counts, conflicts=sum(1 for _ in conflicts(connection)))

    def close(self) -> None:
        """What was staged goes with the workspace."""

    def commit(self, connection: Connection) -> None:
        """Add and change the rows, inside the file's write transaction."""
        counts = UpsertCounts()
        for rows in self._chunks():
            if self._spec.name == "identities":
                counts += link(connection, [Link(**row) for row in rows], self._load.run.now)
            else:
                counts += upsert(connection, self._spec.name, rows, self._load.run.now)
        self.counts = replace(self.counts, added=counts.added, changed=counts.changed, duplicate=counts.unchanged)

    def _chunks(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the staged rows as Python values of the column kinds."""
        with pq.ParquetFile(self._staged) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                columns = [self._values(name, batch.column(at)) for at, name in enumerate(batch.schema.names)]
                yield [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _values(self, name: str, column: pa.Array) -> list[Any]:
        values = column.to_pylist()
        convert = _CONVERT.get(self._spec.column(name).kind)
        return values if convert is None else [None if one is None else convert(one) for one in values]


def _query(selection: Selection) -> str:
    values = ", ".join(f"v_{column} AS {column}" for column in selection.filled)
    return f"SELECT {values}, problem, shown, skipped FROM ({selection.layer})"

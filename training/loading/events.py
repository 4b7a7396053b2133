"""EventLoad: the events of one file, staged as Parquet by month, freed of duplicates and committed at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.engine import Connection

from recommender.storage.event_log import LogFile, register
from recommender.storage.events import LOG_COLUMNS, insert_logged
from recommender.storage.identities import erased_subjects
from recommender.storage.loads import add_to_ledger
from recommender.storage.statements import next_sequence
from recommender.storage.types import from_micros
from training.loading.counts import TableCounts
from training.loading.duplicates import drop_duplicates, number_repeats
from training.loading.known import is_stale, read_known
from training.loading.place import TableLoad
from training.loading.problems import check_rows, report_problems
from training.loading.rejects import CONFLICT, Reject
from training.loading.staging import BATCH_ROWS, LongVector, Part, Staged, stage_events
from training.loading.summary import ledger_rows, summarise
from training.sources.duck import stream
from training.sources.event_query import event_query
from training.sources.highest import prepare_highest
from training.sources.mapping import COMPUTED, TableRules
from training.sources.selection import select

_ACCEPTED = "an id of its own, or the same content"


class StaleError(Exception):
    """Events with ids of this load were stored while it was prepared: compare again."""


class EventLoad:
    """The events of one file.

    `prepare` reads, checks and stages without changing any state; `commit` makes them visible inside the file's
    write transaction. After StaleError `refresh` and commit again.
    """

    def __init__(self, load: TableLoad) -> None:
        self._load = load
        self.load_id = load.load_id
        self._settled = False
        self._parts: tuple[Part, ...] = ()
        self._files: tuple[LogFile, ...] = ()
        self.counts = TableCounts("events")

    def prepare(self) -> None:
        """Stage the file's good events and leave out those that are known."""
        load = self._load
        with load.run.stores.database.read() as connection:
            erased = erased_subjects(connection)
        before = load.rejects.total
        for rules in load.rules:
            staged = self._stage(rules, erased)
            check_rows(load.source, staged.read)
            parts = staged.parts
            if COMPUTED not in rules.rules:
                parts = number_repeats(load.duck, parts, load.log, load.workspace)
            self._parts += parts
            read = self.counts.read + staged.read - staged.skipped
            self.counts = replace(self.counts, read=read, skipped=self.counts.skipped + staged.skipped)
        self.counts = replace(self.counts, rejected=load.rejects.total - before)
        self.refresh()

    def _stage(self, rules: TableRules, erased: frozenset[str]) -> Staged:
        load = self._load
        highest = prepare_highest(load.duck, load.source, rules, load.context)
        selection = select(load.source, rules, load.context, load.run.now, highest)
        query = event_query(selection, load.run.options.source_name)
        with load.run.progress.stage(load.title, load.source.rows) as step:
            return stage_events(
                stream(load.duck, query, BATCH_ROWS),
                load.log,
                load.workspace,
                erased,
                lambda first, batch: report_problems(load, selection, first, batch),
                step,
            )

    def refresh(self) -> None:
        """Compare with what is stored now."""
        load = self._load
        self._put_back()
        self._known = read_known(load.run.stores.database, load.run.stores.log, load.workspace)
        found = drop_duplicates(load.duck, self._parts, self._known, load.log, load.workspace, self._reject_conflicts)
        self._parts = found.parts
        self.counts = replace(
            self.counts,
            added=sum(part.rows for part in self._parts),
            duplicate=self.counts.duplicate + found.duplicates,
            rejected=self.counts.rejected + found.conflicts,
        )
        self._ledger = ledger_rows(load.duck, self._parts, load.run.options.source_name)

    def _reject_conflicts(self, rows: LongVector, event_ids: Sequence[str]) -> None:
        for line, event_id in zip(self._load.source.lines(rows).tolist(), event_ids, strict=True):
            self._load.rejects.add(Reject(line, COMPUTED, event_id, CONFLICT, _ACCEPTED))

    def plan(self) -> None:
        """A dry run knows already what a commit would do."""

    def settle(self) -> None:
        """Note that the commit is visible: what was staged belongs to the log now."""
        self._settled = True

    def finish(self) -> None:
        """Note what events name that nobody knows; after the items of the same file are stored."""
        self.counts = summarise(self._load, self._paths(), self.counts)

    def adopt(self) -> None:
        """Give the staged files their final names in the log, where nobody reads them yet."""
        load = self._load
        self._files = tuple(
            load.log.adopt(
                part.path, part.rows, (from_micros(part.first), from_micros(part.last)), load_id=load.load_id
            )
            for part in self._parts
        )

    def commit(self, connection: Connection) -> None:
        """Register the files, count them in the ledger and copy them to SQL where a bundle serves.

        Raises: StaleError if ids of this load were stored meanwhile.
        """
        load = self._load
        paths = [load.log.full_path(file) for file in self._files]
        if is_stale(connection, self._known, load.duck, paths):
            raise StaleError
        sequence = next_sequence(connection)
        register(connection, self._files, sequence, load.load_id)
        add_to_ledger(connection, self._ledger)
        if load.run.stores.serves:
            insert_logged(connection, self._rows(), sequence, load.run.now)

    def close(self) -> None:
        """Remove what was staged, unless it is visible now."""
        if not self._settled:
            self._put_back()
            for part in self._parts:
                part.delete()
        self._parts = ()

    def _put_back(self) -> None:
        """Take back the final names, after a commit that did not happen."""
        for part, file in zip(self._parts, self._files, strict=False):
            self._load.log.full_path(file).rename(part.path)
        self._files = ()

    def _paths(self) -> list[str]:
        if self._files:
            return [str(self._load.log.full_path(file)) for file in self._files]
        return [str(part.path) for part in self._parts]

    def _rows(self) -> Iterator[tuple[object, ...]]:
        at = LOG_COLUMNS.index("occurred_at")
        for path in self._paths():
            with pq.ParquetFile(path) as parquet:
                for batch in parquet.iter_batches(BATCH_ROWS):
                    columns = [batch.column(place) for place in range(batch.num_columns)]
                    columns[at] = columns[at].cast(pa.int64())
                    yield from zip(*(column.to_pylist() for column in columns), strict=True)

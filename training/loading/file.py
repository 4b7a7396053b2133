"""Loads one file: makes it readable, stages its tables, and commits all of them in one transaction."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import duckdb
from sqlalchemy.engine import Connection

from recommender.columns import TABLES
from recommender.errors import InputError, MappingError, StoreBusyError
from recommender.storage.event_log import EventLog
from recommender.storage.hashing import HashKey, check_hash_key, hash_value
from recommender.storage.loads import Load, record_load
from recommender.storage.statements import next_sequence
from training.loading.counts import TableCounts
from training.loading.events import EventLoad, StaleError
from training.loading.place import Run, TableLoad
from training.loading.rejects import Rejects
from training.loading.report import FileReport
from training.loading.rows import RowLoad
from training.loading.workspace import open_workspace
from training.sources.duck import add_hashing, open_duck
from training.sources.files import TableFile
from training.sources.mapping import FileLayout, TableRules, canonical_rules
from training.sources.mapping_file import check_names
from training.sources.source import Source, open_source

IMPERSONAL = frozenset(
    {"items", "item_relations", "stores", "prices", "assortment", "inventory", "offers", "offer_items", "calendar"}
)
"""Tables whose malformed lines may be shown: they say nothing of persons."""

_ATTEMPTS = 5
_UNREADABLE = (duckdb.InvalidInputException, duckdb.DataError, duckdb.OperationalError)
"""What DuckDB raises about a file or the machine, and not about our SQL."""

AnyLoad = EventLoad | RowLoad
logger = logging.getLogger(__name__)


def load_file(run: Run, file: TableFile) -> FileReport:
    """Load one file wholly or not at all.

    Returns: what became of its rows; its `error` if it cannot be read.
    Raises: MappingError if the run's mapping does not fit; StoreBusyError; EventLogError.
    """
    began = time.monotonic()
    load_id = f"{run.now:%Y%m%dT%H%M%S}-{token_hex(4)}"
    reject_file = run.settings.home / "rejects" / f"{load_id}-{file.path.name}.csv"
    private = run.options.mapping is not None or file.table not in IMPERSONAL
    rejects = Rejects(file.path.name, None if run.options.dry_run else reject_file, private)
    report = FileReport(str(file.path), load_id)
    try:
        with open_workspace(run.settings.home / "work", load_id) as workspace:
            report = _load(run, file, report, rejects, workspace)
    except MappingError:
        raise
    except InputError as error:
        report = replace(report, error=str(error))
    finally:
        rejects.close()
    for counts in report.tables:
        logger.info(
            "file_loaded load=%s table=%s read=%d added=%d changed=%d duplicate=%d rejected=%d",
            *(load_id, counts.table, counts.read, counts.added, counts.changed, counts.duplicate, counts.rejected),
        )
    return replace(
        report,
        reasons=dict(rejects.counts.most_common()),
        samples=tuple(rejects.samples),
        reject_file=str(reject_file) if rejects.written else None,
        seconds=round(time.monotonic() - began, 3),
    )


def _load(run: Run, file: TableFile, report: FileReport, rejects: Rejects, workspace: Path) -> FileReport:
    settings, mapping = run.settings, run.options.mapping
    layout = FileLayout() if mapping is None else mapping.layout
    with (
        ThreadPoolExecutor(1) as executor,
        open_duck(settings.ingest_memory_mib, settings.ingest_threads, workspace) as duck,
    ):
        checksum = executor.submit(_checksum, file.path)
        with _readable(file), run.progress.stage(f"{file.path.name}: look over"):
            source = open_source(file.path, file.format, layout, workspace, rejects.add_malformed)
        run.after_step("opened")
        if file.table == "events" and run.options.mapping is None:
            # Optional values of events may first come late in a file; in other tables an absent column means
            # that what is stored stays, so there only what the file names is read.
            source = source.with_columns(column.name for column in TABLES["events"].columns if not column.required)
        tables, unknown = _rules(run, file, source)
        loads = _table_loads(run, tables, report.load_id, source, rejects, duck, workspace)
        try:
            for load in loads:
                with _readable(file):
                    load.prepare()
                run.after_step("staged")
            if run.options.dry_run:
                for load in loads:
                    load.plan()
            else:
                _commit(run, report, loads, checksum, source)
            for load in loads:
                load.finish()
        finally:
            for load in loads:
                load.close()
    counts = _with_malformed([load.counts for load in loads], source.malformed)
    return replace(report, tables=tuple(counts), unknown_columns=unknown)


@contextmanager
def _readable(file: TableFile) -> Iterator[None]:
    """Tell what DuckDB finds wrong with a file. Raises: InputError."""
    try:
        yield
    except _UNREADABLE as error:
        first = str(error).splitlines()[0]
        raise InputError(f"The file cannot be read: {first}", field="file", value=file.path.name) from error


def _rules(run: Run, file: TableFile, source: Source) -> tuple[tuple[TableRules, ...], tuple[str, ...]]:
    """Return the rules of the tables that a file fills, and its columns that nobody knows."""
    mapping = run.options.mapping
    if mapping is not None:
        check_names(mapping, source.columns, file.path.name)
        return mapping.tables, ()
    assert file.table is not None
    found = canonical_rules(TABLES[file.table], source.outer_columns)
    return (found.table,), found.unknown


def _table_loads(
    run: Run,
    tables: Sequence[TableRules],
    load_id: str,
    source: Source,
    rejects: Rejects,
    duck: duckdb.DuckDBPyConnection,
    workspace: Path,
) -> list[AnyLoad]:
    add_hashing(duck, lambda namespace, value: _hash(namespace, value, run.stores.key))
    log = EventLog(workspace / "log") if run.options.dry_run else run.stores.log
    context = run.options.context(run.settings)
    loads: list[AnyLoad] = []
    for number, rules in enumerate(_grouped(tables), 1):
        own_id = load_id if len(tables) == 1 else f"{load_id}.{number}"
        load = TableLoad(run, own_id, source.path.name, source, rules, context, rejects, log, duck, workspace)
        loads.append(EventLoad(load) if rules[0].spec.name == "events" else RowLoad(load))
    return loads


def _hash(namespace: str, value: str, key: HashKey) -> str:
    """Return the stored form of an identity's value.

    Raises: InputError if it cannot be one: also if digits are masked, since all customers with the same
        visible digits would become one.
    """
    if "*" in value:
        raise InputError("The value is masked.", field="value", accepted="all of its characters")
    return hash_value(namespace, value, key.secret, key.version)


def _grouped(tables: Sequence[TableRules]) -> list[tuple[TableRules, ...]]:
    """Put all rules for events together, last, since the ids of all events must differ."""
    events = tuple(rules for rules in tables if rules.spec.name == "events")
    others: list[tuple[TableRules, ...]] = [(rules,) for rules in tables if rules.spec.name != "events"]
    return [*others, events] if events else others


def _commit(run: Run, report: FileReport, loads: Sequence[AnyLoad], checksum: Future[str], source: Source) -> None:
    """Make all rows of a file visible at once, comparing again when events came in between.

    Raises: StoreBusyError if that happens again and again.
    """
    for _ in range(_ATTEMPTS):
        for load in loads:
            load.adopt()
        run.after_step("adopted")
        try:
            with run.stores.database.write(durable=True) as connection:
                _write(run, connection, report, loads, checksum.result(), source)
                run.after_step("written")
        except StaleError:
            for load in loads:
                load.refresh()
            continue
        for load in loads:
            load.settle()
        run.after_step("committed")
        return
    raise StoreBusyError("Events with the same ids keep arriving; try again later.", value=report.file)


def _write(
    run: Run,
    connection: Connection,
    report: FileReport,
    loads: Sequence[AnyLoad],
    checksum: str,
    source: Source,
) -> None:
    next_sequence(connection)  # holds back other writers, so that what is compared stays as it is
    check_hash_key(connection, run.stores.key)
    for load in loads:
        load.commit(connection)
    for load, counts in zip(loads, _with_malformed([one.counts for one in loads], source.malformed), strict=True):
        record_load(
            connection,
            Load(
                load_id=load.load_id,
                source=run.options.source_name,
                file=report.file,
                checksum=checksum,
                read=counts.read,
                added=counts.added + counts.changed,
                duplicate=counts.duplicate,
                rejected=counts.rejected,
                started_at=run.now,
                finished_at=run.now,
            ),
        )


def _with_malformed(counts: Sequence[TableCounts], malformed: int) -> list[TableCounts]:
    """Count records that could not be read with the file's first table."""
    first = replace(counts[0], read=counts[0].read + malformed, rejected=counts[0].rejected + malformed)
    return [first, *counts[1:]]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

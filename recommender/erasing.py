"""Erasure beyond SQL: files of the event log are written anew without erased members, older bundles removed.

A file is written under a new name first; then one transaction takes the old one off the register, puts the new one
on it and notes both in the proof; only then the old file is deleted. A process killed in between leaves either the
old file in force, or one that the proof names and the next run deletes. Bundles trained before an erasure go once
the promoted one was trained after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.errors import ConflictError, NotFoundError
from recommender.registry import Registry
from recommender.storage.database import Database
from recommender.storage.erasure import (
    Erasure,
    Proof,
    Step,
    buried_subjects,
    list_erasures,
    reread,
    sweep,
    write_proof,
)
from recommender.storage.event_log import EventLog, LogFile, register, registered_files
from recommender.storage.events import PERSONAL_COLUMNS
from recommender.storage.personal import PERSONAL, Fate
from recommender.storage.statements import fetch, last_sequence, read_counter, set_counter
from recommender.storage.tables import erasures, log_files

if TYPE_CHECKING:
    import pyarrow as pa

SEARCHED = "erased_log"
"""Counter: files of the log up to this sequence were searched for every finished erasure."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a run did: files written anew, bundles removed, erasures finished; and why others wait ("" if none do)."""

    files: int
    bundles: tuple[str, ...]
    finished: tuple[str, ...]
    waiting: str


def apply_erasures(
    database: Database, log: EventLog, models: Path, now: datetime, after_step: Step = lambda _step: None
) -> Applied:
    """Carry every unfinished erasure through as far as it goes; safe to kill and to repeat.

    Raises: EventLogError if a registered file is missing; StoreBusyError.
    """
    with database.read() as connection:
        pending = list_erasures(connection, unfinished=True)
        upto = last_sequence(connection)
    for erasure in pending:
        sweep(database, erasure, now, after_step)
    _delete_leftovers(database, log)
    files = _rewrite_files(database, log, pending, now, after_step)
    removed = _remove_bundles(database, Registry(models), pending, now, after_step)
    finished, waiting = _finish(database, log, Registry(models), pending, upto, now)
    after_step("finished")
    return Applied(files, removed, finished, waiting)


def _rewrite_files(
    database: Database, log: EventLog, pending: Sequence[Erasure], now: datetime, after_step: Step
) -> int:
    """Write every file anew that holds an event of an erased subject; return how many there were.

    Files that came since the last complete search are searched for everyone who was ever erased: a load that began
    before an erasure may have ended after it.
    """
    with database.read() as connection:
        files = registered_files(connection)
        searched = read_counter(connection, SEARCHED)
        owner = {one.erasure_id: buried_subjects(connection, one) for one in pending}
        everyone = [row[0] for row in fetch(connection, "SELECT subject FROM erased_subjects ORDER BY subject")]
        known = {one.erasure_id: one for one in list_erasures(connection)}
        erasure_of = dict(fetch(connection, "SELECT subject, erasure_id FROM erased_subjects"))
    done = 0
    for file in files:
        wanted = everyone if file.sequence > searched else sorted({name for names in owner.values() for name in names})
        rows = _rows_of(log, file, wanted) if wanted else Counter()
        if not rows:
            continue
        after_step("found")
        new = _write_without(log, file, wanted)
        after_step("written")
        note = {"removed": file.path, "sha256": file.sha256, "replaced_by": new.path, "at": now.isoformat()}
        shares = Counter[str]()
        for subject, count in rows.items():
            shares[erasure_of[subject] or ""] += count
        with database.write(durable=True) as connection:
            swapped = connection.execute(log_files.delete().where(log_files.c.path == file.path)).rowcount == 1
            if swapped:
                register(connection, [new], file.sequence)
                for erasure_id in shares.keys() & known.keys():
                    _note(connection, [known[erasure_id]], "log_files", note | {"rows": shares[erasure_id]})
        if not swapped:
            log.discard([new])
            raise ConflictError("The event log is being changed by another command; run this again.", value=file.path)
        after_step("swapped")
        log.discard([file])
        after_step("deleted")
        done += 1
    return done


def _rows_of(log: EventLog, file: LogFile, subjects: Sequence[str]) -> Counter[str]:
    """Return how many events of each of some subjects a file holds."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    (path,) = log.paths([file])
    wanted, rows = pa.array(subjects, pa.string()), Counter[str]()
    for batch in pq.ParquetFile(path).iter_batches(columns=["subject"]):
        rows.update(batch.column(0).filter(pc.is_in(batch.column(0), wanted)).to_pylist())
    return rows


def _write_without(log: EventLog, file: LogFile, subjects: Sequence[str]) -> LogFile:
    """Write a file anew, row group by row group, without what names the subjects."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    old = pq.ParquetFile(log.full_path(file))
    wanted = pa.array(subjects, pa.string())
    temporary = log.temporary(file.month)
    with pq.ParquetWriter(temporary, old.schema_arrow, compression="zstd") as writer:
        for group in range(old.num_row_groups):
            writer.write_table(_nameless(old.read_row_group(group), wanted))
    return log.adopt(temporary, file.rows, (file.min_time, file.max_time), file.sequence, file.load_id)


def _nameless(table: pa.Table, wanted: pa.Array) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    gone = pc.is_in(table.column("subject"), wanted)
    for name in PERSONAL_COLUMNS:
        at = table.schema.get_field_index(name)
        kept = pc.if_else(gone, pa.scalar(None, table.schema.field(at).type), table.column(name))
        table = table.set_column(at, table.schema.field(at), kept)
    return table


def _delete_leftovers(database: Database, log: EventLog) -> None:
    """Delete files that a killed run took off the register and did not get to delete."""
    with database.read() as connection:
        registered = {file.path for file in registered_files(connection)}
        proofs = [one.proof for one in list_erasures(connection)]
    for entry in (entry for proof in proofs for entry in proof["log_files"]):
        if entry["removed"] not in registered:
            (log.folder / entry["removed"]).unlink(missing_ok=True)


def _remove_bundles(
    database: Database, registry: Registry, pending: Sequence[Erasure], now: datetime, after_step: Step
) -> tuple[str, ...]:
    """Remove bundles trained before an erasure, for those erasures that the promoted bundle was trained after."""
    clean = _clean_sequence(registry)
    settled = [one for one in pending if clean is not None and one.sequence <= clean]
    newest = max((one.sequence for one in settled), default=0)
    removed = []
    for entry in registry.list():
        known = 0 if entry.manifest is None else entry.manifest.facts.last_sequence
        if entry.current or known >= newest:
            continue
        try:
            registry.remove(entry.bundle_id)
        except (ConflictError, NotFoundError):
            continue  # promoted or removed meanwhile; the next run sees it
        concerned = [one for one in settled if known < one.sequence]
        with database.write(durable=True) as connection:
            _note(connection, concerned, "bundles_removed", {"bundle_id": entry.bundle_id, "at": now.isoformat()})
        removed.append(entry.bundle_id)
        after_step("bundle")
    return tuple(removed)


def _clean_sequence(registry: Registry) -> int | None:
    """Return the last event sequence of the promoted bundle, None without one."""
    current = next((entry for entry in registry.list() if entry.current), None)
    return None if current is None or current.manifest is None else current.manifest.facts.last_sequence


def _finish(
    database: Database, log: EventLog, registry: Registry, pending: Sequence[Erasure], upto: int, now: datetime
) -> tuple[tuple[str, ...], str]:
    """Close the erasures of which nothing is left, with a last count; return their ids, and why others wait."""
    finished, waiting = [], ""
    oldest = min(
        (0 if entry.manifest is None else entry.manifest.facts.last_sequence for entry in registry.list()), default=None
    )
    for erasure in pending:
        if oldest is not None and oldest < erasure.sequence:
            waiting = "A bundle trained before the erasure is in use: run `memberwise train`, then this again."
            continue
        left = _rows_left(database, log, erasure)
        if any(left.values()):
            waiting = f"Rows are left ({left}): something wrote them meanwhile; run this again."
            continue
        with database.write(durable=True) as connection:
            proof: Proof = reread(connection, erasure).proof
            proof |= {"rows_left": left, "finished_at": now.isoformat()}
            proof["clean_bundle"] = registry.current_id()
            write_proof(connection, erasure, proof)
            same = erasures.c.erasure_id == erasure.erasure_id
            connection.execute(erasures.update().where(same).values(finished_at=now))
        finished.append(erasure.erasure_id)
    if len(finished) == len(pending):
        with database.write() as connection:
            set_counter(connection, SEARCHED, upto)
    return tuple(finished), waiting


def _rows_left(database: Database, log: EventLog, erasure: Erasure) -> dict[str, int]:
    """Count, table by table and in the log, what still names the member; all zero when the erasure is complete."""
    with database.read(snapshot=True) as connection:
        subjects = buried_subjects(connection, erasure)
        files = registered_files(connection)
        members = [name.removeprefix("member:") for name in subjects if name.startswith("member:")]
        left = {
            one.table: connection.execute(
                sa.select(sa.func.count()).select_from(one.sql).where(one.owned(members[0], subjects))
            ).scalar_one()
            for one in PERSONAL
        }
    return left | {"event_log": sum(_rows_of(log, file, subjects).total() for file in files)}


def _note(connection: Connection, erased: Sequence[Erasure], name: str, entry: Mapping[str, Any]) -> None:
    """Add an entry to the proof of erasures, inside the transaction of what it tells."""
    for one in erased:
        proof = reread(connection, one).proof
        proof[name].append(dict(entry))
        write_proof(connection, one, proof)


def proof_document(erasure: Erasure) -> dict[str, Any]:
    """Return an erasure and its proof as a document to hand over; it names nobody."""
    books = {table: entry for table, entry in erasure.proof["sql"].items() if entry["fate"] == Fate.BOOK}
    return {
        "erasure_id": erasure.erasure_id,
        "reference": erasure.reference,
        "requested_at": erasure.requested_at.isoformat(),
        "requested_by": erasure.requested_by,
        "state": "requested" if erasure.finished_at is None else "finished",
        "books_kept_as": erasure.pseudonym if any(entry["rows"] for entry in books.values()) else None,
        **erasure.proof,
    }

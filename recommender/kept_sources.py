"""What the view of kept events is made of, read from one snapshot of the database; and the view, opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from sqlalchemy.engine import Connection

from recommender.events import member_subject
from recommender.kept import open_kept
from recommender.settings import CoreSettings
from recommender.storage.event_log import open_event_log, registered_files
from recommender.storage.identities import active_links, erased_subjects
from recommender.storage.items import replacements
from recommender.storage.members import member_kinds, unprofiled_members
from recommender.storage.statements import last_sequence
from recommender.storage.types import to_micros
from recommender.storage.unlogged import unlogged_events


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read from SQL in one snapshot.

    files: the registered files of the log.  live: events that the log lacks.  links: member id by subject.
    unprofiled: subjects of members who opted out and of minors: their purchases count as those of unknown customers.
    """

    files: list[Path]
    live: pa.Table
    links: dict[str, str]
    kinds: dict[str, str]
    erased: frozenset[str]
    unprofiled: frozenset[str]
    replaced: dict[str, str]
    sequence: int


def read_sources(connection: Connection, settings: CoreSettings, limit: datetime) -> Sources:
    """Return what the history before a time is made of, from one snapshot of the database."""
    log = open_event_log(settings)
    links, barred = dict(active_links(connection)), unprofiled_members(connection, limit)
    return Sources(
        files=log.paths(registered_files(connection, before=limit)),
        live=unlogged_events(connection),
        links=links,
        kinds=member_kinds(connection),
        erased=erased_subjects(connection),
        unprofiled=frozenset(map(member_subject, barred)) | {name for name, owner in links.items() if owner in barred},
        replaced=replacements(connection),
        sequence=last_sequence(connection),
    )


@contextmanager
def opened_kept(settings: CoreSettings, sources: Sources, limit: datetime) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine with the view `kept` of the events that count."""
    folder = settings.home / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    engine = duckdb.connect(":memory:")
    try:
        engine.execute("SET temp_directory = ?", [str(folder)])
        engine.execute("SET preserve_insertion_order = false")
        engine.execute("SET enable_progress_bar = false")
        open_kept(
            engine,
            sources.files,
            sources.live,
            to_micros(limit),
            sources.erased,
            sources.replaced,
            sources.links,
            sources.unprofiled,
        )
        yield engine
    finally:
        engine.close()

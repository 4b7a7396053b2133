"""Ingest: exports -> checked rows -> event log and SQL; file by file, each wholly or not at all.

A file is made readable and looked over (training/sources), its rows are staged and freed of duplicates
(training/loading), and then one transaction makes all of them visible together with the ledger and the load's
counts. A process killed before that leaves files that nobody reads; the load can be repeated at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from recommender.registry import Registry
from recommender.storage.database import Database
from recommender.storage.event_log import open_event_log
from recommender.storage.hashing import read_hash_key
from training.ingest_settings import IngestSettings
from training.loading.file import load_file
from training.loading.place import AfterStep, IngestOptions, Run, Stores
from training.loading.report import IngestReport
from training.progress import Progress
from training.sources.files import describe_file, find_files

__all__ = ["IngestOptions", "IngestReport", "ingest", "open_stores"]


def open_stores(settings: IngestSettings, database: Database) -> Stores:
    """Open what loads write to."""
    return Stores(
        database=database,
        log=open_event_log(settings),
        key=read_hash_key(settings),
        channels=frozenset(settings.channel_kinds),
        serves=Registry(settings.models).oldest_sequence() is not None,
    )


def ingest(
    paths: Iterable[Path],
    settings: IngestSettings,
    stores: Stores,
    options: IngestOptions,
    progress: Progress,
    now: datetime,
    after_step: AfterStep = lambda step: None,
) -> IngestReport:
    """Load exports.

    Args:
        paths: canonical files and folders of them; raw exports where there is a mapping.
        settings: home, limits, time zone.
        stores: what to write to.
        now: events later than a day after it are rejected.
        after_step: told the name of each step when it is done.
    Returns: what became of every file; a file that could not be read at all is reported with its error.
    Raises: InputError if a path does not exist; MappingError if the mapping does not fit a file; StoreBusyError.
    """
    if options.mapping is None:
        found = find_files(paths)
        files, ignored = found.files, found.ignored
    else:
        layout = options.mapping.layout
        files, ignored = tuple(describe_file(path, layout.format) for path in _inside(paths)), ()
    run = Run(settings, stores, options, progress, now, after_step, {})
    reports = tuple(load_file(run, file) for file in files)
    return IngestReport(reports, tuple(str(path) for path in ignored), options.dry_run)


def _inside(paths: Iterable[Path]) -> list[Path]:
    """Return raw exports: the files given, and those in folders given."""
    found: list[Path] = []
    for path in paths:
        inside = [one for one in path.iterdir() if one.is_file() and one.name[0] != "."] if path.is_dir() else [path]
        found += sorted(inside)
    return found

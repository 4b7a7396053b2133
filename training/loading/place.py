"""Where a load works: the stores it writes to, what the run was told, and what it may keep of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from recommender.storage.database import Database
from recommender.storage.event_log import EventLog
from recommender.storage.hashing import HashKey
from training.ingest_settings import IngestSettings
from training.loading.rejects import Rejects
from training.progress import Progress
from training.sources.mapping import Context, Mapping, TableRules
from training.sources.source import Source

CANONICAL_SOURCE = "canonical"
"""The source's name of canonical tables that are loaded without one."""

AfterStep = Callable[[str], None]
"""Told the name of each step when it is done: opened, staged, adopted, written, committed."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What one run of ingest is told.

    mapping: of a raw export; None: canonical tables.  source: its name in the ledger, None: the mapping's.
    time_zone: of times without an offset, None: the mapping's, else the setting.
    dry_run: check and report only.
    """

    mapping: Mapping | None = None
    source: str | None = None
    time_zone: str | None = None
    dry_run: bool = False

    @property
    def source_name(self) -> str:
        """The name of where rows come from."""
        return self.source or (CANONICAL_SOURCE if self.mapping is None else self.mapping.source)

    def context(self, settings: IngestSettings) -> Context:
        """Return what the reading of values needs besides the rules."""
        mapping = self.mapping
        if mapping is None:
            return Context(self.time_zone or settings.time_zone)
        zone = self.time_zone or mapping.time_zone or settings.time_zone
        return Context(zone, mapping.money_decimals, mapping.layout.strip)


@dataclass(frozen=True, slots=True)
class Stores:
    """The state that loads change.

    key: hashes phone numbers and e-mail addresses.  channels: those that are known.
    serves: a bundle exists, so SQL must hold new events too.
    """

    database: Database
    log: EventLog
    key: HashKey
    channels: frozenset[str]
    serves: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One run of ingest over any number of files.

    planned_items: items that a dry run would have stored by now, each with whether its cost is known.
    """

    settings: IngestSettings
    stores: Stores
    options: IngestOptions
    progress: Progress
    now: datetime
    after_step: AfterStep
    planned_items: dict[str, bool]


@dataclass(frozen=True, slots=True)
class TableLoad:
    """One table of one file on its way in.

    load_id: of this table's load.  name: the file's.  rules: one, or for events any number in the order of the
    mapping.  log: the event log, or a passing one in a dry run.  workspace: removed afterwards.
    """

    run: Run
    load_id: str
    name: str
    source: Source
    rules: tuple[TableRules, ...]
    context: Context
    rejects: Rejects
    log: EventLog
    duck: duckdb.DuckDBPyConnection
    workspace: Path

    @property
    def title(self) -> str:
        """What progress shows."""
        return f"{self.name} to {self.rules[0].spec.name}"

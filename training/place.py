"""Place: where state and bundles are, opened once per command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recommender.registry import Registry
from recommender.settings import CoreSettings
from recommender.storage.database import Database, open_database

REPORTS = "reports"
"""Folder in HOME of reports that belong to no bundle."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where state and bundles are."""

    database: Database
    settings: CoreSettings

    @property
    def registry(self) -> Registry:
        """The folder of bundles."""
        return Registry(self.settings.models)

    @property
    def reports(self) -> Path:
        """The folder of reports that belong to no bundle."""
        return self.settings.home / REPORTS


@contextmanager
def open_place(settings: CoreSettings) -> Iterator[Place]:
    """Open what the settings name, with the schema up to date."""
    settings.home.mkdir(parents=True, exist_ok=True)
    database = open_database(settings)
    try:
        database.migrate()
        yield Place(database, settings)
    finally:
        database.dispose()

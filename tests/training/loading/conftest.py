"""Homes to load exports into."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.storage.database import Database
from tests.training.loading.intake import Intake


@pytest.fixture
def intake(tmp_path: Path, sqlite_database: Database) -> Intake:
    """A home on SQLite."""
    return Intake(tmp_path / "home", sqlite_database)


@pytest.fixture
def any_intake(tmp_path: Path, database: Database) -> Intake:
    """A home on SQLite, and once more on PostgreSQL."""
    return Intake(tmp_path / "home", database)

"""Quoting of values in SQL that DuckDB runs."""

from __future__ import annotations

from collections.abc import Iterable


def text(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """Quote texts for a list."""
    return ", ".join(text(value) for value in values)

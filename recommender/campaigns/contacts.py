"""Contacts: how many messages left by unit and calendar day, and the caps and budgets that are held against them.

A batch first holds the rows of the days it may count in, in one order that all workers keep, so that of two workers one
waits for the other; what it then reads stays true until it writes. On SQLite the write transaction alone does that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.engine import Connection

from recommender.storage.statements import execute, fetch, marks
from recommender.storage.types import from_day_number, to_day_number

CHUNK_KEYS = 200
WEEK, MONTH = timedelta(days=7), timedelta(days=30)
"""Spans of caps, in calendar days with the present one as the last."""
KEPT = timedelta(days=62)
ALL = ""
"""In place of a transport: all of them."""

Key = tuple[str, date, str]
"""Unit, day and transport."""

_HOLD = """
INSERT INTO contact_counts (unit, day, transport, count) VALUES {values}
ON CONFLICT (unit, day, transport) DO UPDATE SET count = contact_counts.count"""
_READ = "SELECT unit, day, transport, count FROM contact_counts WHERE day >= ? AND unit IN ({marks})"
_ADD = """
INSERT INTO contact_counts (unit, day, transport, count) VALUES {values}
ON CONFLICT (unit, day, transport) DO UPDATE SET count = contact_counts.count + excluded.count"""
_PRUNE = "DELETE FROM contact_counts WHERE day < ?"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many messages, of one transport or all, to a unit, since a day.

    reason: under which a message is skipped that would be one too many.
    """

    unit: str
    transport: str
    since: date
    most: int
    reason: str


class Contacts:
    """The counts of one batch, inside its write transaction; `save` writes what was counted.

    Args:
        units: all that may be counted in.
        days: all that may be counted in.
        transports: ALL, and those with limits of their own.
    """

    def __init__(
        self, connection: Connection, units: Iterable[str], days: Collection[date], transports: Collection[str]
    ) -> None:
        self._connection = connection
        self._counts: dict[tuple[str, str], dict[date, int]] = {}
        self._added: dict[Key, int] = {}
        wanted = sorted(set(units))
        if days:
            if connection.dialect.name == "postgresql":
                self._hold(wanted, sorted(days), sorted(transports))
            self._read(wanted, min(days) - MONTH)

    def against(self, limits: Sequence[Limit]) -> str | None:
        """Return the reason of the first limit that has no room for one more message; None if all have."""
        return next((one.reason for one in limits if self._since(one) >= one.most), None)

    def count(self, keys: Iterable[Key], amount: int = 1) -> None:
        """Count a message, or take it back."""
        for unit, day, name in keys:
            days = self._counts.setdefault((unit, name), {})
            days[day] = days.get(day, 0) + amount
            self._added[unit, day, name] = self._added.get((unit, day, name), 0) + amount

    def save(self) -> None:
        """Write what was counted."""
        rows = [(unit, to_day_number(day), name, n) for (unit, day, name), n in sorted(self._added.items()) if n]
        for start in range(0, len(rows), CHUNK_KEYS):
            chunk = rows[start : start + CHUNK_KEYS]
            values = ", ".join(["(?, ?, ?, ?)"] * len(chunk))
            execute(self._connection, _ADD.format(values=values), [part for row in chunk for part in row])
        self._added.clear()

    def _since(self, limit: Limit) -> int:
        days = self._counts.get((limit.unit, limit.transport), {})
        return sum(count for day, count in days.items() if day >= limit.since)

    def _hold(self, units: Sequence[str], days: Sequence[date], names: Sequence[str]) -> None:
        keys = [(unit, to_day_number(day), name) for unit in units for day in days for name in names]
        for start in range(0, len(keys), CHUNK_KEYS):
            chunk = keys[start : start + CHUNK_KEYS]
            values = ", ".join(["(?, ?, ?, 0)"] * len(chunk))
            execute(self._connection, _HOLD.format(values=values), [part for key in chunk for part in key])

    def _read(self, units: Sequence[str], since: date) -> None:
        for start in range(0, len(units), CHUNK_KEYS):
            chunk = units[start : start + CHUNK_KEYS]
            rows = fetch(self._connection, _READ.format(marks=marks(len(chunk))), (to_day_number(since), *chunk))
            for unit, day, name, count in rows:
                self._counts.setdefault((unit, name), {})[from_day_number(day)] = count


def prune_contacts(connection: Connection, today: date) -> int:
    """Forget what no cap looks at any more, inside a write transaction; return how many rows."""
    return execute(connection, _PRUNE, (to_day_number(today - KEPT),))

"""Trust in stock by category: exact, with a safety level, or untracked, and how old a count may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.engine import Connection

from recommender.storage.statements import execute, execute_many, fetch, next_sequence, set_counter


class Trust(StrEnum):
    """How far counts of stock are believed: to the piece, with a margin, or not at all."""

    EXACT = "exact"
    SAFETY = "safety"
    UNTRACKED = "untracked"


@dataclass(frozen=True, slots=True)
class StockPolicy:
    """How far the stock of a category's items is trusted.

    category: a path, for everything below it too; "" for all that no other policy names.
    safety_level: with `safety`, items are in stock only above it.
    max_age_minutes: an older count says nothing, and the item counts as in stock; None: no limit.
    """

    category: str
    trust: Trust = Trust.EXACT
    safety_level: float = 0.0
    max_age_minutes: int | None = None


def replace_policies(connection: Connection, policies: Sequence[StockPolicy]) -> None:
    """Put these policies in place of all others, inside a write transaction; categories are distinct."""
    sequence = next_sequence(connection)
    execute(connection, "DELETE FROM stock_policies")
    rows = [(one.category, str(one.trust), one.safety_level, one.max_age_minutes) for one in policies]
    statement = "INSERT INTO stock_policies (category, trust, safety_level, max_age_minutes) VALUES (?, ?, ?, ?)"
    execute_many(connection, statement, rows)
    set_counter(connection, "changed:stock_policies", sequence)


def read_policies(connection: Connection) -> list[StockPolicy]:
    """Return all policies by category."""
    rows = fetch(connection, "SELECT category, trust, safety_level, max_age_minutes FROM stock_policies ORDER BY 1")
    return [StockPolicy(category, Trust(trust), safety, age) for category, trust, safety, age in rows]

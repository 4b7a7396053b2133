"""Recalls: items pulled from every slate at once, each with its reason."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.storage.statements import execute, fetch, next_sequence, set_counter
from recommender.storage.types import to_micros

_RECALL = """
INSERT INTO recalls (item_id, reason, recalled_at, recalled_by) VALUES (?, ?, ?, ?)
ON CONFLICT (item_id) DO UPDATE SET reason = excluded.reason"""


def recall(connection: Connection, item_id: str, reason: str, caller: str, now: datetime) -> None:
    """Pull an item from every slate, inside a write transaction; a second recall changes the reason.

    Args:
        item_id: known to the catalogue or not: it may be known only to a bundle.
        reason: for people.
        caller: the id of the key that asks.
        now: the present.
    """
    _changed(connection)
    execute(connection, _RECALL, (item_id, reason, to_micros(now), caller))


def lift_recall(connection: Connection, item_id: str) -> bool:
    """End a recall, inside a write transaction; False if there was none."""
    _changed(connection)
    return execute(connection, "DELETE FROM recalls WHERE item_id = ?", (item_id,)) > 0


def read_recalls(connection: Connection) -> list[str]:
    """Return the ids of all recalled items, ascending."""
    return [row[0] for row in fetch(connection, "SELECT item_id FROM recalls ORDER BY item_id")]


def _changed(connection: Connection) -> None:
    set_counter(connection, "changed:recalls", next_sequence(connection))

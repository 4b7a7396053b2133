"""Dislikes: items, brands and categories that customers said they are not interested in.

They are kept by subject, apart from the events that said so: those are pruned, a dislike holds until it is taken back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from recommender.events import EventKind
from recommender.storage.content import CONTENT
from recommender.storage.statements import execute_many

ITEM, BRAND, CATEGORY = "item", "brand", "category"
"""What a dislike can be of; the last two are named by an event's attributes."""
TAKEN_BACK = 0.0
"""The value of an event that takes a dislike back."""

MOST_KEPT = 1_000
"""Dislikes kept of one customer: of more, the latest. Every request of theirs reads them."""

_KIND, _SUBJECT, _ITEM, _VALUE, _ATTRIBUTES, _AT = (
    1 + CONTENT.index(name) for name in ("kind", "subject", "item_id", "value", "attributes", "occurred_at")
)
_KEEP = """
INSERT INTO dislikes (subject, kind, value, at) VALUES (?, ?, ?, ?)
ON CONFLICT (subject, kind, value) DO UPDATE SET at = excluded.at"""
_FORGET = """
DELETE FROM dislikes WHERE subject = ? AND at < (
  SELECT at FROM dislikes WHERE subject = ? ORDER BY at DESC LIMIT 1 OFFSET ?)"""
_DROP = "DELETE FROM dislikes WHERE subject = ? AND kind = ? AND value = ?"


@dataclass(frozen=True, slots=True)
class Dislike:
    """One thing a customer does not want to see: `kind` is ITEM, BRAND or CATEGORY."""

    kind: str
    value: str


def note_dislikes(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Keep what events say of dislikes, inside the write transaction that stores them.

    Args:
        rows: stored events, the columns of the event log first.
    """
    kept: dict[tuple[str, str, str], int | None] = {}
    for row in rows:
        if row[_KIND] != EventKind.NOT_INTERESTED or row[_SUBJECT] is None:
            continue
        for dislike in _dislikes(row):
            key = (row[_SUBJECT], dislike.kind, dislike.value)
            kept[key] = None if row[_VALUE] == TAKEN_BACK else row[_AT]
    added = [(*key, at) for key, at in kept.items() if at is not None]
    dropped = [key for key, at in kept.items() if at is None]
    if added:
        execute_many(connection, _KEEP, added)
        subjects = sorted({subject for subject, *_ in added})
        execute_many(connection, _FORGET, [(subject, subject, MOST_KEPT - 1) for subject in subjects])
    if dropped:
        execute_many(connection, _DROP, dropped)


def _dislikes(row: Sequence[Any]) -> Iterator[Dislike]:
    """Yield what one event is about: the brand and the category it names, else its item."""
    named = _named(row[_ATTRIBUTES])
    yield from named
    if not named and row[_ITEM] is not None:
        yield Dislike(ITEM, row[_ITEM])


def _named(attributes: str | None) -> list[Dislike]:
    if not attributes:
        return []
    try:
        found = json.loads(attributes)
    except ValueError:
        return []
    if not isinstance(found, dict):
        return []
    texts = ((kind, found.get(kind)) for kind in (BRAND, CATEGORY))
    return [Dislike(kind, text) for kind, text in texts if isinstance(text, str) and text]

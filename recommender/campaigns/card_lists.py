"""Uploaded lists of members: identities resolved, saved, and what could not be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.campaigns.card_files import CardColumn, CardRow
from recommender.errors import ConflictError, InputError
from recommender.events import MEMBER_NAMESPACE, member_subject
from recommender.ids import MAX_ID_BYTES
from recommender.storage.campaign_tables import card_lists
from recommender.storage.events import erased_among
from recommender.storage.hashing import HashKey, hash_value
from recommender.storage.statements import execute_many, fetch, marks
from recommender.storage.types import to_micros

T = TypeVar("T")

CHUNK_ROWS = 500
MOST_TOLD = 100
"""Rows that are told one by one."""
_LINKS = """
SELECT value, member_id FROM identities WHERE namespace = ? AND value IN ({marks}) AND unlinked_at IS NULL"""
_MEMBERS = "SELECT member_id FROM members WHERE member_id IN ({marks})"
_ADD = """
INSERT INTO card_list_members (list_id, member_id, added_at) VALUES (?, ?, ?)
ON CONFLICT (list_id, member_id) DO NOTHING"""


class Unresolved(StrEnum):
    """Why a row names nobody: not known, several members, erased, or no identity at all."""

    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    ERASED = "erased"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class UnresolvedRow:
    """A row that names nobody: its line, not its value, which may be a phone number."""

    line: int
    reason: Unresolved


@dataclass(frozen=True, slots=True)
class Resolved:
    """Members that a file names, ascending, and rows that name nobody, in order."""

    rows: int
    members: Sequence[str]
    unresolved: Sequence[UnresolvedRow]

    def counts(self) -> dict[str, int]:
        """Return how many rows name nobody, by reason."""
        found = dict.fromkeys(map(str, Unresolved), 0)
        for row in self.unresolved:
            found[row.reason] += 1
        return found


@dataclass(frozen=True, slots=True)
class CardList:
    """A saved list. rows: of the file.  unknown: rows that named nobody."""

    list_id: str
    name: str
    rows: int
    unknown: int
    created_at: datetime
    created_by: str


def resolve_cards(connection: Connection, column: CardColumn, key: HashKey) -> Resolved:
    """Find the members that a column of identities names."""
    members: set[str] = set()
    unresolved: list[UnresolvedRow] = []
    find = _members if column.namespace == MEMBER_NAMESPACE else _linked(column.namespace)
    for chunk in _chunks(column.rows, CHUNK_ROWS):
        stored = {row.line: _stored(column.namespace, row, key) for row in chunk}
        owners = find(connection, sorted({value for value in stored.values() if value is not None}))
        named = {owner for found in owners.values() for owner in found}
        erased = erased_among(connection, {member_subject(owner) for owner in named})
        for line, value in stored.items():
            found = owners.get(value or "", ())
            reason = _reason(value, found, erased)
            if reason is None:
                members.update(found)
            else:
                unresolved.append(UnresolvedRow(line, reason))
    return Resolved(len(column.rows), sorted(members), unresolved)


def save_list(connection: Connection, saved: CardList, members: Sequence[str]) -> None:
    """Save a list and its members, inside a write transaction. Raises: ConflictError if there is one of this id."""
    if fetch(connection, "SELECT 1 FROM card_lists WHERE list_id = ?", (saved.list_id,)):
        raise ConflictError("There is a list of this id.", field="list_id", value=saved.list_id, accepted="another id")
    row: dict[str, object] = {name: getattr(saved, name) for name in CardList.__slots__}
    connection.execute(card_lists.insert(), row)
    add_members(connection, saved.list_id, members, saved.created_at)


def add_members(connection: Connection, list_id: str, members: Sequence[str], now: datetime) -> None:
    """Put members on a list, inside a write transaction; those on it already stay."""
    for chunk in _chunks(members, CHUNK_ROWS):
        execute_many(connection, _ADD, [(list_id, member_id, to_micros(now)) for member_id in chunk])


def all_lists(connection: Connection) -> list[CardList]:
    """Return every list, the latest first."""
    rows = connection.execute(sa.select(card_lists).order_by(card_lists.c.created_at.desc(), card_lists.c.list_id))
    return [CardList(**row) for row in rows.mappings()]


def _stored(namespace: str, row: CardRow, key: HashKey) -> str | None:
    """Return an identity as it is stored, None if it cannot be one."""
    try:
        value = hash_value(namespace, row.value, key.secret, key.version)
    except InputError:
        return None
    return value if "\0" not in value and len(value.encode(errors="replace")) <= MAX_ID_BYTES else None


def _reason(value: str | None, owners: Sequence[str], erased: set[str]) -> Unresolved | None:
    if value is None:
        return Unresolved.MALFORMED
    if not owners:
        return Unresolved.UNKNOWN
    if len(owners) > 1:
        return Unresolved.CONFLICT
    return Unresolved.ERASED if member_subject(owners[0]) in erased else None


Owners = Mapping[str, Sequence[str]]


def _linked(namespace: str) -> Callable[[Connection, Sequence[str]], Owners]:
    def find(connection: Connection, values: Sequence[str]) -> Owners:
        found: dict[str, list[str]] = {}
        if values:
            for value, member_id in fetch(connection, _LINKS.format(marks=marks(len(values))), (namespace, *values)):
                found.setdefault(value, []).append(member_id)
        return found

    return find


def _members(connection: Connection, values: Sequence[str]) -> Owners:
    rows = fetch(connection, _MEMBERS.format(marks=marks(len(values))), values) if values else []
    return {row[0]: [row[0]] for row in rows}


def _chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk

"""Identities: links from (namespace, value) to members, which can be made and undone, and their conflicts.

An identity is linked while it has exactly one member; one that is linked to several is a conflict and belongs
to none of them until a link is undone. Links resolve when history is read, so history follows them at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from recommender.errors import NotFoundError
from recommender.events import MEMBER_NAMESPACE, member_subject, subject_key
from recommender.storage.statements import fetch, next_sequence, set_counter
from recommender.storage.tables import CANONICAL
from recommender.storage.types import to_micros
from recommender.storage.upserts import UpsertCounts, read_rows, upsert

_LINKS = CANONICAL["identities"]

_RESOLVE = """
SELECT DISTINCT member_id FROM identities
WHERE namespace = ? AND value = ? AND unlinked_at IS NULL LIMIT 2"""
_IS_ERASED = "SELECT 1 FROM erased_subjects WHERE subject = ?"
_LINKED = """
SELECT DISTINCT member_id FROM identities
WHERE namespace = ? AND value = ? AND unlinked_at IS NULL ORDER BY member_id"""
SUBJECTS = """
SELECT i.namespace, i.value FROM identities i
WHERE i.member_id = ? AND i.unlinked_at IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM identities o WHERE o.namespace = i.namespace AND o.value = i.value
      AND o.member_id <> i.member_id AND o.unlinked_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM erased_subjects e WHERE e.subject = i.namespace || ':' || i.value)"""
"""The identities whose histories are a member's."""

_ACTIVE_LINKS = """
SELECT namespace, value, MIN(member_id) FROM identities
WHERE unlinked_at IS NULL AND (namespace, value) > (?, ?)
GROUP BY namespace, value HAVING COUNT(DISTINCT member_id) = 1
ORDER BY namespace, value LIMIT ?"""
_CONFLICTS = """
SELECT namespace, value, member_id FROM identities i
WHERE unlinked_at IS NULL AND EXISTS (
  SELECT 1 FROM identities o WHERE o.namespace = i.namespace AND o.value = i.value
    AND o.member_id <> i.member_id AND o.unlinked_at IS NULL)
ORDER BY namespace, value, member_id"""

PAGE_ROWS = 20_000
"""Links read in one statement."""


@dataclass(frozen=True, slots=True)
class Link:
    """An identity and its member. `linked_at` None: known from an export that does not say since when."""

    namespace: str
    value: str
    member_id: str
    linked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """Whose identity it is: a member, nobody (`member_id` None), or several (`conflict`)."""

    member_id: str | None
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """An identity that is linked to several members, in ascending order."""

    namespace: str
    value: str
    member_ids: tuple[str, ...]


def link(connection: Connection, links: Sequence[Link], now: datetime) -> UpsertCounts:
    """Link identities to members, inside a write transaction.

    A link that was undone stays undone unless `linked_at` is later than that: an export loaded again does not
    bring it back. A second member for the same identity is stored and reported as a conflict.

    Args:
        links: phone and email values already hashed.
        now: the present.
    """
    if not links:
        return UpsertCounts()
    next_sequence(connection)  # holds back other writers, so that the links stay as read here
    stored = read_rows(connection, "identities", [(one.namespace, one.value, one.member_id) for one in links])
    rows: list[dict[str, object]] = []
    unchanged = 0
    for one in links:
        old = stored.get((one.namespace, one.value, one.member_id))
        undone = None if old is None else old["unlinked_at"]
        if undone is not None and (one.linked_at is None or to_micros(one.linked_at) <= undone):
            unchanged += 1
            continue
        row: dict[str, object] = {
            "namespace": one.namespace,
            "value": one.value,
            "member_id": one.member_id,
            "unlinked_at": None,
        }
        if one.linked_at is not None and (old is None or undone is not None):
            row["linked_at"] = one.linked_at
        rows.append(row)
    return upsert(connection, "identities", rows, now) + UpsertCounts(unchanged=unchanged)


def unlink(connection: Connection, namespace: str, value: str, member_id: str, now: datetime) -> None:
    """Undo a link, inside a write transaction; the identity keeps its events, the member loses them.

    Raises: NotFoundError if there is no such link, or it is undone already.
    """
    sequence = next_sequence(connection)
    undone = connection.execute(
        _LINKS.update()
        .where(
            _LINKS.c.namespace == namespace,
            _LINKS.c.value == value,
            _LINKS.c.member_id == member_id,
            _LINKS.c.unlinked_at.is_(None),
        )
        .values(unlinked_at=now, change_sequence=sequence)
    )
    if undone.rowcount == 0:
        raise NotFoundError("This identity is not linked to this member.", field="namespace", value=namespace)
    set_counter(connection, "changed:identities", sequence)


def resolve(connection: Connection, namespace: str, value: str) -> Resolution:
    """Return whose identity it is. The namespace "member" names a member directly."""
    if namespace == MEMBER_NAMESPACE:
        return Resolution(value)
    found = fetch(connection, _RESOLVE, (namespace, value))
    return Resolution(found[0][0]) if len(found) == 1 else Resolution(None, conflict=bool(found))


def members_of(connection: Connection, namespace: str, value: str) -> list[str]:
    """Return every member that an identity is linked to, ascending; several are a conflict."""
    return [row[0] for row in fetch(connection, _LINKED, (namespace, value))]


def subjects_of_nobody(connection: Connection, namespace: str, value: str) -> tuple[str, ...]:
    """Return the subjects of an identity that is no member's: itself, or nothing if it was erased with a member."""
    own = subject_key(namespace, value)
    return () if fetch(connection, _IS_ERASED, (own,)) else (own,)


def subjects_of(connection: Connection, member_id: str) -> tuple[str, ...]:
    """Return the subjects whose histories are the member's.

    Returns: the member's own subject, then those of linked identities without conflict in ascending order;
        nothing for an erased member.
    """
    own = member_subject(member_id)
    if fetch(connection, _IS_ERASED, (own,)):
        return ()
    return (own, *(subject_key(*row) for row in sorted(fetch(connection, SUBJECTS, (member_id,)))))


def active_links(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield (subject, member_id) of every linked identity without conflict or erasure, by subject."""
    erased = erased_subjects(connection)
    page: list[tuple[Any, ...]] = [("", "", "")]
    while page:
        page = fetch(connection, _ACTIVE_LINKS, (page[-1][0], page[-1][1], PAGE_ROWS))
        for namespace, value, member_id in page:
            subject = subject_key(namespace, value)
            if subject not in erased and member_subject(member_id) not in erased:
                yield subject, member_id


def conflicts(connection: Connection) -> Iterator[Conflict]:
    """Yield every identity that is linked to several members, in ascending order."""
    rows = fetch(connection, _CONFLICTS)
    for (namespace, value), group in itertools.groupby(rows, key=lambda row: row[:2]):
        yield Conflict(namespace, value, tuple(row[2] for row in group))


def erased_subjects(connection: Connection) -> frozenset[str]:
    """Return the subjects whose events nobody may use any more."""
    return frozenset(row[0] for row in fetch(connection, "SELECT subject FROM erased_subjects"))

"""Lays over member features what was written since they were made: members, consents and erasures.

What members did meanwhile is not: `Overlay` and the counter of events say that it is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from recommender.campaigns.member_columns import MemberColumns
from recommender.campaigns.member_features import MemberFeatures, Overlay, mixed, unit_keys
from recommender.campaigns.member_rows import MEMBER_COLUMNS, NO_MEMBER, Rows, consent_columns
from recommender.events import member_subject
from recommender.ids import IdIndex
from recommender.storage.statements import fetch, last_sequence

PAGE_ROWS = 50_000
_CHANGED = f"""
SELECT change_sequence, member_id, {MEMBER_COLUMNS} FROM members
WHERE change_sequence >= ? AND (change_sequence, member_id) > (?, ?) ORDER BY change_sequence, member_id LIMIT ?"""
_CONSENTS = """
SELECT change_sequence, member_id, purpose, channel, at, granted FROM consents
WHERE change_sequence >= ? AND (change_sequence, member_id, purpose, channel, at) > (?, ?, ?, ?, ?)
ORDER BY change_sequence, member_id, purpose, channel, at LIMIT ?"""
_ERASED = """
SELECT e.subject FROM erased_subjects e LEFT JOIN erasures x ON x.erasure_id = e.erasure_id
WHERE x.sequence > ? OR x.sequence IS NULL"""


def lay_over(features: MemberFeatures, connection: Connection) -> MemberFeatures:
    """Return features with every member, consent and erasure written since, from a snapshot of the database.

    What is returned can be laid over again later: only what came in between is read then.
    """
    after, upto = features.overlay.upto, last_sequence(connection)
    if upto == after:
        return features
    changed = {row[1]: row[2:] for page in _pages(connection, _CHANGED, (after + 1, ""), 2) for row in page}
    consents = [[row[1:] for row in page] for page in _pages(connection, _CONSENTS, (after + 1, "", "", "", 0), 5)]
    prefix = member_subject("")
    erased = [row[0].removeprefix(prefix) for row in fetch(connection, _ERASED, (after,)) if row[0].startswith(prefix)]
    consented = {row[0] for page in consents for row in page}
    overlay = Overlay(
        upto,
        features.overlay.members + len(changed),
        features.overlay.added,
        features.overlay.consents + sum(map(len, consents)),
    )
    found = _with_members(replace(features, overlay=overlay), changed, consented - changed.keys() - set(erased))
    gone = found.erased
    if erased:
        gone = gone.copy()
        gone[found.rows(erased)] = True
    columns = found.columns.with_consents(consent_columns(found.find, consents)) if consents else found.columns
    return replace(found, columns=columns, erased=gone)


def events_since(features: MemberFeatures, connection: Connection) -> int:
    """Return how many things were written since the features were made, events above all."""
    return max(last_sequence(connection) - features.facts.sequence, 0)


def _with_members(
    features: MemberFeatures, changed: dict[str, tuple[Any, ...]], others: Iterable[str]
) -> MemberFeatures:
    """Return features with the changed rows of the member table, and with others who are new."""
    base = features.index
    new = {one for one in {*changed, *others} if one not in base and one not in features.extra}
    rows = dict(changed) | {one: NO_MEMBER for one in new if one not in changed}
    if not rows:
        return features
    old = features.extra.ids(np.arange(len(features.extra)))
    extra = IdIndex.of([*old, *new])
    own = np.arange(len(features), dtype=np.int32)
    own[len(base) :] = extra.rows(old)[0] + np.int32(len(base))
    count = len(base) + len(extra)
    larger = replace(features, extra=extra)
    theirs = larger.rows(rows)
    changes = MemberColumns.of(list(rows.values()), features.facts.day_offset)
    erased, mix = np.zeros(count, bool), np.zeros(count, np.uint64)
    erased[own], mix[own] = features.erased, features.mix
    members = np.array([one.encode() for one in rows])
    mix[theirs] = mixed(unit_keys(members, changes.household).tolist())
    overlay = replace(features.overlay, added=features.overlay.added + len(new))
    columns = features.columns.put(count, own, changes, theirs)
    return replace(larger, overlay=overlay, columns=columns, erased=erased, mix=mix)


def _pages(connection: Connection, query: str, start: tuple[Any, ...], keys: int) -> Iterator[Rows]:
    """Yield the rows of a query in pages; its first columns are the key that it goes on after."""
    last = start
    while page := fetch(connection, query, (start[0], *last, PAGE_ROWS)):
        yield page
        last = page[-1][:keys]

"""Recipients: what the records say of members at the moment of sending, and what speaks against writing to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy.engine import Connection

from recommender.columns import LEARNED_KINDS
from recommender.events import member_subject
from recommender.storage.erasure import PSEUDONYM
from recommender.storage.members import is_adult
from recommender.storage.statements import fetch, marks

CHUNK_IDS = 400
PUSH = "push"
"""The purpose of a consent that messages need."""
LANGUAGE, TIME_ZONE = "language", "time_zone"
"""Names under which `members.attributes` may tell the member's language and time zone."""

_MEMBERS = """
SELECT m.member_id, m.kind, m.guide_id, s.name, m.attributes, m.adult, m.birth_date,
  (SELECT granted FROM consents c WHERE c.member_id = m.member_id AND c.purpose = 'push' AND c.channel IN ('', ?)
   ORDER BY at DESC, granted LIMIT 1),
  (SELECT granted FROM consents c WHERE c.member_id = m.member_id AND c.purpose = 'personalization'
   ORDER BY at DESC, granted LIMIT 1),
  (SELECT granted FROM consents c WHERE c.member_id = m.member_id AND c.purpose = 'guardian_personalization'
   ORDER BY at DESC, granted LIMIT 1)
FROM members m LEFT JOIN stores s ON s.store_id = m.home_store_id WHERE m.member_id IN ({marks})"""
_ERASED = "SELECT subject FROM erased_subjects WHERE subject IN ({marks})"
_CONTACTS = """
SELECT member_id, namespace, value FROM identities WHERE member_id IN ({members}) AND namespace IN ({names})
ORDER BY member_id, namespace, COALESCE(linked_at, 0), value"""


class Against(StrEnum):
    """What speaks against writing to a member at all."""

    ERASED = "erased"
    UNKNOWN_MEMBER = "unknown_member"
    KIND = "kind"
    NO_CONSENT = "no_consent"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    NOT_PERSONALISED = "not_personalised"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A member as the records know them now.

    against: what speaks against writing to them; None: nothing.  language: "zh" or "en" where it is known.
    zone: their time zone where it is known.  contacts: the latest identity of each namespace asked for.
    """

    member_id: str
    against: Against | None
    guide_id: str | None = None
    store: str | None = None
    language: str | None = None
    zone: ZoneInfo | None = None
    contacts: Mapping[str, str] | None = None


def read_recipients(
    connection: Connection,
    member_ids: Collection[str],
    channel: str,
    now: datetime,
    namespaces: Sequence[str] = (),
) -> dict[str, Recipient]:
    """Return every member asked for, by id.

    Of consents the latest counts, of those of the same moment the strictest, and without any there is none.

    Args:
        channel: whose consents count beside those given for all channels.
        namespaces: of the identities wanted.
    """
    found: dict[str, Recipient] = {}
    distinct = sorted(set(member_ids))
    for start in range(0, len(distinct), CHUNK_IDS):
        chunk = distinct[start : start + CHUNK_IDS]
        contacts = _contacts(connection, chunk, namespaces) if namespaces else {}
        subjects = {member_subject(member_id): member_id for member_id in chunk}
        gone = {subjects[row[0]] for row in fetch(connection, _ERASED.format(marks=marks(len(chunk))), list(subjects))}
        rows = fetch(connection, _MEMBERS.format(marks=marks(len(chunk))), (channel, *chunk))
        known = {row[0]: row for row in rows if row[0] not in gone}
        for member_id in chunk:
            if member_id in known:
                found[member_id] = _recipient(known[member_id], contacts.get(member_id, {}), now)
            else:
                erased = member_id in gone or member_id.startswith(PSEUDONYM)
                found[member_id] = Recipient(member_id, Against.ERASED if erased else Against.UNKNOWN_MEMBER)
    return found


def _recipient(row: Sequence[Any], contacts: Mapping[str, str], now: datetime) -> Recipient:
    member_id, kind, guide_id, store, text, adult, birth_date, push, personal, guardian = row
    minor = is_adult(adult, birth_date, now) is False and not guardian
    against = None
    if (kind or LEARNED_KINDS[0]) not in LEARNED_KINDS:
        against = Against.KIND
    elif not push:
        against = Against.NO_CONSENT if push is None else Against.CONSENT_WITHDRAWN
    elif minor or (personal is not None and not personal):
        against = Against.NOT_PERSONALISED
    told = _attributes(text)
    language = told.get(LANGUAGE)
    known = str(language).split("-")[0].lower() if isinstance(language, str) else None
    return Recipient(member_id, against, guide_id, store, known, _zone(told.get(TIME_ZONE)), contacts)


def _contacts(connection: Connection, member_ids: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the latest identity of each namespace, by member."""
    statement = _CONTACTS.format(members=marks(len(member_ids)), names=marks(len(names)))
    found: dict[str, dict[str, str]] = {}
    for member_id, namespace, value in fetch(connection, statement, (*member_ids, *names)):
        found.setdefault(member_id, {})[namespace] = value
    return found


def _attributes(text: str | None) -> Mapping[str, Any]:
    found = orjson.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def _zone(name: object) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if isinstance(name, str) else None
    except (ValueError, OSError, KeyError):
        return None

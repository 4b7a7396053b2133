"""Members: what serving needs to know of one member, and the consents that decide on personalisation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.engine import Connection

from recommender.columns import LEARNED_KINDS
from recommender.events import member_subject, subject_key
from recommender.storage.identities import SUBJECTS
from recommender.storage.statements import fetch
from recommender.storage.types import from_day_number, to_day_number

ADULT_AGE_YEARS = 18
PERSONALIZATION = "personalization"
"""The purpose of a consent that switches personal recommendations off or on."""
GUARDIAN_PERSONALIZATION = "guardian_personalization"
"""The purpose of a guardian's consent: without it a known minor gets no personal recommendations."""

_MEMBER = """
SELECT 'member' AS part, m.member_id, m.kind, m.household_id, m.home_store_id, m.adult, m.birth_date,
  (SELECT granted FROM consents WHERE member_id = ? AND purpose = 'personalization'
   ORDER BY at DESC, granted LIMIT 1),
  (SELECT 1 FROM erased_subjects WHERE subject = ?),
  (SELECT granted FROM consents WHERE member_id = ? AND purpose = 'guardian_personalization'
   ORDER BY at DESC, granted LIMIT 1)
FROM (SELECT 1 AS one) AS nobody LEFT JOIN members m ON m.member_id = ?"""
_PROFILE = f"""{_MEMBER}
UNION ALL
SELECT 'link', linked.namespace, linked.value, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM ({SUBJECTS}) AS linked"""
"""A member, and the identities whose histories are theirs."""

_RECORD, _ERASED = "member", 8
"""What begins the row of a member, and the place in it that says whether they were erased."""

_REFUSED = """
SELECT DISTINCT member_id FROM consents c WHERE purpose = 'personalization' AND NOT granted
  AND NOT EXISTS (SELECT 1 FROM consents l
    WHERE l.member_id = c.member_id AND l.purpose = c.purpose AND l.at > c.at)"""
_MINORS = """
SELECT member_id FROM members m
WHERE (adult = 'false' OR (COALESCE(adult, 'unknown') = 'unknown' AND birth_date > ?))
  AND NOT COALESCE((SELECT granted FROM consents c
    WHERE c.member_id = m.member_id AND c.purpose = 'guardian_personalization'
    ORDER BY at DESC, granted LIMIT 1), FALSE)"""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member as serving sees them.

    adult: True, False, or None if neither the flag nor a birth date says.
    personalised: False if the latest consent refuses it, for kinds outside LEARNED_KINDS, and for known minors
        whose guardian did not agree.
    """

    member_id: str
    kind: str
    household_id: str | None
    home_store_id: str | None
    adult: bool | None
    personalised: bool


def read_member(connection: Connection, member_id: str, now: datetime) -> MemberRow | None:
    """Return one member, or None if nothing is recorded of them or they were erased.

    A member without a row whose consent is known is an ordinary consumer with that consent. Of consents given
    at the same moment the strictest counts.
    """
    (row,) = fetch(connection, _MEMBER, (member_id, member_subject(member_id), member_id, member_id))
    return _member_of(row, member_id, now)


def read_profile(connection: Connection, member_id: str, now: datetime) -> tuple[MemberRow | None, tuple[str, ...]]:
    """Return what read_member() and identities.subjects_of() do, in one statement."""
    own = member_subject(member_id)
    found = fetch(connection, _PROFILE, (member_id, own, member_id, member_id, member_id))
    row = next(row for row in found if row[0] == _RECORD)
    if row[_ERASED]:
        return None, ()
    links = sorted((row[1], row[2]) for row in found if row[0] != _RECORD) if len(found) > 1 else []
    return _member_of(row, member_id, now), (own, *(subject_key(*link) for link in links))


def _member_of(row: tuple[Any, ...], member_id: str, now: datetime) -> MemberRow | None:
    """Return a member from a row of _MEMBER, None if nothing is recorded or they were erased."""
    _, recorded, kind, household_id, home_store_id, flag, birth_date, granted, erased, guardian = row
    if erased or (recorded is None and granted is None):
        return None
    kind = kind or LEARNED_KINDS[0]
    adult = is_adult(flag, birth_date, now)
    allowed = (granted is None or bool(granted)) and (adult is not False or bool(guardian))
    return MemberRow(
        member_id=member_id,
        kind=kind,
        household_id=household_id,
        home_store_id=home_store_id,
        adult=adult,
        personalised=kind in LEARNED_KINDS and allowed,
    )


def unprofiled_members(connection: Connection, now: datetime) -> frozenset[str]:
    """Return the ids of members whose history makes no profile: opted out, or minors without a guardian's consent."""
    today = now.date()
    last = today.replace(year=today.year - ADULT_AGE_YEARS, day=min(today.day, 28) if today.month == 2 else today.day)
    refused = fetch(connection, _REFUSED)
    minors = fetch(connection, _MINORS, (to_day_number(last),))
    return frozenset(row[0] for row in (*refused, *minors))


def member_kinds(connection: Connection) -> dict[str, str]:
    """Return the kind of every member who is not an ordinary consumer, by member id."""
    rows: list[tuple[Any, ...]] = fetch(
        connection,
        "SELECT member_id, kind FROM members WHERE kind IS NOT NULL AND kind <> ? ORDER BY member_id",
        (LEARNED_KINDS[0],),
    )
    return dict(rows)


def member_ids(connection: Connection) -> list[str]:
    """Return the ids of all members, ascending."""
    return [row[0] for row in fetch(connection, "SELECT member_id FROM members ORDER BY member_id")]


def home_stores(connection: Connection) -> dict[str, str]:
    """Return the home store of every member who has one, by member id."""
    rows: list[tuple[Any, ...]] = fetch(
        connection, "SELECT member_id, home_store_id FROM members WHERE home_store_id IS NOT NULL ORDER BY member_id"
    )
    return dict(rows)


def is_adult(flag: str | None, birth_day: int | None, now: datetime) -> bool | None:
    """Tell whether a member is of age, None if neither the flag nor the birth day (a number) says."""
    if flag in ("true", "false"):
        return flag == "true"
    if birth_day is None:
        return None
    return _age(from_day_number(birth_day), now.date()) >= ADULT_AGE_YEARS


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))

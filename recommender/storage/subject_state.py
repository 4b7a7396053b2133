"""All that a request needs to know of one customer, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.events import subject_key
from recommender.storage.events import RecentEvents, recent_events
from recommender.storage.identities import resolve, subjects_of
from recommender.storage.members import MemberRow, read_member


@dataclass(frozen=True, slots=True)
class SubjectState:
    """One customer now.

    member: None if the customer is unknown, an unlinked identity, or erased.
    subjects: whose histories are the customer's; the member's own first.
    conflict: the identity is linked to several members, so to none.
    recent: the events that came after the sequence asked for.
    away: the database did not answer; nothing is known but the name.
    """

    member: MemberRow | None
    subjects: tuple[str, ...]
    conflict: bool
    recent: RecentEvents
    away: bool = False


def read_subject_state(
    connection: Connection, namespace: str, value: str, after_sequence: int, now: datetime
) -> SubjectState:
    """Read one customer.

    Args:
        namespace: of the identity that the request names; "member" for a member id.
        value: the member id, or the identity's value with phone and email already hashed.
        after_sequence: the last sequence that the bundle includes.
        now: the present.
    """
    found = resolve(connection, namespace, value)
    if found.member_id is None:
        member = None
        subjects: tuple[str, ...] = (subject_key(namespace, value),)
    else:
        member = read_member(connection, found.member_id, now)
        subjects = subjects_of(connection, found.member_id)
    return SubjectState(member, subjects, found.conflict, recent_events(connection, subjects, after_sequence))

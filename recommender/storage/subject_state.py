"""All that a request needs to know of one customer, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.storage.events import RecentEvents, recent_events
from recommender.storage.identities import members_of, resolve, subjects_of_nobody
from recommender.storage.members import MemberRow, read_member, read_profile


@dataclass(frozen=True, slots=True)
class SubjectState:
    """One customer now.

    member: None if the customer is unknown, an unlinked identity, or erased.
    subjects: whose histories are the customer's; the member's own first.
    conflict: the identity is linked to several members, so to none.
    recent: the events that came after the sequence asked for.
    away: the database did not answer; nothing is known but the name.
    refused: one of the members that share an identity in conflict may not be profiled, so nor may the identity.
    """

    member: MemberRow | None
    subjects: tuple[str, ...]
    conflict: bool
    recent: RecentEvents
    away: bool = False
    refused: bool = False


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
    member, refused = None, False
    if found.member_id is not None:
        member, subjects = read_profile(connection, found.member_id, now)
    else:
        subjects = subjects_of_nobody(connection, namespace, value)
    if found.conflict:
        sharing = [read_member(connection, member_id, now) for member_id in members_of(connection, namespace, value)]
        refused = any(one is not None and not one.personalised for one in sharing)
    recent = recent_events(connection, subjects, after_sequence)
    return SubjectState(member, subjects, found.conflict, recent, refused=refused)

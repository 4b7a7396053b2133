"""Where SQL holds something on a member: one list that profile, export and erasure go by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.events import member_subject
from recommender.storage.events import PERSONAL_COLUMNS
from recommender.storage.identities import subjects_of
from recommender.storage.tables import metadata

LONGEST_EXPORT_ROWS = 100_000
"""Most rows of one table in an export; the latest are kept."""


class Fate(StrEnum):
    """What erasure does to rows: takes them away; keeps them without the member; or keeps them under a pseudonym."""

    DELETED = "deleted"
    UNNAMED = "unnamed"
    BOOK = "book"


@dataclass(frozen=True, slots=True)
class Personal:
    """A table with rows about members.

    column: holds the member id, or a subject if `by_subject`.  time: when a row happened.
    cleared: of UNNAMED rows, the columns that are emptied.  ends: of BOOK rows, whether they go once their time is
    over.  also: of BOOK rows, other columns that tell who the member is.
    """

    table: str
    column: str
    by_subject: bool
    fate: Fate
    time: str
    cleared: tuple[str, ...] = ()
    ends: bool = True
    also: tuple[str, ...] = ()

    @property
    def sql(self) -> sa.Table:
        """The table."""
        return metadata.tables[self.table]

    def owned(self, member_id: str, subjects: Sequence[str]) -> sa.ColumnElement[bool]:
        """Return the condition on rows about a member."""
        column = self.sql.c[self.column]
        return column.in_(subjects) if self.by_subject else column == member_id


PERSONAL = (
    Personal("members", "member_id", False, Fate.DELETED, "registered_at"),
    Personal("consents", "member_id", False, Fate.DELETED, "at"),
    Personal("identities", "member_id", False, Fate.DELETED, "linked_at"),
    Personal("dislikes", "subject", True, Fate.DELETED, "at"),
    Personal("answers", "subject", True, Fate.DELETED, "occurred_at"),
    Personal("attributions", "subject", True, Fate.DELETED, "occurred_at"),
    Personal("exposures", "subject", True, Fate.UNNAMED, "occurred_at", ("subject", "experiment_unit")),
    Personal("coupon_exposures", "subject", True, Fate.UNNAMED, "occurred_at", ("subject", "coupon_id")),
    Personal("events", "subject", True, Fate.UNNAMED, "occurred_at", PERSONAL_COLUMNS),
    Personal("coupons", "member_id", False, Fate.BOOK, "issued_at"),
    Personal("wallet_coupons", "member_id", False, Fate.BOOK, "issued_at", ends=False),
    Personal("coupon_counters", "subject", False, Fate.DELETED, "at"),
    Personal("sends", "member_id", False, Fate.BOOK, "sent_at"),
    Personal("redemptions", "member_id", False, Fate.BOOK, "redeemed_at"),
    Personal("campaign_members", "member_id", False, Fate.DELETED, "assigned_at"),
    Personal("holdout_units", "unit", True, Fate.DELETED, "assigned_at"),
    Personal("card_list_members", "member_id", False, Fate.DELETED, "added_at"),
    Personal("deliveries", "member_id", False, Fate.BOOK, "created_at", also=("unit",)),
    Personal("contact_counts", "unit", True, Fate.DELETED, "day"),
    Personal("message_quotas", "member_id", False, Fate.DELETED, "at"),
)
"""Every table that holds something on members. `audit` and `erased_subjects` are looked after by the erasure itself."""


@dataclass(frozen=True, slots=True)
class Held:
    """How much a table holds on a member: rows, and when the first and the last happened, if that is known."""

    rows: int
    first_at: datetime | None
    last_at: datetime | None


def subjects_held(connection: Connection, member_id: str) -> tuple[str, ...]:
    """Return the subjects that are the member's; their own alone for an erased member."""
    return subjects_of(connection, member_id) or (member_subject(member_id),)


def count_held(connection: Connection, member_id: str, subjects: Sequence[str]) -> dict[str, Held]:
    """Return how much each table holds on a member, by table."""
    found = {}
    for one in PERSONAL:
        time = one.sql.c[one.time]
        chosen = sa.select(sa.func.count(), sa.func.min(time), sa.func.max(time)).where(one.owned(member_id, subjects))
        rows, first, last = connection.execute(chosen).one()
        found[one.table] = Held(rows, first, last)
    return found


def read_held(
    connection: Connection,
    member_id: str,
    subjects: Sequence[str],
    limit: int = LONGEST_EXPORT_ROWS,
    tables: Collection[str] | None = None,
) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield each table's name and its rows about a member, the latest `limit` in order of time.

    Args:
        tables: only these; None: all.
    """
    for one in (entry for entry in PERSONAL if tables is None or entry.table in tables):
        newest_first = (one.sql.c[one.time].desc(), *one.sql.primary_key.columns)
        chosen = sa.select(one.sql).where(one.owned(member_id, subjects)).order_by(*newest_first).limit(limit)
        yield (
            one.table,
            [
                {str(name): value for name, value in row.items()}
                for row in reversed(connection.execute(chosen).mappings().all())
            ],
        )


def keys_of(connection: Connection, one: Personal, member_id: str, subjects: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the primary keys of a table's rows about a member."""
    chosen = sa.select(*one.sql.primary_key.columns).where(one.owned(member_id, subjects))
    return [tuple(row) for row in connection.execute(chosen)]

"""How members and consents are read from SQL, for features made anew and for what is laid over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from recommender.campaigns.member_columns import BoolVector, Consent, IntVector, RowVector, consent_stamp

MEMBER_COLUMNS = (
    "household_id, kind, home_store_id, city, tier, guide_id, birth_date, registered_at, adult, points_balance,"
    " attributes"
)
"""As MemberColumns.of() takes them."""
NO_MEMBER: tuple[Any, ...] = (None,) * 11
"""The row of a member of whom the table says nothing."""

Rows = list[tuple[Any, ...]]
Find = Callable[[list[str]], tuple[RowVector, BoolVector]]


def consent_columns(find: Find, pages: Iterable[Rows]) -> dict[Consent, tuple[RowVector, IntVector]]:
    """Return rows and stamps of consents by purpose and channel; of members who are not known, none.

    Args:
        find: looks members up.
        pages: of member_id, purpose, channel, at, granted.
    """
    parts: dict[Consent, list[tuple[RowVector, IntVector]]] = {}
    for page in pages:
        by_kind: dict[Consent, tuple[list[str], list[int]]] = {}
        for member_id, purpose, channel, at, granted in page:
            members, stamps = by_kind.setdefault((purpose, channel or ""), ([], []))
            members.append(member_id)
            stamps.append(consent_stamp(at, bool(granted)))
        for key, (members, stamps) in by_kind.items():
            rows, known = find(members)
            parts.setdefault(key, []).append((rows, np.array(stamps, np.int64)[known]))
    return {
        key: (np.concatenate([rows for rows, _ in found]), np.concatenate([stamps for _, stamps in found]))
        for key, found in parts.items()
    }

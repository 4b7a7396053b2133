"""Events that members post themselves, under a member token: only what a device can witness, under ids of their own."""

from __future__ import annotations

import hashlib

from api.problems import FieldError
from recommender.events import EventKind

WITNESSED_KINDS = (
    EventKind.VIEW,
    EventKind.SEARCH,
    EventKind.FAVORITE,
    EventKind.BASKET_ADD,
    EventKind.BASKET_REMOVE,
    EventKind.RATING,
    EventKind.SHARE,
    EventKind.NOT_INTERESTED,
    EventKind.COUPON_VIEW,
    EventKind.COUPON_CLAIM,
    EventKind.PUSH_OPEN,
    EventKind.PUSH_CLICK,
    EventKind.SURVEY,
)
"""Purchases, returns and redemptions come from the retailer's own systems: no device can make them up."""


def not_witnessed(kind: EventKind) -> FieldError | None:
    """Return what is wrong with an event of this kind under a member token, None if nothing is."""
    if kind in WITNESSED_KINDS:
        return None
    return FieldError("kind", "A member token cannot tell of this.", str(kind), "one of " + ", ".join(WITNESSED_KINDS))


def own_event_id(member_id: str, event_id: str) -> str:
    """Return the id under which a member's event is kept: nobody can take the id of another's event in advance."""
    return "m-" + hashlib.sha256(f"{member_id}\0{event_id}".encode()).hexdigest()[:40]

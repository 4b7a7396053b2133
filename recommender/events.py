"""Channel, EventKind and Event: the one shape shared by all channels.

Kinds and channels have small stable codes, because histories keep them as one byte each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MEMBER_NAMESPACE = "member"
"""Reserved namespace of subjects that name a member directly."""

HASHED_NAMESPACES = frozenset({"phone", "email"})
"""Namespaces whose values are stored only as keyed hashes."""


class EventKind(StrEnum):
    """What a customer (or a delivery) did."""

    VIEW = "view"
    SEARCH = "search"
    FAVORITE = "favorite"
    BASKET_ADD = "basket_add"
    BASKET_REMOVE = "basket_remove"
    PURCHASE = "purchase"
    RETURN = "return"
    RATING = "rating"
    SHARE = "share"
    NOT_INTERESTED = "not_interested"
    COUPON_VIEW = "coupon_view"
    COUPON_CLAIM = "coupon_claim"
    COUPON_REDEEM = "coupon_redeem"
    PUSH_OPEN = "push_open"
    PUSH_CLICK = "push_click"
    PUSH_DELIVERED = "push_delivered"
    GUIDE_ACCEPT = "guide_accept"
    GUIDE_DONE = "guide_done"
    GUIDE_SKIP = "guide_skip"
    SURVEY = "survey"


KIND_CODES: dict[EventKind, int] = {kind: code for code, kind in enumerate(EventKind)}
"""Stored in bundles and histories: append new kinds at the end of EventKind only."""

BROWSING_KINDS = (EventKind.VIEW, EventKind.FAVORITE, EventKind.BASKET_ADD, EventKind.SHARE, EventKind.RATING)
"""Kinds that show interest in an item without buying it."""

KNOWN_CHANNELS: dict[str, str] = {
    "pos": "offline",
    "app": "online",
    "mini_program": "online",
    "web": "online",
    "marketplace": "online",
    "community_group": "online",
    "live": "online",
    "guide": "offline",
}
"""Channels known from the start, each online or offline; retailers add theirs by setting."""

UNPAID_STATUSES = frozenset({"cancelled", "unpaid", "pending"})
"""Order line statuses that do not count as a purchase."""


def subject_key(namespace: str, value: str) -> str:
    """Name the owner of a history: "member:ID" for members, "namespace:value" for identities."""
    return f"{namespace}:{value}"


def member_subject(member_id: str) -> str:
    """Name the subject of a member's own events."""
    return subject_key(MEMBER_NAMESPACE, member_id)


@dataclass(frozen=True, slots=True)
class Event:
    """One act, in one channel, at one time.

    `subject` is `member_subject(...)`, `subject_key(namespace, value)` with phone and email values
    already hashed, or None when the customer is unknown. `occurred_at` is aware and in UTC. Money is in
    the currency's minor unit.
    """

    event_id: str
    occurred_at: datetime
    kind: EventKind
    channel: str
    subject: str | None = None
    item_id: str | None = None
    store_id: str | None = None
    order_id: str | None = None
    order_line: str | None = None
    revision: int = 0
    status: str | None = None
    fulfilment: str | None = None
    quantity: float | None = None
    unit_price_cents: int | None = None
    discount_cents: int | None = None
    coupon_id: str | None = None
    recommendation_id: str | None = None
    position: int | None = None
    value: float | None = None
    attributes: str | None = None

"""Purchases as tills send them, made into baskets with what the catalogue and the member table know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.columns import LEARNED_KINDS
from recommender.coupons.basket import Basket, BasketLine, MemberFacts
from recommender.events import member_subject
from recommender.storage.statements import fetch, marks

CHUNK_IDS = 400
UNKNOWN = "unknown"
RECALLED = "recalled"
"""Stand in for a restricted class: items the catalogue does not know, and recalled ones, count for no coupon."""

_ITEMS = """
SELECT i.item_id, i.category, i.brand, COALESCE(i.restricted_class, CASE WHEN r.item_id IS NULL THEN NULL ELSE ? END)
FROM items i LEFT JOIN recalls r ON r.item_id = i.item_id WHERE i.item_id IN ({marks})"""
_MEMBERS = """
SELECT member_id, kind, tier, points_balance, attributes FROM members WHERE member_id IN ({marks})"""
_ERASED = "SELECT subject FROM erased_subjects WHERE subject IN ({marks})"


@dataclass(frozen=True, slots=True)
class PurchaseLine:
    """One line as the till knows it: see BasketLine."""

    item_id: str
    quantity: float
    unit_price_cents: int
    discount_cents: int = 0


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order that is not paid yet, as the till knows it: see Basket."""

    lines: tuple[PurchaseLine, ...]
    store_id: str | None = None
    channel: str | None = None
    fulfilment: str | None = None
    delivery_fee_cents: int = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """A member as the wallet sees them: their kind, and what offers may ask of them."""

    kind: str
    facts: MemberFacts

    @property
    def eligible(self) -> bool:
        """Whether they get coupons of campaigns."""
        return self.kind in LEARNED_KINDS


def make_basket(connection: Connection, purchase: Purchase, member: MemberFacts, now: datetime) -> Basket:
    """Return a purchase with category, brand and restricted class of its items from the catalogue.

    Raises: InputError naming the field, if an amount or a quantity is out of range.
    """
    known: dict[str, tuple[str | None, str | None, str | None]] = {}
    item_ids = sorted({line.item_id for line in purchase.lines})
    for start in range(0, len(item_ids), CHUNK_IDS):
        chunk = item_ids[start : start + CHUNK_IDS]
        rows = fetch(connection, _ITEMS.replace("{marks}", marks(len(chunk))), (RECALLED, *chunk))
        known |= {row[0]: (row[1], row[2], row[3]) for row in rows}
    return Basket(
        lines=tuple(_line(line, known.get(line.item_id)) for line in purchase.lines),
        when=now,
        store_id=purchase.store_id,
        channel=purchase.channel,
        fulfilment=purchase.fulfilment,
        delivery_fee_cents=purchase.delivery_fee_cents,
        member=member,
    )


def read_holders(connection: Connection, member_ids: Sequence[str]) -> dict[str, Holder]:
    """Return the members who are known and not erased, by id."""
    found: dict[str, Holder] = {}
    distinct = sorted(set(member_ids))
    for start in range(0, len(distinct), CHUNK_IDS):
        chunk = distinct[start : start + CHUNK_IDS]
        subjects = {member_subject(member_id): member_id for member_id in chunk}
        gone = {
            subjects[row[0]] for row in fetch(connection, _ERASED.replace("{marks}", marks(len(chunk))), list(subjects))
        }
        rows = fetch(connection, _MEMBERS.replace("{marks}", marks(len(chunk))), chunk)
        found |= {
            row[0]: Holder(row[1] or LEARNED_KINDS[0], member_facts(*row[2:])) for row in rows if row[0] not in gone
        }
    return found


def _line(line: PurchaseLine, known: tuple[str | None, str | None, str | None] | None) -> BasketLine:
    category, brand, restricted = known or (None, None, UNKNOWN)
    return BasketLine(
        line.item_id, line.quantity, line.unit_price_cents, category, brand, restricted, line.discount_cents
    )


def member_facts(tier: str | None, points: int | None, attributes: str | None) -> MemberFacts:
    """Return what offers may ask of a member, from columns of `members`; attributes: JSON."""
    segments = {tier} if tier else set()
    named = _attributes(attributes).get("segments")
    if isinstance(named, list):
        segments |= {one for one in named if isinstance(one, str)}
    return MemberFacts(frozenset(segments), points)


def _attributes(text: str | None) -> Mapping[str, Any]:
    if text is None or '"segments"' not in text:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}

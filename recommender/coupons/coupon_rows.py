"""Coupons in SQL: read and held, added, and moved from one state to another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from recommender.coupons.wallet import Coupon, Status
from recommender.errors import StoreBusyError
from recommender.storage.statements import execute, execute_many, fetch, marks
from recommender.storage.types import from_micros, to_micros

CHUNK_IDS = 400
MOST_HELD = 100
"""Most coupons of one member that are looked at."""

_COLUMNS = (
    "coupon_id, offer_id, member_id, campaign_id, status, service, issued_at, expires_at, order_id, locked_until,"
    " discount_cents"
)
_INSERT = f"INSERT INTO wallet_coupons ({_COLUMNS}) VALUES ({marks(11)})"
_MOVE = """
UPDATE wallet_coupons SET status = ?, order_id = ?, locked_until = ?, discount_cents = ?
WHERE coupon_id = ? AND status = ? AND discount_cents = ? AND COALESCE(order_id, '') = ?"""


def read_coupons(connection: Connection, coupon_ids: Iterable[str], hold: bool = False) -> dict[str, Coupon]:
    """Return coupons by id, in order of id; unknown ones are left out.

    Args:
        hold: inside a write transaction, keep others from changing them until its end.
    """
    distinct = sorted(set(coupon_ids))
    found: dict[str, Coupon] = {}
    for start in range(0, len(distinct), CHUNK_IDS):
        chunk = distinct[start : start + CHUNK_IDS]
        where = f"coupon_id IN ({marks(len(chunk))}) ORDER BY coupon_id{_holding(connection, hold)}"
        found |= {one.coupon_id: one for one in select_coupons(connection, where, chunk)}
    return found


def held_coupons(connection: Connection, member_id: str) -> list[Coupon]:
    """Return the coupons that a member can use or is using, those that expire first in front."""
    where = (
        "member_id = ? AND status IN ('issued', 'locked')"
        f" ORDER BY CASE WHEN expires_at IS NULL THEN 1 ELSE 0 END, expires_at, coupon_id LIMIT {MOST_HELD}"
    )
    return select_coupons(connection, where, (member_id,))


def select_coupons(connection: Connection, where: str, values: Sequence[object] = ()) -> list[Coupon]:
    """Return the coupons that a condition in SQL chooses, in its order."""
    return [_coupon(row) for row in fetch(connection, f"SELECT {_COLUMNS} FROM wallet_coupons WHERE {where}", values)]


def skip_locked(connection: Connection) -> str:
    """Return what makes a choice of coupons leave those to others that they hold; SQLite has one writer only."""
    return " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""


def add_coupons(connection: Connection, coupons: Sequence[Coupon]) -> None:
    """Add coupons, inside a write transaction."""
    execute_many(connection, _INSERT, [_row(coupon) for coupon in coupons])


def move_coupon(
    connection: Connection,
    coupon: Coupon,
    status: Status,
    *,
    order_id: str | None = None,
    locked_until: datetime | None = None,
    discount_cents: int = 0,
) -> Coupon:
    """Put a coupon into another state, if it still stands as it was read; return it as it stands then.

    Raises: StoreBusyError if somebody else changed it meanwhile.
    """
    values = (
        *(status, order_id, _micros(locked_until), discount_cents),
        *(coupon.coupon_id, coupon.status, coupon.discount_cents, coupon.order_id or ""),
    )
    if execute(connection, _MOVE, values) != 1:
        raise StoreBusyError("The coupon was changed by somebody else meanwhile. Try again.")
    return replace(coupon, status=status, order_id=order_id, locked_until=locked_until, discount_cents=discount_cents)


def _holding(connection: Connection, hold: bool) -> str:
    return " FOR UPDATE" if hold and connection.dialect.name == "postgresql" else ""


def _coupon(row: tuple[Any, ...]) -> Coupon:
    coupon_id, offer_id, member_id, campaign_id, status, service, issued_at, expires_at, order_id, until, cents = row
    return Coupon(
        coupon_id=coupon_id,
        offer_id=offer_id,
        member_id=member_id,
        campaign_id=campaign_id,
        status=Status(status),
        service=bool(service),
        issued_at=from_micros(issued_at),
        expires_at=_time(expires_at),
        order_id=order_id,
        locked_until=_time(until),
        discount_cents=cents,
    )


def _row(coupon: Coupon) -> tuple[object, ...]:
    return (
        *(coupon.coupon_id, coupon.offer_id, coupon.member_id, coupon.campaign_id, coupon.status, coupon.service),
        *(to_micros(coupon.issued_at), _micros(coupon.expires_at), coupon.order_id, _micros(coupon.locked_until)),
        coupon.discount_cents,
    )


def _micros(time: datetime | None) -> int | None:
    return None if time is None else to_micros(time)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)

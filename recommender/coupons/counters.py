"""Counters that limits are held against: each moves by one conditional UPDATE, so that N callers never pass L."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros


class Count(StrEnum):
    """What is counted. By offer: stock, member, device, payer, phone (coupons). By campaign: committed (cents reserved
    or spent), spent (cents), external (cents spent by other systems). By store: offline (redemptions of a local day).

    household: counts nothing; those who issue an offer to members of one household wait for one another at its row.
    """

    STOCK = "stock"
    MEMBER = "member"
    DEVICE = "device"
    PAYER = "payer"
    PHONE = "phone"
    COMMITTED = "committed"
    SPENT = "spent"
    EXTERNAL = "external"
    OFFLINE = "offline"
    HOUSEHOLD = "household"


_BEGIN = """
INSERT INTO coupon_counters (kind, owner, subject, used, at) VALUES (?, ?, ?, 0, ?) ON CONFLICT DO NOTHING"""
_TAKE = """
UPDATE coupon_counters SET used = used + ?, at = ? WHERE kind = ? AND owner = ? AND subject = ? AND used <= ?"""
_MOVE = """
UPDATE coupon_counters SET used = used + ?, at = ? WHERE kind = ? AND owner = ? AND subject = ?"""
_PRUNE = """
DELETE FROM coupon_counters WHERE kind IN ('device', 'payer', 'phone', 'offline', 'household') AND at < ?"""
_USED = "SELECT used FROM coupon_counters WHERE kind = ? AND owner = ? AND subject = ?"


def take(
    connection: Connection, kind: Count, owner: str, subject: str, amount: int, limit: int | None, now: datetime
) -> bool:
    """Count up, if the limit allows it, inside a write transaction. Returns: whether it did.

    Args:
        amount: >= 0.
        limit: most that may have been counted afterwards; None: any.
    """
    key = (kind, owner, subject)
    if limit is None:
        move(connection, kind, owner, subject, amount, now)
        return True
    values = (amount, to_micros(now), *key, limit - amount)
    if execute(connection, _TAKE, values) == 1:
        return True
    # Either there is no room, or no counter yet; somebody else may be making it, whom the insert then waits for.
    execute(connection, _BEGIN, (*key, to_micros(now)))
    return execute(connection, _TAKE, values) == 1


def move(connection: Connection, kind: Count, owner: str, subject: str, amount: int, now: datetime) -> None:
    """Count up or down whatever the limit: what is given back, or what happened and cannot be refused.

    What was never counted does not fall.
    """
    values = (amount, to_micros(now), kind, owner, subject)
    if execute(connection, _MOVE, values) == 0 and amount > 0:
        execute(connection, _BEGIN, (kind, owner, subject, to_micros(now)))
        execute(connection, _MOVE, values)


def hold(connection: Connection, kind: Count, owner: str, subject: str, now: datetime) -> None:
    """Let others wait at a counter until the end of this write transaction, without counting."""
    execute(connection, _BEGIN, (kind, owner, subject, to_micros(now)))
    execute(connection, _MOVE, (0, to_micros(now), kind, owner, subject))


def prune_claims(connection: Connection, before: datetime) -> int:
    """Forget claims by device, payer and phone, and days of stores, that did not move since; return how many.

    Inside a write transaction.
    """
    return execute(connection, _PRUNE, (to_micros(before),))


def used(connection: Connection, kind: Count, owner: str, subject: str = "") -> int:
    """Return what was counted, 0 if nothing."""
    rows = fetch(connection, _USED, (kind, owner, subject))
    return int(rows[0][0]) if rows else 0

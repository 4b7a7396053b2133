"""The ledger: one line for whatever happened to a coupon, and the check that the books balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from recommender.coupons.counters import Count, move
from recommender.coupons.wallet import Coupon, Status, Turn
from recommender.storage.statements import execute, fetch
from recommender.storage.types import from_micros, to_micros


class Entry(StrEnum):
    """What happened to a coupon."""

    ISSUE = "issue"
    LOCK = "lock"
    RELEASE = "release"
    LOCK_ENDED = "lock_ended"
    REDEEM = "redeem"
    ROLLBACK = "rollback"
    RETURN = "return"
    PARTIAL_RETURN = "partial_return"
    EXPIRE = "expire"
    VOID = "void"
    OFFLINE = "offline"
    BREACH = "breach"


_INSERT = """
INSERT INTO coupon_ledger (coupon_id, offer_id, campaign_id, entry, status, reserved_cents, spent_cents,
  goods_cents, at, order_id, request_no, store_id, caller, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def note(
    turn: Turn,
    coupon: Coupon,
    entry: Entry,
    *,
    reserved: int = 0,
    spent: int = 0,
    goods_cents: int | None = None,
    order_id: str | None = None,
    store_id: str | None = None,
    details: str | None = None,
) -> None:
    """Write a line, and move the budget's counters by what it says, inside the transaction of what happened.

    Args:
        coupon: as it stands afterwards.
        reserved, spent: by how much what is reserved and spent of the campaign's budget changes, in cents. What is
            committed (their sum) is moved here only where it falls; where it rises, it was taken within the limit.
    """
    if coupon.campaign_id is not None:
        if reserved + spent < 0:
            move(turn.connection, Count.COMMITTED, coupon.campaign_id, "", reserved + spent, turn.now)
        if spent:
            move(turn.connection, Count.SPENT, coupon.campaign_id, "", spent, turn.now)
    values = (
        *(coupon.coupon_id, coupon.offer_id, coupon.campaign_id, entry),
        *(None if entry is Entry.BREACH else coupon.status, reserved, spent, goods_cents),
        *(to_micros(turn.now), order_id or coupon.order_id, turn.request_no, store_id, turn.caller, details),
    )
    execute(turn.connection, _INSERT, values)


_READ = """
SELECT entry, status, reserved_cents, spent_cents, at, order_id, request_no, store_id, caller, details
FROM coupon_ledger WHERE coupon_id = ? ORDER BY sequence"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ledger; see the table."""

    entry: Entry
    status: Status | None
    reserved_cents: int
    spent_cents: int
    at: datetime
    order_id: str | None
    request_no: str | None
    store_id: str | None
    caller: str
    details: str | None


def read_ledger(connection: Connection, coupon_id: str) -> list[Line]:
    """Return what happened to a coupon, in order."""
    return [
        Line(Entry(entry), None if status is None else Status(status), reserved, spent, from_micros(at), *rest)
        for entry, status, reserved, spent, at, *rest in fetch(connection, _READ, (coupon_id,))
    ]


_OF_MEMBER = """
SELECT l.at, l.coupon_id, l.entry, l.status, l.spent_cents, l.order_id, l.store_id
FROM coupon_ledger l JOIN wallet_coupons c ON c.coupon_id = l.coupon_id
WHERE c.member_id = ? ORDER BY l.sequence DESC LIMIT ?"""


def member_lines(connection: Connection, member_id: str, limit: int) -> list[dict[str, object]]:
    """Return what happened to a member's coupons, the latest `limit` lines in order, as an export tells it."""
    names = ("at", "coupon_id", "entry", "status", "spent_cents", "order_id", "store_id")
    return [
        dict(zip(names, (from_micros(at), *rest), strict=True))
        for at, *rest in reversed(fetch(connection, _OF_MEMBER, (member_id, limit)))
    ]


_ISSUED = "SELECT COUNT(*) FROM coupon_ledger WHERE entry = 'issue'"
_STATES = "SELECT COUNT(*) FROM wallet_coupons WHERE status IN ('issued', 'locked', 'redeemed', 'expired', 'voided')"
_LAST = """
SELECT COUNT(*) FROM wallet_coupons c LEFT JOIN (
  SELECT l.coupon_id, l.status FROM coupon_ledger l JOIN (
    SELECT MAX(sequence) AS sequence FROM coupon_ledger WHERE status IS NOT NULL GROUP BY coupon_id
  ) m ON m.sequence = l.sequence
) s ON s.coupon_id = c.coupon_id WHERE s.status IS NULL OR s.status <> c.status"""
_CAMPAIGNS = """
SELECT campaign_id, SUM(reserved_cents), SUM(spent_cents) FROM coupon_ledger
WHERE campaign_id IS NOT NULL GROUP BY campaign_id ORDER BY campaign_id"""
_COUPONS = """
SELECT campaign_id, SUM(CASE WHEN status = 'locked' THEN discount_cents ELSE 0 END),
  SUM(CASE WHEN status = 'redeemed' THEN discount_cents ELSE 0 END) FROM wallet_coupons
WHERE campaign_id IS NOT NULL GROUP BY campaign_id"""
_BREACHES = """
SELECT campaign_id, SUM(spent_cents) FROM coupon_ledger
WHERE campaign_id IS NOT NULL AND entry = 'breach' AND status IS NULL GROUP BY campaign_id"""
_COUNTED = "SELECT owner, used FROM coupon_counters WHERE kind = ?"
_STOCK = """
SELECT k.owner, k.used, COALESCE(c.found, 0) FROM coupon_counters k LEFT JOIN (
  SELECT offer_id, COUNT(*) AS found FROM wallet_coupons WHERE status <> 'voided' GROUP BY offer_id
) c ON c.offer_id = k.owner WHERE k.kind = 'stock'"""


def check_books(connection: Connection) -> list[str]:
    """Return what does not add up, in words; nothing where the books balance. Give it a snapshot.

    Issued in all is the sum over the states; every coupon stands as its last line says; reserved and spent are, per
    campaign, the same in the coupons, in the ledger and in the counters; stock given out is the coupons not voided.
    """
    issued, states = (int(fetch(connection, one)[0][0]) for one in (_ISSUED, _STATES))
    wrong = [] if issued == states else [f"{issued} coupons were issued, {states} are in a state"]
    adrift = int(fetch(connection, _LAST)[0][0])
    if adrift:
        wrong.append(f"{adrift} coupons stand otherwise than their last line says")
    ledger = {row[0]: (int(row[1]), int(row[2])) for row in fetch(connection, _CAMPAIGNS)}
    coupons = {row[0]: (int(row[1]), int(row[2])) for row in fetch(connection, _COUPONS)}
    breaches = {row[0]: int(row[1]) for row in fetch(connection, _BREACHES)}
    committed, spent = (dict(fetch(connection, _COUNTED, (kind,))) for kind in (Count.COMMITTED, Count.SPENT))
    for campaign_id in sorted(ledger.keys() | coupons.keys() | committed.keys() | spent.keys()):
        by_ledger = ledger.get(campaign_id, (0, 0))
        locked, redeemed = coupons.get(campaign_id, (0, 0))
        by_coupons = (locked, redeemed + breaches.get(campaign_id, 0))
        counted = int(spent.get(campaign_id, 0))
        by_counters = (int(committed.get(campaign_id, 0)) - counted, counted)
        if not by_ledger == by_coupons == by_counters:
            wrong.append(
                f"campaign {campaign_id}: (reserved, spent) are {by_ledger} in the ledger, {by_coupons} in the"
                f" coupons, {by_counters} in the counters"
            )
    for owner, counted, found in fetch(connection, _STOCK):
        if counted != found:
            wrong.append(f"offer {owner}: {counted} coupons counted, {found} there")
    return wrong


def count_breaches(connection: Connection) -> int:
    """Return how many redemptions went beyond what was allowed, of all time."""
    return int(fetch(connection, "SELECT COUNT(*) FROM coupon_ledger WHERE entry = 'breach'")[0][0])


def count_states(connection: Connection) -> dict[Status, int]:
    """Return how many coupons are in each state."""
    found = dict(fetch(connection, "SELECT status, COUNT(*) FROM wallet_coupons GROUP BY status"))
    return {status: int(found.get(status, 0)) for status in Status}

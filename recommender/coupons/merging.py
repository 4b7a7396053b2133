"""Merging two members: coupons, counters and limits of one become the other's, and nothing can be used twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from recommender.coupons.counters import Count, move, used
from recommender.coupons.coupon_rows import select_coupons
from recommender.coupons.member_limits import own_limit
from recommender.coupons.purchases import read_holders
from recommender.coupons.store import read_offers
from recommender.coupons.undoing import void
from recommender.coupons.wallet import Status, Turn
from recommender.errors import InputError, NotFoundError
from recommender.storage.statements import execute, fetch, next_sequence

REASON = "members were merged"
"""Why coupons beyond a limit are withdrawn, in the ledger."""

_WALLET = "UPDATE wallet_coupons SET member_id = ? WHERE member_id = ? RETURNING offer_id, status"
_ELSEWHERE = "UPDATE coupons SET member_id = ? WHERE member_id = ?"
_REDEMPTIONS = "UPDATE redemptions SET member_id = ? WHERE member_id = ?"
_SENDS = """
UPDATE sends SET member_id = ? WHERE member_id = ? AND NOT EXISTS (SELECT 1 FROM sends o
  WHERE o.campaign_id = sends.campaign_id AND o.offer_id = sends.offer_id AND o.sent_at = sends.sent_at
  AND o.member_id = ?)"""
_COUNTERS = "SELECT owner, used FROM coupon_counters WHERE kind = 'member' AND subject = ? ORDER BY owner"
_EXCESS = """
offer_id = ? AND member_id = ? AND status = 'issued' AND NOT service ORDER BY issued_at DESC, coupon_id DESC LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did: coupons that are the other member's now, and those withdrawn as beyond a limit."""

    coupons: int
    withdrawn: int


def merge_wallets(turn: Turn, from_id: str, into_id: str) -> Merged:
    """Give everything in one member's wallet to another, inside a write transaction; again, it does nothing.

    Locks, expiries and till codes stay. Sends move too, so that who was held out stays held out. Where both together
    have more coupons of an offer than one member may have, the latest unused ones are withdrawn; those given by hand
    stay.

    Raises: InputError if both are the same; NotFoundError if the one that is to have them is not known.
    """
    connection = turn.connection
    if from_id == into_id:
        raise InputError("A member cannot be merged into itself.", field="into_member_id", value=into_id)
    if into_id not in read_holders(connection, [into_id]):
        raise NotFoundError("There is no such member.", field="into_member_id", value=into_id)
    next_sequence(connection)  # of two merges at once one waits for the other
    moved = fetch(connection, _WALLET, (into_id, from_id))
    elsewhere = execute(connection, _ELSEWHERE, (into_id, from_id))
    execute(connection, _REDEMPTIONS, (into_id, from_id))
    execute(connection, _SENDS, (into_id, from_id, into_id))
    # Counters follow the very coupons that moved: one that is being given meanwhile stays where it is, with its count.
    counted = Counter(offer_id for offer_id, status in moved if status != Status.VOIDED)
    for offer_id, count in sorted(counted.items()):
        move(connection, Count.MEMBER, offer_id, from_id, -count, turn.now)
        move(connection, Count.MEMBER, offer_id, into_id, count, turn.now)
    withdrawn = sum(_withdraw_excess(turn, offer_id, into_id) for offer_id in _offers_of(connection, into_id))
    return Merged(len(moved) + elsewhere, withdrawn)


def _offers_of(connection: Connection, member_id: str) -> list[str]:
    return [row[0] for row in fetch(connection, _COUNTERS, (member_id,))]


def _withdraw_excess(turn: Turn, offer_id: str, member_id: str) -> int:
    """Withdraw the latest unused coupons of an offer beyond the member's limit; return how many."""
    connection = turn.connection
    offer = read_offers(connection, [offer_id]).offers.get(offer_id)
    limit = None if offer is None else own_limit(connection, member_id, offer)
    if limit is None:
        return 0
    beyond = used(connection, Count.MEMBER, offer_id, member_id) - max(limit, 0)
    if beyond <= 0:
        return 0
    found = [one.coupon_id for one in select_coupons(connection, _EXCESS, (offer_id, member_id, beyond))]
    return sum(outcome.refused is None for outcome in void(turn, found, REASON))

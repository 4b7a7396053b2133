"""Coupons that another system keeps: what it tells of them counts at once, each message once, the newest last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy.engine import Connection

from recommender.coupons.coupon_rows import read_coupons
from recommender.coupons.offline import follow_external
from recommender.coupons.requests import earlier_request, keep_request
from recommender.errors import ConflictError
from recommender.settings import CoreSettings
from recommender.storage.statements import execute, next_sequence
from recommender.storage.types import to_micros
from recommender.storage.upserts import upsert

OPERATION = "status"
SECRETS = "coupon_status.secrets"
"""File in HOME of what messages are signed with."""

_ADVANCE = """
INSERT INTO followed_coupons (coupon_id, as_of) VALUES (?, ?)
ON CONFLICT (coupon_id) DO UPDATE SET as_of = excluded.as_of WHERE followed_coupons.as_of <= excluded.as_of"""

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of a message: known before; coupons of which something newer was known; rows that changed."""

    repeated: bool
    outdated: int = 0
    changed: int = 0


def secrets_file(settings: CoreSettings) -> Path:
    """Return the file of what messages are signed with."""
    return settings.home / SECRETS


def follow(
    connection: Connection,
    message_id: str,
    coupons: Sequence[tuple[Row, datetime]],
    redemptions: Sequence[Row],
    now: datetime,
) -> Followed:
    """Take in what another system tells of its coupons, inside a write transaction.

    Args:
        message_id: the same message is taken in once.
        coupons: rows of `coupons`, each with the time from which on it stood so.
        redemptions: rows of `redemptions`; each counts once, by its id.
    Raises: ConflictError if the message came with other content, or a coupon is one of this wallet.
    """
    next_sequence(connection)  # of two messages at once one waits for the other
    content = orjson.dumps([list(coupons), list(redemptions)], option=orjson.OPT_SORT_KEYS).decode()
    if earlier_request(connection, OPERATION, message_id, content) is not None:
        return Followed(repeated=True)
    refuse_own(connection, [row for row, _ in coupons], redemptions)
    newer = [row for row, as_of in coupons if execute(connection, _ADVANCE, (row["coupon_id"], to_micros(as_of)))]
    counts = upsert(connection, "coupons", newer, now) + upsert(connection, "redemptions", redemptions, now)
    follow_external(connection, now, {str(row["campaign_id"]) for row in redemptions if row.get("campaign_id")})
    keep_request(connection, OPERATION, message_id, content, "", now)
    return Followed(False, len(coupons) - len(newer), counts.added + counts.changed)


def refuse_own(connection: Connection, coupons: Sequence[Row], redemptions: Sequence[Row]) -> None:
    """Raises: ConflictError if a row is about a coupon of this wallet, whose books only the wallet writes."""
    named = {row["coupon_id"] for row in coupons} | {row["redemption_id"] for row in redemptions}
    named |= {row.get("coupon_id") for row in redemptions}
    if read_coupons(connection, sorted(str(one) for one in named if one is not None)):
        raise ConflictError("A coupon is of this wallet, not of another system.", field="coupon_id")

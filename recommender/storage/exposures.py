"""Exposures in SQL: what was shown, moved here from the workers' spool files exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.exposures import Exposure
from recommender.storage.database import Database
from recommender.storage.events import erased_among
from recommender.storage.statements import execute, execute_many, fetch, marks
from recommender.storage.types import from_micros, to_micros

_COLUMNS = (
    "recommendation_id",
    "position",
    "item_id",
    "score",
    "retriever",
    "reason",
    "propensity",
    "scenario",
    "bundle_id",
    "strategy",
    "experiment",
    "subject",
    "store_id",
    "channel",
    "occurred_at",
    "flags",
    "experiment_group",
    "experiment_unit",
)
_INSERT = (
    f"INSERT INTO exposures ({', '.join(_COLUMNS)}) VALUES ({marks(len(_COLUMNS))}) "
    "ON CONFLICT (recommendation_id, position) DO NOTHING"
)
_INSERT_ANSWER = (
    "INSERT INTO answers (recommendation_id, subject, occurred_at, dropped) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (recommendation_id) DO NOTHING"
)
_COUPON_COLUMNS = (
    "recommendation_id",
    "position",
    "item_id",
    "offer_id",
    "coupon_id",
    "campaign_id",
    "origin",
    "reason",
    "propensity",
    "scenario",
    "bundle_id",
    "subject",
    "channel",
    "occurred_at",
)
_INSERT_COUPON = (
    f"INSERT INTO coupon_exposures ({', '.join(_COUPON_COLUMNS)}) VALUES ({marks(len(_COUPON_COLUMNS))}) "
    "ON CONFLICT (recommendation_id, position) DO NOTHING"
)
NOT_FLAGGED = "(flags IS NULL OR flags NOT LIKE ?)"
"""The SQL of exposures without a flag; takes a value from flag_pattern()."""
PRUNE_ROWS = 1_000
_OLDEST = "SELECT occurred_at FROM exposures WHERE occurred_at < ? ORDER BY occurred_at LIMIT ?"
_PRUNE_ANSWERS = """
DELETE FROM answers
WHERE recommendation_id <= (SELECT MAX(recommendation_id) FROM exposures WHERE occurred_at <= ?)"""
_PRUNE_CREDITS = """
DELETE FROM attributions WHERE recommendation_id IN (SELECT recommendation_id FROM exposures WHERE occurred_at <= ?)"""
_PRUNE = "DELETE FROM exposures WHERE occurred_at <= ?"
_OLDEST_COUPONS = "SELECT occurred_at FROM coupon_exposures WHERE occurred_at < ? ORDER BY occurred_at LIMIT ?"
_PRUNE_COUPONS = "DELETE FROM coupon_exposures WHERE occurred_at <= ?"
_START = 'INSERT INTO spool_files (file, "offset") VALUES (?, 0) ON CONFLICT (file) DO NOTHING'
_ADVANCE = 'UPDATE spool_files SET "offset" = ? WHERE file = ? AND "offset" = ?'


def flag_pattern(flag: str) -> str:
    """Return the LIKE pattern of exposures with a flag."""
    return f"%{flag}%"


def drain(connection: Connection, file: str, offset: int, next_offset: int, exposures: Sequence[Exposure]) -> bool:
    """Store a part of a spool file, inside a write transaction; each part once, whoever tries.

    What was shown to customers who were erased meanwhile is left out.

    Args:
        file: the spool file's name, never used again for another one.
        offset: where the part begins, in bytes: what `drained_to` said.
        next_offset: where it ends.
        exposures: what stands between.
    Returns: False, with nothing stored, if another process moved this part meanwhile.
    """
    execute(connection, _START, (file,))
    if execute(connection, _ADVANCE, (next_offset, file, offset)) == 0:
        return False
    subjects = {exposure.subject for exposure in exposures if exposure.subject is not None}
    erased = erased_among(connection, subjects)
    kept = [exposure for exposure in exposures if exposure.subject not in erased]
    execute_many(connection, _INSERT, [row for exposure in kept for row in _rows(exposure)])
    execute_many(connection, _INSERT_COUPON, [row for exposure in kept for row in _coupon_rows(exposure)])
    execute_many(
        connection,
        _INSERT_ANSWER,
        [
            (one.recommendation_id, one.subject, to_micros(one.occurred_at), orjson.dumps(dict(one.dropped)).decode())
            for one in kept
            if one.subject is not None and one.item_id
        ],
    )
    return True


def drained_to(connection: Connection, file: str) -> int:
    """Return how many bytes of a spool file are stored."""
    found = fetch(connection, 'SELECT "offset" FROM spool_files WHERE file = ?', (file,))
    return int(found[0][0]) if found else 0


def forget_file(connection: Connection, file: str) -> None:
    """Drop the note about a spool file that was removed, inside a write transaction."""
    execute(connection, "DELETE FROM spool_files WHERE file = ?", (file,))


def coupons_shown(connection: Connection, subjects: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Return the coupons and offers that a customer was shown, or a list left out, the latest first.

    Args:
        subjects: the customer's.
        limit: most rows.
    Returns: columns of `coupon_exposures` without the subject, by name.
    """
    names = [name for name in _COUPON_COLUMNS if name != "subject"]
    chosen = f"SELECT {', '.join(names)} FROM coupon_exposures WHERE subject IN ({marks(len(subjects))})"
    order = " ORDER BY occurred_at DESC, recommendation_id DESC, position LIMIT ?"
    rows = fetch(connection, chosen + order, (*subjects, limit))
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [one | {"occurred_at": from_micros(one["occurred_at"])} for one in found]


def prune_exposures(database: Database, before: datetime, rows: int = PRUNE_ROWS) -> int:
    """Remove what was shown before a time, and what is credited to it, in short transactions; return how many rows."""
    total = _prune_coupons(database, before, rows)
    while True:
        with database.write() as connection:
            found = fetch(connection, _OLDEST, (to_micros(before), rows))
            if not found:
                return total
            last = found[-1][0]
            execute(connection, _PRUNE_CREDITS, (last,))
            execute(connection, _PRUNE_ANSWERS, (last,))
            total += execute(connection, _PRUNE, (last,))


def _prune_coupons(database: Database, before: datetime, rows: int) -> int:
    total = 0
    while True:
        with database.write() as connection:
            found = fetch(connection, _OLDEST_COUPONS, (to_micros(before), rows))
            if not found:
                return total
            total += execute(connection, _PRUNE_COUPONS, (found[-1][0],))


def _coupon_rows(exposure: Exposure) -> Iterator[tuple[object, ...]]:
    for position, one in enumerate(exposure.coupons, 1):
        yield (
            exposure.recommendation_id,
            position,
            one.item_id,
            one.offer_id,
            one.coupon_id,
            one.campaign_id,
            one.origin,
            one.reason,
            one.propensity,
            exposure.scenario,
            exposure.bundle_id,
            exposure.subject,
            exposure.channel,
            to_micros(exposure.occurred_at),
        )


def _rows(exposure: Exposure) -> Iterator[tuple[object, ...]]:
    chances = exposure.propensity or (None,) * len(exposure.item_id)
    shown = zip(exposure.item_id, exposure.score, exposure.source, exposure.reason, chances, strict=True)
    for position, (item_id, score, source, reason, chance) in enumerate(shown, 1):
        yield (
            exposure.recommendation_id,
            position,
            item_id,
            score,
            source,
            reason,
            chance,
            exposure.scenario,
            exposure.bundle_id,
            exposure.strategy,
            exposure.experiment,
            exposure.subject,
            exposure.store_id,
            exposure.channel,
            to_micros(exposure.occurred_at),
            ",".join(exposure.flags) or None,
            exposure.experiment_group,
            exposure.experiment_unit,
        )

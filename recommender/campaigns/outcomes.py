"""Outcomes: what an attempt to send means for its message: sent, tasked, tried again later, or a dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy.engine import Connection

from recommender.campaigns.delivery.base import Answer, Result
from recommender.campaigns.leases import (
    Verdict,
    Waiting,
    count_attempts,
    mark_sent,
    note_sends,
    settle,
    still_mine,
)
from recommender.campaigns.outbox import State
from recommender.campaigns.throttle import pause
from recommender.storage.statements import execute_many, fetch
from recommender.storage.types import from_micros, to_micros

JITTER = 0.2
"""By how much of itself a wait is made longer or shorter, so that what failed together is not tried again together."""

Tally = Counter[tuple[str, str]]
"""How many messages had which outcome, for which reason ("": none)."""

_COUNT = """
INSERT INTO delivery_counts (transport, outcome, reason, count) VALUES (?, ?, ?, ?)
ON CONFLICT (transport, outcome, reason) DO UPDATE SET count = delivery_counts.count + excluded.count"""
_OVERDUE = """
SELECT MIN(due) FROM (SELECT (
  SELECT d.due_at FROM deliveries d WHERE d.campaign_id = s.campaign_id AND d.transport = t.transport
    AND d.state = 'pending' AND d.due_at <= ? ORDER BY d.due_at LIMIT 1) AS due
  FROM campaign_states s CROSS JOIN transports t WHERE s.status = 'running' AND t.active) AS waiting"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that was tried, and what was answered."""

    waiting: Waiting
    answer: Answer


def judge(attempt: Attempt, retry_seconds: Sequence[int], now: datetime, rng: np.random.Generator) -> Verdict:
    """Return what becomes of a message after an attempt.

    Args:
        retry_seconds: how long after each failed attempt the next one follows; after the last one it is a dead letter.
    """
    waiting, answer = attempt.waiting, attempt.answer
    if answer.result is Result.ACCEPTED:
        return Verdict(waiting, State.SENT)
    if answer.result is Result.TASKED:
        return Verdict(waiting, State.TASKED, answer.reason)
    if answer.result is Result.REFUSED or (not answer.pause_seconds and waiting.attempts >= len(retry_seconds)):
        return Verdict(waiting, State.FAILED, answer.reason)
    wait = answer.pause_seconds or retry_seconds[waiting.attempts]
    later = (
        wait * rng.uniform(1 - JITTER, 1 + JITTER) if not answer.pause_seconds else wait * rng.uniform(1, 1 + JITTER)
    )
    return Verdict(waiting, State.PENDING, answer.reason, now + timedelta(seconds=later))


def record_attempts(
    connection: Connection,
    owner: str,
    transport: str,
    attempts: Sequence[Attempt],
    retry_seconds: Sequence[int],
    now: datetime,
    rng: np.random.Generator,
) -> Tally:
    """Write what became of attempts, inside a write transaction; those of a lost lease are another worker's by now.

    Being asked to wait is no failed attempt of a message.
    """
    mine = still_mine(connection, owner, [one.waiting.delivery_id for one in attempts])
    kept = [one for one in attempts if one.waiting.delivery_id in mine]
    verdicts = [judge(one, retry_seconds, now, rng) for one in kept]
    settle(connection, verdicts, now)
    done = [
        (one.waiting, one.answer.provider_ref) for one in kept if one.answer.result in (Result.ACCEPTED, Result.TASKED)
    ]
    mark_sent(connection, done, now)
    failed = [one for one in kept if one.answer.result in (Result.AGAIN, Result.REFUSED)]
    count_attempts(connection, [one.waiting for one in failed if not one.answer.pause_seconds])
    note_sends(connection, [one.waiting for one in verdicts if one.state is State.SENT], now)
    longest = max((one.answer.pause_seconds for one in attempts), default=0.0)
    if longest:
        pause(connection, transport, longest, now)
    return tally_of(verdicts)


def tally_of(verdicts: Sequence[Verdict]) -> Tally:
    """Return how many messages had which outcome; one that is tried again counts as `retried`."""
    return Counter(("retried" if one.state is State.PENDING else one.state.value, one.reason or "") for one in verdicts)


def add_tally(connection: Connection, transport: str, tally: Tally) -> None:
    """Count outcomes for the metrics, inside a write transaction."""
    rows = [(transport, outcome, reason, count) for (outcome, reason), count in sorted(tally.items())]
    execute_many(connection, _COUNT, rows)


def overdue_since(connection: Connection, now: datetime) -> datetime | None:
    """Return since when the message waits that waits longest, of running campaigns; None if none is due."""
    rows = fetch(connection, _OVERDUE, (to_micros(now),))
    return None if rows[0][0] is None else from_micros(rows[0][0])


def read_tally(connection: Connection) -> dict[tuple[str, str, str], int]:
    """Return all counts, by transport, outcome and reason."""
    rows = fetch(connection, "SELECT transport, outcome, reason, count FROM delivery_counts ORDER BY 1, 2, 3")
    return {(row[0], row[1], row[2]): int(row[3]) for row in rows}

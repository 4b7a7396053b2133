"""Requests to retrain: written down by the service, picked up by the trainer."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.errors import NotFoundError
from recommender.storage.tables import retrain_requests


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A request; waiting while `started_at` is None, under way while `finished_at` is None.

    bundle_id: what came of it.  error: why nothing did.
    """

    request_id: str
    requested_at: datetime
    requested_by: str
    reason: str
    started_at: datetime | None
    finished_at: datetime | None
    bundle_id: str | None
    error: str | None


def request_retrain(connection: Connection, requested_by: str, reason: str, now: datetime) -> str:
    """Write a request down, inside a write transaction, unless one is waiting. Returns: its id."""
    waiting = connection.execute(
        sa.select(retrain_requests.c.request_id)
        .where(retrain_requests.c.started_at.is_(None))
        .order_by(retrain_requests.c.requested_at, retrain_requests.c.request_id)
    ).scalar()
    if waiting is not None:
        return str(waiting)
    request_id = secrets.token_hex(8)
    connection.execute(
        retrain_requests.insert(),
        {"request_id": request_id, "requested_at": now, "requested_by": requested_by, "reason": reason},
    )
    return request_id


def take_request(connection: Connection, now: datetime) -> RetrainRequest | None:
    """Start the oldest waiting request, inside a write transaction; two trainers never take the same.

    Returns: the request, or None if none is waiting or another trainer was quicker.
    """
    waiting = connection.execute(
        sa.select(retrain_requests.c.request_id)
        .where(retrain_requests.c.started_at.is_(None))
        .order_by(retrain_requests.c.requested_at, retrain_requests.c.request_id)
    ).scalar()
    taken = connection.execute(
        retrain_requests.update()
        .where(retrain_requests.c.request_id == waiting, retrain_requests.c.started_at.is_(None))
        .values(started_at=now)
    )
    return find_request(connection, str(waiting)) if taken.rowcount else None


def finish_request(
    connection: Connection,
    request_id: str,
    now: datetime,
    bundle_id: str | None = None,
    error: str | None = None,
) -> None:
    """Note what came of a request, inside a write transaction. Raises: NotFoundError."""
    done = connection.execute(
        retrain_requests.update()
        .where(retrain_requests.c.request_id == request_id)
        .values(finished_at=now, bundle_id=bundle_id, error=error)
    )
    if done.rowcount == 0:
        raise NotFoundError("There is no such request to retrain.", field="request_id", value=request_id)


def find_request(connection: Connection, request_id: str) -> RetrainRequest | None:
    """Return a request, or None."""
    chosen = sa.select(retrain_requests).where(retrain_requests.c.request_id == request_id)
    row = connection.execute(chosen).mappings().first()
    return None if row is None else RetrainRequest(**row)


def list_requests(connection: Connection) -> list[RetrainRequest]:
    """Return every request, oldest first."""
    chosen = sa.select(retrain_requests).order_by(retrain_requests.c.requested_at, retrain_requests.c.request_id)
    return [RetrainRequest(**row) for row in connection.execute(chosen).mappings()]

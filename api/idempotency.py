"""Idempotency-Key: a write that is sent twice is done once, and answered the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import orjson
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from api.openapi import Reply
from api.services import Call, Services
from recommender.storage.idempotency import CallKey, earlier_answer, keep_answer

REPLAYED = {"Idempotent-Replayed": "true"}
"""Header of an answer that was kept from the first call."""


def once(
    services: Services,
    call: Call,
    body: BaseModel,
    write: Callable[[Connection], dict[str, object]],
    durable: bool = False,
) -> Reply:
    """Write in a transaction of its own, or return what the same call was answered within the last day.

    Args:
        call: whose operation asks for an Idempotency-Key.
        body: as read; another body under the same key is refused.
        write: what is to be done once; returns the answer.
        durable: it survives a power failure.
    Raises: ConflictError; StoreBusyError, and then nothing is written.
    """
    assert call.idempotency_key is not None, "the operation does not ask for a key"
    content = orjson.dumps(body.model_dump(mode="json", exclude_unset=True), option=orjson.OPT_SORT_KEYS)
    caller = "" if call.caller is None else call.caller.key_id
    key = CallKey(caller, call.operation, call.idempotency_key, hashlib.sha256(content).hexdigest())
    with services.database.write(durable) as connection:
        kept = earlier_answer(connection, key, call.now)
        if kept is not None:
            call.notes["replayed"] = True
            return Reply(kept.encode(), headers=REPLAYED)
        answer = write(connection)
        keep_answer(connection, key, orjson.dumps(answer).decode(), call.now)
    return Reply(answer)

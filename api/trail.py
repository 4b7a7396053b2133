"""The audit trail of the API: every write transaction of a request leaves an entry of who did what, when.

The entry is written in the transaction of the change, so that neither exists without the other. Writes that come in
streams (`Operation.streamed`) are counted by caller and hour instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from flask import g, has_request_context
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from api.services import Call, Written
from recommender.storage.audit import count, record

NAMED = frozenset({"item_id", "store_id", "offer_id", "name"})
"""Keys of rows that an entry may name; ids of members and identities stay out of it."""
MOST_NAMED = 20


def describe_write(path: Mapping[str, str], body: BaseModel | None) -> Written:
    """Say what a request is about to write."""
    lists = {} if body is None else {name: value for name, value in body if isinstance(value, list)}
    counts = {name: len(rows) for name, rows in lists.items()}
    named = [key for rows in lists.values() for row in rows[:MOST_NAMED] if (key := _key(row)) is not None]
    details: dict[str, object] = dict(counts)
    if named:
        details["first"] = named[:MOST_NAMED]
    target = "/".join(f"member:{value}" if name == "member_id" else value for name, value in path.items())
    return Written(target, sum(counts.values()), orjson.dumps(details).decode() if details else None)


def note_write(connection: Connection) -> None:
    """Add the entry of the request that is being answered, once; nothing outside of requests."""
    if not has_request_context():
        return
    call: Call | None = g.get("call")
    if call is None or call.caller is None or call.audited or call.describe is None:
        return
    call.audited = True
    written = call.describe()
    if call.streamed:
        count(connection, call.caller.key_id, call.operation, written.rows, call.now)
    else:
        record(connection, call.caller.key_id, call.operation, written.target, call.now, written.details)


def _key(row: object) -> str | None:
    """Return the id of a row of a body, if it is one that the trail may name."""
    if not isinstance(row, BaseModel):
        return None
    name = next(iter(type(row).model_fields))
    value = getattr(row, name)
    return value if name in NAMED and isinstance(value, str) else None

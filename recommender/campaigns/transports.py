"""Transports in SQL: put, read and listed; secrets are not among it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.campaigns.delivery.kinds import TransportSettings, parse_transport
from recommender.errors import NotFoundError
from recommender.storage.audit import record
from recommender.storage.statements import execute, fetch
from recommender.storage.types import from_micros, to_micros

_COLUMNS = "transport, kind, settings, active, updated_at, updated_by"
_PUT = """
INSERT INTO transports (transport, kind, settings, active, updated_at, updated_by) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (transport) DO UPDATE SET kind = excluded.kind, settings = excluded.settings, active = excluded.active,
  updated_at = excluded.updated_at, updated_by = excluded.updated_by"""


@dataclass(frozen=True, slots=True)
class TransportRow:
    """A transport as it stands; document: its settings as they were given.  active: messages leave by it."""

    name: str
    kind: str
    document: Mapping[str, Any]
    active: bool
    updated_at: datetime
    updated_by: str

    @property
    def settings(self) -> TransportSettings:
        """The settings as read."""
        return parse_transport(self.name, self.kind, self.document)


def put_transport(
    connection: Connection,
    name: str,
    kind: str,
    document: Mapping[str, Any],
    active: bool,
    caller: str,
    now: datetime,
) -> TransportRow:
    """Make or change a transport, inside a write transaction, noted in the audit trail.

    Raises: InputError if the settings are not acceptable.
    """
    parse_transport(name, kind, document)
    text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()
    execute(connection, _PUT, (name, kind, text, active, to_micros(now), caller))
    details = orjson.dumps({"kind": kind, "active": active, "settings": document}).decode()
    record(connection, caller, "transports.put", name, now, details)
    return get_transport(connection, name)


def get_transport(connection: Connection, name: str) -> TransportRow:
    """Return a transport. Raises: NotFoundError."""
    rows = fetch(connection, f"SELECT {_COLUMNS} FROM transports WHERE transport = ?", (name,))
    if not rows:
        raise NotFoundError("There is no such transport.", field="name", value=name)
    return _row(rows[0])


def list_transports(connection: Connection) -> list[TransportRow]:
    """Return all transports by name."""
    return [_row(row) for row in fetch(connection, f"SELECT {_COLUMNS} FROM transports ORDER BY transport")]


def _row(row: Sequence[Any]) -> TransportRow:
    name, kind, text, active, updated_at, updated_by = row
    return TransportRow(name, kind, orjson.loads(text), bool(active), from_micros(updated_at), updated_by)

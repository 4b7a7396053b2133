"""API keys: 256 random bits each, stored only as their SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.errors import ConflictError, NotFoundError
from recommender.storage.statements import fetch
from recommender.storage.tables import api_keys
from recommender.storage.types import to_micros

KEY_PREFIX = "mw_"

_FIND = """
SELECT key_id, name, scopes, rate_limit FROM api_keys
WHERE sha256 = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that is valid now; `key_id` is not secret. `rate_limit`: requests per second, None: as for all keys."""

    key_id: str
    name: str
    sha256: str
    scopes: frozenset[str]
    rate_limit: float | None = None


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key as it is listed: valid, expired or revoked."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    rate_limit: float | None


@dataclass(frozen=True, slots=True, repr=False)
class NewKey:
    """A key just made; `token` is told once and kept nowhere."""

    key_id: str
    token: str


def create_key(
    connection: Connection,
    name: str,
    scopes: Iterable[str],
    now: datetime,
    expires_at: datetime | None = None,
    rate_limit: float | None = None,
) -> NewKey:
    """Make a key, inside a write transaction.

    Args:
        name: whom it is for.
        scopes: what it may do; the caller has checked their names.
        now: the present.
        expires_at: when it ends; None = never.
        rate_limit: requests per second, 0 for any number; None: as the settings say for all keys.
    """
    new = NewKey(key_id=secrets.token_hex(6), token=KEY_PREFIX + secrets.token_urlsafe(32))
    connection.execute(
        api_keys.insert(),
        {
            "key_id": new.key_id,
            "name": name,
            "sha256": hashlib.sha256(new.token.encode()).hexdigest(),
            "scopes": ",".join(sorted(set(scopes))),
            "created_at": now,
            "expires_at": expires_at,
            "rate_limit": rate_limit,
        },
    )
    return new


def find_key(connection: Connection, sha256: str, now: datetime) -> ApiKey | None:
    """Return the valid key whose token has this SHA-256 (hexadecimal), or None."""
    found = fetch(connection, _FIND, (sha256, to_micros(now)))
    if not found:
        return None
    key_id, name, scopes, rate_limit = found[0]
    return ApiKey(key_id, name, sha256, frozenset(scopes.split(",")) - {""}, rate_limit)


def valid_keys(connection: Connection, now: datetime) -> list[ApiKey]:
    """Return every key that is valid now."""
    chosen = sa.select(api_keys.c.sha256).order_by(api_keys.c.key_id)
    found = (find_key(connection, sha256, now) for sha256 in connection.execute(chosen).scalars().all())
    return [key for key in found if key is not None]


def list_keys(connection: Connection) -> list[KeyEntry]:
    """Return every key, oldest first."""
    columns = [api_keys.c[name] for name in KeyEntry.__slots__]
    rows = connection.execute(sa.select(*columns).order_by(api_keys.c.created_at, api_keys.c.key_id))
    return [KeyEntry(**{**row, "scopes": tuple(filter(None, row["scopes"].split(",")))}) for row in rows.mappings()]


def rotate_key(
    connection: Connection, key_id: str, overlap: timedelta, now: datetime, expires_at: datetime | None = None
) -> NewKey:
    """Make a key that takes another one's place, inside a write transaction; both work until the overlap is over.

    Args:
        key_id: the old key; it ends `overlap` from now, or earlier if it would have anyway.
        expires_at: when the new key ends; None = never.
    Raises: NotFoundError if there is no such key; ConflictError if it does not work any more.
    """
    old = connection.execute(sa.select(api_keys).where(api_keys.c.key_id == key_id)).mappings().first()
    if old is None:
        raise NotFoundError("There is no such key.", field="key_id", value=key_id)
    ends = old["expires_at"]
    if old["revoked_at"] is not None or (ends is not None and ends <= now):
        raise ConflictError("The key does not work any more; make a new one.", field="key_id", value=key_id)
    until = now + overlap if ends is None else min(ends, now + overlap)
    connection.execute(api_keys.update().where(api_keys.c.key_id == key_id).values(expires_at=until))
    return create_key(connection, old["name"], old["scopes"].split(","), now, expires_at, old["rate_limit"])


def revoke_key(connection: Connection, key_id: str, now: datetime) -> None:
    """End a key, inside a write transaction; one that is revoked stays as it is.

    Raises: NotFoundError if there is no such key.
    """
    same = api_keys.c.key_id == key_id
    valid = api_keys.c.revoked_at.is_(None)
    revoked = connection.execute(api_keys.update().where(same, valid).values(revoked_at=now))
    if revoked.rowcount == 0 and connection.execute(sa.select(api_keys.c.key_id).where(same)).first() is None:
        raise NotFoundError("There is no such key.", field="key_id", value=key_id)

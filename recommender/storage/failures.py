"""Turns what database drivers raise into Memberwise errors: busy, unreachable, unusable, unacceptable."""

from __future__ import annotations

import sqlite3

import sqlalchemy.exc

from recommender.errors import InputError, MemberwiseError, StoreBusyError, StoreGoneError

_SQLITE_UNUSABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_SQLITE_TRANSIENT = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
)
_NO_TABLE = "no such table"
"""What SQLite says when the file was put away and made anew, empty."""
_POSTGRES_TRANSIENT = (
    "08",  # connection exceptions
    "40",  # serialization failure, deadlock
    "53",  # insufficient resources
    "55P03",  # lock not available
    "57",  # operator intervention: shutdown, cancelled
    "58",  # system error
)
_POSTGRES_SETTINGS = ("28", "3D", "42P01")  # invalid authorization, no such database, no such table
_POSTGRES_REFUSALS = ("does not exist", "authentication failed", "no password supplied")
"""What a refused connection says, which has no code."""


def translate(error: BaseException) -> MemberwiseError | None:
    """Return the Memberwise error that says what a driver error means, or None if it is our own mistake.

    Args:
        error: raised by SQLAlchemy, sqlite3 or psycopg, or by Python on the way to them.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return StoreBusyError("All database connections are in use. Try again later.")
    origin = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    if isinstance(origin, sqlite3.Error):
        return _from_sqlite(origin)
    if isinstance(origin, OverflowError | UnicodeEncodeError):
        return InputError(f"A value cannot be stored: {origin}.")
    if type(origin).__module__.partition(".")[0] == "psycopg":
        return _from_postgres(origin)
    return None


def _from_sqlite(error: sqlite3.Error) -> MemberwiseError | None:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in _SQLITE_TRANSIENT:
        return StoreBusyError(f"The database cannot be used now: {error}. Try again later.")
    if primary in _SQLITE_UNUSABLE or (primary == sqlite3.SQLITE_ERROR and _NO_TABLE in str(error)):
        return StoreGoneError(f"The database file cannot be opened: {error}.", field="MEMBERWISE_DATABASE_URL")
    return None


def _from_postgres(error: BaseException | None) -> MemberwiseError | None:
    state = getattr(error, "sqlstate", None)
    if state is None:
        if type(error).__name__ in ("OperationalError", "ConnectionTimeout"):
            text = " ".join(str(error).split())
            if any(words in text for words in _POSTGRES_REFUSALS):
                return StoreGoneError(f"The database refuses: {text}.", field="MEMBERWISE_DATABASE_URL")
            return StoreBusyError(f"The database does not answer: {text}. Try again later.")
        if type(error).__name__ == "DataError":
            return InputError(f"A value cannot be stored: {error}.")
        return None
    if state.startswith(_POSTGRES_SETTINGS):
        return StoreGoneError(f"The database refuses: {error}.", field="MEMBERWISE_DATABASE_URL")
    if state.startswith(_POSTGRES_TRANSIENT):
        return StoreBusyError("The database cannot be used now. Try again later.", value=state)
    if state.startswith("22"):
        return InputError(f"A value cannot be stored: {error}.")
    return None

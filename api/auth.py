"""API key -> Caller(scopes), or 401 / 403; keys are looked up by hash and remembered for at most one
second.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from api.problems import FORBIDDEN, UNAUTHORIZED, FieldError, ProblemError

KEY_PREFIX = "mw_"
CACHE_SECONDS = 1.0
CACHE_ENTRIES = 4096
"""Most keys remembered; past it the memory is emptied, so that invented keys cannot fill it."""


class Scope(StrEnum):
    """What a key may do; `admin` may do everything."""

    RECOMMEND = "recommend"
    EVENTS = "events"
    CATALOG = "catalog"
    COUPONS = "coupons"
    CAMPAIGNS = "campaigns"
    MODELS = "models"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the id of the key, which is not secret, and its scopes."""

    key_id: str
    sha256: str
    scopes: frozenset[str]


FindKey = Callable[[str], Caller | None]
"""Looks up a live key by the SHA-256 of its text, in hex."""


class KeyCache:
    """Remembers for a moment what the database says about keys; safe to share between threads."""

    def __init__(self, find: FindKey) -> None:
        self._find = find
        self._known: dict[str, tuple[float, Caller | None]] = {}

    def authorize(self, header: str | None, scope: str, now: float) -> Caller:
        """Return the caller behind an Authorization header.

        Args:
            header: "Bearer mw_...".
            scope: the scope needed.
            now: a monotonic clock, in seconds.
        Raises: ProblemError, unauthorized or forbidden; StoreBusyError if the database must be asked and is
        away.
        """
        kind, _, token = (header or "").partition(" ")
        if kind.lower() != "bearer" or not token.startswith(KEY_PREFIX):
            raise ProblemError(UNAUTHORIZED, UNAUTHORIZED.meaning)
        caller = self._lookup(hashlib.sha256(token.encode()).hexdigest(), now)
        if caller is None:
            raise ProblemError(UNAUTHORIZED, "The API key is unknown, expired or revoked.")
        if scope not in caller.scopes and Scope.ADMIN not in caller.scopes:
            held = ", ".join(sorted(caller.scopes))
            raise ProblemError(
                FORBIDDEN,
                f"The key lacks the scope {scope}.",
                (FieldError("scope", "The key's scopes are not enough.", held, scope),),
            )
        return caller

    def _lookup(self, digest: str, now: float) -> Caller | None:
        remembered = self._known.get(digest)
        if remembered is not None and now < remembered[0]:
            return remembered[1]
        caller = self._find(digest)
        # The lookup is by hash of 256 random bits; the comparison below does not tell by its time how much
        # agrees.
        if caller is not None and not hmac.compare_digest(caller.sha256, digest):
            caller = None
        if len(self._known) >= CACHE_ENTRIES:
            self._known = {}
        self._known[digest] = (now + CACHE_SECONDS, caller)
        return caller

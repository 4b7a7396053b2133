"""API key -> caller with scopes, or 401 / 403; keys are looked up by hash and remembered for at most one
second.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from enum import StrEnum

from api.problems import FORBIDDEN, UNAUTHORIZED, FieldError, ProblemError
from recommender.errors import InputError
from recommender.storage.keys import KEY_PREFIX, ApiKey

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


FindKey = Callable[[str], ApiKey | None]
"""Looks up a valid key by the SHA-256 of its text, in hex."""


def parse_scopes(text: str) -> frozenset[str]:
    """Read names of scopes with commas between them.

    Raises: InputError that names the first unknown one.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    known = ", ".join(Scope)
    for name in names:
        if name not in tuple(Scope):
            raise InputError("There is no such scope.", field="scopes", value=name, accepted=known)
    if not names:
        raise InputError("A key needs a scope.", field="scopes", accepted=known)
    return frozenset(names)


class KeyCache:
    """Remembers for a moment what the database says about keys; safe to share between threads."""

    def __init__(self, find: FindKey) -> None:
        self._find = find
        self._known: dict[str, tuple[float, ApiKey | None]] = {}

    def authorize(self, header: str | None, scope: str, now: float) -> ApiKey:
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

    def _lookup(self, digest: str, now: float) -> ApiKey | None:
        remembered = self._known.get(digest)
        if remembered is not None and now < remembered[0]:
            return remembered[1]
        key = self._find(digest)
        # Compared once more in constant time; the search itself is by hash, which tells nothing of a key.
        if key is not None and not hmac.compare_digest(key.sha256, digest):
            key = None
        if len(self._known) >= CACHE_ENTRIES:
            self._known = {}
        self._known[digest] = (now + CACHE_SECONDS, key)
        return key

"""Authorization header -> Caller, or 401 / 403; what was learned of a key or token is remembered for at most one
second.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from api.problems import FORBIDDEN, UNAUTHORIZED, FieldError, ProblemError
from recommender.errors import InputError, StoreBusyError
from recommender.storage.keys import KEY_PREFIX, ApiKey

CACHE_SECONDS = 1.0
OUTAGE_SECONDS = 3600.0
"""How long keys that were valid are taken while the database is away, which alone could say that they are not."""
CACHE_ENTRIES = 4096
"""Most keys and tokens remembered; past it the memory is emptied, so that invented ones cannot fill it."""


class Scope(StrEnum):
    """What a key may do; `admin` may do everything."""

    RECOMMEND = "recommend"
    EVENTS = "events"
    CATALOG = "catalog"
    COUPONS = "coupons"
    CAMPAIGNS = "campaigns"
    MODELS = "models"
    ADMIN = "admin"


class MemberAccess(StrEnum):
    """How an operation that takes member tokens is held to the token's own member.

    PATH: the member in the path must be the token's.  BODY: every member named in the body must be, and where none
    is named the token's is meant.  OPEN: the operation is about no member.
    """

    PATH = "path"
    BODY = "body"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an application by its key, or a member by a token.

    key_id: of the API key, or "token:" and the id of the key that signed the token; not secret.
    scopes: of the key; a member token has none.  member_id: the token's only member; None for keys.
    rate_limit: requests per second of this key alone; None: what the settings say.
    """

    key_id: str
    name: str
    scopes: frozenset[str]
    member_id: str | None = None
    rate_limit: float | None = None


FindKey = Callable[[str], ApiKey | None]
"""Looks up a valid key by the SHA-256 of its text, in hex."""
ReadToken = Callable[[str], Caller]
"""Verifies a member token. Raises: ProblemError, unauthorized."""


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


def check_access(caller: Caller, scope: str, access: MemberAccess | None) -> None:
    """Let a caller use an operation, or not.

    Args:
        scope: what a key needs.
        access: how the operation takes member tokens; None: not at all.
    Raises: ProblemError, forbidden.
    """
    if caller.member_id is not None:
        if access is None:
            error = FieldError("Authorization", "A member token cannot do this.", None, f"an API key with {scope}")
            raise ProblemError(FORBIDDEN, error.detail, (error,))
    elif scope not in caller.scopes and Scope.ADMIN not in caller.scopes:
        held = ", ".join(sorted(caller.scopes))
        error = FieldError("scope", "The key's scopes are not enough.", held, scope)
        raise ProblemError(FORBIDDEN, f"The key lacks the scope {scope}.", (error,))


class CallerCache:
    """Finds out who calls, and remembers it for a moment; safe to share between threads."""

    def __init__(self, find: FindKey, read_token: ReadToken) -> None:
        self._find = find
        self._read_token = read_token
        self._known: dict[str, tuple[float, Caller | None]] = {}

    def caller(self, header: str | None, now: float) -> Caller:
        """Return the caller behind an Authorization header.

        Args:
            header: "Bearer mw_..." for a key, "Bearer eyJ..." for a member token.
            now: a monotonic clock, in seconds.
        Raises: ProblemError, unauthorized; StoreBusyError if the database must be asked and is away; keys that were
            valid lately are taken on trust meanwhile.
        """
        kind, _, token = (header or "").partition(" ")
        is_key = token.startswith(KEY_PREFIX)
        if kind.lower() != "bearer" or not (is_key or token.count(".") == 2):
            raise ProblemError(UNAUTHORIZED, UNAUTHORIZED.meaning)
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        remembered = self._known.get(digest)
        if remembered is not None and now < remembered[0]:
            caller = remembered[1]
        else:
            try:
                caller = self._of_key(digest) if is_key else self._read_token(token)
            except StoreBusyError:
                caller = self._during_outage(remembered, now)
                if caller is None:
                    raise
                return caller
            if len(self._known) >= CACHE_ENTRIES:
                self._known = {}
            self._known[digest] = (now + CACHE_SECONDS, caller)
        if caller is None:
            raise ProblemError(UNAUTHORIZED, "The API key is unknown, expired or revoked.")
        return caller

    def expect(self, keys: Iterable[ApiKey], now: float) -> None:
        """Remember valid keys for times when the database is away; otherwise it is asked at their first use."""
        for key in keys:
            self._known.setdefault(
                key.sha256, (now, Caller(key.key_id, key.name, key.scopes, rate_limit=key.rate_limit))
            )

    def _during_outage(self, remembered: tuple[float, Caller | None] | None, now: float) -> Caller | None:
        """Return who a key was when the database last answered, None if that is too long ago."""
        if remembered is None or now > remembered[0] + OUTAGE_SECONDS:
            return None
        return remembered[1]

    def _of_key(self, digest: str) -> Caller | None:
        key = self._find(digest)
        # Compared once more in constant time; the search itself is by hash, which tells nothing of a key.
        if key is None or not hmac.compare_digest(key.sha256, digest):
            return None
        return _caller(key)


def _caller(key: ApiKey) -> Caller:
    return Caller(key.key_id, key.name, key.scopes, rate_limit=key.rate_limit)

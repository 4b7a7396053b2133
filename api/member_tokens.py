"""Member tokens: JSON Web Tokens (RFC 7519) by which a member's own device reads that member and nothing else.

The retailer's backend signs them, with HS256 and a shared secret or with RS256 and its private key. Memberwise only
verifies, by the keys of a JSON Web Key Set (RFC 7517) in a file that is read again when it changes: several keys
at once make rotation possible. Each key has one algorithm, and a token that names another is refused.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.auth import Caller
from api.problems import UNAUTHORIZED, ProblemError
from recommender.errors import ConflictError, InputError, NotFoundError, SettingsError
from recommender.ids import check_id

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS = {"oct": "HS256", "RSA": "RS256"}
"""The one algorithm of each type of key."""
SECRET_BYTES = 32
LEAST_RSA_BITS = 2048
RELOAD_SECONDS = 1.0
MAX_TOKEN_CHARACTERS = 8192

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say.

    issuer: its `iss`; "" refuses all tokens.  audience: its `aud`.  leeway_seconds: by how much clocks may differ.
    longest_seconds: how far in the future its `exp` may lie.
    """

    issuer: str
    audience: str
    leeway_seconds: int
    longest_seconds: int


@dataclass(frozen=True, slots=True, repr=False)
class VerifyingKey:
    """A key that verifies tokens: its id, its only algorithm, and until when it counts (None: no end)."""

    kid: str
    algorithm: str
    until: datetime | None
    jwk: PyJWK


class TokenReader:
    """Verifies member tokens by the keys of a file; safe to share between threads."""

    def __init__(self, path: Path, rules: TokenRules) -> None:
        self._path = path
        self._rules = rules
        self._keys: dict[str, VerifyingKey] = {}
        self._stamp: tuple[int, int] | None = None
        self._next_look = 0.0

    def read(self, token: str, now: datetime) -> Caller:
        """Return the member who calls.

        Raises: ProblemError, unauthorized, that says what is wrong with the token.
        """
        import jwt

        if not self._rules.issuer:
            raise ProblemError(UNAUTHORIZED, "Member tokens are not switched on: MEMBERWISE_JWT_ISSUER is empty.")
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise ProblemError(UNAUTHORIZED, "The member token is too long.")
        try:
            key = self._key_of(jwt.get_unverified_header(token), now)
            claims = self._claims(token, key)
            member_id = check_id(claims["sub"])
        except (jwt.InvalidTokenError, InputError, UnicodeError) as error:
            raise ProblemError(UNAUTHORIZED, f"The member token is not valid: {error}") from None
        last = now + timedelta(seconds=self._rules.longest_seconds + self._rules.leeway_seconds)
        if int(claims["exp"]) > last.timestamp():
            longest = self._rules.longest_seconds
            raise ProblemError(UNAUTHORIZED, f"The member token lives too long: at most {longest} seconds.")
        return Caller(f"token:{key.kid}", "member", frozenset(), member_id=member_id)

    def _claims(self, token: str, key: VerifyingKey) -> dict[str, Any]:
        import jwt

        rules = self._rules
        claims: dict[str, Any] = jwt.decode(
            token,
            key.jwk.key,
            algorithms=[key.algorithm],
            issuer=rules.issuer,
            audience=rules.audience,
            leeway=rules.leeway_seconds,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims

    def _key_of(self, header: Mapping[str, Any], now: datetime) -> VerifyingKey:
        """Return the key that a token names, of the algorithm that it names."""
        self._reload()
        valid = {kid: key for kid, key in self._keys.items() if key.until is None or now < key.until}
        kid = header.get("kid")
        key = next(iter(valid.values())) if kid is None and len(valid) == 1 else valid.get(str(kid))
        if key is None:
            raise InputError("its key id (`kid`) is unknown or no longer valid")
        if header.get("alg") != key.algorithm:
            raise InputError(f"its key is for {key.algorithm} alone")
        return key

    def _reload(self) -> None:
        """Read the file again if it changed; a damaged one leaves the keys as they are."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + RELOAD_SECONDS
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._keys, self._stamp = {}, None
            return
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return
        try:
            self._keys = {key.kid: key for key in read_keys(self._path)}
        except SettingsError as error:
            logger.error("member_token_keys_not_read reason=%s", error.message)
        self._stamp = stamp


def read_keys(path: Path) -> list[VerifyingKey]:
    """Return the keys of a file, none if there is no file.

    Raises: SettingsError if it holds anything else than public RSA keys and shared secrets.
    """
    return [_verifying_key(entry) for entry in _entries(path)]


def add_secret(path: Path, kid: str) -> str:
    """Make a shared secret for HS256, add it under an id, and return it in base64url.

    Raises: ConflictError if the id is taken; SettingsError.
    """
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    _add(path, {"kty": "oct", "kid": kid, "alg": ALGORITHMS["oct"], "k": secret})
    return secret


def add_public_key(path: Path, kid: str, pem: bytes) -> None:
    """Add a public RSA key for RS256 under an id.

    Raises: InputError if it is not one; ConflictError if the id is taken; SettingsError.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from jwt.algorithms import RSAAlgorithm

    accepted = f"a public RSA key of at least {LEAST_RSA_BITS} bits in PEM"
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise InputError("This is not a public key.", field="file", accepted=accepted) from None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_RSA_BITS:
        raise InputError("This key cannot verify RS256 safely.", field="file", accepted=accepted)
    described: dict[str, Any] = RSAAlgorithm.to_jwk(key, as_dict=True)
    _add(path, {"kty": "RSA", "kid": kid, "alg": ALGORITHMS["RSA"], "n": described["n"], "e": described["e"]})


def retire_key(path: Path, kid: str, until: datetime) -> None:
    """Let a key end at a time; tokens that it signed are refused from then on.

    Raises: NotFoundError if there is no such key; SettingsError.
    """
    entries = _entries(path)
    if kid not in [entry.get("kid") for entry in entries]:
        raise NotFoundError("There is no such key.", field="kid", value=kid)
    changed = [entry | {"exp": int(until.timestamp())} if entry.get("kid") == kid else entry for entry in entries]
    _write(path, changed)


def _add(path: Path, entry: dict[str, Any]) -> None:
    entries = _entries(path)
    if entry["kid"] in [known.get("kid") for known in entries]:
        raise ConflictError("There is a key of this id already.", field="kid", value=entry["kid"])
    _write(path, [*entries, entry])


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text("utf-8"))
        entries = document["keys"]
        if not all(isinstance(entry, dict) for entry in entries):
            raise TypeError
        return list(entries)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        raise _unusable(path, "The file of member token keys cannot be read.") from None


def _write(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file in one step, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"keys": entries}, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _verifying_key(entry: Mapping[str, Any]) -> VerifyingKey:
    from datetime import UTC

    import jwt

    algorithm = ALGORITHMS.get(str(entry.get("kty")))
    kid, until = entry.get("kid"), entry.get("exp")
    if algorithm is None or not isinstance(kid, str) or not kid or entry.get("alg") != algorithm or "d" in entry:
        raise _unusable(kid, "A member token key is not usable.")
    try:
        jwk = jwt.PyJWK(dict(entry), algorithm)
        too_weak = len(jwk.key) < SECRET_BYTES if algorithm == "HS256" else jwk.key.key_size < LEAST_RSA_BITS
        ends = None if until is None else datetime.fromtimestamp(int(until), UTC)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise _unusable(kid, "A member token key is not usable.") from None
    if too_weak:
        raise _unusable(kid, "A member token key is too short.")
    return VerifyingKey(kid, algorithm, ends, jwk)


def _unusable(value: object, message: str) -> SettingsError:
    accepted = (
        'a JSON Web Key Set whose keys have "kid" and are "kty": "oct" with "alg": "HS256" and 32 bytes, or public'
        f' "kty": "RSA" with "alg": "RS256" and {LEAST_RSA_BITS} bits'
    )
    return SettingsError(message, field="MEMBERWISE_JWT_KEYS", value=value, accepted=accepted)

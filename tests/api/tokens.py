"""Signs member tokens for the tests, well and badly."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
from jwt.utils import base64url_decode

from api.member_tokens import add_secret
from api.settings import ServiceSettings

ISSUER = "https://shop.example"
AUDIENCE = "memberwise"


class Signer:
    """Signs tokens with a shared secret that the service knows under an id."""

    def __init__(self, keys_file: Path, kid: str = "k1") -> None:
        self.kid = kid
        self.secret = base64url_decode(add_secret(keys_file, kid))

    def token(self, member_id: str, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token of a member; `claims` replaces what it says."""
        said = claims_of(member_id) | claims
        return jwt.encode(said, self.secret, "HS256", headers={"kid": self.kid} | (headers or {}))


def claims_of(member_id: str) -> dict[str, Any]:
    """Return the claims of a good token."""
    now = int(time.time())
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": member_id, "iat": now, "exp": now + 600}


def with_tokens(settings: ServiceSettings) -> ServiceSettings:
    """Return settings that take member tokens."""
    from dataclasses import replace

    return replace(settings, jwt_issuer=ISSUER)

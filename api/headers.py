"""Headers that every answer carries, and cross-origin requests (CORS), which are off unless a setting names origins."""

from __future__ import annotations

from collections.abc import Mapping

from werkzeug.datastructures import Headers

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of answers that are no pages."""
ALLOWED_HEADERS = "Authorization, Content-Type, Accept-Language, X-Request-Id, Idempotency-Key"
EXPOSED_HEADERS = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy"
ALLOWED_METHODS = "GET, POST, PUT, DELETE"
PREFLIGHT_SECONDS = 600


def parse_origins(text: str) -> frozenset[str]:
    """Read origins with commas between them; "*" stands for all. Raises: ValueError(accepted)."""
    origins = [part.strip() for part in text.split(",") if part.strip()]
    for origin in origins:
        scheme, _, host = origin.partition("://")
        if origin != "*" and not (scheme in ("http", "https") and host and not set("/?#@ ") & set(host)):
            raise ValueError('"*", or origins such as https://shop.example, separated by commas')
    return frozenset(origins)


def secure(headers: Headers) -> None:
    """Add what keeps browsers from misusing an answer, where the answer does not say so itself."""
    for name, value in SECURITY_HEADERS:
        headers[name] = value
    headers.setdefault("Content-Security-Policy", API_POLICY)
    headers.setdefault("Cache-Control", "no-store")


def cross_origin(origins: frozenset[str], origin: str | None) -> Mapping[str, str]:
    """Return the headers that let a page of an origin read an answer; none if it may not.

    Keys and tokens travel in the header Authorization, never in cookies, so credentials are not allowed along.
    """
    if origin is None or not (origin in origins or "*" in origins):
        return {"Vary": "Origin"} if origins else {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
        "Vary": "Origin",
    }


PREFLIGHT_HEADERS: Mapping[str, str] = {
    "Access-Control-Allow-Methods": ALLOWED_METHODS,
    "Access-Control-Allow-Headers": ALLOWED_HEADERS,
    "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
}
"""What the answer to a preflight request of an allowed origin says beside."""

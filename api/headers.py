"""Headers that every answer carries, and cross-origin requests (CORS), which are off unless a setting names origins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
DEFAULT_HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
)
"""What holds where an answer does not say something else, as pages do."""
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


class SecureHeaders:
    """Adds what keeps browsers from misusing an answer; done where headers are a plain list, since it is on every path.

    Args:
        application: the WSGI application.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
            headers.extend(SECURITY_HEADERS)
            said = {name for name, _ in headers}
            headers.extend(entry for entry in DEFAULT_HEADERS if entry[0] not in said)
            return start_response(status, headers, error)

        return self._application(environ, start)


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

"""Exception -> status -> problem+json (RFC 9457): one table, one shape; the only place that knows status
codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.exceptions import HTTPException

from recommender.errors import (
    BundleError,
    ConflictError,
    EventLogError,
    InputError,
    MemberwiseError,
    NotFoundError,
    StoreBusyError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:memberwise:problem:"
SHOWN_ERRORS = 100
"""Most entries listed in one problem; `detail` gives the whole number."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row of the table: a stable name, its status, and what it means to a developer."""

    name: str
    status: int
    title: str
    meaning: str
    retry_after_seconds: int | None = None

    @property
    def type(self) -> str:
        """The URI that names this kind of problem."""
        return TYPE_PREFIX + self.name


INVALID_JSON = ProblemKind("invalid-json", 400, "The body is not valid JSON", "Send one JSON object in UTF-8.")
INVALID_REQUEST = ProblemKind(
    "invalid-request",
    400,
    "The request is not acceptable",
    "Each entry of `errors` names a field, the value found and what is accepted. Nothing was written.",
)
BAD_REQUEST = ProblemKind("bad-request", 400, "The request cannot be read", "The HTTP request itself is malformed.")
UNAUTHORIZED = ProblemKind(
    "unauthorized",
    401,
    "A valid API key or member token is needed",
    "Send the header `Authorization: Bearer mw_...`, or a member token in its place.",
)
FORBIDDEN = ProblemKind(
    "forbidden",
    403,
    "The caller may not do this",
    "A key needs the scope that `errors` names; a member token speaks for its own member only.",
)
NOT_FOUND = ProblemKind("not-found", 404, "There is nothing here", "The path, or what it names, does not exist.")
METHOD_NOT_ALLOWED = ProblemKind(
    "method-not-allowed", 405, "The method is not allowed here", "The header `Allow` lists the methods."
)
CONFLICT = ProblemKind("conflict", 409, "The request contradicts the record", "Nothing was written.")
BODY_TOO_LARGE = ProblemKind("body-too-large", 413, "The body is too large", "Send fewer rows in one call.")
UNSUPPORTED_MEDIA_TYPE = ProblemKind(
    "unsupported-media-type", 415, "The body has another type", "Send `Content-Type: application/json`."
)
RATE_LIMITED = ProblemKind(
    "rate-limited",
    429,
    "Too many requests",
    "Wait `Retry-After` seconds; the headers `RateLimit` and `RateLimit-Policy` tell what is left.",
    retry_after_seconds=1,
)
INTERNAL_ERROR = ProblemKind(
    "internal-error",
    500,
    "Something went wrong on our side",
    "The log holds the cause under this `request_id`.",
)
NO_BUNDLE = ProblemKind(
    "no-bundle",
    503,
    "No trained bundle is being served",
    "Run `memberwise train` and promote its bundle; `/readyz` says what is missing.",
    retry_after_seconds=5,
)
NOT_READY = ProblemKind(
    "not-ready",
    503,
    "The service is not ready",
    "Each entry of `errors` names something that is missing and what to do about it.",
    retry_after_seconds=5,
)
STORE_BUSY = ProblemKind(
    "store-busy",
    503,
    "The database is busy or away",
    "Nothing was half-written: send the same request again after `Retry-After` seconds.",
    retry_after_seconds=1,
)

PROBLEM_KINDS = (
    INVALID_JSON,
    INVALID_REQUEST,
    BAD_REQUEST,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RATE_LIMITED,
    INTERNAL_ERROR,
    NO_BUNDLE,
    NOT_READY,
    STORE_BUSY,
)

_BY_STATUS = {
    400: BAD_REQUEST,
    401: UNAUTHORIZED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    409: CONFLICT,
    413: BODY_TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
}
_BY_ERROR: tuple[tuple[type[MemberwiseError], ProblemKind], ...] = (
    (InputError, INVALID_REQUEST),
    (NotFoundError, NOT_FOUND),
    (ConflictError, CONFLICT),
    (StoreBusyError, STORE_BUSY),
    (EventLogError, STORE_BUSY),
    (BundleError, NO_BUNDLE),
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a request: where, what was found, what is accepted."""

    field: str
    detail: str
    value: object = None
    accepted: str | None = None

    def body(self) -> dict[str, object]:
        """Return the entry of `errors`."""
        return {"field": self.field, "detail": self.detail, "value": self.value, "accepted": self.accepted}


class ProblemError(MemberwiseError):
    """A request that is answered with one kind of problem, and headers that go with it."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.errors = errors
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is sent: the kind, this occurrence's detail, and headers."""

    kind: ProblemKind
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the members of the problem object."""
        return {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "instance": f"urn:memberwise:request:{request_id}",
            "request_id": request_id,
            "errors": [error.body() for error in self.errors[:SHOWN_ERRORS]],
        }


def problem_of(error: Exception) -> Problem:
    """Turn any exception into the problem that is sent; what is not foreseen says nothing about our
    inside.
    """
    if isinstance(error, ProblemError):
        return _with_headers(Problem(error.kind, error.message, error.errors, dict(error.headers)))
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, MemberwiseError):
        for raised, kind in _BY_ERROR:
            if isinstance(error, raised):
                return _with_headers(Problem(kind, error.message, _field_errors(error)))
    return Problem(INTERNAL_ERROR, INTERNAL_ERROR.meaning)


def _field_errors(error: MemberwiseError) -> tuple[FieldError, ...]:
    if error.field is None:
        return ()
    return (FieldError(error.field, error.message, error.value, error.accepted),)


def _of_http(error: HTTPException) -> Problem:
    status = error.code or INTERNAL_ERROR.status
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = ProblemKind(f"http-{status}", status, error.name, "See RFC 9110.") if status < 500 else INTERNAL_ERROR
    allowed = getattr(error, "valid_methods", None)
    if kind is METHOD_NOT_ALLOWED and allowed:
        methods = ", ".join(sorted(allowed))
        errors = (FieldError("method", kind.title, None, methods),)
        return Problem(kind, f"Use {methods}.", errors, {"Allow": methods})
    return _with_headers(Problem(kind, kind.meaning))


def _with_headers(problem: Problem) -> Problem:
    headers = dict(problem.headers)
    if problem.kind is UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="memberwise"'
    if problem.kind.retry_after_seconds is not None:
        headers.setdefault("Retry-After", str(problem.kind.retry_after_seconds))
    return Problem(problem.kind, problem.detail, problem.errors, headers)

"""Exchange: one request and its answer, whether Flask routes it or it comes straight from the server (direct.py)."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from api.auth import Caller, MemberAccess, check_access
from api.headers import PREFLIGHT_HEADERS, cross_origin, parse_origins
from api.language import choose_language
from api.logs import RequestLog
from api.metrics import RequestFigures
from api.openapi import Operation, Reply
from api.own_member import own_body, own_path
from api.problems import INTERNAL_ERROR, PROBLEM_MEDIA_TYPE, problem_of
from api.reading import read_body, read_idempotency_key, read_path, read_query
from api.services import Call, Services
from api.signed import SIGNER, prove_message
from api.trail import describe_write

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Sent:
    """What came with a request; the parameters and the body are read when they are asked for.

    path: parameters in the path.
    """

    environ: WSGIEnvironment
    path: Mapping[str, str]
    parameters: Callable[[], dict[str, list[str]]]
    body: Callable[[], bytes]


def begin(services: Services, environ: WSGIEnvironment) -> Call:
    """Return the call that a request is."""
    sent = environ.get("HTTP_X_REQUEST_ID", "")
    request_id = sent if _REQUEST_ID.fullmatch(sent) else os.urandom(16).hex()
    return Call(request_id, services.clock(), time.perf_counter())


def answer(operation: Operation, services: Services, call: Call, sent: Sent) -> Reply:
    """Authorize, read what was sent, and return what the operation's view answers.

    Raises: whatever is answered with a problem.
    """
    environ, path = sent.environ, sent.path
    call.operation = operation.id
    if operation.scope is not None:
        moment = time.monotonic()
        caller = call.caller = services.callers.caller(environ.get("HTTP_AUTHORIZATION"), moment)
        call.limit_headers = services.limits.take(caller, moment)
        check_access(caller, operation.scope, operation.member)
        if caller.member_id is not None and operation.member is MemberAccess.PATH:
            own_path(path, caller.member_id)
    if operation.signed is not None:
        sent = replace(sent, body=cache(sent.body))
        call.message_id = prove_message(operation.signed(services, path), environ, sent.body(), call.now)
        call.caller = Caller(f"{SIGNER}{operation.id}", operation.id, frozenset())
    if operation.localized:
        call.language = choose_language(environ.get("HTTP_ACCEPT_LANGUAGE"))
    if operation.idempotent:
        call.idempotency_key = read_idempotency_key(environ.get("HTTP_IDEMPOTENCY_KEY"))
    values: dict[str, Any] = dict(path)
    if path:
        read_path(path)
    if operation.query is not None:
        values["query"] = read_query(operation.query, sent.parameters())
    if operation.body is not None:
        values["body"] = read_body(operation.body, sent.body())
        if operation.member is MemberAccess.BODY and call.caller is not None and call.caller.member_id is not None:
            values["body"] = own_body(values["body"], call.caller.member_id)
    call.describe = lambda: describe_write(path, values.get("body"))
    call.streamed = operation.streamed
    return operation.view(services, call, **values)


def refusal(call: Call, error: Exception) -> Reply:
    """Return the problem that answers an error."""
    problem = problem_of(error)
    call.notes["problem"] = problem.kind.name
    if problem.kind is INTERNAL_ERROR:
        logger.error("request_failed request_id=%s", call.request_id, exc_info=error)
    return Reply(problem.body(call.request_id), problem.kind.status, PROBLEM_MEDIA_TYPE, problem.headers)


def content(reply: Reply) -> bytes:
    """Return the bytes of an answer."""
    return reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)


class Finisher:
    """Ends requests: counts them, writes their log lines, and says which headers their answers carry beside."""

    def __init__(self, services: Services) -> None:
        self._log = RequestLog(services.settings.log_level)
        self._metrics = services.metrics
        self._origins = parse_origins(services.settings.cors_origins)

    def finish(self, call: Call, environ: WSGIEnvironment, status: int) -> Mapping[str, str]:
        """End one request and return headers; each takes the place of one that is there already."""
        seconds = time.perf_counter() - call.started
        method = environ["REQUEST_METHOD"]
        self._metrics.note(RequestFigures(call.operation, str(call.notes.get("scenario", "")), status, seconds))
        headers = {"X-Request-Id": call.request_id, **call.limit_headers}
        if self._origins:
            headers |= self._allowed_origin(environ.get("HTTP_ORIGIN"), method)
        self._log.write(
            {
                "request_id": call.request_id,
                "operation": call.operation,
                "method": method,
                "status": status,
                "milliseconds": round(seconds * 1000, 3),
                "key_id": call.caller.key_id if call.caller is not None else None,
                **call.notes,
            }
        )
        return headers

    def _allowed_origin(self, origin: str | None, method: str) -> Mapping[str, str]:
        """Say whether the page that asks may read the answer, and, before a request, what it may send."""
        allowed = cross_origin(self._origins, origin)
        preflight = "Access-Control-Allow-Origin" in allowed and method == "OPTIONS"
        return {**allowed, **PREFLIGHT_HEADERS} if preflight else allowed

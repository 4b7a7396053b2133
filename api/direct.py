"""Direct: the operations that apps call on every screen, answered without Flask, whose share would be a fourth.

Only plain requests come this way: a path without parameters, a JSON body of known length. All others go Flask's way,
where the same functions of exchange.py answer them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.exceptions import ClientDisconnected

from api.exchange import Finisher, Sent, answer, begin, content, refusal
from api.openapi import JSON_MEDIA_TYPE, Operation, Reply
from api.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_STATUS_LINES = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}


class Direct:
    """Answers some operations itself and hands everything else on.

    Args:
        application: takes the other requests.
        operations: that are answered here; none of them writes to the database.
        services: what views may use.
        finisher: ends requests.
    """

    def __init__(
        self, application: WSGIApplication, operations: Sequence[Operation], services: Services, finisher: Finisher
    ) -> None:
        self._application = application
        self._operations = {(operation.method, operation.path): operation for operation in operations}
        self._services = services
        self._finisher = finisher
        self._most_bytes = services.settings.max_body_bytes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        operation = self._operations.get((environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")))
        if operation is None or not self._is_plain(environ):
            return self._application(environ, start_response)
        call = begin(self._services, environ)
        try:
            reply = answer(operation, self._services, call, Sent(environ, {}, dict, lambda: _read(environ)))
            body = content(reply)
        except Exception as error:
            reply = refusal(call, error)
            body = content(reply)
        headers = {**_headers(reply, len(body)), **self._finisher.finish(call, environ, reply.status)}
        start_response(_STATUS_LINES[reply.status], list(headers.items()))
        return [body]

    def _is_plain(self, environ: WSGIEnvironment) -> bool:
        """Tell whether a request is as most are, so that nothing need be looked at twice."""
        length = environ.get("CONTENT_LENGTH", "")
        return (
            environ.get("CONTENT_TYPE") == JSON_MEDIA_TYPE
            and not environ.get("QUERY_STRING")
            and "HTTP_TRANSFER_ENCODING" not in environ
            and length.isdecimal()
            and length.isascii()
            and int(length) <= self._most_bytes
        )


def _read(environ: WSGIEnvironment) -> bytes:
    """Return the body. Raises: ClientDisconnected if it does not come whole."""
    length = int(environ["CONTENT_LENGTH"])
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) < length:
        raise ClientDisconnected
    return body


def _headers(reply: Reply, length: int) -> dict[str, str]:
    return {"Content-Type": reply.media_type, "Content-Length": str(length), **reply.headers}

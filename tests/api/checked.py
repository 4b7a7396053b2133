"""A client that holds every answer against the OpenAPI document: status, media type, headers and body."""

from __future__ import annotations

from typing import Any

import jsonschema
from flask import Flask
from werkzeug.test import TestResponse

from api.openapi import JSON_MEDIA_TYPE, Operation, document
from api.problems import PROBLEM_MEDIA_TYPE
from api.routes import OPERATIONS

DOCUMENT = document(OPERATIONS, "0.0.0")


class CheckedClient:
    """Calls the application in this process with a key, and checks what it answers."""

    def __init__(self, app: Flask, token: str | None = None) -> None:
        self._app = app
        self._client = app.test_client()
        self.token = token

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        """Send one request; the answer keeps what the document promises."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        response = self._client.open(path, method=method, headers=sent, **options)
        check(self._operation(method, path), response)
        return response

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET."""
        return self.call("GET", path, **options)

    def post(self, path: str, body: object, **options: Any) -> TestResponse:
        """POST a JSON body."""
        return self.call("POST", path, json=body, **options)

    def put(self, path: str, body: object, **options: Any) -> TestResponse:
        """PUT a JSON body."""
        return self.call("PUT", path, json=body, **options)

    def _operation(self, method: str, path: str) -> Operation | None:
        if method == "OPTIONS":
            return None
        adapter = self._app.url_map.bind("localhost")
        try:
            endpoint, _ = adapter.match(path.partition("?")[0], method=method)
        except Exception:
            return None
        return next((operation for operation in OPERATIONS if operation.id == endpoint), None)


def check(operation: Operation | None, response: TestResponse) -> None:
    """Hold an answer against the document; outside of operations only problems can be checked."""
    assert response.headers["X-Request-Id"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if operation is None:
        if response.status_code >= 400:
            _check_problem(response)
        return
    entry = DOCUMENT["paths"][operation.path][operation.method.lower()]
    documented = entry["responses"].get(str(response.status_code))
    assert documented is not None, f"{operation.id} answers {response.status_code}: {response.text}"
    if response.status_code >= 400:
        _check_problem(response)
        kinds = {kind.type for kind in operation.all_problems if kind.status == response.status_code}
        assert response.json is not None
        assert response.json["type"] in kinds
    elif response.mimetype not in set(documented["content"]) - {JSON_MEDIA_TYPE}:
        assert response.content_type == JSON_MEDIA_TYPE
        _validate(documented["content"][JSON_MEDIA_TYPE]["schema"], response.json)
        answer = operation.answers[response.status_code]
        assert answer is not None
        answer.model_validate(response.json)
    else:
        assert response.mimetype in documented["content"]


def _check_problem(response: TestResponse) -> None:
    assert response.content_type == PROBLEM_MEDIA_TYPE
    body = response.json
    _validate({"$ref": "#/components/schemas/ProblemAnswer"}, body)
    assert body is not None
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert body["detail"]
    if response.status_code == 503:
        assert int(response.headers["Retry-After"]) >= 1


def _validate(schema: dict[str, Any], body: object) -> None:
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(body)

"""Every error has one shape, on every route: problem+json that says what was wrong and what is accepted."""

from dataclasses import replace

import orjson
import pytest
from werkzeug.exceptions import ImATeapot

from api.app import create_app
from api.openapi import Operation
from api.problems import (
    PROBLEM_KINDS,
    TYPE_PREFIX,
    FieldError,
    Problem,
    ProblemError,
    problem_of,
)
from api.routes import OPERATIONS
from api.services import Services
from recommender.errors import (
    BundleError,
    ConflictError,
    InputError,
    NotFoundError,
    SettingsError,
    StoreBusyError,
)
from tests.api.checked import CheckedClient
from tests.shop import make_key

GUARDED = [operation for operation in OPERATIONS if operation.scope is not None]
WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]
READ_FIRST = [operation for operation in WITH_BODY if operation.signed is None]
"""Whose bodies are looked at; of the others only once their signature holds."""
SIGNED = [operation for operation in WITH_BODY if operation.signed is not None]
ONCE = {"Idempotency-Key": "k1"}
"""Some operations ask for it before they read a body."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def shared_client(shared_services: Services) -> CheckedClient:
    """A client that may do everything, of the shared shop."""
    return CheckedClient(create_app(shared_services), make_key(shared_services.database, "admin"))


def name(operation: Operation) -> str:
    return operation.id


def path_of(operation: Operation) -> str:
    return operation.path.replace("{member_id}", "m01")


def kind_of(body: dict[str, str] | None) -> str:
    assert body is not None
    return body["type"].removeprefix(TYPE_PREFIX)


@pytest.mark.parametrize("operation", GUARDED, ids=name)
@pytest.mark.parametrize("header", ["", "Bearer mw_wrong", "Basic bXc6"])
def test_without_a_key(shared_client: CheckedClient, operation: Operation, header: str) -> None:
    response = shared_client.call(operation.method, path_of(operation), {"Authorization": header})
    assert response.status_code == 401
    assert kind_of(response.json) == "unauthorized"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("operation", GUARDED, ids=name)
def test_without_the_scope(shared_client: CheckedClient, shared_services: Services, operation: Operation) -> None:
    token = make_key(shared_services.database, "coupons" if operation.scope == "campaigns" else "campaigns")
    response = shared_client.call(operation.method, path_of(operation), {"Authorization": f"Bearer {token}"})
    assert response.status_code == 403
    assert kind_of(response.json) == "forbidden"
    assert response.json is not None
    (error,) = response.json["errors"]
    assert error["accepted"] == operation.scope


@pytest.mark.parametrize("path", sorted({path_of(operation) for operation in OPERATIONS}))
@pytest.mark.parametrize("method", METHODS)
def test_methods_that_are_not_allowed(shared_client: CheckedClient, path: str, method: str) -> None:
    allowed = {operation.method for operation in OPERATIONS if path_of(operation) == path}
    if method in allowed:
        return
    response = shared_client.call(method, path)
    assert response.status_code == 405
    assert kind_of(response.json) == "method-not-allowed"
    assert allowed <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/items/", "//v1/items", "/v1/members//recommendations", "/docs/none.js", "/docs/../app.py"]
)
def test_paths_that_do_not_exist(shared_client: CheckedClient, path: str) -> None:
    response = shared_client.get(path)
    assert response.status_code == 404
    assert kind_of(response.json) == "not-found"


@pytest.mark.parametrize("operation", WITH_BODY, ids=name)
@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_bodies_of_another_type(shared_client: CheckedClient, operation: Operation, media_type: str) -> None:
    response = shared_client.call(
        operation.method, path_of(operation), ONCE, data=b"{}", content_type=media_type or None
    )
    assert response.status_code == 415
    assert kind_of(response.json) == "unsupported-media-type"


@pytest.mark.parametrize("operation", READ_FIRST, ids=name)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000])
def test_bodies_that_are_not_json(shared_client: CheckedClient, operation: Operation, body: bytes) -> None:
    response = shared_client.call(
        operation.method, path_of(operation), ONCE, data=body, content_type="application/json"
    )
    assert response.status_code == 400
    assert kind_of(response.json) == "invalid-json"


@pytest.mark.parametrize("operation", READ_FIRST, ids=name)
@pytest.mark.parametrize("body", [[], 7, None, "x", {"nope": 1}])
def test_bodies_of_the_wrong_shape(shared_client: CheckedClient, operation: Operation, body: object) -> None:
    response = shared_client.call(
        operation.method, path_of(operation), ONCE, data=orjson.dumps(body), content_type="application/json"
    )
    assert response.status_code == 400
    assert kind_of(response.json) == "invalid-request"
    assert response.json is not None
    fields = {error["field"] for error in response.json["errors"]}
    assert ("nope" in fields) if isinstance(body, dict) else fields == {"body"}


@pytest.mark.parametrize("operation", SIGNED, ids=name)
@pytest.mark.parametrize("body", [b"", b"{", b"{}"])
def test_nothing_is_read_of_a_body_whose_signature_does_not_hold(
    shared_client: CheckedClient, operation: Operation, body: bytes
) -> None:
    response = shared_client.call(
        operation.method, path_of(operation), ONCE, data=body, content_type="application/json"
    )
    assert response.status_code == 401
    assert kind_of(response.json) == "unauthorized"


@pytest.mark.parametrize("operation", WITH_BODY, ids=name)
def test_bodies_that_are_too_large(shared_client: CheckedClient, operation: Operation) -> None:
    body = b" " * (8 * 1024 * 1024 + 1)
    response = shared_client.call(
        operation.method, path_of(operation), ONCE, data=body, content_type="application/json; charset=utf-8"
    )
    assert response.status_code == 413
    assert kind_of(response.json) == "body-too-large"


def test_a_mistake_of_ours_tells_nothing_of_our_inside(shared_services: Services) -> None:
    broken = replace(shared_services, exposures=None)
    token = make_key(shared_services.database, "recommend")
    response = CheckedClient(create_app(broken), token).post("/v1/recommendations", {})
    assert response.status_code == 500
    assert kind_of(response.json) == "internal-error"
    assert "NoneType" not in response.text
    assert "Traceback" not in response.text


def test_before_the_first_bundle(bare_client: CheckedClient) -> None:
    ready = bare_client.get("/readyz")
    assert (ready.status_code, kind_of(ready.json)) == (503, "not-ready")
    assert "memberwise train" in ready.text
    for response in (
        bare_client.post("/v1/recommendations", {"member_id": "m01"}),
        bare_client.get("/v1/members/m01/recommendations"),
    ):
        assert (response.status_code, kind_of(response.json)) == (503, "no-bundle")
    assert bare_client.get("/livez").status_code == 200


def test_a_request_id_is_kept_if_it_is_one(shared_client: CheckedClient) -> None:
    sent = "till-12.88213_a"
    assert shared_client.get("/nope", headers={"X-Request-Id": sent}).headers["X-Request-Id"] == sent
    for bad in ("", "a b", "x" * 65, "é", 'a"b'):
        assert shared_client.get("/nope", headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


def test_paths_with_ids_that_cannot_be(shared_client: CheckedClient) -> None:
    response = shared_client.get(f"/v1/members/{'x' * 200}/recommendations")
    assert (response.status_code, kind_of(response.json)) == (400, "invalid-request")
    assert response.json is not None
    assert response.json["errors"][0]["field"] == "member_id"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("m", field="f", value="v", accepted="a"), "invalid-request"),
        (NotFoundError("m"), "not-found"),
        (ConflictError("m"), "conflict"),
        (StoreBusyError("m"), "store-busy"),
        (BundleError("m"), "no-bundle"),
        (SettingsError("m", value="secret"), "internal-error"),
        (ValueError("m"), "internal-error"),
        (ImATeapot(), "http-418"),
    ],
)
def test_the_table(error: Exception, kind: str) -> None:
    problem = problem_of(error)
    assert problem.kind.name == kind
    body = problem.body("r1")
    assert set(body) == {"type", "title", "status", "detail", "instance", "request_id", "errors"}
    assert "secret" not in str(body)


def test_many_errors_are_cut_off() -> None:
    errors = tuple(FieldError(f"f{number}", "wrong") for number in range(500))
    assert len(Problem(PROBLEM_KINDS[0], "d", errors).body("r")["errors"]) == 100
    assert problem_of(ProblemError(PROBLEM_KINDS[0], "d", errors)).errors == errors


def test_kinds_are_told_apart() -> None:
    assert len({kind.type for kind in PROBLEM_KINDS}) == len(PROBLEM_KINDS)
    assert all(400 <= kind.status < 600 and kind.meaning for kind in PROBLEM_KINDS)

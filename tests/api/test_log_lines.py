"""What is logged at INFO and above: never a member id, a phone number or a coupon code, whatever is asked."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from api.app import build_services, close_services, create_app
from api.logs import configure_logging, trace_of
from api.openapi import Operation
from api.routes import OPERATIONS
from api.services import Services
from api.settings import ServiceSettings
from api.worker import compact_events, drain_spool
from recommender.errors import InputError
from tests.api.checked import DOCUMENT
from tests.api.tokens import Signer, with_tokens
from tests.shop import NOW, make_key

MEMBER, PHONE, COUPON, OPENID = "zq-member-7731", "13911112222", "ZQCOUPON-55", "zq-openid-9"
SECRETS = (MEMBER, PHONE, COUPON, OPENID)
REPLACED = {"member_id": MEMBER, "coupon_id": COUPON, "household_id": MEMBER}


@contextmanager
def logging_as_served() -> Iterator[None]:
    """Log as the service does, at INFO."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logging("info")
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        logging.raiseExceptions = True


@pytest.fixture
def talkative(shop_settings: ServiceSettings) -> Iterator[tuple[Services, ServiceSettings]]:
    settings = with_tokens(replace(shop_settings, log_level="info"))
    services = build_services(settings)
    yield services, settings
    close_services(services)


def personal(value: Any, name: str = "") -> Any:
    """Return an example with our secrets wherever it can name a customer."""
    if isinstance(value, dict):
        named = value | {"namespace": "phone", "value": PHONE} if "namespace" in value else value
        return {key: personal(part, key) for key, part in named.items()}
    if isinstance(value, list):
        return [personal(part) for part in value]
    return REPLACED.get(name, value)


def calls(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield good and bad requests of an operation, full of secrets."""
    path = operation.path
    for name in operation.path_parameters:
        path = path.replace(f"{{{name}}}", MEMBER if name == "member_id" else "zz")
    entry = DOCUMENT["paths"][operation.path][operation.method.lower()]
    if operation.body is None:
        query = {"member_id": MEMBER, "coupon_id": COUPON}
        yield {"path": path}
        yield {"path": path, "query_string": {"day": "2026-03-01"}}
        yield {"path": path, "query_string": query}
        return
    for example in entry["requestBody"]["content"]["application/json"]["examples"].values():
        body = personal(example["value"])
        yield {"path": path, "json": body}
        yield {"path": path, "json": body | {"member_id": MEMBER, "coupon_id": COUPON}}
        yield {"path": path, "json": body | {"identity": {"namespace": "wechat_openid", "value": OPENID}}}
        yield {"path": path, "json": {"rows": [body], MEMBER: PHONE}}
        yield {"path": path, "data": json.dumps(body)[:-1] + f', "{MEMBER}"', "content_type": "application/json"}
        yield {"path": path, "data": MEMBER, "content_type": "text/plain"}


def test_no_route_logs_who(
    talkative: tuple[Services, ServiceSettings], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    services, settings = talkative
    client = create_app(services).test_client()
    admin = {"Authorization": f"Bearer {make_key(services.database, 'admin')}"}
    signer = Signer(settings.jwt_keys_file)
    tokens = [admin, {"Authorization": f"Bearer {signer.token(MEMBER)}"}, {"Authorization": f"Bearer {MEMBER}"}]
    # Erasure comes last: before it, everything is known.
    with logging_as_served():
        for operation in sorted(OPERATIONS, key=lambda one: one.method == "DELETE"):
            for call in calls(operation):
                for headers in tokens:
                    client.open(method=operation.method, headers=headers, **call)
        client.get(f"/v1/nothing/{MEMBER}", headers=admin)
        drain_spool(services.database, settings.spool_folder)
        compact_events(services.database, settings, NOW)
    out, err = (part.decode() for part in capfdbinary.readouterr())
    assert err == ""
    lines = [json.loads(line) for line in out.splitlines()]
    answered = {line["operation"] for line in lines if line.get("event") == "request" and line["status"] == 200}
    assert {"post_recommendations", "post_events", "put_members", "put_identities", "get_shown"} <= answered
    assert not [line for line in lines if any(secret in json.dumps(line) for secret in SECRETS)]


def test_an_unforeseen_error_is_logged_without_its_values(
    talkative: tuple[Services, ServiceSettings], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    services, _ = talkative
    with services.database.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON members"
            f" BEGIN SELECT RAISE(ABORT, 'Key (member_id)=({MEMBER}) is bad'); END"
        )
    client = create_app(services).test_client()
    admin = {"Authorization": f"Bearer {make_key(services.database, 'admin')}"}
    with logging_as_served():
        answer = client.put("/v1/members", json={"members": [{"member_id": MEMBER}]}, headers=admin)
    assert answer.status_code == 500
    assert MEMBER not in answer.text
    text = "".join(part.decode() for part in capfdbinary.readouterr())
    assert "request_failed" in text
    assert "upserts.py" in text, "the place in the code is there"
    assert MEMBER not in text


def test_a_trace_has_types_and_places_but_only_our_own_messages() -> None:
    try:
        try:
            raise KeyError(MEMBER)
        except KeyError as error:
            raise InputError("An id is wrong.", field="member_id", value=MEMBER) from error
    except InputError as error:
        trace = trace_of(error)
    assert "An id is wrong." in trace
    assert "builtins.KeyError" in trace
    assert "test_log_lines.py" in trace
    assert MEMBER not in trace.replace("raise KeyError(MEMBER)", "")

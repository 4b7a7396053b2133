"""The log of the running service: one JSON line per request of every operation, and nobody's id in any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import urllib3

from api.openapi import document
from api.routes import OPERATIONS
from recommender.storage.database import open_database
from tests.flows.running import running
from tests.shop import make_key, open_shop, settings_at

PRIVATE = {"member_id": "m-very-private", "value": "o-very-private"}
"""What stands for members and for values of identities in every request."""
DOCUMENT = document(OPERATIONS, "0.0.0")


def disguised(value: Any) -> Any:
    """Return a body with private ids in the places of the example's."""
    if isinstance(value, dict):
        return {
            name: PRIVATE[name] if name in PRIVATE and isinstance(part, str) else disguised(part)
            for name, part in value.items()
        }
    return [disguised(part) for part in value] if isinstance(value, list) else value


def bodies(path: str, method: str) -> list[Any]:
    entry = DOCUMENT["paths"][path][method.lower()]
    if "requestBody" not in entry:
        return [None]
    examples = entry["requestBody"]["content"]["application/json"]["examples"].values()
    return [disguised(example["value"]) for example in examples]


def test_every_request_has_a_line_and_nobody_an_id(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    open_shop(settings)
    database = open_database(settings)
    token = make_key(database, "admin")
    database.dispose()
    asked = []
    with running(settings, "--workers", "1", environ={"MEMBERWISE_LOG_LEVEL": "info"}) as service:
        for number, operation in enumerate(OPERATIONS):
            path = operation.path.replace("{member_id}", PRIVATE["member_id"])
            for name in ("item_id", "name", "purpose"):
                path = path.replace(f"{{{name}}}", {"item_id": "i05", "name": "home", "purpose": "push"}[name])
            for body in bodies(operation.path, operation.method):
                headers = {"Authorization": f"Bearer {token}", "X-Request-Id": f"r{number}-{len(asked)}"}
                headers |= {"Content-Type": "application/json", "Idempotency-Key": f"k{len(asked)}"}
                data = None if body is None else orjson.dumps(body)
                answer = urllib3.request(
                    operation.method, service.url + path, body=data, headers=headers, retries=False, timeout=30
                )
                assert answer.status < 500, (operation.id, answer.data)
                asked.append((headers["X-Request-Id"], operation.id, answer.status))
    log = service.log.read_bytes()
    lines = [orjson.loads(line) for line in log.splitlines()]
    told = [
        (line["request_id"], line["operation"], line["status"])
        for line in lines
        if line["event"] == "request" and line["request_id"].startswith("r")
    ]
    assert [entry for entry in told if entry in asked] == asked
    for secret in (*PRIVATE.values(), token):
        assert secret.encode() not in log

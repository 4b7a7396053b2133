"""Schemathesis reads the document and asks every operation, well and badly: no answer breaks a promise made there."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import schemathesis
from flask import Flask
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from api.app import build_services, close_services, create_app
from api.auth import Scope
from api.routes import OPERATIONS
from tests.shop import make_key, settings_at

DOCUMENT = "/openapi.json"
ALL_UP_TO, ONE_IN = 80, 24
"""Large bodies have thousands of limits to visit: of the requests past the first, so many are sent."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
CONFIGURATION = {
    "seed": 4,
    "suppress-health-check": ["all"],
    "generation": {"max-examples": 3, "deterministic": True, "database": "none"},
    "phases": {"stateful": {"enabled": False}},
    "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKS},
}


@pytest.fixture(scope="module")
def app(shop_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, str]]:
    """The application on a shop that may be spoiled, and a key that may do everything."""
    folder = tmp_path_factory.mktemp("asked") / "shop"
    shutil.copytree(shop_folder, folder)
    services = build_services(settings_at(folder))
    yield create_app(services), make_key(services.database, Scope.ADMIN)
    close_services(services)


@pytest.mark.parametrize("tag", sorted({operation.tag for operation in OPERATIONS}))
def test_every_answer_is_documented(app: tuple[Flask, str], tag: str) -> None:
    application, token = app
    config = SchemathesisConfig.from_dict(CONFIGURATION | {"headers": {"Authorization": f"Bearer {token}"}})
    document = schemathesis.openapi.from_wsgi(DOCUMENT, application, config=config).include(tag=tag)
    document.hooks.register_hook_with_name(_thinned(), "filter_case")
    asked: Counter[str] = Counter()
    wrong: list[str] = []
    for event in schemathesis.engine.from_schema(document).execute():
        if isinstance(event, events.ScenarioFinished):
            asked[str(event.label)] += len(event.recorder.cases)
            wrong += _failures(event)
        elif isinstance(event, events.NonFatalError):
            wrong.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    assert wrong == [], f"{len(wrong)} answers break a promise; the first: {wrong[0]}"
    tagged = {f"{one.method} {one.path}" for one in OPERATIONS if one.tag == tag}
    assert set(+asked) == tagged


def _thinned() -> Callable[[schemathesis.HookContext, schemathesis.Case], bool]:
    """Return a filter that lets the first visits to limits of an operation pass, then only some of the many more."""
    seen: Counter[str] = Counter()

    def kept(_context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
        if case.meta is None or case.meta.phase.name != "coverage":
            return True
        seen[case.operation.label] += 1
        number = seen[case.operation.label]
        return number <= ALL_UP_TO or number % ONE_IN == 0

    return kept


def _failures(event: events.ScenarioFinished) -> Iterator[str]:
    """Say which answers broke a promise, and how to ask for them again."""
    for checks in event.recorder.checks.values():
        for found in (check.failure_info for check in checks):
            if found is not None:
                yield f"{event.label}: {found.failure.title}: {found.failure.message}\n{found.code_sample}"

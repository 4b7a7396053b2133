"""Health, figures and the document: what operators and machines ask for."""

from __future__ import annotations

import importlib.metadata

from flask import request
from prometheus_client import CONTENT_TYPE_LATEST

from api import problems
from api.measures import measure
from api.openapi import Operation, Reply, document
from api.problems import FieldError, ProblemError
from api.schemas import LiveAnswer, OpenApiAnswer, ReadyAnswer
from api.services import Call, Services
from recommender.errors import MemberwiseError
from recommender.exposures import FULL_SPOOL_BYTES, spool_files

TAG = "operations"


def live(_services: Services, _call: Call) -> Reply:
    """Say that the process runs."""
    return Reply({"status": "live"})


def ready(services: Services, _call: Call) -> Reply:
    """Say whether recommendations can be answered, what is missing if not, and what works less well."""
    serving = services.serving.current()
    away = _database_problem(services)
    if serving is None:
        detail = services.serving.problem() or "No bundle is promoted."
        missing = [FieldError("bundle", detail, None, problems.NO_BUNDLE.meaning)]
        if away is not None:
            missing.insert(0, FieldError("database", away, None, "a database that answers"))
        raise ProblemError(problems.NOT_READY, "; ".join(entry.detail for entry in missing), tuple(missing))
    return Reply(
        {
            "status": "ready",
            "bundle_id": serving.bundle.bundle_id,
            "trained_until": serving.bundle.trained_until.isoformat(),
            "warnings": _warnings(services, away),
        }
    )


def _database_problem(services: Services) -> str | None:
    """Return why the database does not answer; None if it does."""
    try:
        with services.database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    except MemberwiseError as error:
        return error.message
    return None


def _warnings(services: Services, away: str | None) -> list[str]:
    found = []
    if away is not None:
        found.append(f"The database is away; answers come from the bundle, and nothing can be written: {away}")
    problem = services.serving.problem()
    if problem is not None:
        found.append(f"The promoted bundle is not served: {problem}")
    if services.exposures.failed:
        found.append(f"{services.exposures.failed} exposures could not be recorded by this worker.")
    waiting = sum(file.stat().st_size for file in spool_files(services.settings.spool_folder))
    if waiting > FULL_SPOOL_BYTES:
        found.append(f"{waiting >> 20} MiB of exposures wait in the spool: is `memberwise worker` running?")
    return found


def metrics(services: Services, call: Call) -> Reply:
    """Return the figures of all workers, and of what waits on this machine."""
    return Reply(services.metrics.text(measure(services, call.now)), media_type=CONTENT_TYPE_LATEST)


def openapi(_services: Services, _call: Call) -> Reply:
    """Return the OpenAPI document."""
    from api.routes import OPERATIONS as everything  # this module is one of its parts

    version = importlib.metadata.version("memberwise")
    return Reply(document(everything, version, request.script_root), headers={"Cache-Control": "max-age=60"})


OPERATIONS = (
    Operation(
        id="live",
        method="GET",
        path="/livez",
        tag=TAG,
        summary="Does the process run?",
        description="For a supervisor: restart the process when this does not answer.",
        view=live,
        answers={200: LiveAnswer},
    ),
    Operation(
        id="ready",
        method="GET",
        path="/readyz",
        tag=TAG,
        summary="Can recommendations be answered?",
        description=(
            "For a load balancer. When something is missing, the problem's `errors` say what, and what to do. While the"
            " database is away but a bundle is served, the service stays ready and `warnings` says so."
        ),
        view=ready,
        answers={200: ReadyAnswer},
        problems=(problems.NOT_READY,),
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        tag=TAG,
        summary="Figures in the text format of Prometheus.",
        description=("Added up over all web workers of this machine. Labels hold no ids of members, items or stores."),
        view=metrics,
        answers={200: None},
    ),
    Operation(
        id="openapi",
        method="GET",
        path="/openapi.json",
        tag=TAG,
        summary="This document.",
        description="OpenAPI 3.1. `/docs` shows it as a page.",
        view=openapi,
        answers={200: OpenApiAnswer},
    ),
)

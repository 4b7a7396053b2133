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

TAG = "operations"


def live(_services: Services, _call: Call) -> Reply:
    """Say that the process runs."""
    return Reply({"status": "live"})


def ready(services: Services, _call: Call) -> Reply:
    """Say whether recommendations can be answered, and what is missing if not."""
    missing: list[FieldError] = []
    try:
        with services.database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    except MemberwiseError as error:
        missing.append(FieldError("database", error.message, None, "a database that answers"))
    serving = services.serving.current()
    if serving is None:
        detail = services.serving.problem() or "No bundle is promoted."
        missing.append(FieldError("bundle", detail, None, problems.NO_BUNDLE.meaning))
    if missing or serving is None:
        raise ProblemError(problems.NOT_READY, "; ".join(entry.detail for entry in missing), tuple(missing))
    return Reply(
        {
            "status": "ready",
            "bundle_id": serving.bundle.bundle_id,
            "trained_until": serving.bundle.trained_until.isoformat(),
            "warnings": _warnings(services),
        }
    )


def _warnings(services: Services) -> list[str]:
    found = []
    problem = services.serving.problem()
    if problem is not None:
        found.append(f"The promoted bundle is not served: {problem}")
    if services.exposures.failed:
        found.append(f"{services.exposures.failed} exposures could not be recorded by this worker.")
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
            "For a load balancer. When something is missing, the problem's `errors` say what, and what to do."
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

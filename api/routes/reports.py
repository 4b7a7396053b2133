"""Reports: what came of recommendations."""

from __future__ import annotations

from api.auth import Scope
from api.openapi import Operation, Reply
from api.outcomes import outcome_report
from api.problems import INVALID_REQUEST, FieldError, ProblemError
from api.report_schemas import RecommendationReport, RecommendationReportQuery
from api.services import Call, Services


def get_recommendation_report(services: Services, call: Call, query: RecommendationReportQuery) -> Reply:
    """Add up what came of the slates of some time."""
    if query.from_ is not None and query.from_ >= (query.to or call.now):
        end = (query.to or call.now).isoformat()
        wrong = FieldError("from", "The report would be about no time.", query.from_.isoformat(), f"before {end}")
        raise ProblemError(INVALID_REQUEST, f"{wrong.field}: {wrong.detail}", (wrong,))
    with services.database.read() as connection:
        scenario = None if query.scenario is None else str(query.scenario)
        body = outcome_report(
            connection, services.settings, call.now, query.from_, query.to, query.group_by, scenario, query.shadow
        )
    return Reply(body)


OPERATIONS = (
    Operation(
        id="get_recommendation_report",
        method="GET",
        path="/v1/reports/recommendations",
        tag="reports",
        summary="What came of recommendations.",
        description=(
            "Views, baskets, purchases and revenue of items shown, for events that carried `recommendation_id`, by"
            " scenario, position, bundle, experiment group, channel and more. Each event is credited once, to the item"
            " it is about, if it came within the window after the slate; corrections and returns of order lines take"
            " back what they must. `assisted`, kept apart: purchases in shops that named no recommendation, of an item"
            " shown to the same customer within the window. `complete_until`: slates after it have not had their"
            " whole window yet. `shadow=true` reports slates made in shadow mode instead: nobody saw them, and"
            " `assisted` says how often customers bought what would have been shown."
        ),
        view=get_recommendation_report,
        answers={200: RecommendationReport},
        scope=Scope.MODELS,
        query=RecommendationReportQuery,
    ),
)

"""Recommendations: slates for a member, an identity or an unknown customer."""

from __future__ import annotations

from api import problems
from api.auth import MemberAccess, Scope
from api.customers import subject_of
from api.openapi import Operation, Reply
from api.problems import INVALID_REQUEST, FieldError, ProblemError
from api.request_context import ContextBody
from api.schemas import RecommendationAnswer, RecommendationQuery, RecommendationRequest, SlateQuery
from api.services import Call, Services
from api.slates import serve_slate
from recommender.context import CONTEXT_FIELDS
from recommender.errors import InputError
from recommender.events import member_subject
from recommender.query import Scenario
from recommender.request import SlateRequest


def post_recommendations(services: Services, call: Call, body: RecommendationRequest) -> Reply:
    """Answer with a slate."""
    return Reply(serve_slate(services, call, request_of(services, body)))


def get_recommendations(services: Services, call: Call, member_id: str, query: RecommendationQuery) -> Reply:
    """Answer with a slate for one member."""
    request = _request(services, query.scenario, query, member_subject(member_id), NOTHING_SAID)
    return Reply(serve_slate(services, call, request))


def get_similar_items(services: Services, call: Call, item_id: str, query: SlateQuery) -> Reply:
    """Answer with items like one."""
    request = _request(services, Scenario.SIMILAR, query, None, ContextBody(item_id=item_id))
    return Reply(serve_slate(services, call, request))


def request_of(services: Services, body: RecommendationRequest) -> SlateRequest:
    """Return what a body asks for. Raises: ProblemError, invalid-request, for what its schema cannot tell."""
    try:
        subject = subject_of(body, services.hash_key)
    except InputError as error:
        wrong = FieldError("identity.value", error.message, None, error.accepted)
        raise ProblemError(INVALID_REQUEST, f"{wrong.field}: {wrong.detail}", (wrong,)) from None
    return _request(services, body.scenario, body, subject, body.context)


def _request(
    services: Services, scenario: Scenario, asked: SlateQuery, subject: str | None, context: ContextBody
) -> SlateRequest:
    if asked.channel is not None and asked.channel not in services.channels:
        known = "one of " + ", ".join(sorted(services.channels))
        wrong = FieldError("channel", "The channel is not known.", asked.channel, known)
        raise ProblemError(INVALID_REQUEST, f"{wrong.field}: {wrong.detail}", (wrong,))
    needed = CONTEXT_FIELDS.get(scenario)
    if needed is not None and needed not in context.model_fields_set:
        accepted = f"`context.{needed}` in the body of POST /v1/recommendations"
        wrong = FieldError(f"context.{needed}", f"The scenario {scenario} is about it.", None, accepted)
        raise ProblemError(INVALID_REQUEST, f"{wrong.field}: {wrong.detail}", (wrong,))
    return SlateRequest(
        scenario=scenario,
        count=asked.count,
        subject=subject,
        store_id=asked.store_id,
        channel=asked.channel,
        exclude=asked.exclude,
        context=context.value(),
    )


NOTHING_SAID = ContextBody()

_SLATE = """
`home`: what this customer may want now, bought before or not. `buy_again`: only what they bought before.
`discover`: nothing they bought before. `trending`: what sells better than usual lately. `new`: what has come
into the range lately and they have not bought. Four more are about what `context` names, and need it:
`similar` (items like `item_id`), `substitutes` (what to take in its place, such as when it is sold out),
`basket` (what goes with `basket_item_ids`) and `session` (what fits the running visit in `events`).

The slate is full whenever enough items can be sold: stock, assortment, seasons and exclusions apply before
the cut. Who or what is not known never is an error: `flags` says so (`anonymous`, `unknown_member`,
`unlinked_identity`, `identity_conflict`, `empty_history`, `not_personalised`, `unknown_item`,
`new_item`, `empty_context`, `unknown_store`, `store_closed`, `stock_unknown`, `exposure_not_recorded`) and `strategy`
names the path taken. `price_cents` is the price in the store asked about, now. Send `recommendation_id` and
`position` with the events that follow.
"""

OPERATIONS = (
    Operation(
        id="post_recommendations",
        method="POST",
        path="/v1/recommendations",
        tag="recommendations",
        summary="Which items to show, to anyone.",
        description="For a member, for an identity of one channel, or for a customer nobody knows.\n" + _SLATE,
        view=post_recommendations,
        answers={200: RecommendationAnswer},
        scope=Scope.RECOMMEND,
        member=MemberAccess.BODY,
        body=RecommendationRequest,
        problems=(problems.NO_BUNDLE,),
        localized=True,
    ),
    Operation(
        id="get_recommendations",
        method="GET",
        path="/v1/members/{member_id}/recommendations",
        tag="recommendations",
        summary="Which items to show to a member.",
        description="The same as the POST, for a member, with query parameters.\n" + _SLATE,
        view=get_recommendations,
        answers={200: RecommendationAnswer},
        scope=Scope.RECOMMEND,
        member=MemberAccess.PATH,
        query=RecommendationQuery,
        problems=(problems.NO_BUNDLE,),
        localized=True,
    ),
    Operation(
        id="get_similar_items",
        method="GET",
        path="/v1/items/{item_id}/similar",
        tag="recommendations",
        summary="Which items to show beside an item, to anyone.",
        description="The same as the POST with the scenario `similar`, for a customer nobody knows.\n" + _SLATE,
        view=get_similar_items,
        answers={200: RecommendationAnswer},
        scope=Scope.RECOMMEND,
        member=MemberAccess.OPEN,
        query=SlateQuery,
        problems=(problems.NO_BUNDLE,),
        localized=True,
    ),
)

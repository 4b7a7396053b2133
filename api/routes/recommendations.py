"""Recommendations: slates for a member, an identity or an unknown customer."""

from __future__ import annotations

import time
from dataclasses import replace

from api import problems
from api.asking import NOTHING_SAID, ranking_of, request_of, slate_request, steering_of
from api.auth import MemberAccess, Scope
from api.batches import serve_batch
from api.openapi import Operation, Reply
from api.rank_schemas import RankAnswer, RankRequest
from api.rankings import serve_ranking
from api.request_context import ContextBody
from api.services import Call, Services
from api.slate_schemas import (
    BatchAnswer,
    BatchRequest,
    RecommendationAnswer,
    RecommendationQuery,
    RecommendationRequest,
    SimilarQuery,
)
from api.slates import serve_slate
from api.validation import serve_validation
from recommender.events import member_subject
from recommender.query import Scenario
from recommender.request import SlateRequest


def post_recommendations(services: Services, call: Call, body: RecommendationRequest) -> Reply:
    """Answer with a slate."""
    return _answer(services, call, request_of(services, body), body.validate_only)


def post_recommendations_batch(services: Services, call: Call, body: BatchRequest) -> Reply:
    """Answer with a slate or a problem for each request; each counts against the caller's limit."""
    if call.caller is not None:
        call.limit_headers = services.limits.charge(call.caller, len(body.requests) - 1, time.monotonic())
    answers = serve_batch(services, call, body.requests)
    failed = sum(1 for answer in answers if answer["problem"] is not None)
    call.notes |= {"slates": len(answers) - failed, "failed": failed}
    return Reply({"served": len(answers) - failed, "failed": failed, "results": answers})


def get_recommendations(services: Services, call: Call, member_id: str, query: RecommendationQuery) -> Reply:
    """Answer with a slate for one member."""
    steering, subject = steering_of(query), member_subject(member_id)
    request = slate_request(services, query.scenario, query, subject, NOTHING_SAID, steering)
    request = replace(request, coupons=query.include_coupons)
    return _answer(services, call, request, query.validate_only)


def get_similar_items(services: Services, call: Call, item_id: str, query: SimilarQuery) -> Reply:
    """Answer with items like one."""
    about, steering = ContextBody(item_id=item_id), steering_of(query)
    request = slate_request(services, Scenario.SIMILAR, query, None, about, steering)
    return _answer(services, call, request, query.validate_only)


def post_ranking(services: Services, call: Call, body: RankRequest) -> Reply:
    """Answer with a list in order."""
    return Reply(serve_ranking(services, call, ranking_of(services, body)))


def _answer(services: Services, call: Call, request: SlateRequest, validate_only: bool) -> Reply:
    serve = serve_validation if validate_only else serve_slate
    return Reply(serve(services, call, request))


_SLATE = """
`home`: what this customer may want now, bought before or not. `buy_again`: what they bought before.
`discover`: nothing they bought before. `trending`: what sells better than usual lately. `new`: what has come
into the range lately and they have not bought. Where `buy_again` or `new` have too little, popular items fill
the slate up: `strategy` then has `+filled`, except in `new` while the range has nothing new. Four more are about
what `context` names, and need it:
`similar` (items like `item_id`), `substitutes` (what to take in its place, such as when it is sold out),
`basket` (what goes with `basket_item_ids`) and `session` (what fits the running visit in `events`).

The slate is full whenever enough items can be sold: stock, assortment, seasons and exclusions apply before
the cut. Who or what is not known never is an error: `flags` says so (`anonymous`, `unknown_member`,
`unlinked_identity`, `identity_conflict`, `empty_history`, `not_personalised`, `unknown_item`,
`new_item`, `empty_context`, `unknown_store`, `store_closed`, `stock_unknown`, `filter_empty`, `pin_dropped`,
`experiment_fallback`, `exposure_not_recorded`, `store_unavailable`, `coupons_need_a_member`, `coupons_unavailable`)
and `strategy` names the path taken; it ends with `+explored` where exploration shuffled the slate. `experiment` names
the experiment that the customer takes part in, and the group.
`price_cents` is the price in the store asked about, now. Send `recommendation_id` and
`position` with the events that follow. Two flags tell callers to show something else: `out_of_scope` (the slate is
empty: the request lies outside the pilot) and `shadow` (made for comparison only).

`filters` limits what may be shown (`docs/filters.md`), `exclude` takes items out, `boosts` multiply scores, `bury`
leaves items for the end, `pins` put items at positions; the scenario's own settings (`/v1/scenarios`) hold beside
them. An item that rules forbid is not shown by a pin either: the slate is filled with others and flagged
`pin_dropped`. Send `next` with the same request for more without repeats, also after another bundle was promoted; it
ends once more than 500 items were shown. `validate_only` says what would apply; it neither serves nor records.

`include_coupons` puts beside items the coupons that the member holds or may claim: at most one per item and each at
most once, where it is expected to add most; no offer beside what the member buys anyway, none for restricted or
sold-out goods. `price_after_cents` is this store's price of one unit after it, `conditions` says what else must hold.
The items and their order are the same with and without.
"""

_BATCH = """
Up to 100 requests of `POST /v1/recommendations`, answered together, each with a slate or a problem of its own, in the
order sent. One that cannot be answered does not hold up the others.
"""

_RANK = """
Puts a list of yours in order for a customer, best first, by the models of `home` alone: no settings of scenarios,
no variety. What may not be shown (sold out, recalled, restricted, unknown) comes last, without a position, with the
rule that says why. Recorded as shown under the scenario `rank`, so that events with its `recommendation_id` and
`position` are credited.
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
        direct=True,
    ),
    Operation(
        id="post_recommendations_batch",
        method="POST",
        path="/v1/recommendations:batch",
        tag="recommendations",
        summary="Several slates in one call.",
        description=_BATCH,
        view=post_recommendations_batch,
        answers={200: BatchAnswer},
        scope=Scope.RECOMMEND,
        member=MemberAccess.BODY,
        body=BatchRequest,
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
        query=SimilarQuery,
        problems=(problems.NO_BUNDLE,),
        localized=True,
    ),
    Operation(
        id="post_ranking",
        method="POST",
        path="/v1/rank",
        tag="recommendations",
        summary="Put a list of items in order for a customer.",
        description=_RANK,
        view=post_ranking,
        answers={200: RankAnswer},
        scope=Scope.RECOMMEND,
        member=MemberAccess.BODY,
        body=RankRequest,
        problems=(problems.NO_BUNDLE,),
    ),
)

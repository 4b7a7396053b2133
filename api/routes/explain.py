"""Explanations: why an item is in a slate, or why it is not."""

from __future__ import annotations

from api import problems
from api.asking import request_of
from api.auth import MemberAccess, Scope
from api.explain_schemas import ExplanationAnswer, ExplanationRequest
from api.explanations import serve_explanation
from api.openapi import Operation, Reply
from api.services import Call, Services


def post_explanation(services: Services, call: Call, body: ExplanationRequest) -> Reply:
    """Answer with what became of an item."""
    return Reply(serve_explanation(services, call, request_of(services, body), body.item_id))


_EXPLAIN = """
Takes the request of `POST /v1/recommendations` and an item. The slate is made anew, as it would be now, and not
recorded as shown. `outcome` is one of `shown`, `below_the_cut`, `dropped` (by `rule`), `not_of_scenario` (such as
bought before, in `discover`), `not_found` (by no retriever that counts here), `newer_than_models` and
`unknown_item`; `text` says it in a sentence. `retrievers` has the item's rank with each retriever, `contributions`
what the learned ranker's features add to its score, as LightGBM computes them. A customer in an experiment is
explained as their group is served. The flag `explored` says that exploration shuffles their slates of this scenario
today, so that what they see stands in another order.
"""

OPERATIONS = (
    Operation(
        id="post_explanation",
        method="POST",
        path="/v1/explain",
        tag="recommendations",
        summary="Why an item is shown to a customer, or why not.",
        description=_EXPLAIN,
        view=post_explanation,
        answers={200: ExplanationAnswer},
        scope=Scope.RECOMMEND,
        member=MemberAccess.BODY,
        body=ExplanationRequest,
        problems=(problems.NO_BUNDLE,),
        localized=True,
    ),
)

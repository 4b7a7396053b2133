"""From a caller's list to its order for a customer: look up, rank among these items only, record."""

from __future__ import annotations

from api.described import new_recommendation_id
from api.services import Call, Services
from api.slates import NOT_RECORDED, Body, serving_now
from recommender.candidates import Slate
from recommender.exposures import NARROWED, Exposure
from recommender.lookup import Who
from recommender.query import Query
from recommender.request import SlateRequest
from recommender.storage.live import LiveView

SCENARIO = "rank"
"""The scenario under which rankings are recorded."""


def serve_ranking(services: Services, call: Call, request: SlateRequest) -> Body:
    """Return a list in order, after it is recorded as an exposure.

    Args:
        services: what serves.
        call: who asks, and when.
        request: its `among` is the list, distinct.
    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    serving = serving_now(services)
    live = serving.live.current(call.now)
    query, who = serving.source.query(request, live, call.now)
    with serving.turn:
        (slate,) = serving.recommender.recommend([query])
    item_ids = [live.catalog.item_id(int(row)) for row in slate.row]
    recommendation_id, bundle_id = new_recommendation_id(call.now), serving.bundle.bundle_id
    flags = list(who.flags)
    exposure = _exposure(recommendation_id, call, bundle_id, request, who, slate, item_ids)
    if not services.exposures.record(exposure):
        services.metrics.exposures_failed.inc()
        flags.append(NOT_RECORDED)
    call.notes |= {"scenario": SCENARIO, "strategy": slate.strategy, "bundle_id": bundle_id, "items": len(item_ids)}
    scores = zip(item_ids, slate.score.tolist(), strict=True)
    ranked: list[Body] = [
        {"item_id": item_id, "position": position, "score": score, "rule": None}
        for position, (item_id, score) in enumerate(scores, 1)
    ]
    placed = set(item_ids)
    left_out: list[Body] = [
        {"item_id": item_id, "position": None, "score": None, "rule": _rule(item_id, query, live)}
        for item_id in request.among
        if item_id not in placed
    ]
    return {
        "recommendation_id": recommendation_id,
        "scenario": SCENARIO,
        "bundle_id": bundle_id,
        "strategy": slate.strategy,
        "flags": flags,
        "items": ranked + left_out,
    }


def _rule(item_id: str, query: Query, live: LiveView) -> str:
    """Return why an item of the list has no place."""
    row = live.catalog.row(item_id)
    if row is None:
        return "unknown_item"
    return next(mask.rule for mask in query.masks if not mask.allowed[row])


def _exposure(
    recommendation_id: str,
    call: Call,
    bundle_id: str,
    request: SlateRequest,
    who: Who,
    slate: Slate,
    item_ids: list[str],
) -> Exposure:
    return Exposure(
        recommendation_id=recommendation_id,
        occurred_at=call.now,
        scenario=SCENARIO,
        bundle_id=bundle_id,
        strategy=slate.strategy,
        subject=request.subject,
        store_id=who.store_id,
        channel=request.channel,
        item_id=tuple(item_ids),
        score=tuple(slate.score.tolist()),
        source=slate.source,
        reason=(None,) * len(item_ids),
        flags=(*who.flags, NARROWED),
    )

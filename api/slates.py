"""From a request to an answer: look up, recommend, describe, record; the one path of all recommendation
routes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from api.continuation import issue_token
from api.described import Described, Looked, describe, look_up, new_recommendation_id, title_of
from api.metrics import SlateFigures
from api.own_coupon_answers import UNAVAILABLE, SlateCoupons, slate_coupons
from api.problems import NO_BUNDLE, ProblemError
from api.services import Call, Services
from api.serving import Serving
from recommender.errors import MemberwiseError
from recommender.exposures import NARROWED, Exposure
from recommender.reasons import Reason
from recommender.request import SlateRequest, is_narrowed
from recommender.stages import Stage, Stages

Body = dict[str, object]

NOT_RECORDED = "exposure_not_recorded"
"""Flag of a slate whose exposure could not be written: nothing can be attributed to it later."""


def serve_slate(services: Services, call: Call, request: SlateRequest) -> Body:
    """Return the answer to a request, after it is recorded as an exposure.

    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    (answer,) = serve_slates(services, call, [request])
    if isinstance(answer, MemberwiseError):
        raise answer
    return answer


def serve_slates(services: Services, call: Call, requests: Sequence[SlateRequest]) -> list[Body | MemberwiseError]:
    """Return the answers to requests, made together, each recorded as an exposure; or why one cannot be made.

    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    serving = serving_now(services)
    stages = Stages()
    looked = [look_up(services, call, serving, request) for request in requests]
    stages.end(Stage.LOOKUP)
    found = [one for one in looked if not isinstance(one, MemberwiseError)]
    described = describe(services, call, found, stages)
    answers = iter([_answer(services, call, *pair) for pair in zip(found, described, strict=True)])
    stages.end(Stage.RECORD)
    seconds = {stage: value / max(1, len(found)) for stage, value in stages.seconds.items()}
    for one, shown in zip(found, described, strict=True):
        _note(services, call, one, shown, seconds)
    return [one if isinstance(one, MemberwiseError) else next(answers) for one in looked]


def _answer(services: Services, call: Call, one: Looked, described: Described) -> Body:
    """Record a slate and return it as answers hold it."""
    request, slate, bundle_id = one.request, described.slate, one.serving.bundle.bundle_id
    coupons = slate_coupons(services, call, one, described)
    recommendation_id = new_recommendation_id(call.now)
    if not services.exposures.record(_exposure(recommendation_id, call.now, one, described, coupons)):
        services.metrics.exposures_failed.inc()
        described.flags.append(NOT_RECORDED)
        if coupons.shown:
            # Items are shown all the same; a coupon of which there is no record is not.
            coupons = SlateCoupons([None] * len(described.item_ids))
            described.flags.append(UNAVAILABLE)
    return {
        "recommendation_id": recommendation_id,
        "scenario": request.scenario,
        "bundle_id": bundle_id,
        "strategy": slate.strategy,
        "experiment": None if one.assigned is None else one.assigned.body(),
        "flags": described.flags,
        "items": _items(described, coupons.bodies, call.language),
        "dropped": slate.dropped,
        "next": issue_token(services.hash_key.secret, request, bundle_id, described.item_ids),
        "applies": None,
    }


def serving_now(services: Services) -> Serving:
    """Return what serves. Raises: ProblemError, no-bundle, before the first bundle."""
    serving = services.serving.current()
    if serving is None:
        raise ProblemError(NO_BUNDLE, services.serving.problem() or NO_BUNDLE.meaning)
    return serving


def _items(described: Described, coupons: Sequence[Body | None], language: str) -> list[Body]:
    scores = described.slate.score.tolist()
    return [
        {
            "item_id": details.item_id,
            "title": title_of(details, language),
            "position": position,
            "score": score,
            "reasons": [reason_body(reason, language, described.titles) for reason in reasons],
            "price_cents": details.price_cents,
            "sponsored": details.sponsored,
            "availability": _availability(described, details.item_id),
            "coupon": coupon,
        }
        for position, (details, score, reasons, coupon) in enumerate(
            zip(described.details, scores, described.reasons, coupons, strict=True), 1
        )
    ]


def reason_body(reason: Reason, language: str, titles: Mapping[str, str]) -> Body:
    """Return a reason as answers hold it, said in a language."""
    return {"code": reason.code, "text": reason.text(language, titles), "evidence": reason.evidence}


def _availability(described: Described, item_id: str) -> Body:
    on_hand = described.on_hand.get(item_id)
    state = "unknown" if on_hand is None else "known"
    return {"store_id": described.store_id, "on_hand": on_hand, "state": state}


def _exposure(
    recommendation_id: str, now: datetime, one: Looked, described: Described, coupons: SlateCoupons
) -> Exposure:
    request, assigned, slate = one.request, one.assigned, described.slate
    return Exposure(
        recommendation_id=recommendation_id,
        occurred_at=now,
        scenario=request.scenario,
        bundle_id=one.serving.bundle.bundle_id,
        strategy=slate.strategy,
        subject=request.subject,
        store_id=described.store_id,
        channel=request.channel,
        item_id=tuple(described.item_ids),
        score=tuple(slate.score.tolist()),
        source=slate.source,
        reason=tuple(str(reasons[0].code) if reasons else None for reasons in described.reasons),
        propensity=described.chances,
        dropped=slate.dropped,
        experiment=None if assigned is None else assigned.experiment,
        experiment_group=None if assigned is None else assigned.group.value,
        experiment_unit=None if assigned is None else assigned.unit,
        flags=(*described.flags, NARROWED) if is_narrowed(request) else tuple(described.flags),
        coupons=coupons.shown,
    )


def _note(services: Services, call: Call, one: Looked, described: Described, seconds: Mapping[Stage, float]) -> None:
    """Count the slate, and say in the request's log line what it was; no ids of customers."""
    request, slate, served = one.request, described.slate, len(described.item_ids)
    services.metrics.note(
        SlateFigures(
            scenario=request.scenario,
            strategy=slate.strategy,
            asked=request.count,
            served=served,
            flags=described.flags,
            dropped=slate.dropped,
            seconds=seconds,
        )
    )
    call.notes |= {
        "scenario": request.scenario,
        "strategy": slate.strategy,
        "bundle_id": one.serving.bundle.bundle_id,
        "items": served,
        "flags": list(described.flags),
    }

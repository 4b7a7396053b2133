"""From a request to an answer: look up, recommend, describe, record; the one path of all recommendation
routes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from api.assignment import Assignment, assign
from api.metrics import SlateFigures
from api.problems import NO_BUNDLE, ProblemError
from api.services import Call, Services
from api.serving import Serving
from recommender.candidates import Slate
from recommender.catalog import ItemDetails
from recommender.errors import StoreBusyError
from recommender.exploration import draw_exploration
from recommender.exposures import NARROWED, Exposure
from recommender.lookup import STORE_UNAVAILABLE, Who
from recommender.query import Query
from recommender.reasons import Reason, explain
from recommender.request import SlateRequest, is_narrowed
from recommender.stages import Stage, Stages
from recommender.storage.catalog import nothing_known, read_items
from recommender.storage.live import LiveView

logger = logging.getLogger(__name__)

Body = dict[str, object]

NOT_RECORDED = "exposure_not_recorded"
"""Flag of a slate whose exposure could not be written: nothing can be attributed to it later."""


@dataclass(frozen=True, slots=True)
class Described:
    """A slate with what is said about its items, all aligned.

    titles: of the items that reasons name, by id.  on_hand: by item, of `store_id`; empty if no stock is
    known.  chances: of each item to stand at its position, where exploration is on; else None.
    """

    item_ids: Sequence[str]
    slate: Slate
    details: Sequence[ItemDetails]
    reasons: Sequence[Sequence[Reason]]
    titles: Mapping[str, str]
    store_id: str | None
    on_hand: Mapping[str, float]
    chances: tuple[float, ...] | None


def serve_slate(services: Services, call: Call, request: SlateRequest) -> Body:
    """Return the answer to a request, after it is recorded as an exposure.

    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    serving = serving_now(services)
    stages = Stages()
    assigned = assign(services, call, serving, request)
    if assigned is not None:
        serving, request = assigned.serving, assigned.request
    described, flags = _describe(services, call, serving, request, stages)
    if assigned is not None:
        flags += assigned.flags
    recommendation_id = new_recommendation_id(call.now)
    exposure = _exposure(recommendation_id, call.now, serving, request, described, flags, assigned)
    if not services.exposures.record(exposure):
        services.metrics.exposures_failed.inc()
        flags.append(NOT_RECORDED)
    stages.end(Stage.RECORD)
    _note(services, call, serving, request, described, flags, stages)
    return {
        "recommendation_id": recommendation_id,
        "scenario": request.scenario,
        "bundle_id": serving.bundle.bundle_id,
        "strategy": described.slate.strategy,
        "experiment": None if assigned is None else assigned.body(),
        "flags": flags,
        "items": _items(described, call.language),
        "dropped": described.slate.dropped,
        "next": None,
    }


def serving_now(services: Services) -> Serving:
    """Return what serves. Raises: ProblemError, no-bundle, before the first bundle."""
    serving = services.serving.current()
    if serving is None:
        raise ProblemError(NO_BUNDLE, services.serving.problem() or NO_BUNDLE.meaning)
    return serving


def new_recommendation_id(now: datetime) -> str:
    """Return a new id: milliseconds since 1970, then 80 random bits, so that ids of one time lie together."""
    return f"{int(now.timestamp() * 1000):011x}{os.urandom(10).hex()}"


def _describe(
    services: Services, call: Call, serving: Serving, request: SlateRequest, stages: Stages
) -> tuple[Described, list[str]]:
    """Make the slate and read what is shown with it; also return the flags."""
    live = serving.live.current(call.now)
    query, who = serving.source.query(request, live, call.now)
    share = (request.placement or live.placement(request.scenario)).exploration_share
    today = call.now.astimezone(services.settings.zone).date()
    stages.end(Stage.LOOKUP)
    with serving.turn:
        stages.end(Stage.WAIT)
        slate, chances = _recommend(serving, query, who, share, today, stages)
        reasons = explain(slate, query, serving.recommender)
    item_ids = [live.catalog.item_id(int(row)) for row in slate.row]
    named = [str(reason.evidence["item_id"]) for some in reasons for reason in some if "item_id" in reason.evidence]
    flags = list(who.flags)
    if STORE_UNAVAILABLE in flags:
        live = live.without_database()
    counts = [] if who.store_id is None else live.on_hand(who.store_id, slate.row)
    on_hand = {name: count for name, count in zip(item_ids, counts, strict=False) if count is not None}
    details = _details(services, call, live, item_ids + named, who.store_id, flags)
    titles = {found.item_id: title_of(found, call.language) or found.item_id for found in details[len(item_ids) :]}
    shown = details[: len(item_ids)]
    stages.end(Stage.DESCRIBE)
    return Described(item_ids, slate, shown, reasons, titles, who.store_id, on_hand, chances), flags


def _details(
    services: Services, call: Call, live: LiveView, item_ids: Sequence[str], store_id: str | None, flags: list[str]
) -> list[ItemDetails]:
    """Return what is shown of items; while the database is away only what is in memory: no title and no price."""
    if STORE_UNAVAILABLE not in flags:
        try:
            with services.database.read() as connection:
                return read_items(connection, item_ids, store_id, call.now)
        except StoreBusyError as error:
            logger.warning("items_not_read reason=%s", error.message)
            flags.append(STORE_UNAVAILABLE)
    sponsored = live.catalog.columns.sponsored
    rows = [live.catalog.row(item_id) for item_id in item_ids]
    return [
        replace(nothing_known(item_id), sponsored=row is not None and bool(sponsored[row]))
        for item_id, row in zip(item_ids, rows, strict=True)
    ]


def _recommend(
    serving: Serving, query: Query, who: Who, share: float, today: date, stages: Stages
) -> tuple[Slate, tuple[float, ...] | None]:
    """Make the slate; where exploration has a share, also return the chance of each item at its position."""
    subject = who.subjects[0] if who.subjects and query.personal else None
    exploration = draw_exploration(share, subject, query.scenario, today)
    if exploration is None:
        return serving.recommender.recommend([query], stages)[0], None
    (longer,) = serving.recommender.recommend([exploration.query(query)], stages)
    return exploration.apply(longer, query)


def _items(described: Described, language: str) -> list[Body]:
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
            "coupon": None,
        }
        for position, (details, score, reasons) in enumerate(
            zip(described.details, scores, described.reasons, strict=True), 1
        )
    ]


def reason_body(reason: Reason, language: str, titles: Mapping[str, str]) -> Body:
    """Return a reason as answers hold it, said in a language."""
    return {"code": reason.code, "text": reason.text(language, titles), "evidence": reason.evidence}


def _availability(described: Described, item_id: str) -> Body:
    on_hand = described.on_hand.get(item_id)
    state = "unknown" if on_hand is None else "known"
    return {"store_id": described.store_id, "on_hand": on_hand, "state": state}


def title_of(details: ItemDetails, language: str) -> str | None:
    """Return an item's title in a language, or else its plain one."""
    return details.titles.get(language) or details.title


def _exposure(
    recommendation_id: str,
    now: datetime,
    serving: Serving,
    request: SlateRequest,
    described: Described,
    flags: Sequence[str],
    assigned: Assignment | None,
) -> Exposure:
    slate = described.slate
    return Exposure(
        recommendation_id=recommendation_id,
        occurred_at=now,
        scenario=request.scenario,
        bundle_id=serving.bundle.bundle_id,
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
        flags=(*flags, NARROWED) if is_narrowed(request) else tuple(flags),
    )


def _note(
    services: Services,
    call: Call,
    serving: Serving,
    request: SlateRequest,
    described: Described,
    flags: Sequence[str],
    stages: Stages,
) -> None:
    """Count the slate, and say in the request's log line what it was; no ids of customers."""
    slate, served = described.slate, len(described.item_ids)
    services.metrics.note(
        SlateFigures(
            scenario=request.scenario,
            strategy=slate.strategy,
            asked=request.count,
            served=served,
            flags=flags,
            dropped=slate.dropped,
            seconds=stages.seconds,
        )
    )
    call.notes |= {
        "scenario": request.scenario,
        "strategy": slate.strategy,
        "bundle_id": serving.bundle.bundle_id,
        "items": served,
        "flags": list(flags),
    }

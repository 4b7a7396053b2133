"""From a request for an explanation to its answer: look up, explain, put into words; nothing is recorded."""

from __future__ import annotations

from collections.abc import Mapping

from api.described import Looked, look_up, title_of
from api.services import Call, Services
from api.slates import Body, reason_body, serving_now
from recommender.errors import MemberwiseError
from recommender.explanation import Explanation, explain_item
from recommender.request import SlateRequest
from recommender.storage.catalog import read_items
from recommender.verdicts import verdict

EXPLORED = "explored"
"""Flag of an explanation: exploration shuffles this customer's slates of the scenario today."""


def serve_explanation(services: Services, call: Call, request: SlateRequest, item_id: str) -> Body:
    """Return what became of an item in the slate of a request, as it would be made now.

    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    looked = look_up(services, call, serving_now(services), request)
    if isinstance(looked, MemberwiseError):
        raise looked
    serving, live, query, who = looked.serving, looked.live, looked.query, looked.who
    rows = live.catalog.rows([item_id])[0]
    with serving.turn:
        found = explain_item(serving.recommender, query, int(rows[0]) if len(rows) else None, looked.asked)
    named = [str(reason.evidence["item_id"]) for reason in found.reasons if "item_id" in reason.evidence]
    with services.database.read() as connection:
        details = read_items(connection, [item_id, *named], who.store_id, call.now) if len(rows) else []
    titles = {one.item_id: title_of(one, call.language) or one.item_id for one in details}
    call.notes |= {"scenario": request.scenario, "bundle_id": serving.bundle.bundle_id, "outcome": found.outcome}
    return {
        "item_id": item_id,
        "title": title_of(details[0], call.language) if details else None,
        "scenario": request.scenario,
        "bundle_id": serving.bundle.bundle_id,
        "flags": _flags(looked),
        "text": verdict(found, request.scenario, request.count, call.language),
        **_steps(found, call.language, titles),
    }


def _flags(looked: Looked) -> list[str]:
    """Return what was not known, and EXPLORED where what is shown today is in another order than explained."""
    assigned, exploration = looked.assigned, looked.exploration
    shuffled = exploration is not None and exploration.shuffled
    return [*looked.who.flags, *(() if assigned is None else assigned.flags), *([EXPLORED] if shuffled else [])]


def _steps(found: Explanation, language: str, titles: Mapping[str, str]) -> Body:
    """Return the steps of an explanation as the answer holds them."""
    return {
        "outcome": found.outcome,
        "rule": found.rule,
        "rules": list(found.rules),
        "position": found.position,
        "position_by_score": found.without_moves,
        "rank": found.rank,
        "candidates": found.candidates,
        "score": found.score,
        "source": found.source,
        "retrievers": [
            {
                "name": one.retriever,
                "rank": one.rank,
                "score": one.score,
                "depth": one.depth,
                "asked": one.heeded,
                "adds": one.adds,
            }
            for one in found.sightings
        ],
        "contributions": [{"feature": name, "adds": value} for name, value in found.contributions.items()],
        "reasons": [reason_body(reason, language, titles) for reason in found.reasons],
    }

"""What would apply to a request: everything is checked and looked up, nothing is served or recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from api.services import Call, Services
from api.slates import Body, serving_now
from recommender.catalog import BoolVector
from recommender.masks import reachable_stores
from recommender.placement import CoolDown, Pin, Placement, joined
from recommender.query import Query
from recommender.request import SlateRequest
from recommender.rules import count_dropped, firm_masks, pins_of
from recommender.storage.live import LiveView

VALIDATED = "validate_only"
"""The strategy of an answer without a slate."""


def serve_validation(services: Services, call: Call, request: SlateRequest) -> Body:
    """Return what would apply to a request, in the shape of an answer without items.

    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    serving = serving_now(services)
    live = serving.live.current(call.now)
    query, who = serving.source.query(request, live, call.now)
    allowed = firm_masks(query)
    everything = np.arange(len(live.catalog), dtype=np.int32)
    placement = request.placement or live.placement(request.scenario)
    pins = () if request.shown else joined(placement.steering, request.steering)
    call.notes |= {"scenario": request.scenario, "bundle_id": serving.bundle.bundle_id, "strategy": VALIDATED}
    return {
        "recommendation_id": None,
        "scenario": request.scenario,
        "bundle_id": serving.bundle.bundle_id,
        "strategy": VALIDATED,
        "experiment": None,
        "flags": list(who.flags),
        "items": [],
        "dropped": count_dropped(query, everything),
        "next": None,
        "applies": {
            "items": len(everything),
            "allowed": len(everything) if allowed is None else int(np.count_nonzero(allowed)),
            "settings_version": placement.version or None,
            "store_id": who.store_id,
            "stock_store_ids": _stock_stores(services, request, who.store_id, live),
            "pins": _pins(pins, query, live, serving.recommender.subject(query)),
            "boosts": [
                {"factor": factor, "items": int(np.count_nonzero(applies))}
                for applies, factor in query.arrangement.boosts
            ],
            "cool_down": _cool_down(placement.cool_down),
            **_variety(placement),
        },
    }


def _stock_stores(services: Services, request: SlateRequest, store_id: str | None, live: LiveView) -> list[str]:
    """Return the stores of which one must have an item."""
    if request.store_id and not request.reachable_store_ids:
        return [store_id or request.store_id]
    online = frozenset(name for name, kind in services.settings.channel_kinds.items() if kind == "online")
    return [name for name in reachable_stores(request, store_id, live, online) if name not in live.closed_stores]


def _pins(pins: Sequence[Pin], query: Query, live: LiveView, subject: BoolVector | None) -> list[Body]:
    shown = {row for _, row in pins_of(query, subject)}
    answers: list[Body] = []
    for pin in pins:
        row = live.catalog.row(pin.item_id)
        answers.append(
            {"item_id": pin.item_id, "position": pin.position, "shown": row in shown, "rule": _rule(row, pin, query)}
        )
        if row is not None and row not in shown and answers[-1]["rule"] is None:
            answers[-1]["rule"] = "not_of_scenario"
    return answers


def _rule(row: int | None, pin: Pin, query: Query) -> str | None:
    if row is None:
        return "unknown_item"
    if pin.position > query.count:
        return "beyond_the_slate"
    return next((mask.rule for mask in query.masks if not mask.allowed[row]), None)


def _cool_down(cool_down: CoolDown) -> Body | None:
    return {"share": cool_down.share, "categories": dict(cool_down.days or {})} if cool_down.active else None


def _variety(placement: Placement) -> Body:
    return {
        "diversity": placement.diversity,
        "repeat_share": placement.repeat_share,
        "exploration_share": placement.exploration_share,
    }

"""What would apply to a request: everything is checked and looked up, nothing is served or recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from api.described import Looked, look_up
from api.services import Call, Services
from api.slates import Body, serving_now
from recommender.errors import MemberwiseError
from recommender.masks import reachable_stores
from recommender.placement import CoolDown, Pin, Placement, joined
from recommender.query import Query
from recommender.request import SlateRequest
from recommender.rules import count_dropped, firm_masks, pins_of, within_reach
from recommender.steering import PIN_DROPPED
from recommender.storage.live import LiveView

VALIDATED = "validate_only"
"""The strategy of an answer without a slate."""
BEYOND = "beyond_the_slate"
"""The rule of a pin whose position the slate does not reach; that is no fault, and not flagged."""


def serve_validation(services: Services, call: Call, request: SlateRequest) -> Body:
    """Return what would apply to a request, in the shape of an answer without items.

    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    looked = look_up(services, call, serving_now(services), request)
    if isinstance(looked, MemberwiseError):
        raise looked
    request, serving, live, query, who = looked.request, looked.serving, looked.live, looked.query, looked.who
    everything = np.arange(len(live.catalog), dtype=np.int32)
    placement = request.placement or live.placement(request.scenario)
    pins = _pins(() if request.shown else joined(placement.steering, request.steering), looked)
    call.notes |= {"scenario": request.scenario, "bundle_id": serving.bundle.bundle_id, "strategy": VALIDATED}
    return {
        "recommendation_id": None,
        "scenario": request.scenario,
        "bundle_id": serving.bundle.bundle_id,
        "strategy": VALIDATED,
        "experiment": None if looked.assigned is None else looked.assigned.body(),
        "flags": _flags(looked, pins),
        "items": [],
        "dropped": count_dropped(query, everything),
        "next": None,
        "applies": {
            "items": len(everything),
            "allowed": _allowed(query, len(everything)),
            "settings_version": placement.version or None,
            "store_id": who.store_id,
            "stock_store_ids": _stock_stores(services, request, who.store_id, live),
            "pins": pins,
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


def _allowed(query: Query, n_items: int) -> int:
    """Return how many items a slate can be made from."""
    allowed = firm_masks(query)
    return int(np.count_nonzero(within_reach(query, np.ones(n_items, bool) if allowed is None else allowed)))


def _flags(looked: Looked, pins: Sequence[Body]) -> list[str]:
    """Return the flags that the slate would have."""
    flags = [*looked.who.flags, *(() if looked.assigned is None else looked.assigned.flags)]
    dropped = any(not pin["shown"] and pin["rule"] != BEYOND for pin in pins)
    return [*flags, PIN_DROPPED] if dropped and PIN_DROPPED not in flags else flags


def _pins(pins: Sequence[Pin], looked: Looked) -> list[Body]:
    query, live = looked.query, looked.live
    shown = {row for _, row in pins_of(query, looked.serving.recommender.subject(query))}
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
    if pin.position > query.count:
        return BEYOND
    if row is None:
        return "unknown_item"
    return next((mask.rule for mask in query.masks if not mask.allowed[row]), None)


def _cool_down(cool_down: CoolDown) -> Body | None:
    return {"share": cool_down.share, "categories": dict(cool_down.days or {})} if cool_down.active else None


def _variety(placement: Placement) -> Body:
    return {
        "diversity": placement.diversity,
        "repeat_share": placement.repeat_share,
        "exploration_share": placement.exploration_share,
    }

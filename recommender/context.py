"""RequestContext: what a request says of the moment: an item, a basket, or what was looked at in the running visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recommender.events import KIND_CODES, EventKind
from recommender.history import Histories, merge
from recommender.ids import IdIndex
from recommender.query import NO_CONTEXT, Context, Scenario

SESSION_DECAY = 0.8
"""What an item of a visit weighs beside the one that followed it."""
SESSION_ITEMS = 20
"""Items of a visit that it is about, the latest."""
STAND_INS, STAND_IN_DECAY = 30, 0.9
"""Items that stand for one which the bundle does not know, and what each weighs beside the one before."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One act of the running visit; it comes with the request and is kept nowhere."""

    item_id: str
    kind: EventKind = EventKind.VIEW


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a request says of the moment.

    item_id: the item of `similar` and `substitutes`.
    basket_item_ids: what lies in the basket; no slate shows it.
    events: of the running visit, oldest first; they count with the history in every scenario.
    """

    item_id: str | None = None
    basket_item_ids: Sequence[str] = ()
    events: Sequence[SessionEvent] = ()

    def item_ids(self, scenario: Scenario) -> list[str]:
        """Return the distinct items that a scenario is about, the most telling first."""
        if scenario in (Scenario.SIMILAR, Scenario.SUBSTITUTES):
            return [] if self.item_id is None else [self.item_id]
        if scenario is Scenario.BASKET:
            return list(dict.fromkeys(self.basket_item_ids))
        if scenario is Scenario.SESSION:
            return list(dict.fromkeys(event.item_id for event in reversed(self.events)))[:SESSION_ITEMS]
        return []

    def known(self, scenario: Scenario, items: IdIndex) -> tuple[Context, list[str]]:
        """Return what a scenario is about in rows of a bundle's items, and flags of what is missing."""
        item_ids = self.item_ids(scenario)
        if not item_ids:
            return NO_CONTEXT, ["empty_context"]
        rows, known = items.rows(item_ids)
        decay = SESSION_DECAY if scenario is Scenario.SESSION else 1.0
        return Context.of(rows, decay), [] if known.all() else ["unknown_item"]


def standing_for(stand_ins: Sequence[str], items: IdIndex) -> Context:
    """Return a context of items that stand for one which a bundle does not know; empty if it knows none of them."""
    rows, _ = items.rows(stand_ins)
    return replace(Context.of(rows, STAND_IN_DECAY), stand_in=True)


def with_visit(
    history: Histories,
    context: RequestContext,
    items: IdIndex,
    channel: int,
    as_of: int,
    day_offset_minutes: int,
) -> Histories:
    """Return a history with the events of the running visit, all of the minute before `as_of`.

    Args:
        history: one segment.
        context: whose events count; those of items that the bundle does not know do not.
        items: of the bundle.
        channel: code of the channel of the request.
        as_of: the present, minutes since 1970-01-01 UTC.
        day_offset_minutes: what to add to a minute to make local days begin at multiples of a day.
    """
    rows, known = items.rows([event.item_id for event in context.events])
    if not len(rows):
        return history
    kinds = [KIND_CODES[event.kind] for event, found in zip(context.events, known, strict=True) if found]
    visit = Histories(
        np.array([0, len(rows)], np.int64),
        rows,
        np.full(len(rows), as_of - 1, np.int32),
        np.array(kinds, np.uint8),
        np.full(len(rows), channel, np.uint8),
        np.ones(len(rows), np.uint8),
    )
    return merge([history, visit], day_offset_minutes)


NO_REQUEST_CONTEXT = RequestContext()
CONTEXT_FIELDS: Mapping[Scenario, str] = {
    Scenario.SIMILAR: "item_id",
    Scenario.SUBSTITUTES: "item_id",
    Scenario.BASKET: "basket_item_ids",
    Scenario.SESSION: "events",
}
"""The field of the context that a scenario is about."""

"""The context of a request: the schema of what it says of the moment, and what the core makes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from api.fields import Body, Id, UtcTime, wrong
from recommender.context import NO_REQUEST_CONTEXT, RequestContext, SessionEvent
from recommender.events import EventKind

MAX_BASKET = 200
MAX_VISIT = 200

_VisitKind = Literal["view", "favorite", "basket_add", "share", "rating"]


class VisitEvent(Body):
    """One act of the running visit. It shapes this answer and is kept nowhere: post it to `/v1/events` as well."""

    item_id: Id
    kind: _VisitKind = "view"
    occurred_at: UtcTime | None = None


class ContextBody(Body):
    """What a request is about."""

    item_id: Annotated[Id | None, Field(description="The item of `similar` and `substitutes`.")] = None
    basket_item_ids: Annotated[
        list[Id], Field(max_length=MAX_BASKET, description="What lies in the basket; no slate shows it.")
    ] = Field(default_factory=list)
    events: Annotated[
        list[VisitEvent],
        Field(
            max_length=MAX_VISIT,
            description="The running visit, oldest first; it counts with the history in every scenario.",
        ),
    ] = Field(default_factory=list)

    @model_validator(mode="after")
    def _timed(self) -> ContextBody:
        if len({event.occurred_at is None for event in self.events}) == 2:
            raise wrong("events", "Some events have a time and some do not.", "`occurred_at` for all or for none")
        return self

    def value(self) -> RequestContext:
        """Return the context as the core takes it, the visit in its order of time."""
        if not self.model_fields_set:
            return NO_REQUEST_CONTEXT
        events = self.events
        if events and events[0].occurred_at is not None:
            events = sorted(events, key=lambda event: event.occurred_at.timestamp() if event.occurred_at else 0.0)
        visit = [SessionEvent(event.item_id, EventKind(event.kind)) for event in events]
        return RequestContext(self.item_id, self.basket_item_ids, visit)

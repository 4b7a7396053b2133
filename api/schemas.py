"""Request and response bodies of events and operations; slates have `slate_schemas.py`, tables `table_schemas.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, WrapValidator, model_validator
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from api.fields import Answer, Attributes, Body, Cents, Id, Namespace, Text, UtcTime, wrong
from recommender.events import EventKind

MAX_EVENTS = 1_000
_INT32 = 2**31 - 1

Lax = Field(strict=False)
Channel = Annotated[str, Field(description="One of the known channels.", max_length=64)]


class Identity(Body):
    """A customer as one channel knows them. Phone numbers and e-mail addresses are hashed at once."""

    namespace: Namespace
    value: Id


def one_customer(member_id: str | None, identity: Identity | None) -> None:
    """Refuse a body that names its customer twice."""
    if member_id is not None and identity is not None:
        raise wrong("customer", "The customer is named twice.", "`member_id`, or `identity`, or neither")


class EventRow(Body):
    """One act of one customer in one channel. `event_id` makes it safe to send twice."""

    event_id: Id
    occurred_at: UtcTime
    kind: Annotated[EventKind, Lax]
    channel: Channel
    member_id: Id | None = None
    identity: Identity | None = None
    item_id: Id | None = None
    store_id: Id | None = None
    order_id: Id | None = None
    order_line: Id | None = None
    revision: Annotated[int, Field(ge=0, le=_INT32, description="The highest of an order line wins.")] = 0
    status: Text | None = None
    fulfilment: Literal["in_store", "pick_up", "delivery"] | None = None
    quantity: Annotated[float, Field(ge=0)] | None = None
    unit_price_cents: Cents | None = None
    discount_cents: Cents | None = None
    coupon_id: Id | None = None
    recommendation_id: Annotated[Id, Field(description="The slate that led to this act.")] | None = None
    position: Annotated[int, Field(ge=1, le=_INT32)] | None = None
    value: float | None = None
    attributes: Attributes | None = None

    @model_validator(mode="after")
    def _customer(self) -> EventRow:
        one_customer(self.member_id, self.identity)
        return self


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """An event that does not keep the schema; the others of its batch are not held up by it."""

    event_id: str | None
    error: ValidationError


def _or_unreadable(value: Any, read: ValidatorFunctionWrapHandler) -> EventRow | UnreadableEvent:
    try:
        event: EventRow = read(value)
        return event
    except ValidationError as error:
        found = value.get("event_id") if isinstance(value, dict) else None
        return UnreadableEvent(found if isinstance(found, str) else None, error)


class EventsRequest(Body):
    """A batch of events; each gets its own result."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "event_id": "app-7f3a-1",
                            "occurred_at": "2026-03-01T08:30:00+08:00",
                            "kind": "view",
                            "channel": "app",
                            "member_id": "1008",
                            "item_id": "milk-1l",
                        },
                        {
                            "event_id": "till-12-88213-1",
                            "occurred_at": "2026-03-01T09:02:11+08:00",
                            "kind": "purchase",
                            "channel": "pos",
                            "identity": {"namespace": "card", "value": "600012345"},
                            "item_id": "milk-1l",
                            "store_id": "shop-12",
                            "order_id": "12-88213",
                            "order_line": "1",
                            "quantity": 2,
                            "unit_price_cents": 129,
                        },
                    ]
                }
            ]
        }
    )
    events: Annotated[
        list[Annotated[EventRow, WrapValidator(_or_unreadable)]], Field(min_length=1, max_length=MAX_EVENTS)
    ]


class ErrorEntry(Answer):
    """One thing wrong: the field, what was found (shortened), and what is accepted."""

    field: str
    detail: str
    value: str | int | float | bool | None
    accepted: str | None


class EventResult(Answer):
    """What became of one event, in the order sent."""

    event_id: str | None
    status: Literal["accepted", "duplicate", "conflicting_duplicate", "rejected"]
    errors: list[ErrorEntry]


class EventsAnswer(Answer):
    """Counts over the batch, and a result per event."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 1,
                    "duplicate": 1,
                    "conflicting_duplicate": 0,
                    "rejected": 0,
                    "results": [
                        {"event_id": "app-7f3a-1", "status": "accepted", "errors": []},
                        {"event_id": "till-12-88213-1", "status": "duplicate", "errors": []},
                    ],
                }
            ]
        }
    )
    accepted: int
    duplicate: int
    conflicting_duplicate: int
    rejected: int
    results: list[EventResult]


class ProblemAnswer(Answer):
    """The one shape of every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[ErrorEntry]


class LiveAnswer(Answer):
    """The process runs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "live"}]})
    status: Literal["live"]


class ReadyAnswer(Answer):
    """Recommendations can be answered; `warnings` says what works less well than it should."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ready",
                    "bundle_id": "20260301-4f1c9a7be2d0",
                    "trained_until": "2026-02-28T16:00:00+00:00",
                    "warnings": [],
                }
            ]
        }
    )
    status: Literal["ready"]
    bundle_id: str
    trained_until: str
    warnings: list[str]


class OpenApiAnswer(Answer):
    """The document itself, OpenAPI 3.1."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"openapi": "3.1.0", "paths": {}}]})
    openapi: str
    paths: dict[str, Any]

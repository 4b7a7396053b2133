"""Events: what customers did, in batches; the same event may be sent any number of times."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import orjson

from api.auth import MemberAccess, Scope
from api.customers import subject_of
from api.openapi import Operation, Reply
from api.own_events import not_witnessed, own_event_id
from api.problems import FieldError
from api.reading import field_errors
from api.schemas import EventRow, EventsAnswer, EventsRequest, UnreadableEvent
from api.services import Call, Services
from recommender.campaigns.receipts import note_events
from recommender.errors import InputError
from recommender.events import Event
from recommender.storage.events import EventStatus, append_events

STATUSES = ("accepted", "duplicate", "conflicting_duplicate", "rejected")
CONFLICT = FieldError(
    "event_id",
    "Another event with this id is known; the first one holds.",
    None,
    "a new id, or the same content",
)


def post_events(services: Services, call: Call, body: EventsRequest) -> Reply:
    """Record a batch of events and say what became of each."""
    latest = call.now + timedelta(seconds=services.settings.clock_skew_seconds)
    own = call.caller.member_id if call.caller is not None else None
    read = [_read(services, row, latest, own) for row in body.events]
    statuses = iter(_append(services, [event for event in read if isinstance(event, Event)], call.now))
    results = [
        _result(row.event_id, next(statuses)) if isinstance(event, Event) else _result(row.event_id, "rejected", event)
        for row, event in zip(body.events, read, strict=True)
    ]
    counts = Counter(str(result["status"]) for result in results)
    for status, count in counts.items():
        services.metrics.events.labels(status).inc(count)
    happened = [event.occurred_at for event in read if isinstance(event, Event)]
    if happened:
        services.metrics.event_lag.observe(max((call.now - min(happened)).total_seconds(), 0.0))
    call.notes |= counts
    return Reply({status: counts[status] for status in STATUSES} | {"results": results})


def _read(
    services: Services, row: EventRow | UnreadableEvent, latest: datetime, own: str | None
) -> Event | tuple[FieldError, ...]:
    """Turn a row into an event, or say why it cannot be one; `own` is the member of a member token."""
    if isinstance(row, UnreadableEvent):
        return field_errors(row.error, EventRow)
    wrong: list[FieldError] = []
    if row.channel not in services.channels:
        known = "one of " + ", ".join(sorted(services.channels))
        wrong.append(FieldError("channel", "The channel is not known.", row.channel, known))
    if row.occurred_at > latest:
        sent = row.occurred_at.isoformat()
        wrong.append(FieldError("occurred_at", "The time lies in the future.", sent, f"at most {latest.isoformat()}"))
    try:
        subject = subject_of(row, services.hash_key)
    except InputError as error:
        wrong.append(FieldError("identity.value", error.message, None, error.accepted))
    unseen = None if own is None else not_witnessed(row.kind)
    if unseen is not None:
        wrong.append(unseen)
    return tuple(wrong) if wrong else _event(row, subject, own)


def _event(row: EventRow, subject: str | None, own: str | None) -> Event:
    attributes = row.attributes
    return Event(
        event_id=row.event_id if own is None else own_event_id(own, row.event_id),
        occurred_at=row.occurred_at,
        kind=row.kind,
        channel=row.channel,
        subject=subject,
        item_id=row.item_id,
        store_id=row.store_id,
        order_id=row.order_id,
        order_line=row.order_line,
        revision=row.revision,
        status=row.status,
        fulfilment=row.fulfilment,
        quantity=row.quantity,
        unit_price_cents=row.unit_price_cents,
        discount_cents=row.discount_cents,
        coupon_id=row.coupon_id,
        recommendation_id=row.recommendation_id,
        position=row.position,
        value=row.value,
        attributes=orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS).decode() if attributes else None,
    )


def _append(services: Services, events: list[Event], now: datetime) -> list[str]:
    if not events:
        return []
    with services.database.write() as connection:
        results = append_events(connection, events, now)
        fresh = [event for event, result in zip(events, results, strict=True) if result.status is EventStatus.ACCEPTED]
        note_events(connection, fresh, now)
        return [str(result.status) for result in results]


def _result(event_id: str | None, status: str, wrong: tuple[FieldError, ...] = ()) -> dict[str, object]:
    errors = (CONFLICT,) if status == "conflicting_duplicate" else wrong
    return {"event_id": event_id, "status": status, "errors": [error.body() for error in errors]}


OPERATIONS = (
    Operation(
        id="post_events",
        method="POST",
        path="/v1/events",
        tag="events",
        summary="Record what customers did.",
        description=(
            "Each event gets its own result, in the order sent: `accepted`; `duplicate` when the same event"
            " is known"
            " already; `conflicting_duplicate` when its id is known with other content, and the first one"
            " holds;"
            " `rejected` with what is wrong. Send a batch again as often as needed: nothing is counted"
            " twice. An"
            " event changes its customer's next answer. `not_interested` takes its item, or the brand or category in"
            " `attributes`, out of the customer's slates until an event with `value` 0 takes that back."
            " `push_delivered`, `push_open`, `push_click`, `guide_done` and `guide_skip` with `attributes.message_id`"
            " tell what became of a message. Phone"
            " numbers and e-mail addresses are hashed at once. Under a member token every event is the member's own"
            " and its id counts within that member only; kinds that a device cannot witness, such as `purchase`,"
            " are rejected."
        ),
        view=post_events,
        answers={200: EventsAnswer},
        scope=Scope.EVENTS,
        member=MemberAccess.BODY,
        body=EventsRequest,
        streamed=True,
    ),
)

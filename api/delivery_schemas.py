"""Request and response bodies of transports, deliveries and receipts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from api.fields import Answer, Body, Id, Text, UtcTime
from recommender.campaigns.delivery.kinds import KINDS
from recommender.campaigns.outbox import State
from recommender.campaigns.receipts import Heard, ReceiptKind

MOST_RECEIPTS = 1000
MOST_REPLAYED = 10_000
Kind = Literal["webhook", "file", "sms", "app_push", "wechat", "wecom"]
assert set(Kind.__args__) == set(KINDS)  # type: ignore[attr-defined]
_DOCUMENT: JsonDict = {"url": "https://gateway.example.com/messages", "rate": 50}
Document = Annotated[
    dict[str, Any],
    Field(description="What its kind needs to know; docs/delivery.md has every field. Secrets are not among them."),
    WithJsonSchema({"type": "object"}),
]


class TransportRequest(Body):
    """A transport: its kind and settings, which replace those it had."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "webhook", "settings": _DOCUMENT}]})
    kind: Kind
    settings: Document = Field(default_factory=dict)
    active: Annotated[bool, Field(description="Whether messages leave by it.")] = True


class TransportAnswer(Answer):
    """A transport as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "shop-hook",
                    "kind": "webhook",
                    "settings": _DOCUMENT,
                    "active": True,
                    "updated_at": "2026-03-02T09:30:00+00:00",
                    "updated_by": "k_1",
                }
            ]
        }
    )
    name: str
    kind: Kind
    settings: dict[str, Any]
    active: bool
    updated_at: str
    updated_by: str


class TransportsAnswer(Answer):
    """All transports, by name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"transports": []}]})
    transports: list[TransportAnswer]


class DeliveriesQuery(Body):
    """Which messages are listed."""

    campaign_id: Annotated[Id | None, Field(description="Of this campaign.")] = None
    member_id: Annotated[Id | None, Field(description="To this member.")] = None
    state: Annotated[State | None, Field(description="In this state.")] = None
    after: Annotated[Text, Field(description="`next` of the page before.")] = ""
    limit: Annotated[int, Field(ge=1, le=1000, description="Most messages of a page.")] = 100


class DeliveryRow(Answer):
    """A message and what became of it."""

    delivery_id: str
    campaign_id: str
    occasion: str
    member_id: str
    arm: str
    offer_id: str | None
    coupon_id: str | None
    transport: str
    state: State
    reason: str | None
    test: bool
    due_at: str
    attempts: int
    created_at: str
    sent_at: str | None
    finished_at: str | None
    provider_ref: str | None


class DeliveriesAnswer(Answer):
    """Messages in order of their ids; `next`: for the page after, null at the end."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "deliveries": [
                        {
                            "delivery_id": "msg_1",
                            "campaign_id": "spring",
                            "occasion": "",
                            "member_id": "m1",
                            "arm": "treated",
                            "offer_id": "ten",
                            "coupon_id": "5e",
                            "transport": "shop-hook",
                            "state": "sent",
                            "reason": None,
                            "test": False,
                            "due_at": "2026-03-02T09:30:00+00:00",
                            "attempts": 1,
                            "created_at": "2026-03-02T09:30:00+00:00",
                            "sent_at": "2026-03-02T09:30:01+00:00",
                            "finished_at": "2026-03-02T09:30:01+00:00",
                            "provider_ref": None,
                        }
                    ],
                    "next": None,
                }
            ]
        }
    )
    deliveries: list[DeliveryRow]
    next: str | None


class ReplayRequest(Body):
    """Which dead letters are sent again: those named, or all of a campaign."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"campaign_id": "spring"}]})
    delivery_ids: Annotated[list[Id], Field(max_length=MOST_REPLAYED)] | None = None
    campaign_id: Id | None = None


class ReplayAnswer(Answer):
    """How many messages will be sent again; others named were no dead letters."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"replayed": 3}]})
    replayed: int


class TestRequest(Body):
    """Who gets the campaign's message now; left out: the seeds in its settings."""

    __test__ = False
    model_config = ConfigDict(json_schema_extra={"examples": [{"members": ["m1"]}]})
    members: Annotated[list[Id], Field(min_length=1, max_length=20)] | None = None


class TestRow(Answer):
    """What became of one test message."""

    __test__ = False
    member_id: str
    delivery_id: str
    state: State
    reason: str | None


class TestAnswer(Answer):
    """What became of each test message."""

    __test__ = False
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"results": [{"member_id": "m1", "delivery_id": "msg_1", "state": "sent", "reason": None}]}]
        }
    )
    results: list[TestRow]


class ReceiptRow(Body):
    """One thing that is heard of a message, or of a member."""

    kind: Annotated[ReceiptKind, Field(description="What happened; docs/delivery.md says what each changes.")]
    at: Annotated[UtcTime, Field(description="When it happened.")]
    message_id: Annotated[Id | None, Field(description="Of the message; not needed for opt-outs and prompts.")] = None
    member_id: Annotated[Id | None, Field(description="Of opt-outs and prompts without a message.")] = None
    template: Annotated[Text | None, Field(description="Of accepted prompts.")] = None
    count: Annotated[int, Field(ge=1, le=1000, description="Accepted prompts.")] = 1
    reason: Annotated[Text | None, Field(max_length=40, description="Why a message failed.")] = None


class CallbackRequest(Body):
    """Receipts, signed as Standard Webhooks has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"receipts": [{"kind": "delivered", "at": "2026-03-02T09:30:05Z", "message_id": "msg_1"}]}]
        }
    )
    receipts: Annotated[list[ReceiptRow], Field(min_length=1, max_length=MOST_RECEIPTS)]


class CallbackAnswer(Answer):
    """What became of each receipt, in order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"results": ["applied"]}]})
    results: list[Heard]


def shown_time(value: datetime | None) -> str | None:
    """Return a time as answers have it."""
    return None if value is None else value.isoformat()

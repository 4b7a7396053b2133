"""Request and response bodies of guides' follow-ups."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from api.audience_schemas import FeaturesAnswer, LeftOutCounts
from api.fields import Answer, Body, Id, Text, wrong
from api.own_coupon_schemas import OwnCoupon
from api.slate_schemas import SlateItem

MAX_ITEMS = 10
Act = Literal["accept", "done", "skip"]


class FollowupsQuery(Body):
    """Where the guide stands, and how much is shown."""

    store_id: Annotated[
        Id | None, Field(description="Whose stock and prices are shown; without it, of each customer's home store.")
    ] = None
    items: Annotated[int, Field(ge=1, le=MAX_ITEMS, strict=False, description="Per customer.")] = 3


class FollowupReason(Answer):
    """Why a customer is worth a word today."""

    code: Literal["coupon", "due", "last_purchase"]
    text: str
    evidence: dict[str, str | int | float]


class LastContact(Answer):
    """When the customer last heard of the shop: a message of a campaign, or what a guide did."""

    at: str
    kind: Literal["message", "guide_accept", "guide_done", "guide_skip"]


class Followup(Answer):
    """One customer to follow up."""

    position: int
    member_id: str
    status: Annotated[Literal["open", "accepted"], Field(description="`accepted`: a guide has it in hand.")]
    expected_profit_cents: Annotated[
        int, Field(description="What a word today is expected to add: the coupon, and products that are due.")
    ]
    assumed: Annotated[bool, Field(description="A part of it is assumed and was not measured.")]
    reasons: list[FollowupReason]
    recommendation_id: Annotated[
        str, Field(description="Send it with what comes of this, so that it is credited to the follow-up.")
    ]
    items: list[SlateItem]
    coupon: OwnCoupon | None
    last_contact: LastContact | None


_FOLLOWUP: JsonDict = {
    "position": 1,
    "member_id": "1008",
    "status": "open",
    "expected_profit_cents": 312,
    "assumed": True,
    "reasons": [
        {"code": "due", "text": "3 products are due", "evidence": {"products": 3, "cents": 190}},
        {"code": "last_purchase", "text": "Last bought 12 days ago", "evidence": {"days": 12}},
    ],
    "recommendation_id": "019c5a2f1b3d8e6a4c0f7b9d2e1a5c3",
    "items": [
        {
            "item_id": "milk-1l",
            "title": "Milk, 1 l",
            "position": 1,
            "score": 0.82,
            "reasons": [
                {
                    "code": "bought_regularly",
                    "text": "Bought every 12 days, last on 20 March 2026",
                    "evidence": {"interval_days": 12, "last_on": "2026-03-20"},
                }
            ],
            "price_cents": 129,
            "sponsored": False,
            "availability": {"store_id": "shop-12", "on_hand": 14.0, "state": "known"},
            "coupon": None,
        }
    ],
    "coupon": None,
    "last_contact": {"at": "2026-03-01T00:30:00+00:00", "kind": "message"},
}


class TaskAnswer(Answer):
    """A message of a campaign that the guide is asked to pass on."""

    message_id: str
    member_id: str
    campaign_id: str
    offer_id: str | None
    coupon_id: str | None
    since: str


class FollowupsAnswer(Answer):
    """A guide's customers of today, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "guide_id": "guide-7",
                    "day": "2026-03-20",
                    "capacity": 20,
                    "contacted": 4,
                    "tasks": [
                        {
                            "message_id": "9f0c2a",
                            "member_id": "1010",
                            "campaign_id": "spring",
                            "offer_id": "dairy-10",
                            "coupon_id": "c-1",
                            "since": "2026-03-20T01:00:00+00:00",
                        }
                    ],
                    "followups": [_FOLLOWUP],
                    "waiting": 33,
                    "left_out": {"erased": 0, "kind": 2, "opted_out": 5, "no_consent": 71, "held_out": 3, "capped": 6},
                    "features": {
                        "built_at": "2026-03-20T00:30:00+00:00",
                        "members": 1_000_000,
                        "members_changed": 12,
                        "members_new": 3,
                        "consents_changed": 4,
                        "written_since": 8_123,
                    },
                }
            ]
        }
    )
    guide_id: str
    day: str
    capacity: Annotated[int, Field(description="Customers that a guide can contact on one day.")]
    contacted: Annotated[int, Field(description="Of these, contacted today, or tasks of campaigns.")]
    tasks: Annotated[list[TaskAnswer], Field(description="Of campaigns, that wait for the guide.")]
    followups: list[Followup]
    waiting: Annotated[int, Field(description="Customers who are worth a word and for whom there is no room today.")]
    left_out: LeftOutCounts
    features: FeaturesAnswer


class FollowupAct(Body):
    """What a guide did about a customer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"member_id": "1008", "act": "done", "recommendation_id": "019c5a2f1b3d8e6a4c0f7b9d2e1a5c3"},
                {"member_id": "1009", "act": "skip", "reason": "was in the shop yesterday"},
            ]
        }
    )
    member_id: Id
    act: Annotated[Act, Field(description="`accept`: will do it; `done`: did it; `skip`: not now, with a reason.")]
    reason: Annotated[Text | None, Field(min_length=1, max_length=200)] = None
    recommendation_id: Id | None = None
    coupon_id: Id | None = None
    message_id: Annotated[
        Id | None, Field(description="The campaign's task that this was: done confirms it, skip declines it.")
    ] = None

    @model_validator(mode="after")
    def _reason(self) -> FollowupAct:
        if self.act == "skip" and self.reason is None:
            raise wrong("reason", "Why the customer is skipped is not said.", "a reason")
        return self


class ActAnswer(Answer):
    """What was recorded: an event of the kind `guide_accept`, `guide_done` or `guide_skip`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"event_id": "guide-0f3a9c2b71d45e68", "kind": "guide_done", "member_id": "1008"}]
        }
    )
    event_id: str
    kind: str
    member_id: str

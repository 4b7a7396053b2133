"""Bodies and answers of campaigns."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.fields import Answer, Body, Id, Text, UtcTime
from recommender.campaigns.checks import MOST_OFFERS
from recommender.campaigns.settings import MOST_CENTS

StatusName = Literal["draft", "planned", "approved", "scheduled", "running", "paused", "finished", "cancelled"]
Budget = Annotated[int | None, Field(ge=0, le=MOST_CENTS, description="Discount that may be granted; null: no limit.")]
Version = Annotated[int, Field(ge=1, lt=2**63, description="Of the campaign as it was seen; another one is a 409.")]
_SETTINGS: JsonDict = {
    "audience": {"expression": {"tier": "gold"}},
    "holdout_share": 0.1,
    "transport": "crm",
    "message": {
        "texts": {
            "zh": {"title": "会员专享", "body": "{offer}，{until}前有效。"},
            "en": {"title": "For members", "body": "{offer}, until {until}."},
        }
    },
    "quiet_hours": {"from": "21:00", "until": "09:00"},
    "caps": {"per_day": 1, "per_week": 3},
}
_TERMS: JsonDict = {
    "name": "Spring",
    "starts_at": "2026-03-02T00:00:00+00:00",
    "ends_at": "2026-03-16T00:00:00+00:00",
    "budget_cents": 500_000,
    "offers": ["dairy-10"],
    "settings": _SETTINGS,
}
_CAMPAIGN: JsonDict = {
    "campaign_id": "spring",
    **_TERMS,
    "kind": "one_off",
    "status": "draft",
    "version": 1,
    "possible": ["edit", "plan", "cancel", "budget"],
    "plan_id": None,
    "author": "3f9a0c1b2d4e",
    "approved_by": None,
    "launch_at": None,
    "spent_cents": 0,
    "created_at": "2026-03-01T08:30:00+00:00",
    "updated_at": "2026-03-01T08:30:00+00:00",
}
_PLAN: JsonDict = {
    "plan_id": "5f0c6e1a9b3d4c7e",
    "campaign_id": "spring",
    "status": "done",
    "step": "done",
    "progress": 1.0,
    "version": 2,
    "requested_at": "2026-03-01T08:31:00+00:00",
    "requested_by": "3f9a0c1b2d4e",
    "finished_at": "2026-03-01T08:32:10+00:00",
    "bundle_id": "20260301-0123456789ab",
    "error": None,
    "figures": {"reach": 4200, "expected_profit_cents": {"mean": 61_000.0, "low": 22_000.0, "high": 100_000.0}},
}


class TermsBody(Body):
    """What a campaign is about, in place of what it was; only before its launch, and its plan is void."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_TERMS, "version": 1}]})
    name: Text | None = None
    starts_at: UtcTime
    ends_at: UtcTime
    budget_cents: Budget = None
    offers: Annotated[list[Id], Field(min_length=1, max_length=MOST_OFFERS, description="Which offers it may give.")]
    settings: Annotated[
        dict[str, Any],
        Field(description="Audience, holdout, transport, message, caps and more: docs/campaigns.md has every field."),
    ] = Field(default_factory=dict)
    version: Version


class CampaignBody(Body):
    """A new campaign."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"campaign_id": "spring", **_TERMS}]})
    campaign_id: Annotated[Id, Field(description="A name of your own, used once.")]
    name: Text | None = None
    starts_at: UtcTime
    ends_at: UtcTime
    budget_cents: Budget = None
    offers: Annotated[list[Id], Field(min_length=1, max_length=MOST_OFFERS, description="Which offers it may give.")]
    settings: Annotated[
        dict[str, Any],
        Field(description="Audience, holdout, transport, message, caps and more: docs/campaigns.md has every field."),
    ] = Field(default_factory=dict)


class BudgetBody(Body):
    """A new budget, decided on a version of the campaign."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"budget_cents": 600_000, "version": 5}]})
    budget_cents: Budget
    version: Version


class StepBody(Body):
    """A step of a campaign's life."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"version": 3, "reason": "Prices were wrong."}]})
    version: Version | None = None
    reason: Annotated[Text, Field(description="Kept on the timeline.")] | None = None


class MessagesBody(Body):
    """Members to whom a message is shown, not sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"member_ids": ["1008"]}]})
    member_ids: Annotated[
        list[Id], Field(max_length=20, description="Whose; none: the first few whom the plan gives an offer.")
    ] = Field(default_factory=list)


class ListQuery(Body):
    """Which campaigns."""

    status: Annotated[StatusName | None, Field(description="Only in this state.")] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="Most campaigns.")] = 100
    after: Annotated[Id | None, Field(description="Only later ids: `next` of the answer before.")] = None


class ExportQuery(Body):
    """How the members of a plan are written."""

    format: Annotated[Literal["ndjson", "csv"], Field(description="One JSON object or one CSV line per member.")] = (
        "ndjson"
    )


class CampaignAnswer(Answer):
    """A campaign as it stands; `possible`: the steps that its state allows."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CAMPAIGN]})
    campaign_id: str
    name: str | None
    starts_at: str
    ends_at: str
    budget_cents: int | None
    spent_cents: int
    offers: list[str]
    settings: dict[str, Any]
    kind: str
    status: str
    version: int
    possible: list[str]
    plan_id: str | None
    author: str
    approved_by: str | None
    launch_at: str | None
    created_at: str
    updated_at: str


class CampaignsAnswer(Answer):
    """Campaigns by id; `next` asks for more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"campaigns": [_CAMPAIGN], "next": None}]})
    campaigns: list[CampaignAnswer]
    next: str | None


class PlanAnswer(Answer):
    """A plan as a job, and, once it is done, its figures; cents where nothing else is said."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PLAN]})
    plan_id: str
    campaign_id: str
    status: str
    step: str
    progress: float
    version: int
    requested_at: str
    requested_by: str
    finished_at: str | None
    bundle_id: str | None
    error: str | None
    figures: dict[str, Any]


class StepRow(Answer):
    """One step of a campaign's life; `status`: afterwards."""

    sequence: int
    at: str
    caller: str
    action: str
    status: str
    details: dict[str, Any]


class TimelineAnswer(Answer):
    """Everything that happened to a campaign, the first step first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "campaign_id": "spring",
                    "steps": [
                        {
                            "sequence": 4711,
                            "at": "2026-03-01T08:30:00+00:00",
                            "caller": "3f9a0c1b2d4e",
                            "action": "create",
                            "status": "draft",
                            "details": {},
                        }
                    ],
                }
            ]
        }
    )
    campaign_id: str
    steps: list[StepRow]


class MessageRow(Answer):
    """The message to one member; `problem`: why there is none."""

    member_id: str
    language: str
    title: str
    body: str
    link: str | None
    offer_id: str | None
    problem: str | None


class MessagesAnswer(Answer):
    """What members would read."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "messages": [
                        {
                            "member_id": "1008",
                            "language": "en",
                            "title": "For members",
                            "body": "10 off dairy, until March 16.",
                            "link": None,
                            "offer_id": "dairy-10",
                            "problem": None,
                        }
                    ]
                }
            ]
        }
    )
    messages: list[MessageRow]

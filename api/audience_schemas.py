"""Request and response bodies of audiences and card lists."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from api.fields import Answer, Body, Id, Text
from recommender.campaigns.audience_parsing import KINDS
from recommender.json_trees import MAX_CONDITIONS, MAX_DEPTH
from recommender.json_values import MAX_VALUES

MAX_SAMPLE = 100
MAX_MEMBERS = 10_000
MAX_FILE_CHARACTERS = 1 << 30
_EXPRESSION: JsonDict = {
    "and": [
        {"tier": ["gold", "silver"]},
        {"bought": {"category": "food > dairy", "within_days": 30, "channel": "offline"}},
        {"not": {"days_since": {"what": "coupon", "max": 14}}},
    ]
}
Expression = Annotated[
    dict[str, Any],
    Field(
        description=f"An object with exactly one key: `and`, `or` or `not` around others, or a condition. At most"
        f" {MAX_DEPTH} levels and {MAX_CONDITIONS} conditions; docs/audiences.md has every kind: {', '.join(KINDS)}."
    ),
    WithJsonSchema({"type": "object", "minProperties": 1, "maxProperties": 1}),
]


class ConsentBody(Body):
    """The consent that a message needs."""

    purpose: Annotated[Text, Field(min_length=1, description="`push`, unless the retailer asks for another.")] = "push"
    channel: Annotated[
        Text | None, Field(min_length=1, description="Those for this channel and for any; null: the latest of all.")
    ] = None


class CapsBody(Body):
    """Most messages of all campaigns to one household, or member, by calendar days; the present one is the last."""

    per_day: Annotated[int, Field(ge=1, le=1000)] | None = None
    per_week: Annotated[int, Field(ge=1, le=1000)] | None = None
    per_month: Annotated[int, Field(ge=1, le=1000)] | None = None


class PreviewRequest(Body):
    """Whom to count: an expression, or a saved audience; neither stands for everybody."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"expression": _EXPRESSION, "sample": 5, "caps": {"per_week": 2}}]}
    )
    expression: Expression | None = None
    audience_id: Annotated[Id | None, Field(description="A saved audience, its newest version.")] = None
    consent: Annotated[ConsentBody | None, Field(description="null: none is needed.")] = Field(
        default_factory=ConsentBody
    )
    caps: CapsBody = Field(default_factory=CapsBody)
    sample: Annotated[int, Field(ge=0, le=MAX_SAMPLE, description="Members shown.")] = 10


class SampleMember(Answer):
    """One member of an audience, for a person to look at."""

    member_id: str
    tier: str | None
    city: str | None
    home_store_id: str | None
    guide_id: str | None
    days_since_purchase: int | None
    orders: Annotated[int, Field(description="Within the last 365 days.")]
    spend_cents: Annotated[int, Field(description="Within the last 365 days.")]


class PartAnswer(Answer):
    """How many members one part of the expression holds for by itself."""

    path: str
    matched: int


class NoteAnswer(Answer):
    """Something to know about the answer."""

    code: Literal["nobody", "everybody", "all_left_out", "behind"]
    text: str


class FeaturesAnswer(Answer):
    """How recent the answer is. Consents, tiers and erasures are as of now; what members did is as of `built_at`."""

    built_at: str
    members: int
    members_changed: int
    members_new: int
    consents_changed: int
    written_since: Annotated[int, Field(description="Writes since `built_at`, events above all, that acts lack.")]


_FEATURES: JsonDict = {
    "built_at": "2026-03-01T00:30:00+00:00",
    "members": 1_000_000,
    "members_changed": 12,
    "members_new": 3,
    "consents_changed": 4,
    "written_since": 8_123,
}
_LEFT_OUT: JsonDict = {"erased": 0, "kind": 210, "opted_out": 1_204, "no_consent": 80_500, "held_out": 402, "capped": 0}
_SAMPLE: JsonDict = {
    "member_id": "1008",
    "tier": "gold",
    "city": "Hangzhou",
    "home_store_id": "shop-12",
    "guide_id": None,
    "days_since_purchase": 3,
    "orders": 41,
    "spend_cents": 512_300,
}
LeftOutCounts = Annotated[
    dict[str, int],
    Field(
        description="Members that match and are not reached, by the first reason: `erased`, `kind` (employees, tests"
        " and the like), `opted_out` (of personalisation, or a minor without a guardian's consent), `no_consent`,"
        " `held_out` (of all campaigns in this quarter), `capped`."
    ),
]


class PreviewAnswer(Answer):
    """How many members an audience has, and who of those that match are left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "count": 18_204,
                    "units": 16_990,
                    "matched": 100_520,
                    "left_out": _LEFT_OUT,
                    "parts": [{"path": "expression.and[0]", "matched": 220_104}],
                    "sample": [_SAMPLE],
                    "notes": [{"code": "behind", "text": "8,123 writes came after the features were made."}],
                    "features": _FEATURES,
                }
            ]
        }
    )
    count: Annotated[int, Field(description="Members that match and may be reached.")]
    units: Annotated[int, Field(description="Households, and members without one, among them.")]
    matched: Annotated[int, Field(description="Members that match, those left out among them.")]
    left_out: LeftOutCounts
    parts: list[PartAnswer]
    sample: list[SampleMember]
    notes: list[NoteAnswer]
    features: FeaturesAnswer


class AudienceRequest(Body):
    """An audience to save."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Dairy in shops, no coupon lately", "expression": _EXPRESSION}]}
    )
    name: Annotated[Text, Field(max_length=200)] = ""
    expression: Expression


_SAVED: JsonDict = {
    "audience_id": "dairy",
    "version": 2,
    "name": "Dairy in shops, no coupon lately",
    "expression": _EXPRESSION,
    "created_at": "2026-03-01T00:30:00+00:00",
    "created_by": "k1",
}


class AudienceAnswer(Answer):
    """One version of a saved audience."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SAVED]})
    audience_id: str
    version: int
    name: str
    expression: dict[str, Any]
    created_at: str
    created_by: str


class AudiencesAnswer(Answer):
    """The newest version of every saved audience, by id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"audiences": [_SAVED]}]})
    audiences: list[AudienceAnswer]


class AudienceQuery(Body):
    """Which version."""

    version: Annotated[int | None, Field(ge=1, strict=False, description="Without it the newest.")] = None


class CardListRequest(Body):
    """A list of members: identities one by one, or a file; larger files go through `memberwise audiences upload`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "Spring tasting", "namespace": "card", "values": ["600012345", "600012346"]},
                {"list_id": "vip-2026", "name": "VIP", "file": "Y2FyZAo2MDAwMTIzNDUK"},
            ]
        }
    )
    list_id: Annotated[Id | None, Field(description="Without it, one is made.")] = None
    name: Annotated[Text, Field(max_length=200)] = ""
    namespace: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9_]{1,64}$", description="Of the identities; `member` for member ids."),
    ] = None
    values: Annotated[list[Text] | None, Field(min_length=1, max_length=100_000)] = None
    file: Annotated[
        str | None,
        Field(
            max_length=MAX_FILE_CHARACTERS,
            description="In base64: CSV in UTF-8 or GB18030, or an .xlsx spreadsheet, whose first sheet is read.",
        ),
    ] = None
    column: Annotated[
        Text | None,
        Field(description="Heading of the file's column; without it the first whose heading says what it holds."),
    ] = None


class UnresolvedAnswer(Answer):
    """A row of the file, or a value of the list, that names nobody."""

    line: int
    reason: Literal["unknown", "conflict", "erased", "malformed"]


_LIST: JsonDict = {
    "list_id": "vip-2026",
    "name": "VIP",
    "rows": 1_204,
    "members": 1_190,
    "unknown": 9,
    "created_at": "2026-03-01T00:30:00+00:00",
    "created_by": "k1",
}


class CardListAnswer(Answer):
    """A list that was taken in. Several rows may name one member."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _LIST
                | {
                    "namespace": "card",
                    "unresolved": {"unknown": 8, "conflict": 1, "erased": 0, "malformed": 0},
                    "first_unresolved": [{"line": 17, "reason": "unknown"}],
                }
            ]
        }
    )
    list_id: str
    name: str
    rows: int
    members: int
    unknown: int
    created_at: str
    created_by: str
    namespace: str
    unresolved: Annotated[dict[str, int], Field(description="Rows that name nobody, by reason.")]
    first_unresolved: Annotated[list[UnresolvedAnswer], Field(description="The first hundred.")]


class ListedAnswer(Answer):
    """A list, as it was taken in."""

    list_id: str
    name: str
    rows: int
    unknown: int
    created_at: str
    created_by: str


class CardListsAnswer(Answer):
    """Every list, the latest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"card_lists": [{k: v for k, v in _LIST.items() if k != "members"}]}]}
    )
    card_lists: list[ListedAnswer]


class ItemAudienceRequest(Body):
    """Who would want some items: named one by one, by category or brand, or by an offer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"item_ids": ["milk-1l"], "count": 100}]})
    item_ids: Annotated[list[Id], Field(max_length=MAX_VALUES)] = Field(default_factory=list)
    categories: Annotated[list[Text], Field(max_length=MAX_VALUES)] = Field(default_factory=list)
    brands: Annotated[list[Text], Field(max_length=MAX_VALUES)] = Field(default_factory=list)
    offer_id: Id | None = None
    among: Annotated[Expression | None, Field(description="Only members for whom this holds.")] = None
    consent: Annotated[ConsentBody | None, Field(description="null: none is needed.")] = Field(
        default_factory=ConsentBody
    )
    count: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 100


class RankedMember(Answer):
    """A member and how much their acts speak for the items; higher is better, comparable within one answer."""

    member_id: str
    score: float


class ItemAudienceAnswer(Answer):
    """Members who would want some items, best first. `strategy`: a bundle's likeness of items, or categories alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "members": [{"member_id": "1008", "score": 7.31}],
                    "scored": 20_411,
                    "strategy": "item_neighbors",
                    "bundle_id": "20260301-0123456789ab",
                    "left_out": _LEFT_OUT,
                    "features": _FEATURES,
                }
            ]
        }
    )
    members: list[RankedMember]
    scored: Annotated[int, Field(description="Members of whom anything speaks for the items and who may be reached.")]
    strategy: Literal["item_neighbors", "categories"]
    bundle_id: str | None
    left_out: LeftOutCounts
    features: FeaturesAnswer

"""Request and response bodies of recommendations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, WrapValidator, model_validator
from pydantic.config import JsonDict
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from api.fields import Answer, Body, Id
from api.own_coupon_schemas import SlateCoupon
from api.request_context import ContextBody
from api.schemas import Channel, Identity, ProblemAnswer, one_customer
from api.steering_schemas import SteeringBody
from recommender.query import Scenario

MAX_COUNT = 100
MAX_EXCLUDED = 10_000
MAX_REACHABLE = 200
MAX_BATCH = 100
MAX_TOKEN = 100_000
MAX_FILTER_TEXT = 20_000

Count = Annotated[int, Field(ge=1, le=MAX_COUNT, description="Items wanted.")]
Excluded = Annotated[list[Id], Field(max_length=MAX_EXCLUDED, description="Items that must not be shown.")]
ScenarioField = Annotated[Scenario, Field(strict=False, description="The placement: what makes a good slate here.")]
StoreField = Annotated[
    Id | None, Field(description="The shop or online store whose stock, assortment and prices hold.")
]
Reachable = Annotated[
    list[Id],
    Field(
        max_length=MAX_REACHABLE,
        description="Stores the customer can buy from: what one of them has may be shown. Without it, the store named"
        " counts, or else the home store, the stores of its city and online ones.",
    ),
]
NextField = Annotated[
    str | None,
    Field(max_length=MAX_TOKEN, description="The `next` of the last answer: goes on without what was shown."),
]
ValidateOnly = Annotated[
    bool, Field(description="Checks the request and says what would apply; nothing is served or recorded.")
]
IncludeCoupons = Annotated[
    bool,
    Field(description="Puts the member's coupons beside the items that they are for; the slate stays the same."),
]
FilterText = Annotated[
    str | None, Field(max_length=MAX_FILTER_TEXT, description="A filter, as JSON text; docs/filters.md.")
]


class SlateQuery(Body):
    """What any slate is asked for."""

    store_id: StoreField = None
    reachable_store_ids: Reachable = Field(default_factory=list)
    channel: Channel | None = None
    count: Count = 10
    exclude: Excluded = Field(default_factory=list)
    next: NextField = None


class SimilarQuery(SlateQuery):
    """What a slate about an item is asked for, as query parameters."""

    filters: FilterText = None
    validate_only: ValidateOnly = False


class RecommendationQuery(SimilarQuery):
    """What a slate is asked for, as query parameters."""

    scenario: ScenarioField = Scenario.HOME
    include_coupons: IncludeCoupons = False


class SlateBody(SteeringBody, SlateQuery):
    """A slate, and for whom: a member, an identity, or nobody known."""

    scenario: ScenarioField = Scenario.HOME
    member_id: Id | None = None
    identity: Identity | None = None
    context: ContextBody = Field(default_factory=ContextBody)

    @model_validator(mode="after")
    def _customer(self) -> SlateBody:
        one_customer(self.member_id, self.identity)
        return self


_REQUESTS: list[JsonDict] = [
    {"scenario": "home", "member_id": "1008", "store_id": "shop-12", "channel": "app", "count": 5},
    {"scenario": "home", "member_id": "1008", "store_id": "shop-12", "include_coupons": True},
    {"scenario": "trending", "count": 10},
    {"scenario": "discover", "identity": {"namespace": "wechat_openid", "value": "oAbc123"}},
    {"scenario": "similar", "context": {"item_id": "milk-1l"}, "count": 5},
    {"scenario": "basket", "member_id": "1008", "context": {"basket_item_ids": ["milk-1l", "bread"]}},
    {
        "scenario": "session",
        "channel": "web",
        "context": {"events": [{"item_id": "bread"}, {"item_id": "milk-1l", "kind": "basket_add"}]},
    },
    {
        "scenario": "home",
        "member_id": "1008",
        "store_id": "shop-12",
        "filters": {"and": [{"category": "food"}, {"price_cents": {"max": 2000}}]},
        "exclude": ["bread"],
        "boosts": [{"filters": {"brand": "Alm"}, "factor": 1.5}],
        "bury": {"category": "food > snacks"},
        "pins": [{"item_id": "milk-1l", "position": 1}],
    },
]


class RecommendationRequest(SlateBody):
    """What a slate is asked for, and for whom: a member, an identity, or nobody known."""

    model_config = ConfigDict(json_schema_extra={"examples": list(_REQUESTS)})
    validate_only: ValidateOnly = False
    include_coupons: IncludeCoupons = False


@dataclass(frozen=True, slots=True)
class UnreadableRequest:
    """A request of a batch that does not keep the schema; the others are not held up by it."""

    error: ValidationError


def _or_unreadable(value: Any, read: ValidatorFunctionWrapHandler) -> RecommendationRequest | UnreadableRequest:
    try:
        request: RecommendationRequest = read(value)
        return request
    except ValidationError as error:
        return UnreadableRequest(error)


class BatchRequest(Body):
    """Several requests, each of which gets its own result."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"requests": [*_REQUESTS[:2]]}]})
    requests: Annotated[
        list[Annotated[RecommendationRequest, WrapValidator(_or_unreadable)]],
        Field(min_length=1, max_length=MAX_BATCH),
    ]


class ReasonAnswer(Answer):
    """Why an item is shown: a code for programs, a sentence for people, and the facts behind it."""

    code: str
    text: str
    evidence: dict[str, str | int | float]


class AvailabilityAnswer(Answer):
    """What is known of the item's stock in the store asked about."""

    store_id: str | None
    on_hand: float | None
    state: Literal["known", "unknown"]


class SlateItem(Answer):
    """One item of the slate; `price_cents` is the price in the store asked about, now, or null."""

    item_id: str
    title: str | None
    position: int = Field(ge=1)
    score: float
    reasons: list[ReasonAnswer]
    price_cents: int | None
    sponsored: bool
    availability: AvailabilityAnswer
    coupon: SlateCoupon | None = None


class PinApplies(Answer):
    """A pin; `rule` says why it would not be shown."""

    item_id: str
    position: int
    shown: bool
    rule: str | None


class BoostApplies(Answer):
    """A boost, and how many items it is for."""

    factor: float
    items: int


class CoolDownApplies(Answer):
    """How long what was bought is kept back."""

    share: float
    categories: dict[str, int]


class AppliesAnswer(Answer):
    """What would apply to a request; `dropped` beside it then counts items of the whole catalogue."""

    items: Annotated[int, Field(description="Items of the catalogue.")]
    allowed: Annotated[int, Field(description="Items that the slate can be made from.")]
    settings_version: Annotated[int | None, Field(description="Of the scenario's settings; null where it has none.")]
    store_id: Annotated[str | None, Field(description="Whose prices and assortment hold.")]
    stock_store_ids: Annotated[list[str], Field(description="One of these must have an item.")]
    pins: list[PinApplies]
    boosts: list[BoostApplies]
    cool_down: CoolDownApplies | None
    diversity: float | None
    repeat_share: float | None
    exploration_share: float


class ExperimentGroup(Answer):
    """The experiment that the customer takes part in here, and the group that answered."""

    name: str
    group: Literal["control", "treatment"]


_SLATE: JsonDict = {
    "recommendation_id": "019c5a2f1b3d8e6a4c0f7b9d2e1a5c3",
    "scenario": "home",
    "bundle_id": "2026-03-01-4f1c9a7be2d0",
    "strategy": "personal",
    "experiment": None,
    "flags": [],
    "items": [
        {
            "item_id": "milk-1l",
            "title": "Whole milk, 1 l",
            "position": 1,
            "score": 0.91,
            "reasons": [
                {
                    "code": "bought_regularly",
                    "text": "Bought every 7 days",
                    "evidence": {"interval_days": 7},
                }
            ],
            "price_cents": 129,
            "sponsored": False,
            "availability": {"store_id": "shop-12", "on_hand": 14, "state": "known"},
            "coupon": None,
        }
    ],
    "dropped": {"out_of_stock": 3},
    "next": "eJyrVirOTVWyUoo2.Zm9vYmFy",
    "applies": None,
}


class RecommendationAnswer(Answer):
    """The slate. `strategy` names the path that made it, `flags` what was not known, `dropped` what rules
    removed.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_SLATE]})
    recommendation_id: Annotated[str | None, Field(description="Null where nothing was served: `validate_only`.")]
    scenario: Scenario
    bundle_id: str
    strategy: str
    experiment: ExperimentGroup | None = None
    flags: list[str]
    items: list[SlateItem]
    dropped: dict[str, int]
    next: Annotated[str | None, Field(description="Send it with the same request for more; null at the end.")]
    applies: Annotated[AppliesAnswer | None, Field(description="With `validate_only`: what would apply.")] = None


class BatchEntry(Answer):
    """What became of one request of a batch: a slate, or a problem."""

    result: RecommendationAnswer | None
    problem: ProblemAnswer | None


class BatchAnswer(Answer):
    """The results, in the order of the requests."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"served": 1, "failed": 0, "results": [{"result": _SLATE, "problem": None}]}]}
    )
    served: int
    failed: int
    results: list[BatchEntry]

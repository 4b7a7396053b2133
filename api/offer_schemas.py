"""Bodies and answers of offers: their rows, and what the wallet knows of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from api.coupon_schemas import Fulfilment
from api.fields import Answer, Body, Cents, Id, Text, UtcTime, wrong
from api.table_schemas import MAX_ROWS
from recommender.coupons.offers import MAX_COUNT

MAX_OFFERS = 200
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class ScopeBody(Body):
    """What goods an offer is for; each list adds to the others."""

    items: Annotated[list[Id], Field(max_length=10_000)] = Field(default_factory=list)
    categories: Annotated[
        list[Text], Field(max_length=1_000, description="Paths; each covers everything below it.")
    ] = Field(default_factory=list)
    brands: Annotated[list[Text], Field(max_length=1_000)] = Field(default_factory=list)


class OfferRow(Body):
    """A discount and its conditions. Columns that are left out keep their value; null clears one."""

    offer_id: Id
    title: Text | None = None
    kind: Literal["amount_off", "percent_off", "fixed_price", "free_delivery", "gift"]
    value: (
        Annotated[
            int,
            Field(
                ge=0,
                le=10**15,
                description="Cents (amount_off; fixed_price: of one unit) or basis points (percent_off).",
            ),
        ]
        | None
    ) = None
    assumed_value_cents: Cents | None = None
    minimum_spend_cents: Cents | None = None
    maximum_discount_cents: Cents | None = None
    scope: Annotated[ScopeBody, Field(description="Everything if left out.")] | None = None
    stores: list[Id] | None = None
    channels: list[Text] | None = None
    fulfilment: list[Fulfilment] | None = None
    segments: Annotated[list[Text], Field(description="Tiers, or `segments` in a member's attributes.")] | None = None
    points_cost: Count | None = None
    valid_from: UtcTime | None = None
    valid_until: Annotated[UtcTime, Field(description="The first moment after.")] | None = None
    stock: Annotated[Count, Field(description="Coupons there are in all.")] | None = None
    per_member_limit: Count | None = None
    funded_share: Annotated[float, Field(ge=0, le=1, description="Part that a supplier pays.")] | None = None
    wallet: Literal["memberwise", "external"] | None = None
    exclusive_group: Text | None = None


class OffersRequest(Body):
    """Offers to add or change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "offers": [
                        {
                            "offer_id": "dairy-10",
                            "title": "10 off dairy",
                            "kind": "amount_off",
                            "value": 1000,
                            "minimum_spend_cents": 5000,
                            "scope": {"categories": ["food > dairy"]},
                            "stock": 2000,
                            "per_member_limit": 1,
                        }
                    ]
                }
            ]
        }
    )
    offers: Annotated[list[OfferRow], Field(min_length=1, max_length=MAX_OFFERS)]


class OfferStateAnswer(Answer):
    """What the wallet knows of an offer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"offer_id": "dairy-10", "below_cost": True, "approved_by": "key-7", "frozen": False, "reason": None}
            ]
        }
    )
    offer_id: str
    below_cost: Annotated[bool, Field(description="Goods in its scope may be sold below their cost.")]
    approved_by: Annotated[str | None, Field(description="The key that approved the present terms.")]
    frozen: bool
    reason: Annotated[str | None, Field(description="Why it is frozen.")]


class FreezeRequest(Body):
    """Why an offer is frozen."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Codes were shared in a forum."}]})
    reason: Annotated[Text, Field(min_length=1)]


class ExternalCoupon(Body):
    """A coupon that another system issued, as it stands there."""

    coupon_id: Id
    offer_id: Id
    member_id: Id
    status: Literal["issued", "locked", "redeemed", "expired", "voided"]
    issued_at: UtcTime | None = None
    expires_at: UtcTime | None = None
    source: Annotated[Text, Field(description="The system, such as `crm` or `wechat_pay`.")] | None = None


class ExternalRedemption(Body):
    """The use of a coupon in another system; the same `redemption_id` is the same redemption."""

    redemption_id: Id
    member_id: Id
    offer_id: Id
    coupon_id: Id | None = None
    campaign_id: Annotated[Id, Field(description="Whose budget it comes off.")] | None = None
    order_id: Id | None = None
    redeemed_at: UtcTime
    channel: Annotated[Text, Field(max_length=64)] | None = None
    store_id: Id | None = None
    discount_cents: Cents | None = None


class FollowedCoupon(ExternalCoupon):
    """A coupon of another system, as it stood there at a time."""

    as_of: Annotated[UtcTime, Field(description="When it came to stand so; what is older than known changes nothing.")]


class StatusRequest(Body):
    """What another system tells in a signed webhook: the same `webhook-id` is the same message."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "coupon.status",
                    "coupons": [
                        {
                            "coupon_id": "wx-7",
                            "offer_id": "wx-5-off",
                            "member_id": "1008",
                            "status": "redeemed",
                            "as_of": "2026-03-01T09:30:00+08:00",
                        }
                    ],
                    "redemptions": [
                        {
                            "redemption_id": "wx-r-7",
                            "coupon_id": "wx-7",
                            "offer_id": "wx-5-off",
                            "member_id": "1008",
                            "campaign_id": "spring",
                            "redeemed_at": "2026-03-01T09:30:00+08:00",
                            "discount_cents": 500,
                        }
                    ],
                }
            ]
        }
    )
    type: Literal["coupon.status"] = "coupon.status"
    coupons: Annotated[list[FollowedCoupon], Field(max_length=MAX_ROWS)] = Field(default_factory=list)
    redemptions: Annotated[list[ExternalRedemption], Field(max_length=MAX_ROWS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _something(self) -> StatusRequest:
        if not self.coupons and not self.redemptions:
            raise wrong("rows", "Nothing is told.", "`coupons`, `redemptions`, or both")
        return self


class StatusAnswer(Answer):
    """What became of a message."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"repeated": False, "received": 2, "outdated": 0, "changed": 2}]}
    )
    repeated: Annotated[bool, Field(description="The message was known: nothing was done again.")]
    received: int
    outdated: Annotated[int, Field(description="Coupons of which something newer was known.")]
    changed: Annotated[int, Field(description="Coupons and redemptions added or changed.")]


class ExternalRequest(Body):
    """What another system tells of its coupons."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "coupons": [
                        {"coupon_id": "wx-7", "offer_id": "wx-5-off", "member_id": "1008", "status": "redeemed"}
                    ],
                    "redemptions": [
                        {
                            "redemption_id": "wx-r-7",
                            "coupon_id": "wx-7",
                            "offer_id": "wx-5-off",
                            "member_id": "1008",
                            "campaign_id": "spring",
                            "redeemed_at": "2026-03-01T09:30:00+08:00",
                            "discount_cents": 500,
                        }
                    ],
                }
            ]
        }
    )
    coupons: Annotated[list[ExternalCoupon], Field(max_length=MAX_ROWS)] = Field(default_factory=list)
    redemptions: Annotated[list[ExternalRedemption], Field(max_length=MAX_ROWS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _something(self) -> ExternalRequest:
        if not self.coupons and not self.redemptions:
            raise wrong("rows", "Nothing is told.", "`coupons`, `redemptions`, or both")
        return self

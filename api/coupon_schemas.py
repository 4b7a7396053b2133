"""Bodies and answers of the wallet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict, JsonValue

from api.fields import Answer, Body, Cents, Id, Text, UtcTime, wrong
from recommender.coupons.refusal_texts import SENTENCES
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Status

MAX_ISSUED = 500
MAX_COUPONS = 20
MAX_LINES = 500

Fulfilment = Literal["in_store", "pick_up", "delivery"]
OrderId = Annotated[Id, Field(description="The order that uses the coupons; its locks and redemptions are its own.")]
RequestNo = Annotated[
    Id,
    Field(description="A business number of this request: done once for good; a redemption is rolled back by it."),
]
REASONS = "Why it is refused. " + " ".join(f"`{reason}`: {SENTENCES[reason][0]}" for reason in Refusal)
TillDigits = Annotated[str, Field(pattern=r"^[0-9 ]{13,20}$", description="As scanned or typed; spaces do not matter.")]


class IssueRow(Body):
    """A coupon to give to a member."""

    offer_id: Id
    member_id: Id
    campaign_id: Annotated[Id, Field(description="Whose budget pays and whose holdout counts.")] | None = None
    service: Annotated[bool, Field(description="Given by hand, outside of campaigns.")] = False
    expires_at: Annotated[UtcTime, Field(description="The offer's end if that is earlier.")] | None = None
    device: Annotated[Id, Field(description="Kept as a keyed hash only.")] | None = None
    payer: Annotated[Id, Field(description="Kept as a keyed hash only.")] | None = None
    phone: Annotated[Id, Field(description="Kept as a keyed hash only.")] | None = None


class IssueRequestBody(Body):
    """Coupons to issue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"request_no": "wave-1-1008", "coupons": [{"offer_id": "dairy-10", "member_id": "1008"}]},
                {"coupons": [{"offer_id": "dairy-10", "member_id": "1008", "service": True}]},
            ]
        }
    )
    coupons: Annotated[list[IssueRow], Field(min_length=1, max_length=MAX_ISSUED)]
    request_no: RequestNo | None = None


class LineBody(Body):
    """One line of an order; category, brand and restricted class come from the catalogue."""

    item_id: Id
    quantity: Annotated[float, Field(gt=0, le=1e9)]
    unit_price_cents: Cents
    discount_cents: Annotated[Cents, Field(description="Taken off the line already by what is no coupon.")] = 0


class PurchaseBody(Body):
    """An order that is not paid yet."""

    lines: Annotated[list[LineBody], Field(min_length=1, max_length=MAX_LINES)]
    store_id: Id | None = None
    channel: Annotated[Text, Field(max_length=64)] | None = None
    fulfilment: Fulfilment | None = None
    delivery_fee_cents: Cents = 0


class CouponRef(Body):
    """One coupon, by its id or by the code at the till."""

    coupon_id: Id | None = None
    code: TillDigits | None = None

    @model_validator(mode="after")
    def _one(self) -> CouponRef:
        if (self.coupon_id is None) == (self.code is None):
            raise wrong("coupon", "A coupon is named once.", "`coupon_id` or `code`")
        return self


Coupons = Annotated[list[CouponRef], Field(min_length=1, max_length=MAX_COUPONS)]
_PURCHASE: JsonDict = {
    "store_id": "shop-12",
    "channel": "pos",
    "lines": [{"item_id": "milk-1l", "quantity": 40, "unit_price_cents": 129}],
}
_REF: list[JsonValue] = [{"coupon_id": "0f3a9c1e5b7d4c2a8e6f1b0d9c7a5e31"}]
BuyerId = Annotated[Id, Field(description="Who buys; whose the first coupon is if left out.")]


class QualifyRequest(Body):
    """A member, and what they are about to buy."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"member_id": "1008", "purchase": _PURCHASE}]})
    member_id: Id
    purchase: PurchaseBody


class ValidateRequest(Body):
    """Coupons, and what is about to be bought."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"coupons": _REF, "purchase": _PURCHASE}]})
    coupons: Coupons
    purchase: PurchaseBody
    order_id: OrderId | None = None
    member_id: BuyerId | None = None


class LockRequest(Body):
    """Coupons to reserve for an order."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"order_id": "till-12-88213", "coupons": _REF, "purchase": _PURCHASE}]}
    )
    coupons: Coupons
    order_id: OrderId
    purchase: PurchaseBody
    member_id: BuyerId | None = None
    ttl_seconds: (
        Annotated[
            int, Field(ge=1, le=86_400, description="How long it lasts; `MEMBERWISE_COUPON_LOCK_SECONDS` if left out.")
        ]
        | None
    ) = None
    request_no: RequestNo | None = None


class RedeemRequest(Body):
    """Coupons to spend: those that the order locked, or, with the purchase, in one go."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"order_id": "till-12-88213", "coupons": _REF, "request_no": "till-12-88213-1"},
                {"order_id": "till-12-88213", "coupons": _REF, "purchase": _PURCHASE},
            ]
        }
    )
    coupons: Coupons
    order_id: OrderId
    purchase: Annotated[PurchaseBody, Field(description="Needed for coupons that are not locked.")] | None = None
    member_id: BuyerId | None = None
    request_no: RequestNo | None = None


class ReleaseRequest(Body):
    """Locks to give back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"order_id": "till-12-88213", "coupons": _REF}]})
    coupons: Coupons
    order_id: OrderId
    request_no: RequestNo | None = None


class RollbackRequest(Body):
    """A redemption to undo, by the request number it came with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"request_no": "till-12-88213-1"}]})
    request_no: Annotated[Id, Field(description="`request_no` of the redemption.")]


class ReturnRequest(Body):
    """An order that was returned."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"order_id": "till-12-88213", "coupons": _REF, "full": True}]}
    )
    coupons: Coupons
    order_id: OrderId
    full: Annotated[bool, Field(description="Everything was returned: coupon and budget are restored.")]
    request_no: RequestNo | None = None


class VoidRequest(Body):
    """Coupons to withdraw, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"coupons": _REF, "reason": "Claimed by a robot."}]})
    coupons: Coupons
    reason: Annotated[Text, Field(min_length=1)]
    request_no: RequestNo | None = None


class MergeRequest(Body):
    """Two member ids that turned out to be one person."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from_member_id": "2044", "into_member_id": "1008"}]})
    from_member_id: Annotated[Id, Field(description="Who is no member of their own any more.")]
    into_member_id: Annotated[Id, Field(description="Who has everything from now on.")]


class MergeAnswer(Answer):
    """What became of the coupons."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"moved": 3, "withdrawn": 1}]})
    moved: Annotated[int, Field(description="Coupons that changed hands.")]
    withdrawn: Annotated[int, Field(description="Unused coupons beyond what one member may have.")]


class CodeRequest(Body):
    """A coupon to be shown at a till."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REF[0]]})
    coupon_id: Id


class CouponOutcome(Answer):
    """What came of one coupon."""

    coupon_id: str | None
    result: Annotated[
        Literal["done", "repeated", "refused"],
        Field(description="`repeated`: it had been done before, for the same order; nothing was done again."),
    ]
    status: Annotated[Status | None, Field(description="As the coupon stands now; null if there is none.")]
    reason: Annotated[Refusal | None, Field(description=REASONS)]
    message: Annotated[str | None, Field(description="The reason as a sentence for the customer.")]
    short_by: Annotated[int | None, Field(description="What is missing: cents of spend, or points.")]
    offer_id: str | None
    discount_cents: int
    line_discounts_cents: Annotated[list[int], Field(description="Aligned with the purchase's lines.")]
    delivery_discount_cents: int
    expires_at: str | None
    locked_until: str | None


_LOCKED: JsonDict = {
    "coupon_id": "0f3a9c1e5b7d4c2a8e6f1b0d9c7a5e31",
    "result": "done",
    "status": "locked",
    "reason": None,
    "message": None,
    "short_by": None,
    "offer_id": "dairy-10",
    "discount_cents": 1000,
    "line_discounts_cents": [1000],
    "delivery_discount_cents": 0,
    "expires_at": "2026-03-31T16:00:00+00:00",
    "locked_until": "2026-03-01T09:45:00+00:00",
}
_REFUSED: JsonDict = _LOCKED | {
    "coupon_id": "77aa0c1e5b7d4c2a8e6f1b0d9c7a5e31",
    "result": "refused",
    "status": "issued",
    "reason": "below_minimum_spend",
    "message": "3.40 more is needed to use this coupon.",
    "short_by": 340,
    "discount_cents": 0,
    "line_discounts_cents": [],
    "locked_until": None,
}


_ISSUED: JsonDict = _LOCKED | {"status": "issued", "locked_until": None}


class CouponsAnswer(Answer):
    """What came of each coupon, in the order asked; a refusal is an answer, with its reason, and not an error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"done": 1, "refused": 1, "discount_cents": 1000, "coupons": [_LOCKED, _REFUSED]}]
        }
    )
    done: int
    refused: int
    discount_cents: Annotated[int, Field(description="Of all coupons that are not refused.")]
    coupons: list[CouponOutcome]


class TogetherAnswer(Answer):
    """Coupons that apply together."""

    discount_cents: int
    coupons: list[CouponOutcome]


class QualifyAnswer(Answer):
    """A member's coupons for a purchase: each on its own, and what they are worth together."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "coupons": [_ISSUED, _REFUSED],
                    "together": {
                        "discount_cents": 1000,
                        "coupons": [_ISSUED],
                    },
                }
            ]
        }
    )
    coupons: Annotated[list[CouponOutcome], Field(description="Worth most first; refused ones last.")]
    together: Annotated[TogetherAnswer, Field(description="Those that apply together, in order of application.")]


class CodeAnswer(Answer):
    """A number to show at a till in place of the coupon, for a short while."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "digits": "2 948201 117364",
                    "barcode": "2948201117364",
                    "format": "EAN-13",
                    "expires_at": "2026-03-01T09:35:00+00:00",
                    "reason": None,
                    "message": None,
                }
            ]
        }
    )
    digits: Annotated[str | None, Field(description="In groups, to be read out; null if refused.")]
    barcode: Annotated[str | None, Field(description="What the barcode holds.")]
    format: Literal["EAN-13"]
    expires_at: str | None
    reason: Annotated[Refusal | None, Field(description=REASONS)]
    message: str | None

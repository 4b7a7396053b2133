"""Answers with the coupons of one member, alone and beside the items of a slate."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.fields import Answer
from recommender.coupons.decisions import Decision
from recommender.coupons.offer_texts import CouponReason
from recommender.coupons.prospects import Origin
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Status


class ShownCoupon(Answer):
    """A coupon that the member holds, or an offer that they may claim (`coupon_id` null) through `:issue`."""

    origin: Annotated[
        Origin,
        Field(description="`held`: in the wallet. `plan`, `online`: decided for this member. `public`: for everybody."),
    ]
    coupon_id: str | None
    offer_id: str
    campaign_id: Annotated[str | None, Field(description="To be named when it is claimed: whose budget pays.")]
    title: str | None
    discount: Annotated[str, Field(description="What it takes off, in words.")]
    conditions: list[str]
    expires_at: str | None
    assumed: Annotated[
        bool, Field(description="Its face value, or what it earns, is assumed: not told, or not from randomised sends.")
    ]


class SlateCoupon(ShownCoupon):
    """A coupon beside an item of a slate."""

    price_after_cents: Annotated[
        int | None,
        Field(description="Of one unit, in this store; null where the price is unknown or one unit is not enough."),
    ]
    short_by_cents: Annotated[int | None, Field(description="What one unit lacks of the minimum spend.")]


class CouponReasonAnswer(Answer):
    """Why a coupon is shown: a code for programs, a sentence for people, and the facts behind it."""

    code: CouponReason
    text: str
    evidence: dict[str, str | int | float]


class OwnCoupon(ShownCoupon):
    """A coupon or an offer of a member."""

    status: Annotated[Status | None, Field(description="Of a coupon that is held.")]
    not_usable: Annotated[
        str | None,
        Field(description="Why it cannot be used now: `sold_out`, or a reason as in `/v1/coupons:validate`."),
    ]
    reasons: list[CouponReasonAnswer]
    expected_saving_cents: Annotated[int, Field(description="What it is expected to save the member.")]
    expected_profit_cents: Annotated[
        int | None, Field(description="Incremental, for the retailer; null for member tokens and where none is known.")
    ]
    redemption_probability: Annotated[float | None, Field(ge=0, le=1, description="As above.")]


class OfferLeftOut(Answer):
    """An offer that was decided or is public, and cannot be claimed by this member now."""

    offer_id: str
    reason: Annotated[str, Field(description="`sold_out`, or a reason as in `/v1/coupons:issue`.")]


_EXAMPLE: JsonDict = {
    "member_id": "1008",
    "flags": [],
    "coupons": [
        {
            "origin": "plan",
            "coupon_id": None,
            "offer_id": "dairy-10",
            "campaign_id": "spring",
            "title": "Dairy week",
            "discount": "10.00 off",
            "conditions": ["On: food > dairy", "From 30.00 spent on these goods", "Until 31 March 2026"],
            "expires_at": "2026-03-31T16:00:00+00:00",
            "assumed": False,
            "status": None,
            "not_usable": None,
            "reasons": [
                {
                    "code": "buys_often",
                    "text": "You bought these goods on 9 days of the last 180, last on 20 March 2026",
                    "evidence": {"times": 9, "days": 180, "last_on": "2026-03-20"},
                }
            ],
            "expected_saving_cents": 503,
            "expected_profit_cents": 122,
            "redemption_probability": 0.31,
        }
    ],
    "left_out": [{"offer_id": "wine-5", "reason": "not_in_segment"}],
}


class OwnCouponsAnswer(Answer):
    """The coupons of a member, best first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})
    member_id: str
    flags: Annotated[list[str], Field(description="`unknown_member`; `not_personalised`: held and public ones only.")]
    coupons: list[OwnCoupon]
    left_out: Annotated[list[OfferLeftOut], Field(description="Empty for member tokens.")]


class FairnessAnswer(Answer):
    """The published rules: face values of all that is not given by hand lie in this range."""

    least_cents: Annotated[int, Field(description="The least that an offer on an amount takes off.")]
    most_cents: Annotated[int, Field(description="The most that one coupon takes off.")]
    least_percent: float
    most_percent: float
    new_days: Annotated[
        int, Field(description="Days in which members are new: per head not given more than loyal ones; 0: no floor.")
    ]


class DecisionAnswer(Answer):
    """Why one offer was given to the member, or was not."""

    offer_id: str
    given: bool
    code: Annotated[Decision | Refusal, Field(description="A decision of the plan, or a refusal as in `:issue`.")]
    text: str
    propensity: Annotated[float | None, Field(ge=0, le=1, description="Chance with which it was given.")]


class PlanDecisions(Answer):
    """What one plan says of the member; `considered` false: decided now, at the plan's prices."""

    plan_id: str | None
    campaign_id: str | None
    planned_for: str
    bundle_id: str
    considered: bool
    decisions: list[DecisionAnswer]


class ShownCouponRow(Answer):
    """A coupon or an offer that was shown, or that a list left out (`origin` left_out) for a `reason`."""

    recommendation_id: str
    position: int
    item_id: Annotated[str | None, Field(description="Beside which item; null in the member's list.")]
    offer_id: str
    coupon_id: str | None
    campaign_id: str | None
    origin: str
    reason: str | None
    propensity: float | None
    scenario: str
    bundle_id: str | None
    channel: str | None
    occurred_at: str


_DECISIONS: JsonDict = {
    "member_id": "1008",
    "rules": {
        "least_cents": 100,
        "most_cents": 5000,
        "least_percent": 5.0,
        "most_percent": 50.0,
        "new_days": 90,
    },
    "plans": [
        {
            "plan_id": "7d0c3a52f3c14a0e9b8f6d2e1a4c5b60",
            "campaign_id": "spring",
            "planned_for": "2026-03-01T08:00:00+00:00",
            "bundle_id": "20260301T020000-3f9a0c1b2d4e",
            "considered": True,
            "decisions": [
                {
                    "offer_id": "dairy-10",
                    "given": True,
                    "code": "best_worth",
                    "text": "Given: of all offers it is expected to earn most with this member.",
                    "propensity": 0.99,
                }
            ],
        }
    ],
    "shown": [],
}


class DecisionsAnswer(Answer):
    """Why a member is given which offers, or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DECISIONS]})
    member_id: str
    rules: FairnessAnswer
    plans: list[PlanDecisions]
    shown: Annotated[list[ShownCouponRow], Field(description="The latest 200, within a few seconds.")]

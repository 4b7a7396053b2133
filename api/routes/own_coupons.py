"""The coupons of one member: held, and to be claimed."""

from __future__ import annotations

from api import problems
from api.auth import MemberAccess, Scope
from api.coupon_decisions import decisions_body
from api.openapi import Operation, Reply
from api.own_coupon_answers import own_coupons_body
from api.own_coupon_schemas import DecisionsAnswer, OwnCouponsAnswer
from api.services import Call, Services
from api.slates import serving_now


def get_own_coupons(services: Services, call: Call, member_id: str) -> Reply:
    """Answer with what a member holds and may claim."""
    return Reply(own_coupons_body(services, call, serving_now(services), member_id))


def get_coupon_decisions(services: Services, call: Call, member_id: str) -> Reply:
    """Answer with why a member is given which offers, or none."""
    return Reply(decisions_body(services, call, serving_now(services), member_id))


_DECISIONS = """
For those who answer customers and auditors: one code, with a sentence in the language of `Accept-Language`, for every
offer of every kept plan, given or not; for a member whom a plan did not consider, as it would be decided now. Then
what was shown, beside items or in the member's list, and what the list left out, with its reason.

Fairness is a rule of every decision. Whatever is not given by hand has a face value within the published range, which
`rules` states (settings `MEMBERWISE_COUPON_LEAST_CENTS`, `_MOST_CENTS`, `_LEAST_PERCENT`, `_MOST_PERCENT`). Inside one
eligibility class, new members are not given more per head than loyal ones (`MEMBERWISE_COUPON_NEW_DAYS`). Who opted
out gets the public offers. Gender, age, city and device are not known to the models.
"""
_OWN = """
The coupons in the member's wallet, and the offers that were decided for them or are open to everybody and can be
claimed now, ranked by what they are worth to the retailer and to the member. Each has its terms in words and the
reasons why it is shown, in the language of `Accept-Language`; the facts in `evidence` are counted from the member's own
purchases.

Reading spends nothing: an offer becomes a coupon when it is claimed by `POST /v1/coupons:issue` with its `offer_id` and
`campaign_id`, and every limit is held against it then. Left out, with the reason, is what cannot be claimed: held out
of the campaign, budget or stock spent, goods sold out in all stores in reach. Members who opted out of personal offers
get what they hold and the public offers (`not_personalised`); members of kinds that are not learned from get none.
Without the database there are no coupons: 503.
"""

OPERATIONS = (
    Operation(
        id="get_own_coupons",
        method="GET",
        path="/v1/members/{member_id}/coupons",
        tag="coupons",
        summary="A member's coupons: held, and to be claimed.",
        description=_OWN,
        view=get_own_coupons,
        answers={200: OwnCouponsAnswer},
        scope=Scope.COUPONS,
        member=MemberAccess.PATH,
        problems=(problems.NO_BUNDLE,),
        localized=True,
    ),
    Operation(
        id="get_coupon_decisions",
        method="GET",
        path="/v1/members/{member_id}/coupon-decisions",
        tag="coupons",
        summary="Why a member is given which offers, or none.",
        description=_DECISIONS,
        view=get_coupon_decisions,
        answers={200: DecisionsAnswer},
        scope=Scope.COUPONS,
        problems=(problems.NO_BUNDLE, problems.NOT_FOUND),
        localized=True,
    ),
)

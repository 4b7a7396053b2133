"""The coupons of one member: held, and to be claimed."""

from __future__ import annotations

from api import problems
from api.auth import MemberAccess, Scope
from api.openapi import Operation, Reply
from api.own_coupon_answers import own_coupons_body
from api.own_coupon_schemas import OwnCouponsAnswer
from api.services import Call, Services
from api.slates import serving_now


def get_own_coupons(services: Services, call: Call, member_id: str) -> Reply:
    """Answer with what a member holds and may claim."""
    return Reply(own_coupons_body(services, call, serving_now(services), member_id))


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
)

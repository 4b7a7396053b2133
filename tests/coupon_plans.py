"""Small plans of offers for tests: made and kept by the real functions, with scores set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from recommender.coupons.decisions import decide_why
from recommender.coupons.kept_plans import Reasons, keep_plan
from recommender.coupons.offers import Offer
from recommender.coupons.planning import PlanRequest, make_plan, multipliers_of
from recommender.coupons.scores import OfferScores
from recommender.ids import IdIndex


def keep(
    home: Path,
    profits: Mapping[str, Mapping[str, float]],
    at: datetime,
    campaign_id: str | None = None,
    assumed: bool = False,
    per_member: int = 1,
    plan_id: str | None = None,
) -> Path:
    """Plan offers by their profits, cents by member and offer, and keep the plan; what is not named earns nothing.

    Every coupon costs 10 cents and is redeemed with a chance of 0.25. With a `plan_id` its reasons are kept too.
    """
    members = IdIndex.of(profits)
    offer_ids = tuple(sorted({offer for row in profits.values() for offer in row}))
    shape = (len(members), len(offer_ids))
    profit = np.zeros(shape, np.float32)
    for member_id, row in profits.items():
        for offer_id, cents in row.items():
            profit[members.row(member_id), offer_ids.index(offer_id)] = cents
    cost = np.full(shape, 10.0, np.float32)
    scores = OfferScores(
        members,
        offer_ids,
        at,
        profit,
        np.ones(shape, np.float32),
        cost,
        cost,
        np.full(shape, 0.25, np.float32),
        np.full(shape[1], assumed, bool),
    )
    offers = tuple(Offer(offer_id, kind="amount_off", value=40) for offer_id in offer_ids)  # type: ignore[arg-type]
    request = PlanRequest(offers, None, (None,) * shape[1], per_member=per_member)
    plan = make_plan(scores, np.ones(shape, bool), request)
    reasons = None if plan_id is None else Reasons(plan_id, decide_why(plan, np.zeros(shape, np.uint8), offers))
    return keep_plan(home, plan, scores, multipliers_of(plan, scores, campaign_id, "b1"), reasons=reasons)

"""Why a member is given which offers, or none: what plans and decisions between plans say, and what was shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.engine import Connection

from api.members import refuse_erased
from api.own_coupon_answers import Body, ask_for
from api.own_coupons import Asked
from api.services import Call, Services
from api.serving import Serving
from recommender.coupons.decision_texts import decision_text
from recommender.coupons.decisions import Decision
from recommender.coupons.judging import Judgement
from recommender.coupons.kept_plans import Decided, KeptPlan
from recommender.coupons.online import Newcomer
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Turn
from recommender.storage.exposures import coupons_shown
from recommender.storage.personal import subjects_held

MOST_SHOWN = 200
"""Coupons shown that are told, the latest ones."""

Code = Decision | Refusal


def decisions_body(services: Services, call: Call, serving: Serving, member_id: str) -> Body:
    """Return the decisions on a member, with their reasons.

    Raises: NotFoundError if the member was erased; StoreBusyError.
    """
    asked = ask_for(serving, call, member_id)
    with services.database.read(snapshot=True) as connection:
        refuse_erased(connection, member_id)
        plans = [_plan_body(services, call, asked, connection, plan) for plan in services.plans.current()]
        shown = coupons_shown(connection, subjects_held(connection, member_id), MOST_SHOWN)
    return {
        "member_id": member_id,
        "rules": services.wallet.fairness.described(),
        "plans": plans,
        "shown": [{**one, "occurred_at": _iso(one["occurred_at"])} for one in shown],
    }


def _plan_body(services: Services, call: Call, asked: Asked, connection: Connection, plan: KeptPlan) -> Body:
    member_id = asked.member_id or ""
    given = plan.of(member_id)
    codes: Sequence[Code] | None = plan.reasons(member_id)
    if given is None:
        found = _between(services, call, asked, connection, plan)
        given, codes = [found.given] if found.given is not None else [], found.why
    multipliers = plan.multipliers
    return {
        "plan_id": plan.plan_id or None,
        "campaign_id": multipliers.campaign_id,
        "planned_for": _iso(multipliers.at),
        "bundle_id": multipliers.bundle_id,
        "considered": plan.of(member_id) is not None,
        "decisions": _decisions(call, plan, codes or (), given),
    }


def _between(services: Services, call: Call, asked: Asked, connection: Connection, plan: KeptPlan) -> Judgement:
    decider, live, query = asked.serving.decider, asked.live, asked.query
    if decider is None or not query.personal:
        return Judgement(None, (Decision.OPTED_OUT,) * len(plan.multipliers.offer_id) if not query.personal else ())
    newcomer = Newcomer(asked.member_id or "", query.history, query.as_of)
    turn = Turn(connection, services.wallet, call.now)
    return decider.judge(turn, plan, newcomer, live.catalog, live.item_masks)


def _decisions(call: Call, plan: KeptPlan, codes: Sequence[Code], given: Sequence[Decided]) -> list[Body]:
    chances = {one.offer_id: one.propensity for one in given}
    return [
        {
            "offer_id": offer_id,
            "given": offer_id in chances,
            "code": code,
            "text": decision_text(code, call.language),
            "propensity": chances.get(offer_id),
        }
        for offer_id, code in zip(plan.multipliers.offer_id, codes, strict=False)
    ]


def _iso(time: object) -> str:
    assert isinstance(time, datetime)
    return time.astimezone(UTC).isoformat()

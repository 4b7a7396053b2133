"""Coupons of a member as answers hold them: in words, with reasons, in the language asked for."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from dataclasses import dataclass
from datetime import datetime

from api.described import Described, Looked, new_recommendation_id
from api.own_coupons import SOLD_OUT, Asked, Own, Ranked, beside_slate, days_left, expiry_of, last_day, rank_own
from api.services import Call, Services
from api.serving import Serving
from recommender.coupons.beside import Beside
from recommender.coupons.coverage import LOOK_BACK_DAYS, REGULAR_TIMES
from recommender.coupons.offer_texts import CouponReason, Evidence, WhyCoupon, conditions, headline
from recommender.coupons.prospects import Origin, Prospect
from recommender.errors import StoreBusyError
from recommender.events import member_subject
from recommender.exposures import CouponShown, Exposure
from recommender.lookup import STORE_UNAVAILABLE
from recommender.query import Scenario
from recommender.request import SlateRequest

Body = dict[str, object]
logger = logging.getLogger(__name__)

NEEDS_MEMBER = "coupons_need_a_member"
"""Flag of a slate with coupons for somebody who is no known member."""
UNAVAILABLE = "coupons_unavailable"
"""Flag of a slate whose coupons could not be looked up: then there are none."""
UNKNOWN_MEMBER = "unknown_member"
NOT_PERSONALISED = "not_personalised"
SOON_DAYS = 7
LIST = "coupons"
"""Scenario of exposures of a member's list."""
LEFT_OUT = "left_out"
"""Origin of what a member's list leaves out, in exposures."""


@dataclass(frozen=True, slots=True)
class SlateCoupons:
    """The coupon of each item of a slate as answers hold it, None without one; and what is recorded of them."""

    bodies: list[Body | None]
    shown: tuple[CouponShown, ...] = ()


def own_coupons_body(services: Services, call: Call, serving: Serving, member_id: str) -> Body:
    """Return what a member holds and may claim, after it is recorded.

    Raises: StoreBusyError: without the database, and without a record, there is no coupon.
    """
    asked = ask_for(serving, call, member_id)
    with services.database.read(snapshot=True) as connection:
        ranked = rank_own(services, call, asked, connection)
    _note(call, ranked)
    if (ranked.found or ranked.left_out) and not services.exposures.record(_list_exposure(call, asked, ranked)):
        services.metrics.exposures_failed.inc()
        raise StoreBusyError("What is shown cannot be recorded now. Try again.")
    ours = call.caller is not None and call.caller.member_id is None
    return {
        "member_id": member_id,
        "flags": _flags(ranked),
        "coupons": [_own_body(services, call, one, asked, ours) for one in ranked.found],
        # Whom a campaign holds out is not for members to know: it would change what they do.
        "left_out": [
            {"offer_id": offer_id, "reason": why} for offer_id, why in sorted(ranked.left_out.items()) if ours
        ],
    }


def ask_for(serving: Serving, call: Call, member_id: str) -> Asked:
    """Return the question for all coupons of a member. Raises: StoreBusyError."""
    request = SlateRequest(Scenario.HOME, 1, subject=member_subject(member_id))
    live = serving.live.current(call.now)
    query, who = serving.source.query(request, live, call.now)
    if STORE_UNAVAILABLE in who.flags:
        raise StoreBusyError("Coupons cannot be looked up now. Try again.")
    return Asked(request, serving, live, query, who)


def _list_exposure(call: Call, asked: Asked, ranked: Ranked) -> Exposure:
    """Return what is recorded of a list: what it holds, and what it leaves out and why."""
    shown = [shown_as(one.prospect) for one in ranked.found]
    left_out = [CouponShown(offer_id, LEFT_OUT, reason=why) for offer_id, why in sorted(ranked.left_out.items())]
    return Exposure(
        recommendation_id=new_recommendation_id(call.now),
        occurred_at=call.now,
        scenario=LIST,
        bundle_id=asked.serving.bundle.bundle_id,
        strategy=LIST,
        subject=asked.request.subject,
        store_id=None,
        channel=None,
        item_id=(),
        score=(),
        source=(),
        reason=(),
        coupons=(*shown, *left_out),
    )


def shown_as(prospect: Prospect, item_id: str | None = None) -> CouponShown:
    """Return what is recorded of a coupon that is shown."""
    coupon, decided = prospect.coupon, prospect.decided
    return CouponShown(
        offer_id=prospect.offer.offer_id,
        origin=str(prospect.origin),
        item_id=item_id,
        coupon_id=None if coupon is None else coupon.coupon_id,
        campaign_id=(None if decided is None else decided.campaign_id) if coupon is None else coupon.campaign_id,
        reason=None if decided is None else decided.reason,
        propensity=None if decided is None else decided.propensity,
    )


def slate_coupons(services: Services, call: Call, one: Looked, described: Described) -> SlateCoupons:
    """Return the coupon of each item of a slate; where they cannot be looked up none, and a flag that says so."""
    nothing = SlateCoupons([None] * len(described.item_ids))
    if not one.request.coupons:
        return nothing
    asked = Asked(one.request, one.serving, one.live, one.query, one.who)
    if STORE_UNAVAILABLE in described.flags:
        described.flags.append(UNAVAILABLE)
        return nothing
    if asked.member_id is None:
        described.flags.append(NEEDS_MEMBER)
        return nothing
    try:
        found = beside_slate(services, call, asked, described)
    except StoreBusyError as error:
        logger.warning("coupons_not_read reason=%s", error.message)
        described.flags.append(UNAVAILABLE)
        return nothing
    placed = zip(described.item_ids, found, strict=True)
    return SlateCoupons(
        [None if beside is None else _beside_body(services, call, beside) for beside in found],
        tuple(shown_as(beside.prospect, item_id) for item_id, beside in placed if beside is not None),
    )


def _flags(ranked: Ranked) -> list[str]:
    if not ranked.known:
        return [UNKNOWN_MEMBER]
    return [] if ranked.personalised else [NOT_PERSONALISED]


def _note(call: Call, ranked: Ranked) -> None:
    """Say in the log line of the request how many were shown and why others were not; no ids."""
    origins = Tally(str(one.prospect.origin) for one in ranked.found)
    call.notes |= {f"coupons_{name}": count for name, count in sorted(origins.items())}
    call.notes |= {f"left_out_{why}": count for why, count in sorted(Tally(ranked.left_out.values()).items())}


def _common(services: Services, call: Call, prospect: Prospect) -> Body:
    """Return what is said of a coupon wherever it is shown."""
    offer, coupon, decided = prospect.offer, prospect.coupon, prospect.decided
    ends = expiry_of(prospect)
    campaign_id = None if decided is None else decided.campaign_id
    return {
        "origin": prospect.origin,
        "coupon_id": None if coupon is None else coupon.coupon_id,
        "offer_id": offer.offer_id,
        "campaign_id": campaign_id if coupon is None else coupon.campaign_id,
        "title": offer.title,
        "discount": headline(offer, call.language),
        "conditions": conditions(offer, ends, call.language, services.settings.zone),
        "expires_at": _iso(ends),
        "assumed": offer.assumed or (decided is not None and decided.assumed),
    }


def _beside_body(services: Services, call: Call, beside: Beside) -> Body:
    return _common(services, call, beside.prospect) | {
        "price_after_cents": beside.price_after_cents,
        "short_by_cents": beside.short_by_cents,
    }


def _own_body(services: Services, call: Call, one: Own, asked: Asked, ours: bool) -> Body:
    """Return a coupon; what the retailer expects of it is told to applications only."""
    prospect, decided = one.prospect, one.prospect.decided
    against = SOLD_OUT if one.sold_out else prospect.refused
    reasons = _reasons(services, one, asked, call.now)
    return _common(services, call, prospect) | {
        "status": None if prospect.coupon is None else prospect.coupon.status,
        "not_usable": against,
        "reasons": [{"code": why.code, "text": why.text(call.language), "evidence": why.evidence} for why in reasons],
        "expected_saving_cents": round(one.useful_cents),
        "expected_profit_cents": round(decided.profit_cents) if ours and decided is not None else None,
        "redemption_probability": decided.redemption if ours and decided is not None else None,
    }


def _reasons(services: Services, one: Own, asked: Asked, now: datetime) -> list[WhyCoupon]:
    """Return why a coupon is shown, the member's own history first."""
    found, bought = [], one.bought
    offset = asked.serving.recommender.day_offset_minutes
    if bought is not None and bought.times:
        evidence: dict[str, Evidence] = {
            "times": bought.times,
            "days": LOOK_BACK_DAYS,
            "last_on": last_day(bought, offset).isoformat(),
        }
        code = CouponReason.BUYS_OFTEN if bought.times >= REGULAR_TIMES else CouponReason.BOUGHT_LATELY
        found.append(WhyCoupon(code, evidence))
    coupon = one.prospect.coupon
    if coupon is not None:
        since = coupon.issued_at.astimezone(services.settings.zone).date()
        found.append(WhyCoupon(CouponReason.HELD, {"since_on": since.isoformat()}))
    if one.prospect.origin is Origin.PUBLIC:
        found.append(WhyCoupon(CouponReason.OPEN_TO_ALL, {}))
    if bought is not None and not bought.times:
        found.append(WhyCoupon(CouponReason.NOT_LATELY, {"days": LOOK_BACK_DAYS}))
    if expiry_of(one.prospect) is not None and days_left(one.prospect, now) <= SOON_DAYS:
        found.append(WhyCoupon(CouponReason.ENDS_SOON, {"days": max(int(days_left(one.prospect, now)), 0)}))
    return found


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()

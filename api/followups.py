"""A guide's customers of today: ranked, with what to offer, why, the coupon, the stock and the last contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from api.audiences import Desk, features_body
from api.delivery_rules import installed_caps
from api.own_coupon_answers import own_coupons_body
from api.services import Call, Services
from api.slates import serve_slates, serving_now
from recommender.campaigns.audience_terms import Ground
from recommender.campaigns.followups import Customers, rank_customers, running_plans
from recommender.campaigns.guide_acts import (
    GUIDE,
    LatestAct,
    contacts_of,
    latest_acts,
    latest_messages,
    tasks_of,
)
from recommender.campaigns.live_features import units_contacted
from recommender.campaigns.live_members import events_since
from recommender.campaigns.member_columns import NO_DAY, granted
from recommender.errors import MemberwiseError
from recommender.events import EventKind, member_subject
from recommender.placement import NO_STEERING, parse_steering
from recommender.query import Scenario
from recommender.request import SlateRequest

Body = dict[str, object]
PURPOSE = "push"
"""The consent that a word of a guide needs, for the channel GUIDE or for any."""
PAGE = 100
"""Customers whose earlier acts are read at once."""
DELICATE = ("infant_formula", "medicine", "sensitive")
TEXTS = {
    "coupon": {"en": "A coupon is expected to earn {cents}", "zh": "一张优惠券预计多赚 {cents}"},
    "due": {"en": "{products} products are due", "zh": "{products} 种商品到了再次购买的时间"},
    "last_purchase": {"en": "Last bought {days} days ago", "zh": "上次购买在 {days} 天前"},
}
_NOT_DELICATE = parse_steering({"filters": {"not": {"restricted_class": list(DELICATE)}}})


@dataclass(frozen=True, slots=True)
class Chosen:
    """Places of customers for today, what guides last did about them, and how many more there are."""

    places: Sequence[int]
    acts: Mapping[str, LatestAct]
    waiting: int


def followups_body(services: Services, call: Call, guide_id: str, store_id: str | None, items: int) -> Body:
    """Return a guide's follow-ups of today. Raises: ProblemError, no-bundle; ConflictError without features."""
    serving, settings = serving_now(services), services.settings
    desk = Desk(services.audiences, settings, serving.bundle)
    today = call.now.astimezone(settings.zone).date()
    with services.database.read(snapshot=True) as connection:
        ground = desk.ground(connection, call.now)
        resting = units_contacted(connection, GUIDE, today, settings.guide_rest_days, 1)
        rules = desk.rules(connection, ground, PURPOSE, GUIDE, installed_caps(settings), resting)
        plans = running_plans(connection, services.plans.current(), call.now)
        customers = rank_customers(ground, guide_id, rules, plans, settings.guide_effect)
        contacted = contacts_of(connection, guide_id, today)
        room = max(settings.guide_capacity - contacted, 0)
        chosen = _choose(connection, services, call, customers, room)
        tasks = tasks_of(connection, guide_id)
        written = events_since(ground.features, connection)
        messages = latest_messages(connection, [customers.member_ids[at] for at in chosen.places])
    slates = _slates(services, call, [customers.member_ids[at] for at in chosen.places], store_id, items)
    followups = [
        _followup(services, call, ground, customers, at, slate)
        | _history(chosen.acts.get(customers.member_ids[at]), messages.get(customers.member_ids[at]))
        for at, slate in zip(chosen.places, slates, strict=True)
    ]
    followups.sort(key=_worth)
    return {
        "guide_id": guide_id,
        "day": today.isoformat(),
        "capacity": settings.guide_capacity,
        "contacted": contacted,
        "tasks": [asdict(task) | {"since": task.since.isoformat()} for task in tasks],
        "followups": [one | {"position": position} for position, one in enumerate(followups, 1)],
        "waiting": chosen.waiting,
        "left_out": {str(reason): count for reason, count in customers.selection.left_out.items()},
        "features": features_body(customers.selection, written),
    }


def has_consented(ground: Ground, member_id: str) -> bool:
    """Tell whether a member agrees to be contacted by a guide."""
    rows = ground.features.rows([member_id])
    return len(rows) == 1 and bool(granted(ground.features.columns.latest(PURPOSE, GUIDE))[rows[0]])


def _choose(connection: Connection, services: Services, call: Call, customers: Customers, room: int) -> Chosen:
    """Choose the best customers whom nobody did or skipped lately."""
    since = call.now - timedelta(days=services.settings.guide_rest_days)
    places: list[int] = []
    acts: dict[str, LatestAct] = {}
    over = 0
    for start in range(0, len(customers.rows), PAGE):
        page = range(start, min(start + PAGE, len(customers.rows)))
        found = latest_acts(connection, [customers.member_ids[at] for at in page], since)
        acts |= found
        for at in page:
            act = found.get(customers.member_ids[at])
            if act is None or act.kind is EventKind.GUIDE_ACCEPT:
                places.append(at)
            else:
                over += 1
        if len(places) >= room:
            break
    return Chosen(places[:room], acts, len(customers.rows) - over - len(places[:room]))


def _slates(services: Services, call: Call, member_ids: Sequence[str], store_id: str | None, items: int) -> list[Body]:
    """Return what to offer each customer; each slate is recorded as one of the channel GUIDE."""
    steering = NO_STEERING if services.settings.show_delicate_goods else _NOT_DELICATE
    requests = [
        SlateRequest(
            Scenario.HOME, items, member_subject(member_id), store_id=store_id, channel=GUIDE, steering=steering
        )
        for member_id in member_ids
    ]
    found = []
    for answer in serve_slates(services, call, requests) if requests else ():
        if isinstance(answer, MemberwiseError):
            raise answer
        found.append(answer)
    return found


def _followup(services: Services, call: Call, ground: Ground, customers: Customers, at: int, slate: Body) -> Body:
    """Return a customer with why they are worth a word and what to offer; with a coupon only if it can be used now."""
    own = own_coupons_body(services, call, serving_now(services), customers.member_ids[at])
    coupons = own["coupons"]
    assert isinstance(coupons, list)
    coupon = next((one for one in coupons if one["not_usable"] is None), None)
    profit = 0 if coupon is None else max(coupon["expected_profit_cents"] or 0, 0)
    due, due_cents = int(customers.due[at]), round(float(customers.due_cents[at]))
    day = int(ground.features.of_base(ground.features.lately.last_bought, NO_DAY)[customers.rows[at]])
    language, reasons = call.language, []
    if profit:
        reasons.append(_reason("coupon", language, cents=profit))
    if due:
        reasons.append(_reason("due", language, products=due, cents=due_cents))
    if day != NO_DAY:
        reasons.append(_reason("last_purchase", language, days=ground.today - day))
    return {
        "member_id": customers.member_ids[at],
        "expected_profit_cents": profit + due_cents,
        "assumed": bool(due) or (coupon is not None and bool(coupon["assumed"])),
        "reasons": reasons,
        "recommendation_id": slate["recommendation_id"],
        "items": slate["items"],
        "coupon": coupon,
    }


def _worth(one: Body) -> tuple[int, str]:
    profit, member_id = one["expected_profit_cents"], one["member_id"]
    assert isinstance(profit, int)
    assert isinstance(member_id, str)
    return -profit, member_id


def _reason(code: str, language: str, **evidence: int) -> Body:
    shown = {name: f"{value / 100:.2f}" if name == "cents" else value for name, value in evidence.items()}
    return {"code": code, "text": TEXTS[code][language].format(**shown), "evidence": evidence}


def _history(act: LatestAct | None, message: datetime | None) -> Body:
    found = [(act.at, str(act.kind))] if act is not None else []
    if message is not None:
        found.append((message, "message"))
    last = max(found, default=None)
    return {
        "status": "open" if act is None else "accepted",
        "last_contact": None if last is None else {"at": last[0].isoformat(), "kind": last[1]},
    }

"""A campaign that has ended, written row by row into the shared tables: groups, messages, coupons and purchases."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.events import Event, EventKind, member_subject, subject_key
from recommender.settings import CoreSettings
from recommender.storage.campaign_tables import (
    campaign_members,
    campaign_plans,
    campaign_states,
    deliveries,
    holdout_periods,
)
from recommender.storage.database import Database
from recommender.storage.event_log import log_schema, open_event_log, register
from recommender.storage.events import LOG_COLUMNS, append_events, content_hash
from recommender.storage.statements import next_sequence
from recommender.storage.upserts import upsert
from recommender.storage.wallet_tables import coupon_ledger, wallet_coupons
from tests.factories import NOW

START = NOW - timedelta(days=40)
WINDOW_DAYS = 28
GLOBAL_SHARE, OWN_CHANCE = 0.1, 0.6
CHANCE = (1 - GLOBAL_SHARE) * OWN_CHANCE
CONTACT_CENTS = 7
CAMPAIGN = "spring"
ITEMS = (
    {"item_id": "milk", "category": "food > dairy", "brand": "Acme", "price_cents": 1500, "cost_cents": 700},
    {"item_id": "bread", "category": "food > bakery", "price_cents": 900},
    {"item_id": "wine", "category": "drinks", "price_cents": 9000, "cost_cents": 5000, "restricted_class": "alcohol"},
)
OFFERS = (
    {
        "offer_id": "dairy",
        "kind": "amount_off",
        "value": 500,
        "scope": {"categories": ["food > dairy"]},
        "funded_share": 0.4,
    },
    {"offer_id": "all", "kind": "percent_off", "value": 1000},
)
OPTED_OUT, EMPLOYEE, ERASED = "m007", "m008", "erased:77"


PERIOD = {
    "period": "2026Q1",
    "starts_at": START - timedelta(days=20),
    "ends_at": START + timedelta(days=70),
    "share": round(10_000 * GLOBAL_SHARE),
    "salt": "quarter",
}


@dataclass(slots=True)
class Rows:
    """What is written, by table, as plain rows."""

    members: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    coupons: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    elsewhere: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def make_rows(seed: int = 5, members: int = 150, lift: float = 0.25) -> Rows:
    """Draw a campaign: households of up to three, buying habits that last, more buying by the treated."""
    rng, rows = random.Random(seed), Rows()
    unit, arm, habit = "", "treated", 1.0
    for number in range(members):
        member = f"m{number:03d}"
        household = f"h{number // 3:03d}" if number % 3 else None
        if household is None or unit != f"household:{household}":
            unit = member_subject(member) if household is None else f"household:{household}"
            arm = _draw(rng)
            habit = rng.lognormvariate(0, 0.6)
        kind = "employee" if member == EMPLOYEE else "consumer"
        rows.members.append(
            {
                "member_id": member,
                "household_id": household,
                "kind": kind,
                "tier": rng.choice(["gold", "silver", None]),
                "city": "Suzhou",
            }
        )
        _assign(rows, rng, member, unit, arm)
        _shop(rows, rng, member, habit, 1 + lift if arm == "treated" else 1.0)
    # Two of one household who stand in different groups, as after a merge.
    rows.groups[16]["arm"], rows.groups[17]["arm"] = "treated", "holdout"
    sent = [row["delivery_id"] for row in rows.messages if row["state"] == "delivered"]
    rows.events += [
        _answer(1, EventKind.PUSH_OPEN, sent[0]),
        _answer(2, EventKind.PUSH_OPEN, sent[0]),
        _answer(3, EventKind.PUSH_OPEN, sent[1]),
        _answer(4, EventKind.PUSH_CLICK, sent[1]),
        _answer(5, EventKind.PUSH_CLICK, "of another campaign"),
    ]
    rows.messages.append(_message(ERASED, member_subject(ERASED), "treated", "dairy", START, "sent", None))
    rows.messages.append(_message("m001", "household:h000", "treated", "dairy", START, "sent", None, test=True))
    return rows


def _draw(rng: random.Random) -> str:
    """Draw a group: the global holdout first, then the campaign's own."""
    if rng.random() < GLOBAL_SHARE:
        return "global_holdout"
    return "treated" if rng.random() < OWN_CHANCE else "holdout"


def _assign(rows: Rows, rng: random.Random, member: str, unit: str, arm: str) -> None:
    offer = rng.choice(["dairy", "all"])
    rows.groups.append(
        {
            "campaign_id": CAMPAIGN,
            "member_id": member,
            "unit": unit,
            "arm": arm,
            "propensity": CHANCE,
            "offer_id": offer,
            "assigned_at": START - timedelta(days=3),
        }
    )
    at = START + timedelta(hours=rng.randrange(48))
    state, reason = ("sent", None) if arm == "treated" else ("withheld", None)
    drawn = rng.random()
    if drawn < 0.1:
        state, reason = "skipped", rng.choice(["capped", "quiet"])
    elif drawn < 0.15 and arm == "treated":
        state, reason = "failed", "unreachable"
    elif drawn < 0.5 and arm == "treated":
        state = "delivered"
    rows.messages.append(_message(member, unit, arm, offer, at, state, reason))
    if arm == "treated" and state in ("sent", "delivered") and rng.random() < 0.5:
        _redeem(rows, rng, member, offer, at)


def _message(
    member: str, unit: str, arm: str, offer: str, at: datetime, state: str, reason: str | None, test: bool = False
) -> dict[str, Any]:
    return {
        "delivery_id": f"d-{member}{'-test' if test else ''}",
        "campaign_id": CAMPAIGN,
        "occasion": "",
        "member_id": member,
        "unit": unit,
        "arm": arm,
        "propensity": CHANCE,
        "offer_id": offer,
        "transport": "webhook",
        "state": state,
        "reason": reason,
        "test": test,
        "worth_cents": 1.0,
        "due_at": at,
        "attempts": 1,
        "created_at": at,
        "sent_at": at if state in ("sent", "delivered", "withheld") else None,
    }


def _redeem(rows: Rows, rng: random.Random, member: str, offer: str, at: datetime) -> None:
    """Redeem one coupon: mostly in the wallet and in the window, some late, some in another system."""
    used, cents = at + timedelta(days=rng.randrange(1, 36)), rng.choice([500, 300, 0])
    if rng.random() < 0.2:
        rows.elsewhere.append(
            {
                "redemption_id": f"r-{member}",
                "member_id": member,
                "offer_id": offer,
                "campaign_id": CAMPAIGN,
                "redeemed_at": used,
                "discount_cents": cents,
            }
        )
        return
    coupon = {"coupon_id": f"k-{member}", "offer_id": offer, "campaign_id": CAMPAIGN}
    rows.coupons.append(
        {
            **coupon,
            "member_id": member,
            "status": "redeemed",
            "service": False,
            "issued_at": at,
            "order_id": f"o-{member}",
            "discount_cents": cents,
        }
    )
    for entry, time, spent in (("issue", at, 0), ("redeem", used, cents)):
        status = "issued" if entry == "issue" else "redeemed"
        rows.ledger.append(
            {**coupon, "entry": entry, "status": status, "reserved_cents": 0, "spent_cents": spent, "at": time}
            | {"caller": "till"}
        )


def _shop(rows: Rows, rng: random.Random, member: str, habit: float, lift: float) -> None:
    """Buy on some days before and after, in the shop or with a phone number that is linked to the member."""
    subject = member_subject(member)
    if rng.random() < 0.2:
        subject = subject_key("wechat_openid", f"w-{member}")
        rows.links.append({"namespace": "wechat_openid", "value": f"w-{member}", "member_id": member})
    for number in range(int(rng.expovariate(1 / (4 * habit * lift)))):
        at = START + timedelta(days=rng.uniform(-35, 39))
        order = f"o-{member}-{number}"
        for line in range(rng.randrange(1, 3)):
            item = rng.choice(["milk", "milk", "bread", "wine"])
            event = Event(
                event_id=f"{order}-{line}",
                occurred_at=at,
                kind=EventKind.PURCHASE,
                channel=rng.choice(["pos", "app"]),
                subject=subject,
                item_id=item,
                order_id=None if rng.random() < 0.1 else order,
                order_line=str(line),
                quantity=float(rng.randrange(1, 4)),
                unit_price_cents=None if rng.random() < 0.1 else rng.randrange(500, 9000),
                discount_cents=rng.choice([None, 100, 250]),
                status=rng.choice(["paid", "paid", "paid", "cancelled"]),
            )
            rows.events.append(event)
            if event.order_id is not None and event.status == "paid" and rng.random() < 0.1:
                rows.events.append(_return_of(event, rng))


def _answer(number: int, kind: EventKind, message_id: str) -> Event:
    told = f'{{"message_id": "{message_id}"}}'
    return Event(f"a-{number}", START + timedelta(days=number), kind, "app", member_subject("m001"), attributes=told)


def _return_of(event: Event, rng: random.Random) -> Event:
    """Give a line back, whole or in part."""
    return Event(
        event_id=f"{event.event_id}-back",
        occurred_at=event.occurred_at + timedelta(days=1),
        kind=EventKind.RETURN,
        channel="pos",
        subject=event.subject,
        item_id=event.item_id,
        order_id=event.order_id,
        quantity=1.0 if rng.random() < 0.5 else event.quantity,
    )


def write_rows(database: Database, settings: CoreSettings, rows: Rows) -> None:
    """Write everything; half of the events lie in the event log, half are live, some in both."""
    campaign = {
        "campaign_id": CAMPAIGN,
        "name": "Spring",
        "starts_at": START,
        "ends_at": START + timedelta(days=10),
        "budget_cents": 1_000_000,
        "offers": ["all", "dairy"],
    }
    refused = {"member_id": OPTED_OUT, "purpose": "personalization", "granted": False, "at": START}
    with database.write() as connection:
        for table, found in (
            ("items", ITEMS),
            ("offers", OFFERS),
            ("campaigns", (campaign,)),
            ("members", rows.members),
            ("identities", rows.links),
            ("redemptions", rows.elsewhere),
            ("consents", (refused,)),
        ):
            upsert(connection, table, found, NOW)
        connection.execute(campaign_states.insert(), [_state()])
        connection.execute(campaign_plans.insert(), [_plan()])
        connection.execute(holdout_periods.insert(), [PERIOD])
        for into, values in (
            (campaign_members, rows.groups),
            (deliveries, rows.messages),
            (wallet_coupons, rows.coupons),
            (coupon_ledger, rows.ledger),
        ):
            if values:
                connection.execute(into.insert(), values)
        half = len(rows.events) // 2
        append_events(connection, rows.events[half:], NOW)
        _log(connection, settings, rows.events[: half + 20])


def _state() -> Mapping[str, object]:
    settings = f'{{"window_days": {WINDOW_DAYS}, "contact_cents": {CONTACT_CENTS}, "holdout_share": 0.4}}'
    return {
        "campaign_id": CAMPAIGN,
        "kind": "one_off",
        "status": "finished",
        "version": 5,
        "settings": settings,
        "salt": "salt",
        "plan_id": "plan",
        "author": "ann",
        "launch_at": START,
        "created_at": START,
        "updated_at": START,
    }


def _plan() -> Mapping[str, object]:
    return {
        "plan_id": "plan",
        "campaign_id": CAMPAIGN,
        "status": "done",
        "version": 1,
        "requested_at": START,
        "requested_by": "ann",
        "step": "done",
        "progress": 1.0,
        "figures": json.dumps(
            {"expected_profit_cents": {"mean": 900.0, "low": 100.0, "high": 1700.0}, "expected_cost_cents": 400.0}
        ),
    }


def _log(connection: Connection, settings: CoreSettings, events: list[Event]) -> None:
    own = {entry.name for entry in fields(Event)}
    rows = [
        {name: getattr(event, name) for name in LOG_COLUMNS if name in own}
        | {"kind": str(event.kind), "source": "test", "content_hash": content_hash(event)}
        for event in events
    ]
    sequence = next_sequence(connection)
    table = pa.Table.from_pylist(rows, schema=log_schema())
    register(connection, open_event_log(settings).write(table, sequence), sequence)


def all_rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    """Return a table as it is stored."""
    with database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]

"""A small world for tests of sending: a running campaign, its members, and a sender with a provider of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson

from recommender.campaigns.delivery.base import ACCEPTED, Answer, Outgoing
from recommender.campaigns.delivery.kinds import TransportSettings, parse_transport
from recommender.campaigns.outbox import NewDelivery, enqueue
from recommender.campaigns.sending import DeliveryRules, Sender
from recommender.storage.database import Database
from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros
from recommender.storage.upserts import upsert
from tests.factories import NOW

UTC_ZONE = ZoneInfo("UTC")
TEN_OFF: dict[str, Any] = {"offer_id": "ten", "kind": "amount_off", "value": 1000, "title": "牛奶减10"}
RULES = DeliveryRules(zone=UTC_ZONE)
MESSAGE = {"texts": {"zh": {"title": "{campaign}", "body": "{offer} {until}"}, "en": {"body": "{discount} at {store}"}}}


class Provider:
    """A transport that keeps what it is given, and answers as it is told."""

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self.sent: list[Outgoing] = []
        self.answers: dict[str, Answer] = {}
        self.answer = ACCEPTED

    def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
        self.sent += messages
        return [self.answers.get(one.member_id, self.answer) for one in messages]

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def members(self) -> list[str]:
        return sorted(one.member_id for one in self.sent)


class Clock:
    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


def settle_in(
    database: Database, members: Sequence[str] = ("m1", "m2"), consents: bool = True, **settings: Any
) -> None:
    """Fill the tables; the campaign c1 runs now, with the transport `way`, and members agreed to messages."""
    rows = [{"member_id": one} for one in members]
    agreed = [{"member_id": one, "purpose": "push", "granted": True, "at": NOW - timedelta(days=9)} for one in members]
    with database.write() as connection:
        upsert(connection, "members", rows, NOW)
        upsert(connection, "offers", [TEN_OFF | {"valid_until": NOW + timedelta(days=7)}], NOW)
        if consents:
            upsert(connection, "consents", agreed, NOW)
    put_campaign(database, "c1", **settings)


def put_campaign(database: Database, campaign_id: str, status: str = "running", **settings: Any) -> None:
    """Write a campaign as it stands, whatever led there."""
    offers = settings.pop("offers", ["ten"])
    facts = {"campaign_id": campaign_id, "name": "春日", "offers": offers, "budget_cents": 10_000}
    times = {"starts_at": NOW - timedelta(days=1), "ends_at": NOW + timedelta(days=30)}
    text = orjson.dumps({"transport": "way", "message": MESSAGE, "holdout_share": 0.0, **settings}).decode()
    with database.write() as connection:
        upsert(connection, "campaigns", [facts | times], NOW)
        execute(
            connection,
            "INSERT INTO campaign_states (campaign_id, kind, status, version, settings, salt, author, created_at,"
            " updated_at) VALUES (?, 'one_off', ?, 1, ?, 'salt', 'author', ?, ?)",
            (campaign_id, status, text, to_micros(NOW), to_micros(NOW)),
        )


def set_status(database: Database, status: str, campaign_id: str = "c1") -> None:
    with database.write() as connection:
        execute(connection, "UPDATE campaign_states SET status = ? WHERE campaign_id = ?", (status, campaign_id))


def message(member_id: str = "m1", **fields: Any) -> NewDelivery:
    """A message of campaign c1, due now."""
    known = {"campaign_id": "c1", "unit": f"member:{member_id}", "arm": "treated", "propensity": 0.9, "due_at": NOW}
    return NewDelivery(**{**known, "member_id": member_id, "transport": "way", **fields})


def put_out(database: Database, *messages: NewDelivery) -> None:
    with database.write() as connection:
        enqueue(connection, messages, NOW)


def way(kind: str = "webhook", **settings: Any) -> TransportSettings:
    needed = {} if kind == "file" else {"url": "https://shop.test/"}
    return parse_transport("way", kind, needed | settings)


def sender(
    database: Database,
    provider: Any,
    clock: Clock,
    settings: TransportSettings | None = None,
    rules: DeliveryRules = RULES,
    owner: str = "w1",
) -> Sender:
    return Sender(database, settings or way(), provider, rules, owner, clock, np.random.default_rng(7))


def consent(database: Database, member_id: str, granted: bool, at: datetime = NOW, **fields: Any) -> None:
    row = {"member_id": member_id, "purpose": "push", "granted": granted, "at": at, **fields}
    with database.write() as connection:
        upsert(connection, "consents", [row], at)


def found(database: Database) -> dict[str, tuple[str, str | None]]:
    """State and reason by member."""
    with database.read() as connection:
        rows = fetch(connection, "SELECT member_id, state, reason FROM deliveries ORDER BY member_id, delivery_id")
    return {row[0]: (row[1], row[2]) for row in rows}


def column(database: Database, name: str, member_id: str = "m1") -> Any:
    with database.read() as connection:
        return fetch(connection, f"SELECT {name} FROM deliveries WHERE member_id = ?", (member_id,))[0][0]


def sends(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return fetch(connection, "SELECT member_id, offer_id, arm, propensity FROM sends ORDER BY member_id, offer_id")


def at_utc(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of March 2026."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)

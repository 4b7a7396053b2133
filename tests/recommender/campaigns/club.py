"""A small club of members with a history, to ask audiences on: in a database, and as plain lists."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from recommender.campaigns.audience import Ground
from recommender.campaigns.audience_store import open_ground
from recommender.campaigns.feature_files import read_features
from recommender.campaigns.feature_refresh import refresh_features
from recommender.events import Event, EventKind
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.events import append_events
from tests.factories import NOW, make_event, put_rows

CHANNEL_KINDS = {"app": "online", "web": "online", "pos": "offline"}
ITEMS = {
    "milk": {"category": "food > dairy", "brand": "Cow", "price_cents": 300},
    "cheese": {"category": "food > dairy > cheese", "brand": "Cow", "price_cents": 900},
    "bread": {"category": "food > bakery", "brand": "Oven", "price_cents": 200},
    "soap": {"category": "home", "brand": "Clean", "price_cents": 500},
    "thing": {},
}
TIERS, CITIES = ("gold", "silver", None), ("Hangzhou", "Suzhou", None)


@dataclass
class Club:
    """What is recorded: rows of the member table and of consents, events, coupons."""

    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    consents: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    sends: list[dict[str, Any]] = field(default_factory=list)
    redemptions: list[dict[str, Any]] = field(default_factory=list)

    def put(self, database: Database) -> None:
        """Write all of it."""
        put_rows(database, "items", *({"item_id": item_id, **row} for item_id, row in ITEMS.items()))
        if self.members:
            put_rows(database, "members", *map(_as_row, self.members.values()))
        for table, rows in (
            ("consents", self.consents),
            ("offers", [{"offer_id": one, "kind": "amount_off", "value": 100} for one in ("o1", "o2")]),
            ("sends", self.sends),
            ("redemptions", self.redemptions),
        ):
            if rows:
                put_rows(database, table, *rows)
        with database.write() as connection:
            append_events(connection, self.events, NOW)


@dataclass(frozen=True)
class Place:
    """A database and its settings; features lie in its home."""

    database: Database
    settings: CoreSettings

    @classmethod
    def of(cls, database: Database, folder: Path) -> Place:
        return cls(database, CoreSettings(home=folder / "home", time_zone="Asia/Shanghai"))

    def refresh(self, now: datetime = NOW) -> None:
        refresh_features(self.database, self.settings, now)

    def ground(self, connection: Any, now: datetime = NOW) -> Ground:
        return open_ground(connection, read_features(self.settings.home), now, CHANNEL_KINDS)


def random_club(seed: int, size: int = 14) -> Club:
    """Return a club in which anything may be missing."""
    draw = random.Random(seed)
    club = Club()
    for number in range(size):
        member_id = f"m{number:02}"
        row: dict[str, Any] = {"member_id": member_id}
        row |= {
            "tier": draw.choice(TIERS),
            "city": draw.choice(CITIES),
            "kind": draw.choice((None, "consumer", "test")),
        }
        row |= {"home_store_id": draw.choice(("s1", "s2", None)), "guide_id": draw.choice(("g1", None))}
        row["birth_date"] = draw.choice((None, date(1990, draw.randint(1, 12), 5), date(2014, 3, 1)))
        row["points_balance"] = draw.choice((None, 0, 50, 900))
        row["registered_at"] = draw.choice((None, NOW - timedelta(days=draw.randint(0, 400))))
        row["attributes"] = draw.choice(
            (None, {"size": draw.randint(1, 4)}, {"pet": "cat", "vip": True}, {"pet": ["dog", "cat"], "size": 2.5})
        )
        row["household_id"] = draw.choice((None, "h1", "h2"))
        club.members[member_id] = row
        for purpose in ("push", "personalization", "push"):
            if draw.random() < 0.6:
                at = NOW - timedelta(days=draw.randint(0, 9))
                club.consents.append(
                    {
                        "member_id": member_id,
                        "purpose": purpose,
                        "channel": draw.choice(("", "sms")),
                        "granted": draw.random() < 0.7,
                        "at": at,
                    }
                )
        for _ in range(draw.randint(0, 2)):
            at = NOW - timedelta(days=draw.randint(1, 60))
            club.sends.append(
                {
                    "campaign_id": "c1",
                    "member_id": member_id,
                    "offer_id": draw.choice(("o1", "o2")),
                    "sent_at": at,
                    "arm": draw.choice(("treated", "holdout")),
                }
            )
    club.events = _events(draw, list(club.members))
    for number, member_id in enumerate(draw.sample(sorted(club.members), 4)):
        at = NOW - timedelta(days=draw.randint(1, 60))
        club.redemptions.append(
            {"redemption_id": f"r{number}", "member_id": member_id, "offer_id": "o1", "redeemed_at": at}
        )
    return _distinct(club)


def _events(draw: random.Random, members: list[str]) -> list[Event]:
    events = []
    kinds = (EventKind.PURCHASE, EventKind.PURCHASE, EventKind.VIEW, EventKind.FAVORITE)
    for number in range(12 * len(members)):
        kind = draw.choice(kinds)
        fields: dict[str, Any] = {"kind": kind, "channel": draw.choice(("app", "web", "pos"))}
        fields["item_id"] = draw.choice(tuple(ITEMS))
        fields["occurred_at"] = NOW - timedelta(days=draw.choice((0, 1, 5, 29, 30, 31, 90, 400)), minutes=number)
        if kind is EventKind.PURCHASE:
            fields["order_id"] = draw.choice((None, f"order{number // 3}"))
            fields["quantity"] = draw.choice((None, 1.0, 2.0))
            fields["unit_price_cents"] = draw.choice((None, 100, 250))
            fields["discount_cents"] = draw.choice((None, 0, 40, 1000))
        events.append(make_event(f"e{number}", draw.choice(members), **fields))
    return events


def _distinct(club: Club) -> Club:
    """Keep one row of each key."""
    sends = {(one["member_id"], one["offer_id"], one["sent_at"]): one for one in club.sends}
    consents = {(one["member_id"], one["purpose"], one["channel"], one["at"]): one for one in club.consents}
    club.sends, club.consents = list(sends.values()), list(consents.values())
    return club


def _as_row(row: Mapping[str, Any]) -> dict[str, Any]:
    attributes = row.get("attributes")
    return {**row, "attributes": None if attributes is None else orjson.dumps(attributes).decode()}

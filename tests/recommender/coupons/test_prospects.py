"""What a member holds and may claim, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from recommender.coupons.kept_plans import Decided, KeptPlan, KeptPlans
from recommender.coupons.prospects import Prospects, read_prospects
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Turn
from recommender.storage.database import Database
from recommender.storage.members import read_member
from recommender.storage.upserts import upsert
from tests.coupon_plans import keep
from tests.factories import NOW, put_rows
from tests.recommender.coupons.world import TEN_OFF, give, settle_in, turn

OPEN = TEN_OFF | {"offer_id": "open"}


@pytest.fixture
def plans(database: Database, tmp_path: Path) -> Sequence[KeptPlan]:
    """The campaign's offer was given to m1 by a plan; another one is open to all."""
    settle_in(database, TEN_OFF, OPEN)
    keep(tmp_path, {"m1": {"ten": 50.0}, "staff": {}}, NOW, "c1")
    return KeptPlans(tmp_path).current()


def nothing(_turn: Turn, _plan: KeptPlan) -> Sequence[Decided]:
    return ()


def of(database: Database, plans: Sequence[KeptPlan], member_id: str = "m1", days: float = 0.0) -> Prospects:
    now = NOW + timedelta(days=days)
    with database.read(snapshot=True) as connection:
        member = read_member(connection, member_id, now)
        return read_prospects(turn(connection, now), member, plans, nothing)


def told(found: Prospects) -> list[tuple[str, str]]:
    return [(one.origin.value, one.offer.offer_id) for one in found.found]


def test_what_is_held_planned_and_public(database: Database, plans: Sequence[KeptPlan]) -> None:
    assert told(of(database, plans)) == [("public", "open"), ("plan", "ten")]
    assert told(of(database, plans, "m2")) == [("public", "open")]
    assert told(of(database, plans, "staff")) == []
    assert told(of(database, plans, "nobody")) == []
    give(database)
    assert told(of(database, plans)) == [("held", "ten"), ("public", "open")]


def test_reading_spends_nothing_and_a_campaign_that_ended_gives_nothing(
    database: Database, plans: Sequence[KeptPlan]
) -> None:
    for _ in range(3):
        of(database, plans)
    with database.read() as connection:
        for table in ("wallet_coupons", "coupon_ledger", "coupon_counters", "offer_states"):
            assert connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar() == 0
    late = of(database, plans, days=40)
    assert (told(late), late.left_out) == ([("public", "open")], {"ten": Refusal.CAMPAIGN_NOT_RUNNING})


def test_public_is_what_nobody_allocates_and_no_segment_owns(database: Database, plans: Sequence[KeptPlan]) -> None:
    put_rows(
        database,
        "offers",
        OPEN | {"offer_id": "gold", "segments": ["gold"]},
        OPEN | {"offer_id": "crm", "wallet": "external"},
        OPEN | {"offer_id": "soon", "valid_from": NOW + timedelta(days=1)},
        OPEN | {"offer_id": "over", "valid_until": NOW - timedelta(days=1)},
        OPEN | {"offer_id": "named"},
    )
    campaign = {"campaign_id": "c2", "starts_at": NOW, "ends_at": NOW + timedelta(days=9), "offers": ["named"]}
    put_rows(database, "campaigns", campaign)
    assert told(of(database, plans, "m2")) == [("public", "open")]


def test_who_opted_out_or_is_held_out(database: Database, plans: Sequence[KeptPlan]) -> None:
    send = {"campaign_id": "c1", "member_id": "m1", "sent_at": NOW, "arm": "holdout"}
    put_rows(database, "sends", send)
    found = of(database, plans)
    assert (told(found), found.left_out) == ([("public", "open")], {"ten": Refusal.HELD_OUT})
    consent = {"member_id": "m1", "purpose": "personalization", "granted": False, "at": NOW}
    with database.write() as connection:
        upsert(connection, "consents", [consent], NOW)
    found = of(database, plans)
    assert (told(found), found.left_out) == ([("public", "open")], {})

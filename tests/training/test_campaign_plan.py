"""Plans of campaigns: groups drawn before eligibility, like compared with like, budgets kept, failures told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.campaigns.assignments import all_assignments, count_assignments
from recommender.campaigns.campaign import By, Campaign, CampaignTerms
from recommender.campaigns.daily import due_members
from recommender.campaigns.holdout import Arm, bucket_of
from recommender.campaigns.lifecycle import Action, Status
from recommender.campaigns.occasions import Event, Trigger
from recommender.campaigns.plans import PlanStatus, get_plan, latest_plan, request_plan, take_plan, waiting_plans
from recommender.campaigns.running import advance
from recommender.campaigns.store import change_terms, create_campaign, get_campaign, move, read_timeline
from recommender.campaigns.transports import put_transport
from recommender.coupons.decisions import Decision
from recommender.coupons.kept_plans import KeptPlans
from recommender.coupons.plan_log import read_plan_log
from recommender.errors import ConflictError
from recommender.settings import CoreSettings
from recommender.storage.database import Database, open_database
from recommender.storage.holdouts import find_period
from recommender.storage.statements import execute, fetch
from recommender.storage.upserts import upsert
from tests.training.shops import (
    END,
    MEMBERS,
    NOW,
    SETTINGS,
    open_shop,
    purchases,
    put_campaigns,
    put_catalog,
    put_events,
)
from training.campaign_figures import told_from_chance
from training.campaign_plan import plan_campaign
from training.place import Place
from training.plan_command import make_next
from training.progress import Silent
from training.train import train

TERMS = CampaignTerms(
    "Spring", END, NOW + timedelta(days=14), 400, ("new0", "new1"), {"holdout_share": 0.3, "explore": 0.0}
)
BY = By("ann", NOW)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of a shop with coupons."""
    place = open_shop(tmp_path_factory.mktemp("trained"))
    put_campaigns(place.database)
    train(place, SETTINGS, None, True, NOW, Silent())
    place.database.dispose()
    return place.settings.models


@pytest.fixture
def shop(bundles: Path, tmp_path: Path, database_url: str) -> Iterator[Place]:
    """The same shop on each database."""
    settings = CoreSettings(home=tmp_path, models=bundles, hash_key="0123456789abcdef", database_url=database_url)
    database = open_database(settings)
    put_catalog(database)
    put_events(database, [event for event in purchases() if event.occurred_at < END])
    put_campaigns(database)
    with database.write() as connection:  # so cheap that some earn more than they cost
        execute(connection, "UPDATE offers SET value = 1 WHERE offer_id IN ('new0', 'new1')", ())
    yield Place(database, settings)
    database.dispose()


def create(database: Database, campaign_id: str = "c1", **changes: Any) -> Campaign:
    with database.write() as connection:
        return create_campaign(connection, campaign_id, replace(TERMS, **changes), BY)


def plan(place: Place, campaign_id: str = "c1") -> dict[str, Any]:
    with place.database.write() as connection:
        request_plan(connection, campaign_id, BY)
        job = take_plan(connection, NOW)
    assert job is not None
    return dict(plan_campaign(place, place.registry.open(None), job, lambda: NOW))


def rows_of(place: Place, campaign_id: str = "c1") -> dict[str, Any]:
    return {row.member_id: row for page in all_assignments(place.database, campaign_id) for row in page}


def test_everybody_is_drawn_before_it_is_asked_who_may_have_what(shop: Place) -> None:
    with shop.database.write() as connection:
        execute(connection, "UPDATE members SET kind = 'employee' WHERE member_id IN ('m01', 'm02')", ())
        execute(connection, "UPDATE members SET household_id = 'h' WHERE member_id IN ('m05', 'm06', 'm07')", ())
    campaign = create(shop.database)
    figures = plan(shop)
    rows = rows_of(shop)
    with shop.database.read() as connection:
        period = find_period(connection, NOW)
        now = get_campaign(connection, "c1")
        counts = count_assignments(connection, "c1")
        units = {row[0] for row in fetch(connection, "SELECT unit FROM holdout_units WHERE scope = 'c1'")}
    assert period is not None
    assert rows.keys() == set(MEMBERS) - {"m01", "m02"}  # employees are not learned from
    for row in rows.values():
        unit = "household:h" if row.member_id in ("m05", "m06", "m07") else f"member:{row.member_id}"
        held = bucket_of(campaign.salt, unit) < 3000
        everywhere = bucket_of(period.salt, unit) < period.share
        assert row.unit == unit
        assert row.arm is (Arm.GLOBAL_HOLDOUT if everywhere else Arm.HOLDOUT if held else Arm.TREATED)
        assert row.propensity == pytest.approx(0.7 * 0.98)
    assert units == {row.unit for row in rows.values() if row.arm is Arm.HOLDOUT}
    assert (now.status, now.plan_id is not None) == (Status.PLANNED, True)
    assert figures["members"] == 38
    assert figures["groups"] == {arm.value: counts.get(arm, (0, 0))[0] for arm in Arm}
    assert figures["reach"] == counts[Arm.TREATED][1]
    assert figures["planned_cost_cents"] <= 400


def test_those_kept_back_would_have_got_what_the_same_prices_give(shop: Place) -> None:
    create(shop.database, budget_cents=None)
    plan(shop)
    rows = rows_of(shop)
    # Without a budget everybody gets the offer that earns most, if any earns something; so would the control group.
    from training.offer_scores import OfferScorer

    scores = OfferScorer(shop, shop.registry.open(None), NOW).scores(["new0", "new1"])
    best = {
        member: (int(row.argmax()), float(row.max()))
        for member, row in zip(
            scores.members.ids(np.arange(len(scores.members))), scores.expected_profit_cents, strict=True
        )
    }
    assert {row.arm for row in rows.values() if row.offer_id is not None} >= {Arm.TREATED, Arm.HOLDOUT}
    for member, row in rows.items():
        place, cents = best[member]
        assert row.offer_id == (f"new{place}" if cents > 0 else None)
        if cents > 0:
            assert row.profit_cents == pytest.approx(cents, abs=1e-3)
            assert row.offer_propensity == 1.0


def test_without_purchases_lately_nothing_is_claimed_to_be_told_from_chance() -> None:
    nothing = told_from_chance(np.zeros(50), np.arange(50.0), 0.9)
    assert nothing["smallest_effect_cents"] is None
    assert nothing["remedies"] == []
    something = told_from_chance(np.arange(50.0), np.zeros(50), 0.9)
    assert something["smallest_effect_cents"] > 0
    assert something.keys() == nothing.keys()


def test_a_plan_made_again_replaces_the_one_before(shop: Place) -> None:
    shop = replace(shop, settings=replace(shop.settings, global_holdout_share=0.0))
    create(shop.database)
    plan(shop)
    before = rows_of(shop)
    with shop.database.write() as connection:
        campaign = get_campaign(connection, "c1")
        change_terms(connection, "c1", replace(campaign.terms, settings={"holdout_share": 0.0}), BY)
    figures = plan(shop)
    after = rows_of(shop)
    assert after.keys() == before.keys()
    assert all(row.arm is not Arm.HOLDOUT for row in after.values())
    assert (figures["power"], figures["warnings"][-1]) == (None, "the_effect_cannot_be_measured")
    with shop.database.read() as connection:
        assert fetch(connection, "SELECT COUNT(*) FROM holdout_units WHERE scope = 'c1'") == [(0,)]


def test_the_kept_plan_gives_those_kept_back_nothing(shop: Place) -> None:
    create(shop.database, budget_cents=None)
    plan(shop)
    (kept,) = KeptPlans(shop.settings.home).current()
    for member, row in rows_of(shop).items():
        given = kept.of(member)
        assert given is not None
        wanted = [row.offer_id] if row.arm is Arm.TREATED and row.offer_id else []
        assert [one.offer_id for one in given] == wanted
    assert kept.of("stranger") is None


def test_the_kept_plan_says_why_and_new_members_do_not_get_more_than_loyal_ones(shop: Place) -> None:
    loyal = MEMBERS[0]
    with shop.database.write() as connection:
        new = [{"member_id": one, "registered_at": NOW - timedelta(days=3)} for one in MEMBERS if one != loyal]
        upsert(connection, "members", new, NOW)
        send = {"campaign_id": "next", "member_id": loyal, "sent_at": NOW, "arm": "holdout"}
        upsert(connection, "sends", [send], NOW)  # another campaign with these offers keeps the only loyal one back
    create(shop.database)
    plan(shop)
    (kept,) = (one for one in KeptPlans(shop.settings.home).current() if one.multipliers.campaign_id == "c1")
    rows = rows_of(shop)
    for member in MEMBERS:
        why = kept.reasons(member)
        assert why is not None
        given = kept.of(member)
        assert bool(given) is any(one.gives for one in why)
        if rows[member].arm is not Arm.TREATED:
            assert set(why) == {Decision.HELD_OUT}
    with shop.database.read() as connection:
        (logged,) = read_plan_log(connection)
    assert (logged.campaign_id, logged.plan_id) == ("c1", kept.plan_id)
    assert logged.reasons[Decision.HELD_OUT] >= 2 * sum(row.arm is not Arm.TREATED for row in rows.values())


def test_what_is_sold_out_is_not_planned_for_a_campaign(shop: Place) -> None:
    create(shop.database)
    assert plan(shop)["reach"] > 0
    with shop.database.write() as connection:
        items = [row[0] for row in fetch(connection, "SELECT item_id FROM items")]
        upsert(connection, "stores", [{"store_id": "s1", "channel": "web"}], NOW)
        gone = [{"store_id": "s1", "item_id": one, "on_hand": 0} for one in items]
        upsert(connection, "inventory", gone, NOW)
        create_campaign(connection, "c2", TERMS, BY)
    figures = plan(shop, "c2")
    assert figures["reach"] == 0
    assert figures["left_out"]["sold_out"] > 0


def test_a_plan_that_is_not_wanted_any_more_changes_nothing(shop: Place) -> None:
    create(shop.database)
    with shop.database.write() as connection:
        request_plan(connection, "c1", BY)
        job = take_plan(connection, NOW)
        assert job is not None
        move(connection, "c1", Action.CANCEL, BY)
    with pytest.raises(ConflictError):
        plan_campaign(shop, shop.registry.open(None), job, lambda: NOW)
    with shop.database.read() as connection:
        assert get_campaign(connection, "c1").status is Status.CANCELLED
        assert get_plan(connection, job.plan_id).status is PlanStatus.RUNNING


def test_a_dead_planner_is_followed_by_another(shop: Place) -> None:
    create(shop.database)
    with shop.database.write() as connection:
        first = request_plan(connection, "c1", BY)
        assert request_plan(connection, "c1", BY).plan_id == first.plan_id
        assert take_plan(connection, NOW) is not None
        assert take_plan(connection, NOW) is None
        assert waiting_plans(connection, NOW) == 0
        assert waiting_plans(connection, NOW + timedelta(minutes=6)) == 1
        again = take_plan(connection, NOW + timedelta(minutes=6))
    assert again is not None
    assert again.plan_id == first.plan_id


def test_a_campaign_whose_offers_are_over_says_which_and_why(shop: Place) -> None:
    with shop.database.write() as connection:
        micros = int((NOW - timedelta(days=1)).timestamp() * 1e6)
        execute(connection, "UPDATE offers SET valid_until = ?", (micros,))
    create(shop.database)
    with shop.database.write() as connection:
        request_plan(connection, "c1", BY)
    assert make_next(shop) is True
    assert make_next(shop) is False
    with shop.database.read() as connection:
        job = latest_plan(connection, "c1")
        campaign = get_campaign(connection, "c1")
    assert job is not None
    assert job.status is PlanStatus.FAILED
    assert job.error is not None
    assert "new0: It ended at" in job.error
    assert campaign.status is Status.DRAFT


def test_a_contact_that_costs_more_than_a_coupon_earns_reaches_nobody(shop: Place) -> None:
    create(shop.database, budget_cents=None, settings={"contact_cents": 100_000, "explore": 0})
    figures = plan(shop)
    assert (figures["reach"], figures["control"]) == (0, 0)
    assert "nobody_gets_an_offer" in figures["warnings"]


def test_an_audience_is_all_who_are_drawn(shop: Place) -> None:
    with shop.database.write() as connection:
        execute(connection, "UPDATE members SET tier = 'gold' WHERE member_id < 'm10'", ())
        execute(connection, "INSERT INTO members (member_id, tier, change_sequence) VALUES ('new', 'gold', 1)", ())
    create(shop.database, settings={"audience": {"expression": {"tier": "gold"}}, "explore": 0})
    figures = plan(shop)
    assert rows_of(shop).keys() == {*MEMBERS[:10], "new"}
    assert figures["members"] == 11
    (kept,) = KeptPlans(shop.settings.home).current()
    assert kept.facts is None  # nobody else is decided for between plans


def test_messages_go_only_to_those_who_agreed(shop: Place) -> None:
    with shop.database.write() as connection:
        for member in MEMBERS[:6]:
            execute(
                connection,
                "INSERT INTO consents (member_id, purpose, channel, granted, at, change_sequence)"
                " VALUES (?, 'push', '', ?, 1, 1)",
                (member, member != "m03"),
            )
    with shop.database.write() as connection:
        put_transport(connection, "push", "file", {}, True, "test", NOW)
    message = {"texts": {"en": {"body": "{offer}"}}}
    create(shop.database, settings={"transport": "push", "message": message})
    figures = plan(shop)
    assert rows_of(shop).keys() == set(MEMBERS[:6]) - {"m03"}
    assert figures["left_out"]["no_consent"] == len(MEMBERS) - 5


def test_consents_of_the_transports_own_channel_count_as_they_do_when_it_sends(shop: Place) -> None:
    with shop.database.write() as connection:
        put_transport(connection, "push", "file", {"channel": "app"}, True, "test", NOW)
        for member, channel in zip(MEMBERS[:3], ("", "app", "sms"), strict=True):
            execute(
                connection,
                "INSERT INTO consents (member_id, purpose, channel, granted, at, change_sequence)"
                " VALUES (?, 'push', ?, ?, 1, 1)",
                (member, channel, True),
            )
    message = {"texts": {"en": {"body": "{offer}"}}}
    create(shop.database, settings={"transport": "push", "message": message})
    plan(shop)
    assert rows_of(shop).keys() == set(MEMBERS[:2])


def test_an_audience_that_holds_nobody_fails_the_plan_with_the_reason(shop: Place) -> None:
    create(shop.database, settings={"audience": {"expression": {"tier": "platinum"}}})
    with shop.database.write() as connection:
        request_plan(connection, "c1", BY)
    assert make_next(shop)
    with shop.database.read() as connection:
        job = latest_plan(connection, "c1")
    assert job is not None
    assert job.status is PlanStatus.FAILED
    assert job.error is not None
    assert "holds nobody" in job.error


def deliveries(place: Place) -> dict[str, set[str]]:
    """Return who is in the outbox, by occasion."""
    found: dict[str, set[str]] = {}
    with place.database.read() as connection:
        for occasion, member in fetch(connection, "SELECT occasion, member_id FROM deliveries"):
            found.setdefault(occasion, set()).add(member)
    return found


def test_a_recurring_campaign_is_planned_anew_for_each_occasion_and_groups_stay(shop: Place) -> None:
    with shop.database.write() as connection:
        put_transport(connection, "push", "file", {}, True, "test", NOW)
        for member in MEMBERS:
            execute(
                connection,
                "INSERT INTO consents (member_id, purpose, channel, granted, at, change_sequence)"
                " VALUES (?, 'push', '', ?, 1, 1)",
                (member, True),
            )
        execute(connection, "UPDATE members SET tier = 'gold' WHERE member_id < 'm20'", ())
    # NOW is Wednesday, 10 April 2024; occasions are Thursdays and the 16th at nine in Shanghai.
    settings = {
        "schedule": {"weekdays": ["thu"], "month_days": [16], "at": "09:00"},
        "zone": "Asia/Shanghai",
        "audience": {"expression": {"tier": "gold"}},
        "transport": "push",
        "message": {"texts": {"en": {"body": "{offer}"}}},
        "approval": "none",
        "holdout_share": 0.3,
        "explore": 0,
        "per_member": 2,
    }
    create(shop.database, budget_cents=None, settings=settings)
    plan(shop)
    groups = {member: row.arm for member, row in rows_of(shop).items()}
    with shop.database.write() as connection:
        move(connection, "c1", Action.LAUNCH, BY)
    first = datetime(2024, 4, 11, 1, 0, tzinfo=UTC)
    advance(shop.database, first - timedelta(seconds=1))
    assert waiting_plans_of(shop, first) == 0

    def occasion(now: datetime, name: str) -> None:
        advance(shop.database, now)
        with shop.database.write() as connection:
            job = take_plan(connection, now)
        assert job is not None
        assert job.occasion == name
        plan_campaign(shop, shop.registry.open(None), job, lambda: now)
        advance(shop.database, now + timedelta(minutes=1))
        advance(shop.database, now + timedelta(minutes=2))

    occasion(first, "2024-04-11")
    sent = deliveries(shop)["2024-04-11"]
    assert sent == {member for member, row in rows_of(shop).items() if row.offer_id is not None}
    assert sent
    with shop.database.write() as connection:
        tiers = [{"member_id": member, "tier": "silver"} for member in MEMBERS[:5]]
        upsert(connection, "members", [*tiers, {"member_id": "m30", "tier": "gold"}], NOW)
    occasion(datetime(2024, 4, 16, 1, 0, tzinfo=UTC), "2024-04-16")
    rows = rows_of(shop)
    assert {member: row.arm for member, row in rows.items() if member != "m30"} == groups
    assert "m30" in rows
    assert all(rows[member].offer_id is None for member in MEMBERS[:5])
    assert deliveries(shop)["2024-04-16"] == {member for member, row in rows.items() if row.offer_id is not None}
    occasion(datetime(2024, 4, 18, 1, 0, tzinfo=UTC), "2024-04-18")
    both = deliveries(shop)["2024-04-11"] & deliveries(shop)["2024-04-16"]
    assert not both & deliveries(shop).get("2024-04-18", set())  # two coupons each, over all occasions
    with shop.database.read() as connection:
        job = latest_plan(connection, "c1")
        steps = [step.action for step in read_timeline(connection, "c1")]
    assert job is not None
    assert job.occasion is None
    assert steps.count("occasion_planned") == steps.count("enqueued") == 3


def waiting_plans_of(place: Place, now: datetime) -> int:
    with place.database.read() as connection:
        return waiting_plans(connection, now)


def test_of_a_triggered_campaign_everybodys_best_offer_is_kept_and_days_find_their_members(shop: Place) -> None:
    with shop.database.write() as connection:
        put_transport(connection, "push", "file", {}, True, "test", NOW)
        consents = [{"member_id": one, "purpose": "push", "granted": True, "at": NOW} for one in MEMBERS]
        upsert(connection, "consents", consents, NOW)
    base = {"transport": "push", "message": {"texts": {"en": {"body": "{offer}"}}}, "explore": 0}
    # A budget of one cent would be enough for hardly anybody; of whom the event meets nobody knows yet.
    settings = base | {"trigger": {"event": "lapsed", "days": 3}}
    campaign = create(shop.database, budget_cents=1, settings=settings)
    figures = plan(shop)
    assert figures["reach"] > 20
    assert "only_whom_the_event_meets_gets_an_offer" in figures["warnings"]
    lapsed = Trigger(Event.LAPSED, 0, 3, 7)
    last: dict[str, datetime] = {}
    for event in purchases():
        member = str(event.subject).removeprefix("member:")
        last[member] = max(event.occurred_at, last.get(member, event.occurred_at))
    days = {member: (NOW.date() - at.date()).days for member, at in last.items()}
    found = due_members(shop.database, shop.settings, lapsed, campaign, NOW)
    assert list(found) == sorted(member for member, number in days.items() if number >= 3)
    due = due_members(shop.database, shop.settings, Trigger(Event.DUE_AGAIN, 0, 5, 7), campaign, NOW)
    assert set(due) <= set(MEMBERS)
    assert list(due) == sorted(due)


def test_plans_need_nothing_that_only_training_installs() -> None:
    names = ("implicit", "pandas", "optuna", "sklearn")
    program = f"import sys, training.campaign_plan; print([name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

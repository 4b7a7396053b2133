"""The life of a campaign in SQL: allowed steps, refusals with the reason, compare-and-set, timeline and audit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from recommender.campaigns.campaign import By, Campaign
from recommender.campaigns.lifecycle import TRANSITIONS, Action, Status, after, possible
from recommender.campaigns.store import (
    change_budget,
    change_terms,
    get_campaign,
    list_campaigns,
    move,
    planned,
    read_timeline,
)
from recommender.coupons.counters import Count
from recommender.coupons.counters import move as count
from recommender.errors import ConflictError, InputError, NotFoundError
from recommender.storage.audit import read_audit
from recommender.storage.database import Database
from recommender.storage.statements import execute
from tests.recommender.campaigns.worlds import NOW, TERMS, add_offers, create


@pytest.fixture
def campaigns(database: Database) -> Database:
    add_offers(database, "o1", "o2")
    return database


def step(database: Database, action: Action, caller: str = "ann", version: int | None = None, **by: Any) -> Campaign:
    with database.write() as connection:
        if action is Action.PLANNED:
            return planned(connection, "c1", "p1", By("worker", NOW), {})
        return move(connection, "c1", action, By(caller, by.get("now", NOW), version))


def test_a_whole_life(campaigns: Database) -> None:
    made = create(campaigns)
    assert (made.status, made.version, made.author, made.kind) == (Status.DRAFT, 1, "ann", "one_off")
    assert made.salt != create(campaigns, "c2").salt
    assert step(campaigns, Action.PLANNED).plan_id == "p1"
    assert step(campaigns, Action.APPROVE, "bob").approved_by == "bob"
    assert step(campaigns, Action.LAUNCH).launch_at == NOW + timedelta(minutes=10)
    assert step(campaigns, Action.UNDO).launch_at is None
    steps = [Action.LAUNCH, Action.START, Action.PAUSE, Action.RESUME, Action.FINISH]
    found = [step(campaigns, action).status for action in steps]
    assert found == ["scheduled", "running", "paused", "running", "finished"]
    with campaigns.read() as connection:
        timeline = read_timeline(connection, "c1")
        audited = read_audit(connection, target="c1")
        assert get_campaign(connection, "c1").version == 10
        assert [one.campaign_id for one in list_campaigns(connection)] == ["c1", "c2"]
        assert [one.campaign_id for one in list_campaigns(connection, [Status.DRAFT])] == ["c2"]
    assert [one.action for one in timeline] == ["create", "planned", "approve", "launch", "undo", *steps]
    assert [one.caller for one in timeline[:3]] == ["ann", "worker", "bob"]
    assert [one.action for one in reversed(audited)] == [f"campaigns.{one.action}" for one in timeline]


@pytest.mark.parametrize("action", list(TRANSITIONS))
def test_every_step_is_allowed_or_refused_with_a_reason(action: Action) -> None:
    for status in Status:
        if status in TRANSITIONS[action]:
            assert after(action, status) in Status
            assert action in possible(status)
            continue
        with pytest.raises(ConflictError) as caught:
            after(action, status)
        assert f"that is {status}" in caught.value.message
        assert caught.value.accepted


def test_what_is_over_stays_over() -> None:
    assert possible(Status.FINISHED) == possible(Status.CANCELLED) == ()


def test_a_version_that_was_left_behind_is_refused(campaigns: Database) -> None:
    create(campaigns)
    step(campaigns, Action.PLANNED)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        step(campaigns, Action.APPROVE, version=1)
    assert step(campaigns, Action.APPROVE, version=2).version == 3


def test_a_draft_is_changed_and_its_plan_is_void(campaigns: Database) -> None:
    create(campaigns)
    step(campaigns, Action.PLANNED)
    step(campaigns, Action.APPROVE)
    with campaigns.write() as connection:
        terms = replace(TERMS, name="Summer", offers=("o2",), settings={"trigger": {"event": "lapsed"}})
        new = change_terms(connection, "c1", terms, By("bob", NOW, 3))
    assert (new.status, new.plan_id, new.approved_by) == (Status.DRAFT, None, None)
    assert (new.name, new.offers, new.kind) == ("Summer", ("o2",), "triggered")
    assert new.document == {"holdout_share": 0.1, "trigger": {"event": "lapsed"}}


def test_what_was_launched_is_not_changed(campaigns: Database) -> None:
    create(campaigns, settings={"approval": "none"})
    step(campaigns, Action.PLANNED)
    step(campaigns, Action.LAUNCH)
    with pytest.raises(ConflictError, match="that is scheduled"), campaigns.write() as connection:
        change_terms(connection, "c1", TERMS, By("ann", NOW))


def test_a_plan_waits_for_approval_unless_none_is_asked_for(campaigns: Database) -> None:
    create(campaigns)
    step(campaigns, Action.PLANNED)
    with pytest.raises(ConflictError, match="waits for approval"):
        step(campaigns, Action.LAUNCH)


def test_four_eyes(campaigns: Database) -> None:
    create(campaigns, settings={"approval": "other_key"})
    with campaigns.write() as connection:
        change_terms(connection, "c1", replace(TERMS, settings={"approval": "other_key"}), By("bob", NOW))
    step(campaigns, Action.PLANNED)
    for caller in ("ann", "bob"):
        with pytest.raises(ConflictError, match="another key"):
            step(campaigns, Action.APPROVE, caller)
    assert step(campaigns, Action.APPROVE, "eve").status is Status.APPROVED


def test_a_budget_changes_by_compare_and_set_and_never_below_what_is_spent(campaigns: Database) -> None:
    create(campaigns)
    with campaigns.write() as connection:
        count(connection, Count.COMMITTED, "c1", "", 700, NOW)
        count(connection, Count.EXTERNAL, "c1", "", 50, NOW)

    def change(cents: int | None, version: int | None) -> Campaign:
        with campaigns.write() as connection:
            return change_budget(connection, "c1", cents, By("ann", NOW, version))

    assert change(750, 1).budget_cents == 750
    with pytest.raises(ConflictError, match="spent or reserved") as caught:
        change(749, 2)
    assert caught.value.accepted == "at least 750"
    with pytest.raises(ConflictError, match="changed meanwhile"):
        change(900, 1)
    with pytest.raises(InputError, match="from a version"):
        change(900, None)
    assert change(None, 2).budget_cents is None
    with campaigns.read() as connection:
        assert read_timeline(connection, "c1")[-1].details == {"from_cents": 750, "to_cents": None}


def test_a_campaign_whose_time_is_over_is_not_launched(campaigns: Database) -> None:
    create(campaigns, settings={"approval": "none"})
    step(campaigns, Action.PLANNED)
    with pytest.raises(ConflictError, match="time is over"):
        step(campaigns, Action.LAUNCH, now=TERMS.ends_at)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ends_at": NOW}, "ends_at"),
        ({"starts_at": NOW - timedelta(days=2), "ends_at": NOW - timedelta(days=1)}, "ends_at"),
        ({"offers": ()}, "offers"),
        ({"offers": ("o1", "o1")}, "offers"),
        ({"offers": ("o1", "o9")}, "offers"),
        ({"settings": {"explore": 2}}, "settings.explore"),
        ({"settings": {"audience": {"expression": {"tierr": "gold"}}}}, "expression"),
    ],
)
def test_terms_that_cannot_be_are_refused(campaigns: Database, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        create(campaigns, **changes)
    assert caught.value.field == field


def test_an_id_is_given_once_also_by_files(campaigns: Database) -> None:
    with campaigns.write() as connection:
        execute(connection, "INSERT INTO campaigns (campaign_id, starts_at, ends_at) VALUES ('loaded', 0, 1)", ())
    with pytest.raises(ConflictError, match="of this id"):
        create(campaigns, "loaded")
    with pytest.raises(NotFoundError), campaigns.read() as connection:
        get_campaign(connection, "loaded")


@pytest.mark.parametrize("campaign_id", ["", "a:b", "a/b", "a\nb", "x" * 129])
def test_an_id_that_could_not_stand_in_a_path_is_refused(campaigns: Database, campaign_id: str) -> None:
    with pytest.raises(InputError):
        create(campaigns, campaign_id)


def test_an_audience_that_nobody_saved_is_refused(campaigns: Database) -> None:
    with pytest.raises(NotFoundError, match="no such audience"):
        create(campaigns, settings={"audience": {"audience_id": "nobody knows"}})

"""Control members get no coupon of their campaign by any path, before anything was sent: issue, claim, plan, slate."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender.campaigns.holdout import bucket_of
from recommender.coupons.eligibility import read_eligibility
from recommender.coupons.issuing import IssueRequest, could_issue, issue
from recommender.coupons.kept_plans import Decided, KeptPlans
from recommender.coupons.prospects import Origin, read_prospects
from recommender.coupons.refusals import Refusal
from recommender.coupons.store import read_offers
from recommender.coupons.wallet import Turn, WalletRules
from recommender.ids import IdIndex
from recommender.storage.database import Database
from recommender.storage.holdouts import draw_period
from recommender.storage.members import read_member
from recommender.storage.statements import execute, fetch
from tests.coupon_plans import keep
from tests.recommender.campaigns.worlds import NOW, add_members, add_offers, create

MEMBERS = {f"m{number:02d}": (f"h{number // 2:02d}" if number < 20 else None) for number in range(40)}
AT = NOW + timedelta(hours=1)


@pytest.fixture
def running(database: Database) -> Database:
    """A running campaign with two offers, half of the units held out, and a global holdout of a fifth."""
    add_offers(database, "o1", "o2", "elsewhere")
    add_members(database, MEMBERS)
    create(database)
    with database.write() as connection:
        draw_period(connection, NOW, 0.2)
        execute(connection, "UPDATE campaign_states SET status = 'running'", ())
    return database


def unit(member_id: str) -> str:
    household = MEMBERS[member_id]
    return f"member:{member_id}" if household is None else f"household:{household}"


def held(database: Database) -> tuple[set[str], set[str]]:
    """Return who is kept back by the campaign, and by the global holdout, worked out from the salts alone."""
    with database.read() as connection:
        salt = fetch(connection, "SELECT salt FROM campaign_states WHERE campaign_id = 'c1'")[0][0]
        everywhere = fetch(connection, "SELECT salt FROM holdout_periods")[0][0]
    own = {one for one in MEMBERS if bucket_of(salt, unit(one)) < 5000}
    return own, {one for one in MEMBERS if bucket_of(everywhere, unit(one)) < 2000}


def turn(connection: object) -> Turn:
    return Turn(connection, WalletRules(), AT, "test", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("campaign_id", ["c1", None])
def test_issue_refuses_every_control_member_and_nobody_else(running: Database, campaign_id: str | None) -> None:
    own, everywhere = held(running)
    asked = [IssueRequest("o1", member, campaign_id) for member in MEMBERS]
    with running.read() as connection:
        foreseen = could_issue(turn(connection), asked)
    with running.write() as connection:
        outcomes = issue(turn(connection), asked)
    refused = {one.member_id for one, outcome in zip(asked, outcomes, strict=True) if outcome.refused is not None}
    assert refused == own | everywhere
    assert {one.refused.reason for one in outcomes if one.refused is not None} == {Refusal.HELD_OUT}
    assert [one is None for one in foreseen] == [one.refused is None for one in outcomes]


def test_offers_of_no_campaign_are_for_everybody(running: Database) -> None:
    with running.write() as connection:
        outcomes = issue(turn(connection), [IssueRequest("elsewhere", member) for member in MEMBERS])
    assert all(one.refused is None for one in outcomes)


def test_a_coupon_given_by_hand_is_allowed(running: Database) -> None:
    own, _ = held(running)
    with running.write() as connection:
        (outcome,) = issue(turn(connection), [IssueRequest("o1", min(own), service=True)])
    assert outcome.refused is None


def test_a_plan_leaves_out_control_members_unless_it_keeps_the_groups_apart_itself(running: Database) -> None:
    own, everywhere = held(running)
    index = IdIndex.of(MEMBERS)
    with running.read() as connection:
        offers = list(read_offers(connection, ["o1", "o2"]).offers.values())
        alone = read_eligibility(connection, index, offers, "c1", AT)
        grouped = read_eligibility(connection, index, offers, "c1", AT, grouped=True)
        other = read_eligibility(connection, index, offers, None, AT)
    named = index.ids(range(len(index)))  # type: ignore[arg-type]
    for found in (alone, other):
        out = {member for member, row in zip(named, found.allowed, strict=True) if not row.any()}
        assert out == own | everywhere
    assert grouped.allowed.all()


def test_slates_show_control_members_nothing_of_the_campaign(running: Database, tmp_path: Path) -> None:
    own, everywhere = held(running)
    # Even a plan that, wrongly, gives everybody the offer: what may be claimed is asked again.
    keep(tmp_path, {member: {"o1": 50.0} for member in MEMBERS}, AT, "c1")
    plans = KeptPlans(tmp_path).current()
    shown = set()
    for member_id in MEMBERS:
        with running.read(snapshot=True) as connection:
            member = read_member(connection, member_id, AT)
            found = read_prospects(turn(connection), member, plans, lambda _turn, _plan: [])
        shown |= {member_id for one in found.found if one.offer.offer_id == "o1"}
    assert shown == set(MEMBERS) - own - everywhere


def test_decisions_between_plans_show_control_members_nothing(running: Database, tmp_path: Path) -> None:
    own, everywhere = held(running)
    keep(tmp_path, {"somebody else": {"o1": 50.0}}, AT, "c1")
    plans = KeptPlans(tmp_path).current()
    decided = [Decided("o1", "c1", 50.0, 0.2, 1.0, False)]
    shown = set()
    for member_id in MEMBERS:
        with running.read(snapshot=True) as connection:
            member = read_member(connection, member_id, AT)
            found = read_prospects(turn(connection), member, plans, lambda _turn, _plan: decided)
        shown |= {member_id for one in found.found if one.origin is Origin.ONLINE}
    assert shown == set(MEMBERS) - own - everywhere


def test_a_plan_of_a_paused_campaign_stands_in_nobodys_way(running: Database, tmp_path: Path) -> None:
    own, everywhere = held(running)
    free = min(set(MEMBERS) - own - everywhere)
    keep(tmp_path, {free: {"elsewhere": 50.0}}, AT, "c1")
    keep(tmp_path, {free: {"elsewhere": 40.0}}, AT)
    plans = KeptPlans(tmp_path).current()

    def shown() -> set[str | None]:
        with running.read(snapshot=True) as connection:
            found = read_prospects(turn(connection), read_member(connection, free, AT), plans, lambda _t, _p: [])
        return {one.decided.campaign_id for one in found.found if one.decided is not None}

    assert shown() == {"c1"}
    with running.write() as connection:
        execute(connection, "UPDATE campaign_states SET status = 'paused'", ())
    assert shown() == {None}


@pytest.mark.parametrize("status", ["planned", "approved", "scheduled", "paused", "finished", "cancelled", "draft"])
def test_a_campaign_that_is_not_running_gives_nobody_a_coupon(running: Database, status: str) -> None:
    with running.write() as connection:
        execute(connection, "UPDATE campaign_states SET status = ?", (status,))
        outcomes = issue(turn(connection), [IssueRequest("o1", member, "c1") for member in MEMBERS])
    assert all(one.refused is not None for one in outcomes)


def test_a_restricted_audience_is_all_who_get_coupons(database: Database) -> None:
    add_offers(database, "o1", "o2")
    add_members(database, {"in": None, "out": None})
    create(database, settings={"audience": {"expression": {"tier": "gold"}}, "holdout_share": 0})
    insert = (
        "INSERT INTO campaign_members (campaign_id, member_id, unit, arm, propensity, assigned_at)"
        " VALUES ('c1', 'in', 'member:in', 'treated', 1.0, 0)"
    )
    with database.write() as connection:
        execute(connection, "UPDATE campaign_states SET status = 'running'", ())
        execute(connection, insert, ())
        found = issue(turn(connection), [IssueRequest("o1", member, "c1") for member in ("in", "out")])
    assert found[0].refused is None
    assert found[1].refused is not None
    assert found[1].refused.reason is Refusal.NOT_IN_AUDIENCE


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    households=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=3, max_size=8),
    stored=st.lists(st.sampled_from(["treated", "holdout", "global_holdout", None]), min_size=8, max_size=8),
)
def test_whoever_is_stored_in_a_control_group_is_refused_with_their_household(
    sqlite_template: Path, households: list[str | None], stored: list[str | None]
) -> None:
    members = {f"m{number}": household for number, household in enumerate(households)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memberwise.db"
        path.write_bytes(sqlite_template.read_bytes())
        database = Database(f"sqlite:///{path}")
        add_offers(database, "o1", "o2")
        add_members(database, members)
        create(database, settings={"holdout_share": 0})
        control = set()
        with database.write() as connection:
            execute(connection, "UPDATE campaign_states SET status = 'running'", ())
            for (member, household), arm in zip(members.items(), stored, strict=False):
                if arm is None:
                    continue
                insert = (
                    "INSERT INTO campaign_members (campaign_id, member_id, unit, arm, propensity, assigned_at)"
                    " VALUES ('c1', ?, ?, ?, 1.0, 0)"
                )
                execute(connection, insert, (member, f"member:{member}", arm))
                if arm != "treated":
                    control |= {member} if household is None else {o for o, h in members.items() if h == household}
            outcomes = issue(turn(connection), [IssueRequest("o1", member, "c1") for member in members])
        database.dispose()
    got = {member for member, outcome in zip(members, outcomes, strict=True) if outcome.refused is None}
    assert got == set(members) - control

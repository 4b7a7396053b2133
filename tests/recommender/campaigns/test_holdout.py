"""Groups by a salted hash: alike one by one and in bulk, in the shares asked for, household by household."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.campaigns.holdout import (
    ARMS,
    GLOBAL_HOLDOUT,
    HOLDOUT,
    TREATED,
    Arm,
    Draw,
    bucket_of,
    buckets_of,
    read_units,
)
from recommender.storage.database import Database
from recommender.storage.holdouts import (
    Period,
    draw_period,
    find_period,
    list_periods,
    quarter,
    read_holdouts,
    units_of,
)
from recommender.storage.statements import execute
from tests.recommender.campaigns.worlds import NOW, add_members, add_offers, create

PERIOD = Period("2026Q1", NOW, NOW + timedelta(days=30), 200, "q")
UNITS = [f"member:m{number}" for number in range(50_000)]


@given(st.text(max_size=20), st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=30), max_size=20))
def test_buckets_of_many_are_those_of_each(salt: str, units: list[str]) -> None:
    salt = salt.encode("utf-8", "ignore").decode()
    assert buckets_of(salt, units).tolist() == [bucket_of(salt, unit) for unit in units]


def test_a_bucket_is_the_hash_of_salt_and_unit() -> None:
    # blake2b("s\0member:m1") of 8 bytes, as a signed number, modulo 10,000; from Python's hashlib by hand.
    import hashlib

    number = int.from_bytes(hashlib.blake2b(b"s\0member:m1", digest_size=8).digest(), "big", signed=True)
    assert bucket_of("s", "member:m1") == number % 10_000


def test_groups_have_the_shares_asked_for_and_the_global_one_is_independent() -> None:
    draw = Draw("c1", 1000, PERIOD)
    arms = draw.arms(UNITS)
    shares = np.bincount(arms, minlength=len(ARMS)) / len(UNITS)
    assert shares[GLOBAL_HOLDOUT] == pytest.approx(0.02, abs=0.003)
    assert shares[HOLDOUT] == pytest.approx(0.098, abs=0.005)
    assert shares[TREATED] == pytest.approx(draw.propensity, abs=0.006)
    assert draw.propensity == pytest.approx(0.98 * 0.9)
    other = Draw("c2", 1000, PERIOD).arms(UNITS)
    assert np.array_equal(other == GLOBAL_HOLDOUT, arms == GLOBAL_HOLDOUT)
    both = ((arms == HOLDOUT) & (other == HOLDOUT)).sum() / (arms == HOLDOUT).sum()
    assert both == pytest.approx(0.1, abs=0.02)


def test_a_larger_share_moves_nobody_out_of_the_holdout() -> None:
    small, large = Draw("c", 500).arms(UNITS), Draw("c", 1500).arms(UNITS)
    assert set(np.flatnonzero(small == HOLDOUT)) <= set(np.flatnonzero(large == HOLDOUT))


def test_quarters() -> None:
    assert quarter(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == (
        datetime(2026, 10, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
        "2026Q4",
    )
    assert quarter(datetime(2026, 4, 1, tzinfo=UTC))[0::2] == (datetime(2026, 4, 1, tzinfo=UTC), "2026Q2")


def test_a_quarter_is_drawn_once_and_kept(database: Database) -> None:
    with database.write() as connection:
        assert find_period(connection, NOW) is None
        first = draw_period(connection, NOW, 0.02)
        again = draw_period(connection, NOW + timedelta(days=3), 0.5)
        later = draw_period(connection, NOW + timedelta(days=90), 0.03)
    assert (first.name, first.share, first.measured_from) == ("2026Q1", 200, datetime(2026, 1, 15, tzinfo=UTC))
    assert again == first
    assert (later.name, later.share) == ("2026Q2", 300)
    assert later.salt != first.salt
    with database.read() as connection:
        assert list_periods(connection) == [later, first]


def test_units_are_households_where_known(database: Database) -> None:
    add_members(database, {"m1": "h1", "m2": "h1", "m3": None})
    with database.read() as connection:
        assert read_units(connection, ["m3", "m1", "m2", "m9"]) == [
            "member:m3",
            "household:h1",
            "household:h1",
            "member:m9",
        ]
        assert units_of(connection, "m1") == ("member:m1", "household:h1")
        assert units_of(connection, "m9") == ("member:m9",)


def test_what_was_assigned_first_holds_for_the_whole_household(database: Database) -> None:
    add_offers(database, "o1", "o2")
    campaign = create(database)
    members = {f"m{number}": f"h{number // 2}" for number in range(40)}
    add_members(database, members)
    with database.write() as connection:
        execute(connection, "UPDATE campaign_states SET status = 'running'", ())
        free = [one for one in members if bucket_of(campaign.salt, f"household:{members[one]}") >= 5000]
        held = [one for one in members if one not in free]
        insert = (
            "INSERT INTO campaign_members (campaign_id, member_id, unit, arm, propensity, assigned_at)"
            " VALUES ('c1', ?, ?, ?, 0.5, 0)"
        )
        # The stored arm holds against the hash, and for the other member of the household too.
        execute(connection, insert, (free[0], f"household:{members[free[0]]}", Arm.HOLDOUT.value))
        execute(connection, insert, (held[0], f"household:{members[held[0]]}", Arm.TREATED.value))
    with database.read() as connection:
        known = read_holdouts(connection, NOW)
        kept = {one: bool(known.of(connection, one).campaigns) for one in members}
    assert kept[free[0]]
    assert kept[free[1]]
    assert not kept[held[0]]
    assert kept[held[1]]
    assert all(kept[one] for one in held[1:])
    assert not any(kept[one] for one in free[2:])


def test_a_unit_stored_in_the_global_holdout_stays_there_when_its_household_changes(database: Database) -> None:
    add_members(database, {"m1": None})
    with database.write() as connection:
        period = draw_period(connection, NOW, 0.0)
        assert not read_holdouts(connection, NOW).of(connection, "m1").everything
        execute(
            connection,
            "INSERT INTO holdout_units (scope, unit, arm, assigned_at) VALUES (?, 'member:m1', 'global_holdout', 0)",
            (period.scope,),
        )
        execute(connection, "UPDATE members SET household_id = 'h1' WHERE member_id = 'm1'", ())
        assert read_holdouts(connection, NOW).of(connection, "m1").everything
        assert not read_holdouts(connection, NOW + timedelta(days=90)).of(connection, "m1").everything

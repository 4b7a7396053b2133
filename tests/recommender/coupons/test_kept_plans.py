"""Plans that are kept for members who ask for their coupons."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from recommender.coupons.decisions import Decision
from recommender.coupons.features import FEATURES
from recommender.coupons.kept_plans import Decided, KeptPlans, read_plan, remove_plans_of_erased
from recommender.errors import InputError
from recommender.storage.database import Database
from recommender.storage.erasure import request_erasure
from recommender.storage.hashing import HashKey
from tests.coupon_plans import keep
from tests.factories import NOW


def test_a_plan_says_who_got_what_and_who_was_not_considered(tmp_path: Path) -> None:
    plan = read_plan(keep(tmp_path, {"m1": {"a": 50.0, "b": 80.0}, "m2": {"a": -5.0}}, NOW, "c1", assumed=True))
    assert plan.of("m1") == [Decided("b", "c1", 80.0, 0.25, 1.0, assumed=True)]
    assert plan.of("m2") == []
    assert plan.of("m3") is None
    assert (plan.multipliers.campaign_id, plan.multipliers.offer_id) == ("c1", ("a", "b"))


def test_a_plan_made_anew_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    plans = KeptPlans(tmp_path)
    assert plans.current() == []
    keep(tmp_path, {"m1": {"a": 50.0}}, NOW)
    assert [plan.multipliers.at for plan in plans.current()] == [NOW]
    assert plans.current()[0] is plans.current()[0]
    later = NOW + timedelta(days=1)
    keep(tmp_path, {"m1": {"a": 50.0}}, later)
    keep(tmp_path, {"m1": {"a": 50.0}}, NOW, "c1")
    found = [(plan.multipliers.campaign_id, plan.multipliers.at) for plan in plans.current()]
    assert found == [("c1", NOW), (None, later)]


def test_a_damaged_plan_is_logged_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = keep(tmp_path, {"m1": {"a": 50.0}}, NOW)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        read_plan(path)
    assert KeptPlans(tmp_path).current() == []
    assert "plan_not_read" in caplog.text


def test_plans_that_name_somebody_erased_are_removed(database: Database, tmp_path: Path) -> None:
    keep(tmp_path, {"m1": {"a": 50.0}}, NOW, "c1")
    kept = keep(tmp_path, {"m2": {"a": 50.0}}, NOW, "c2")
    with database.write() as connection:
        assert remove_plans_of_erased(connection, tmp_path) == 0
        request_erasure(connection, "m1", "test", HashKey(b"0123456789abcdef", 1), NOW)
        assert remove_plans_of_erased(connection, tmp_path) == 1
    assert list((tmp_path / "plans").iterdir()) == [kept]


def test_reasons_lie_beside_the_plan_and_go_with_it(database: Database, tmp_path: Path) -> None:
    keep(tmp_path, {"m1": {"a": 50.0, "b": 80.0}, "m2": {"a": -5.0}}, NOW, "c1", plan_id="p1")
    plan = read_plan(keep(tmp_path, {"m1": {"a": 50.0, "b": 80.0}, "m2": {"a": -5.0}}, NOW, "c1", plan_id="p2"))
    assert plan.plan_id == "p2"
    assert plan.reasons("m1") == [Decision.OTHER_OFFER, Decision.BEST_WORTH]
    assert plan.reasons("m2") == [Decision.NO_GAIN, Decision.NO_GAIN]
    assert plan.reasons("m3") is None
    assert len(list((tmp_path / "plans").iterdir())) == 2  # the reasons of the plan before are gone
    with database.write() as connection:
        request_erasure(connection, "m1", "test", HashKey(b"0123456789abcdef", 1), NOW)
        assert remove_plans_of_erased(connection, tmp_path) == 1
    assert list((tmp_path / "plans").iterdir()) == []


def test_without_reasons_nobody_can_be_told_why(tmp_path: Path) -> None:
    plan = read_plan(keep(tmp_path, {"m1": {"a": 50.0}}, NOW))
    assert plan.reasons("m1") is None
    kept = read_plan(keep(tmp_path, {"m1": {"a": 50.0}}, NOW, plan_id="p1"))
    assert kept.why is not None
    kept.why.unlink()
    assert kept.reasons("m1") is None


def test_who_somebody_is_says_nothing_of_what_a_coupon_is_worth() -> None:
    named = " ".join(FEATURES)
    assert not [word for word in ("gender", "sex", "age_", "birth", "city", "region", "device") if word in named]

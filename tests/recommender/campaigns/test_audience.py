"""Who is found and who is left out, on both databases; what changed since the features were made is laid over."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.campaigns.audience import LeftOut, Rules, Selection, parse_expression, select
from recommender.campaigns.audience_store import check_expression, find_audience, list_audiences, save_audience
from recommender.campaigns.feature_age import is_due
from recommender.campaigns.feature_files import current_generation, read_features, refreshing, remove_others
from recommender.campaigns.feature_refresh import refresh_features
from recommender.campaigns.live_members import lay_over
from recommender.errors import ConflictError, InputError
from recommender.events import EventKind
from recommender.storage.database import Database
from recommender.storage.erasure import request_erasure, sweep
from recommender.storage.hashing import HashKey
from tests.factories import NOW, make_event, put_rows
from tests.recommender.campaigns.club import Club, Place

BUY = EventKind.PURCHASE
DAY = timedelta(days=1)


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    """Four consumers and an employee: anna and ben agreed to pushes, cora refused, dan never said."""
    club = Club()
    for member_id, tier in (("anna", "gold"), ("ben", "silver"), ("cora", "gold"), ("dan", None), ("eve", "gold")):
        club.members[member_id] = {"member_id": member_id, "tier": tier}
    club.members["eve"]["kind"] = "employee"
    club.members["anna"]["household_id"] = club.members["cora"]["household_id"] = "h1"
    club.consents = [
        {"member_id": one, "purpose": "push", "channel": "", "granted": one != "cora", "at": NOW - DAY}
        for one in ("anna", "ben", "cora", "eve")
    ]
    club.events = [
        make_event("e1", "anna", kind=BUY, channel="pos", item_id="milk", occurred_at=NOW - DAY),
        make_event("e2", "ben", kind=BUY, channel="app", item_id="soap", occurred_at=NOW - 40 * DAY),
    ]
    club.put(database)
    found = Place.of(database, tmp_path)
    found.refresh()
    return found


def _select(place: Place, expression: Any, rules: Rules | None = None) -> Selection:
    with place.database.read() as connection:
        return select(place.ground(connection), parse_expression(expression), rules)


def _members(place: Place, expression: Any, rules: Rules | None = None) -> list[str]:
    found = _select(place, expression, rules).members
    return found.ids(np.arange(len(found)))


def test_members_are_found_and_others_left_out_by_reason(place: Place) -> None:
    found = _select(place, {"everyone": True})
    assert found.members.ids(np.arange(2)) == ["anna", "ben"]
    assert [bytes(unit) for unit in found.units()] == [b"household:h1", b"member:ben"]
    assert found.left_out == {
        LeftOut.ERASED: 0,
        LeftOut.KIND: 1,
        LeftOut.OPTED_OUT: 0,
        LeftOut.NO_CONSENT: 2,
    }
    assert found.matched == 5


def test_only_matching_members_are_counted_as_left_out(place: Place) -> None:
    found = _select(place, {"bought": {"category": ["food"], "within_days": 30, "channel": "offline"}})
    assert (len(found), sum(found.left_out.values())) == (1, 0)


def test_an_audience_may_match_nobody(place: Place) -> None:
    found = _select(place, {"and": [{"tier": "gold"}, {"tier": "silver"}]})
    assert (len(found), found.matched) == (0, 0)


def test_units_that_are_kept_back_or_had_enough_are_left_out(place: Place) -> None:
    kept = np.array([name == "anna" for name in ("anna", "ben", "cora", "dan", "eve")])
    found = _select(place, {"everyone": True}, Rules(held_out=kept, capped=lambda units: units == b"member:ben"))
    assert len(found) == 0
    assert found.left_out[LeftOut.HELD_OUT] == 1
    assert found.left_out[LeftOut.CAPPED] == 1


def test_minors_need_a_guardian(place: Place) -> None:
    put_rows(place.database, "members", {"member_id": "ben", "birth_date": date(2015, 1, 1)}, now=NOW)
    assert _select(place, {"everyone": True}).left_out[LeftOut.OPTED_OUT] == 1
    consent = {"member_id": "ben", "purpose": "guardian_personalization", "channel": "", "granted": True, "at": NOW}
    put_rows(place.database, "consents", consent)
    assert _members(place, {"everyone": True}) == ["anna", "ben"]


def test_what_changed_since_is_laid_over(place: Place) -> None:
    put_rows(place.database, "members", {"member_id": "ben", "tier": "gold", "attributes": '{"pet": "cat"}'})
    put_rows(place.database, "members", {"member_id": "abe", "tier": "gold"}, {"member_id": "zoe", "tier": "gold"})
    given = [("dan", True), ("zoe", True), ("abe", True), ("anna", False)]
    rows = [{"member_id": one, "purpose": "push", "channel": "", "granted": yes, "at": NOW} for one, yes in given]
    put_rows(place.database, "consents", *rows)
    found = _select(place, {"tier": "gold"})
    assert found.members.ids(np.arange(3)) == ["abe", "ben", "zoe"]
    assert found.features.overlay.members == 3
    assert found.features.overlay.added == 2
    assert found.features.overlay.consents == 4
    assert _members(place, {"everyone": True}) == ["abe", "ben", "dan", "zoe"]
    assert _members(place, {"attribute": {"name": "pet", "is": "cat"}}) == ["ben"]
    assert _members(place, {"bought": {"min_times": 1}}) == ["ben"]
    assert _members(place, {"not": {"bought": {"min_times": 1}}}) == ["abe", "dan", "zoe"]
    assert _members(place, {"rfm": {"recency": [1, 2, 3, 4, 5]}}) == ["ben"]


def test_features_laid_over_once_are_laid_over_again(place: Place) -> None:
    put_rows(place.database, "members", {"member_id": "new1", "tier": "gold"})
    with place.database.read() as connection:
        first = place.ground(connection).features
    put_rows(place.database, "members", {"member_id": "a-new", "tier": "gold"})
    with place.database.read() as connection:
        second = lay_over(first, connection)
        assert lay_over(second, connection) is second
    assert second.extra.ids(np.arange(2)) == ["a-new", "new1"]
    assert second.columns.tier.among(["gold"])[second.rows(["new1", "a-new"])].all()
    assert second.overlay.added == 2


def test_erased_members_are_left_out_at_once(place: Place) -> None:
    with place.database.write() as connection:
        erasure = request_erasure(connection, "anna", "test", HashKey(b"k" * 32, 1), NOW)
    sweep(place.database, erasure, NOW)
    found = _select(place, {"tier": "gold"})
    assert len(found) == 0
    assert found.left_out[LeftOut.ERASED] == 1
    place.refresh()
    assert "anna" not in read_features(place.settings.home).index


def test_a_random_share_is_the_same_for_the_same_salt(database: Database, tmp_path: Path) -> None:
    put_rows(database, "members", *({"member_id": f"m{number}"} for number in range(2000)))
    place = Place.of(database, tmp_path)
    place.refresh()
    everyone = Rules(purpose=None)
    first, again, other = (
        set(_members(place, {"random": {"share": 0.25, "salt": salt}}, everyone)) for salt in ("a", "a", "b")
    )
    assert first == again != other
    assert 420 < len(first) < 580
    assert len(_members(place, {"random": {"share": 1}}, everyone)) == 2000


def test_features_are_made_anew_when_they_are_old_and_something_was_written(place: Place) -> None:
    assert not is_due(place.database, place.settings, 60, NOW)
    assert not is_due(place.database, place.settings, 60, NOW + DAY)
    put_rows(place.database, "members", {"member_id": "new"})
    assert not is_due(place.database, place.settings, 60, NOW)
    assert is_due(place.database, place.settings, 60, NOW + DAY)
    before = current_generation(place.settings.home)
    place.refresh(NOW + DAY)
    assert current_generation(place.settings.home) != before
    folders = [path.name for path in (place.settings.home / "member_features").iterdir() if path.is_dir()]
    assert folders == [current_generation(place.settings.home)]


def test_without_features_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="memberwise audiences refresh"):
        read_features(tmp_path)


def test_damaged_features_are_told(place: Place) -> None:
    home = place.settings.home
    path = home / "member_features" / (current_generation(home) or "") / "adult.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="cannot be read"):
        read_features(home)
    assert is_due(place.database, place.settings, 10**9, NOW)
    remove_others(home, None)
    assert current_generation(home) is None


def test_saved_audiences_have_versions(place: Place) -> None:
    with place.database.write() as connection:
        save_audience(connection, "gold", "Gold", {"tier": "gold"}, "key", NOW)
        second = save_audience(connection, "gold", "Gold and silver", {"tier": ["gold", "silver"]}, "key", NOW + DAY)
        save_audience(
            connection, "buyers", "", {"and": [{"audience": "gold"}, {"bought": {"min_times": 1}}]}, "key", NOW
        )
    assert second.version == 2
    with place.database.read() as connection:
        assert [(one.audience_id, one.version) for one in list_audiences(connection)] == [("buyers", 1), ("gold", 2)]
        first = find_audience(connection, "gold", 1)
        assert first is not None
        assert first.expression == {"tier": "gold"}
    assert _members(place, {"audience": "buyers"}) == ["anna", "ben"]


def test_audiences_cannot_be_made_of_themselves(place: Place) -> None:
    with place.database.write() as connection:
        save_audience(connection, "a", "", {"tier": "gold"}, "key", NOW)
        save_audience(connection, "b", "", {"not": {"audience": "a"}}, "key", NOW)
        with pytest.raises(InputError, match="made of itself"):
            save_audience(connection, "a", "", {"or": [{"audience": "b"}, {"tier": "gold"}]}, "key", NOW)
        with pytest.raises(InputError, match="no such audience"):
            check_expression(connection, {"audience": "c"})


def test_lists_and_offers_must_exist(place: Place) -> None:
    with pytest.raises(InputError, match="no such list"):
        _members(place, {"card_list": "spring"})
    with pytest.raises(InputError, match="no such offer"):
        _members(place, {"affinity": {"offer_id": "o9", "top": 1}})
    with pytest.raises(ConflictError, match="memberwise train"):
        _members(place, {"due": {"item_id": "milk"}})


def test_affinity_without_a_model_goes_by_what_was_done(place: Place) -> None:
    assert _members(place, {"affinity": {"item_id": "milk", "top": 10}}) == ["anna"]
    assert _members(place, {"affinity": {"category": "food", "top_share": 1}}) == ["anna"]
    assert _members(place, {"affinity": {"offer_id": "o1", "top": 1}}) == ["anna"]
    assert _members(place, {"affinity": {"item_id": "thing", "top": 1}}) == []


def test_one_process_of_a_host_makes_features_at_a_time(place: Place) -> None:
    before = current_generation(place.settings.home)
    with refreshing(place.settings.home) as held:
        assert held
        assert refresh_features(place.database, place.settings, NOW, wait=False) is None
    assert current_generation(place.settings.home) == before
    assert refresh_features(place.database, place.settings, NOW, wait=False) is not None


def test_what_a_killed_process_left_is_cleared_away(place: Place) -> None:
    folder = place.settings.home / "member_features"
    for name in (".writing-1", "20200101T000000-00000000"):
        (folder / name).mkdir()
        (folder / name / "members.npy").write_bytes(b"half")
    assert len(read_features(place.settings.home)) == 5
    place.refresh()
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [current_generation(place.settings.home)]

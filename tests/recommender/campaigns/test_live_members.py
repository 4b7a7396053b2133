"""Features with changes laid over say of members what features made anew say, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recommender.campaigns.audience import parse_expression
from recommender.campaigns.feature_files import read_features
from recommender.campaigns.live_members import events_since, lay_over
from recommender.storage.database import Database
from tests.factories import NOW, put_rows
from tests.recommender.campaigns.club import Place, random_club

CONDITIONS: list[dict[str, Any]] = [
    {"tier": "gold"},
    {"city": ["Hangzhou", "Suzhou"]},
    {"kind": "consumer"},
    {"home_store_id": "s2"},
    {"guide_id": "g1"},
    {"birth_month": list(range(1, 7))},
    {"points": {"min": 50}},
    {"attribute": {"name": "pet", "is": "cat"}},
    {"attribute": {"name": "size", "min": 2, "max": 3}},
    {"attribute": {"name": "size", "exists": False}},
    {"consent": {"purpose": "push"}},
    {"consent": {"purpose": "push", "channel": "sms"}},
    {"consent": {"purpose": "personalization", "granted": False}},
    {"days_since": {"what": "registered", "max": 200}},
    {"random": {"share": 0.5}},
    {"member_id": ["m03", "z1", "a1"]},
]


def answers(place: Place, now: Any = NOW) -> list[set[str]]:
    with place.database.read() as connection:
        ground = place.ground(connection, now)
        keys = ground.features.keys()
        masks = [parse_expression(one).mask(ground) for one in CONDITIONS]
    return [{key.decode() for key in keys[mask].tolist()} for mask in masks]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_laid_over_is_as_made_anew(database: Database, tmp_path: Path, seed: int) -> None:
    random_club(seed).put(database)
    place = Place.of(database, tmp_path)
    place.refresh()
    later = random_club(seed + 10)
    for old, new in (("m00", "z1"), ("m01", "a1"), ("m02", "m025")):
        later.members[new] = later.members.pop(old) | {"member_id": new}
        later.consents = [one | {"member_id": new} if one["member_id"] == old else one for one in later.consents]
    later.events, later.sends, later.redemptions = [], [], []
    later.put(database)
    put_rows(database, "members", {"member_id": "m05", "attributes": None, "tier": "gold"})
    laid = answers(place)
    assert any(laid)
    place.refresh()
    with database.read() as connection:
        features = read_features(place.settings.home)
        assert lay_over(features, connection) is features
        assert events_since(features, connection) == 0
    assert answers(place) == laid

"""Placement: settings of a scenario as data, and how clearly a wrong one is refused."""

from __future__ import annotations

import pytest

from recommender.errors import InputError
from recommender.placement import NO_PLACEMENT, NO_STEERING, Pin, joined, parse_placement, parse_steering

WHOLE = {
    "filters": {"not": {"category": "toys"}},
    "boosts": [{"filters": {"brand": "Alm"}, "factor": 2}],
    "bury": {"brand": "Hop"},
    "pins": [{"item_id": "b", "position": 3}, {"item_id": "a", "position": 1}],
    "cool_down": {"share": 0.8, "categories": {"food>dairy": 3, "household": 0}},
    "diversity": 0.3,
    "repeat_share": 0.5,
    "exploration_share": 0.1,
}


def test_every_part_is_read() -> None:
    found = parse_placement(WHOLE, 4)
    assert found.steering.filters is not None
    assert found.steering.bury is not None
    assert [boost.factor for boost in found.steering.boosts] == [2.0]
    assert found.steering.pins == (Pin("a", 1), Pin("b", 3))
    assert (found.cool_down.share, found.cool_down.days) == (0.8, {"food > dairy": 3, "household": 0})
    assert (found.diversity, found.repeat_share, found.exploration_share, found.version) == (0.3, 0.5, 0.1, 4)


def test_nothing_said_changes_nothing() -> None:
    assert parse_placement({}) == NO_PLACEMENT
    assert parse_placement(dict.fromkeys(WHOLE)) == NO_PLACEMENT
    assert parse_steering({}) == NO_STEERING
    off = parse_placement({"cool_down": {}})
    assert not off.cool_down.active


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "settings"),
        ({"colour": 1}, "settings.colour"),
        ({"filters": {"brand": 1}}, "settings.filters.brand"),
        ({"boosts": {}}, "settings.boosts"),
        ({"boosts": [{"filters": {"brand": "a"}, "factor": 0}]}, "settings.boosts[0].factor"),
        ({"boosts": [{"factor": 2}]}, "settings.boosts[0].filters"),
        ({"boosts": [{"filters": {"brand": "a"}, "factor": 2}] * 21}, "settings.boosts"),
        ({"pins": [{"item_id": "a", "position": 0}]}, "settings.pins[0].position"),
        ({"pins": [{"item_id": "", "position": 1}]}, "settings.pins[0].item_id"),
        ({"pins": [{"item_id": "a", "position": 1}, {"item_id": "a", "position": 2}]}, "settings.pins[1].item_id"),
        ({"pins": [{"item_id": "a", "position": 1}, {"item_id": "b", "position": 1}]}, "settings.pins[1].position"),
        ({"cool_down": {"share": 1.1}}, "settings.cool_down.share"),
        ({"cool_down": {"categories": {"a": -1}}}, "settings.cool_down.categories.a"),
        ({"cool_down": {"categories": []}}, "settings.cool_down.categories"),
        ({"diversity": 1}, "settings.diversity"),
        ({"repeat_share": True}, "settings.repeat_share"),
        ({"exploration_share": 0.21}, "settings.exploration_share"),
    ],
)
def test_what_is_wrong_is_named(value: object, field: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_placement(value)
    assert refused.value.field == field


def test_a_request_has_the_pins_that_both_want() -> None:
    kept = parse_steering({"pins": [{"item_id": name, "position": at} for at, name in enumerate("abc", 1)]})
    asked = parse_steering({"pins": [{"item_id": "c", "position": 1}]})
    assert joined(kept, asked) == (Pin("c", 1), Pin("b", 2))
    with pytest.raises(InputError) as refused:
        parse_steering({"pins": [{"item_id": "a"}]})
    assert refused.value.field == "pins[0].position"

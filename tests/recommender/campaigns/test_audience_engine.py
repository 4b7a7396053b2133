"""The engine of audiences says what a plain reading of the same history says, member by member."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.campaigns.audience import Rules, parse_expression, select
from recommender.events import BROWSING_KINDS
from recommender.storage.database import Database
from tests.recommender.campaigns.club import ITEMS, Club, Place, random_club
from tests.recommender.campaigns.plain_audience import plain_members

SEEDS = (1, 2, 3)
EVERYONE = Rules(purpose=None)


def _some(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


def _bounds(*values: float) -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.tuples(st.sampled_from(values), st.sampled_from(values)).map(sorted)
    return pairs.flatmap(
        lambda pair: st.sampled_from([{"min": pair[0]}, {"max": pair[1]}, {"min": pair[0], "max": pair[1]}])
    )


WINDOW = st.fixed_dictionaries(
    {},
    optional={
        "within_days": st.sampled_from((1, 2, 30, 31, 91, 401)),
        "channel": st.sampled_from(("app", "pos", "online", "offline", ["web", "pos"])),
    },
)
GOODS = st.fixed_dictionaries(
    {},
    optional={
        "item_id": _some(*ITEMS),
        "category": _some("food", "food > dairy", "home"),
        "brand": _some("Cow", "Clean"),
    },
)
DID = st.tuples(WINDOW, GOODS, st.integers(1, 3)).map(lambda parts: {**parts[0], **parts[1], "min_times": parts[2]})
LEAF = st.one_of(
    st.just({"everyone": True}),
    st.builds(lambda ids: {"member_id": ids}, _some("m00", "m05", "stranger")),
    st.builds(lambda values: {"tier": values}, _some("gold", "silver", "none")),
    st.builds(lambda values: {"city": values}, _some("Hangzhou", "Paris")),
    st.builds(lambda values: {"home_store_id": values}, _some("s1", "s2")),
    st.builds(lambda values: {"guide_id": values}, _some("g1")),
    st.builds(lambda values: {"kind": values}, _some("consumer", "test", "employee")),
    st.builds(lambda values: {"birth_month": values}, _some(1, 3, 7, 12)),
    st.builds(lambda bounds: {"points": bounds}, _bounds(0, 50, 100)),
    st.sampled_from(
        [
            {"attribute": {"name": "pet", "is": "cat"}},
            {"attribute": {"name": "vip", "is": True}},
            {"attribute": {"name": "size", "is": 2}},
            {"attribute": {"name": "size", "min": 2}},
            {"attribute": {"name": "pet", "exists": False}},
            {"attribute": {"name": "nothing", "is": 1}},
        ]
    ),
    st.builds(
        lambda purpose, channel, granted: {"consent": {"purpose": purpose, "granted": granted} | channel},
        st.sampled_from(("push", "personalization", "none")),
        st.sampled_from(({}, {"channel": "sms"}, {"channel": "app"})),
        st.booleans(),
    ),
    st.builds(
        lambda what, bounds: {"days_since": {"what": what, **bounds}},
        st.sampled_from(("registered", "first_purchase", "last_purchase", "last_browse", "coupon", "redemption")),
        _bounds(0, 1, 20, 90),
    ),
    st.builds(lambda window, bounds: {"orders": window | bounds}, WINDOW, _bounds(0, 1, 3)),
    st.builds(lambda window, bounds: {"spend_cents": window | bounds}, WINDOW, _bounds(0, 200, 900)),
    st.builds(lambda window, bounds: {"average_basket_cents": window | bounds}, WINDOW, _bounds(0, 150, 300)),
    st.builds(lambda window, bounds: {"discount_share": window | bounds}, WINDOW, _bounds(0, 0.1, 0.5)),
    st.builds(lambda asked: {"bought": asked}, DID),
    st.builds(lambda asked, cents: {"bought": asked | {"min_cents": cents}}, DID, st.sampled_from((1, 300))),
    st.builds(lambda asked: {"browsed": asked}, DID),
    st.builds(lambda asked, kinds: {"browsed": asked | {"kind": kinds}}, DID, _some(*map(str, BROWSING_KINDS))),
    st.builds(
        lambda days, bounds: {"coupons_given": {"within_days": days} | bounds},
        st.sampled_from((10, 61)),
        _bounds(0, 1, 2),
    ),
)
EXPRESSION = st.recursive(
    LEAF,
    lambda parts: st.one_of(
        st.builds(lambda part: {"not": part}, parts),
        st.builds(lambda several: {"and": several}, st.lists(parts, min_size=1, max_size=3)),
        st.builds(lambda several: {"or": several}, st.lists(parts, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def places(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, tuple[Club, Place]]]:
    """Clubs by seed, each with its features."""
    found = {}
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp("club")
        shutil.copy(sqlite_template, folder / "memberwise.db")
        place = Place.of(Database(f"sqlite:///{folder / 'memberwise.db'}"), folder)
        club = random_club(seed)
        club.put(place.database)
        place.refresh()
        found[seed] = club, place
    yield found
    for _, place in found.values():
        place.database.dispose()


@given(seed=st.sampled_from(SEEDS), expression=EXPRESSION)
@settings(max_examples=300, deadline=None)
def test_the_engine_agrees_with_a_plain_reading(
    places: dict[int, tuple[Club, Place]], seed: int, expression: dict[str, Any]
) -> None:
    club, place = places[seed]
    with place.database.read() as connection:
        ground = place.ground(connection)
        found = select(ground, parse_expression(expression), EVERYONE)
        mask = parse_expression(expression).mask(ground)
    matched = {ground.features.index.id(row) for row in mask.nonzero()[0].tolist()}
    assert matched == plain_members(club, expression)
    assert found.matched == len(matched)

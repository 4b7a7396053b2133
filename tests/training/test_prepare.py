"""What is ranked in advance is what would have been ranked anew, and answers only while it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import Bundle
from recommender.events import member_subject
from recommender.lately import LATELY_MINUTES
from recommender.lookup import PREPARED_DAYS, STALE_DAYS, QuerySource
from recommender.placement import Placement
from recommender.prepared import MOST_WANTED, SCENARIOS, WIDTH
from recommender.query import Query, Scenario
from recommender.reasons import explain
from recommender.request import SlateRequest
from recommender.storage.erasure import request_erasure
from recommender.storage.hashing import HashKey
from recommender.storage.live import LiveState
from recommender.storage.upserts import upsert
from tests.training.shops import NOW, SETTINGS, open_shop, purchase, put_events
from training.place import Place
from training.progress import Silent
from training.train import train
from training.unify import read_dataset


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = open_shop(tmp_path_factory.mktemp("prepared"))
    train(place, SETTINGS, None, True, NOW, Silent())
    yield place
    place.database.dispose()


def source_of(place: Place, bundle: Bundle) -> QuerySource:
    return QuerySource(bundle, place.database, place.settings.channel_kinds)


def ask(place: Place, member: str, hours: float = 0, **changes: object) -> Query:
    """Return the query of a member, some hours after what the bundle was trained on."""
    bundle = place.registry.open()
    now = bundle.trained_until + timedelta(hours=hours)
    live = LiveState(place.database, bundle.recommender().items, place.settings.zone).current(now)
    request = replace(SlateRequest(Scenario.HOME, 10, member_subject(member)), **changes)  # type: ignore[arg-type]
    return source_of(place, bundle).query(request, live, now)[0]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_prepared_is_what_would_be_found(shop: Place, scenario: Scenario) -> None:
    recommender = shop.registry.open().recommender()
    for member in ("m00", "m07", "m39"):
        query = ask(shop, member, scenario=scenario, count=MOST_WANTED)
        assert query.ready is not None
        assert query.ready.company is not None
        prepared, found = recommender.recommend([query, replace(query, ready=None)])
        assert np.array_equal(prepared.row, found.row)
        assert prepared.score == pytest.approx(found.score)
        assert prepared.source == found.source
        assert explain(prepared, query, recommender) == explain(found, replace(query, ready=None), recommender)


def test_prepared_and_other_queries_share_a_batch(shop: Place) -> None:
    recommender = shop.registry.open().recommender()
    ready = ask(shop, "m01")
    queries = [replace(ready, ready=None), ready, ask(shop, "nobody"), ask(shop, "m02")]
    together = recommender.recommend(queries)
    for query, slate in zip(queries, together, strict=True):
        assert np.array_equal(recommender.recommend([query])[0].row, slate.row)


def test_it_holds_for_some_days_and_again_where_time_stands_still(shop: Place) -> None:
    assert ask(shop, "m00", hours=24 * PREPARED_DAYS).ready is not None
    assert ask(shop, "m00", hours=24 * PREPARED_DAYS + 1).ready is None
    assert ask(shop, "m00", hours=24 * STALE_DAYS).ready is None
    assert ask(shop, "m00", hours=24 * STALE_DAYS + 1).ready is not None


def test_long_slates_and_strangers_are_ranked_anew(shop: Place) -> None:
    assert ask(shop, "m00", count=MOST_WANTED + 1).ready is None
    assert ask(shop, "nobody").ready is None
    assert ask(shop, "m00", scenario=Scenario.TRENDING).ready is None
    assert ask(shop, "m00", among=("i01",)).ready is None


def test_variety_set_by_hand_is_ranked_anew(shop: Place) -> None:
    assert ask(shop, "m00", placement=Placement(diversity=0.5)).ready is None
    assert ask(shop, "m00", placement=Placement(repeat_share=0.0)).ready is None
    assert ask(shop, "m00", placement=Placement(diversity=0.0)).ready is not None


def test_new_events_and_new_links_are_ranked_anew(tmp_path: Path) -> None:
    place = open_shop(tmp_path)
    train(place, SETTINGS, None, True, NOW, Silent())
    assert ask(place, "m03").ready is not None
    put_events(place.database, [purchase("m03", "i20", NOW + timedelta(minutes=1))])
    assert ask(place, "m03").ready is None
    with place.database.write() as connection:
        upsert(connection, "identities", [{"namespace": "card", "value": "7", "member_id": "m04"}], NOW)
    assert ask(place, "m04").ready is not None, "a link to a card that bought nothing changes nothing"
    prepared = place.registry.open().prepared
    assert prepared is not None
    first = int(prepared.person[0])
    assert prepared.of(Scenario.HOME, [first]) is not None
    assert prepared.of(Scenario.HOME, [first, first + 1]) is None, "somebody with another history"
    place.database.dispose()


def test_who_refuses_gets_nothing_that_was_prepared(tmp_path: Path) -> None:
    place = open_shop(tmp_path)
    train(place, SETTINGS, None, True, NOW, Silent())
    consent = {"member_id": "m03", "purpose": "personalization", "granted": False, "at": NOW}
    with place.database.write() as connection:
        upsert(connection, "consents", [consent], NOW)
    assert ask(place, "m03").ready is None
    place.database.dispose()


def test_only_those_who_came_last_are_ranked_in_advance(tmp_path: Path) -> None:
    place = open_shop(tmp_path)
    train(place, replace(SETTINGS, prepared_members=5), None, True, NOW, Silent())
    prepared = place.registry.open().prepared
    assert prepared is not None
    assert prepared.row.shape == (5, len(SCENARIOS), WIDTH)
    assert list(prepared.person) == sorted(prepared.person)
    place.database.dispose()


def test_nothing_prepared_for_who_opted_out_or_was_erased(shop: Place) -> None:
    assert all(ask(shop, member).ready is not None for member in ("m20", "m21", "m22"))
    refused = {"member_id": "m20", "purpose": "personalization", "granted": False, "at": NOW}
    with shop.database.write() as connection:
        upsert(connection, "consents", [refused], NOW)
        upsert(connection, "members", [{"member_id": "m21", "adult": "false"}], NOW)
        request_erasure(connection, "m22", "k1", HashKey(b"0123456789abcdef", 1), NOW)
    assert [ask(shop, member).ready for member in ("m20", "m21", "m22")] == [None, None, None]
    dataset = read_dataset(shop.database, shop.settings, None, NOW)
    known = [dataset.people.row(member_subject(member)) is not None for member in ("m19", "m20", "m21", "m22")]
    assert known == [True, False, False, False], "the next bundle has nothing of them to prepare"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_remembered_of_a_fresh_member_is_what_was_found(tmp_path: Path, scenario: Scenario) -> None:
    place = open_shop(tmp_path)
    train(place, SETTINGS, None, True, NOW, Silent())
    put_events(place.database, [purchase("m03", "i20", NOW + timedelta(minutes=1))])
    bundle, now = place.registry.open(), NOW + timedelta(hours=1)
    source, recommender = source_of(place, bundle), bundle.recommender()
    live = LiveState(place.database, recommender.items, place.settings.zone).current(now)

    def query(at: int = 0) -> Query:
        later = now + timedelta(minutes=at)
        return source.query(SlateRequest(scenario, 10, member_subject("m03")), live, later)[0]

    first = query()
    assert first.ready is None
    found = recommender.recommend([first])[0]
    for at in (0, 0, 1):
        again = query(at)
        assert again.ready is not None
        remembered = recommender.recommend([again])[0]
        assert np.array_equal(remembered.row, found.row)
        assert np.array_equal(remembered.score, found.score)
        assert remembered.source == found.source
        assert explain(remembered, again, recommender) == explain(found, first, recommender)
    assert query(LATELY_MINUTES).ready is None
    put_events(place.database, [purchase("m03", "i21", NOW + timedelta(minutes=2))])
    assert query().ready is None
    place.database.dispose()

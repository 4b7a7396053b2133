"""Lookup: requests with ids become queries, by what the bundle and the database say of the customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import Bundle, BundleFacts, history_arrays, open_bundle, write_bundle
from recommender.context import RequestContext, SessionEvent
from recommender.events import KNOWN_CHANNELS, Event, EventKind, member_subject
from recommender.history import Histories, stack
from recommender.ids import IdIndex
from recommender.lookup import STALE_DAYS, QuerySource, Who
from recommender.query import Query, Scenario
from recommender.request import SlateRequest
from recommender.storage.database import Database
from recommender.storage.events import append_events
from recommender.storage.identities import Link, link, unlink
from recommender.storage.live import LiveState
from recommender.storage.statements import execute
from tests.factories import make_event, put_rows
from tests.learning import AS_OF, VIEW, Entry, history
from tests.toy_shop import toy_recommender

TRAINED = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=AS_OF)
"""The end of the bundle's histories."""
NOW = TRAINED + timedelta(days=1)
SHOP = toy_recommender(popular=[6, 5, 4, 3, 2, 1], stores=[{0: 1.0}, {1: 1.0}])
PEOPLE: Mapping[str, Sequence[Entry]] = {
    "member:m1": [(0, 10), (1, 5, VIEW)],
    "card:c1": [(2, 7), (0, 3)],
    "wechat_openid:w1": [(3, 2)],
}
HOME = SlateRequest(Scenario.HOME, 3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of PEOPLE's histories, trained until TRAINED, with no event of SQL in it."""
    folder = tmp_path_factory.mktemp("models")
    arrays, description = SHOP.parts()
    subjects = IdIndex.of(PEOPLE)
    whole = stack([history(*PEOPLE[subject]) for subject in subjects.ids(np.arange(len(subjects)))])
    facts = BundleFacts(trained_until=TRAINED, last_sequence=0, seed=7, threads=1, created_at=TRAINED)
    name = write_bundle(folder, arrays | history_arrays(subjects, whole), description, "", facts, {})
    return open_bundle(folder / name)


@dataclass(frozen=True)
class Desk:
    """Asks for queries of one bundle over one database."""

    bundle: Bundle
    database: Database

    def ask(
        self, request: SlateRequest, now: datetime = NOW, past: tuple[Histories, int] | None = None
    ) -> tuple[Query, Who]:
        live = LiveState(self.database, self.bundle.recommender().items).current(now)
        return QuerySource(self.bundle, self.database, KNOWN_CHANNELS).query(request, live, now, past)

    def who(self, subject: str | None, **changes: object) -> tuple[Query, Who]:
        return self.ask(replace(HOME, subject=subject, **changes))  # type: ignore[arg-type]

    def flags(self, subject: str | None, **changes: object) -> tuple[str, ...]:
        return self.who(subject, **changes)[1].flags

    def post(self, *events: Event) -> None:
        with self.database.write() as connection:
            append_events(connection, events, NOW)

    def link(self, namespace: str, value: str, member_id: str) -> None:
        with self.database.write() as connection:
            link(connection, [Link(namespace, value, member_id)], NOW)


@pytest.fixture
def desk(bundle: Bundle, sqlite_database: Database) -> Desk:
    return Desk(bundle, sqlite_database)


@pytest.fixture
def both(bundle: Bundle, database: Database) -> Desk:
    """A desk on either database."""
    return Desk(bundle, database)


def entries(query: Query) -> list[tuple[int, float]]:
    """Return (item row, days before TRAINED) of the history."""
    days = (AS_OF - query.history.minute) / 1440
    return list(zip(query.history.item_row.tolist(), days.tolist(), strict=True))


def allowed(query: Query, rule: str) -> list[int] | None:
    """Return the rows that a rule allows, None if the query has no such rule."""
    found = [mask for mask in query.masks if mask.rule == rule]
    return np.flatnonzero(found[0].allowed).tolist() if found else None


def purchase(event_id: str, item_id: str, subject: str = "member:m1", hours: float = 1) -> Event:
    return make_event(
        event_id,
        kind=EventKind.PURCHASE,
        item_id=item_id,
        subject=subject,
        occurred_at=NOW - timedelta(hours=hours),
    )


def test_a_members_history_is_that_of_the_bundle(desk: Desk) -> None:
    put_rows(desk.database, "members", {"member_id": "m1"})
    query, who = desk.who("member:m1")
    assert entries(query) == [(0, 10), (1, 5)]
    assert query.as_of == AS_OF + 1440 + 1
    assert (query.scenario, query.count, query.personal) == (Scenario.HOME, 3, True)
    assert (who.subjects, who.store_id) == (("member:m1",), None)
    assert who.flags == ("stock_unknown",)


def test_history_follows_links(both: Desk) -> None:
    put_rows(both.database, "members", {"member_id": "m1"})
    assert entries(both.who("member:m1")[0]) == [(0, 10), (1, 5)]
    both.link("card", "c1", "m1")
    query, who = both.who("member:m1")
    assert entries(query) == [(0, 10), (2, 7), (1, 5), (0, 3)]
    assert who.subjects == ("member:m1", "card:c1")
    assert entries(both.who("card:c1")[0]) == entries(query)
    with both.database.write() as connection:
        unlink(connection, "card", "c1", "m1", NOW)
    assert entries(both.who("member:m1")[0]) == [(0, 10), (1, 5)]
    assert entries(both.who("card:c1")[0]) == [(2, 7), (0, 3)]


def test_an_event_posted_now_is_in_the_next_history(both: Desk) -> None:
    both.post(purchase("e1", "i04"), make_event("e2", item_id="i05", occurred_at=NOW, subject="member:m1"))
    query, _ = both.who("member:m1")
    assert entries(query) == [(0, 10), (1, 5), (4, -23 / 24), (5, -1)]
    assert (query.history.minute < query.as_of).all()


def test_events_of_all_subjects_of_a_member_count(desk: Desk) -> None:
    desk.link("card", "c1", "m1")
    desk.post(purchase("e1", "i04", subject="card:c1"), purchase("e2", "i05", subject="card:other"))
    assert [row for row, _ in entries(desk.who("member:m1")[0])] == [0, 2, 1, 0, 4]


def test_a_return_takes_its_purchase_out_of_the_bundles_history(desk: Desk) -> None:
    desk.post(make_event("e1", kind=EventKind.RETURN, item_id="i00", occurred_at=NOW, subject="member:m1"))
    assert entries(desk.who("member:m1")[0]) == [(1, 5)]


def test_purchases_of_one_item_on_one_day_are_one_entry(desk: Desk) -> None:
    desk.post(purchase("e1", "i04", hours=1), purchase("e2", "i04", hours=3), purchase("e3", "i04", hours=25))
    assert [row for row, _ in entries(desk.who("member:m1")[0])] == [0, 1, 4, 4]


def test_strangers_of_all_sorts_are_flagged(desk: Desk) -> None:
    query, who = desk.who(None)
    assert (entries(query), who.subjects, who.flags) == ([], (), ("anonymous", "stock_unknown"))
    assert desk.flags("member:nobody") == ("unknown_member", "empty_history", "stock_unknown")
    assert desk.flags("wechat_openid:nobody") == ("unlinked_identity", "empty_history", "stock_unknown")
    query, who = desk.who("wechat_openid:w1")
    assert (entries(query), who.flags) == ([(3, 2)], ("unlinked_identity", "stock_unknown"))
    put_rows(desk.database, "members", {"member_id": "m9"})
    assert desk.flags("member:m9") == ("empty_history", "stock_unknown")


def test_an_identity_of_two_members_is_nobodys(desk: Desk) -> None:
    desk.link("card", "c1", "m1")
    desk.link("card", "c1", "m2")
    query, who = desk.who("card:c1")
    assert who.flags[0] == "identity_conflict"
    assert entries(query) == [(2, 7), (0, 3)]
    assert entries(desk.who("member:m1")[0]) == [(0, 10), (1, 5)]


def test_an_identity_of_two_members_makes_no_profile_if_one_of_them_refuses(both: Desk) -> None:
    both.link("card", "c1", "m1")
    both.link("card", "c1", "m2")
    assert both.who("card:c1")[0].personal
    refused = {"member_id": "m2", "purpose": "personalization", "granted": False, "at": NOW}
    put_rows(both.database, "consents", refused)
    query, who = both.who("card:c1")
    assert not query.personal
    assert who.flags[:2] == ("identity_conflict", "not_personalised")


def test_who_opted_out_and_who_is_no_consumer_are_not_personalised(desk: Desk) -> None:
    refused = {"member_id": "m1", "purpose": "personalization", "granted": False, "at": NOW}
    put_rows(desk.database, "consents", refused)
    query, who = desk.who("member:m1")
    assert not query.personal
    assert who.flags == ("not_personalised", "stock_unknown")
    put_rows(desk.database, "members", {"member_id": "m2", "kind": "employee"})
    assert not desk.who("member:m2")[0].personal


def test_an_erased_member_has_no_history(desk: Desk) -> None:
    desk.link("card", "c1", "m1")
    desk.post(purchase("e1", "i04"))
    with desk.database.write() as connection:
        execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES (?, ?)", ("member:m1", 0))
    query, who = desk.who("member:m1")
    assert (entries(query), who.subjects) == ([], ())
    assert who.flags[:2] == ("unknown_member", "empty_history")


def test_the_store(desk: Desk) -> None:
    put_rows(desk.database, "members", {"member_id": "m1", "home_store_id": "s1"})
    put_rows(desk.database, "stores", {"store_id": "s0"}, {"store_id": "s1"}, {"store_id": "s9"})
    query, who = desk.who("member:m1")
    assert (query.store_row, who.store_id) == (1, "s1")
    query, who = desk.who("member:m1", store_id="s0")
    assert (query.store_row, who.store_id, who.flags) == (0, "s0", ("stock_unknown",))
    query, who = desk.who("member:m1", store_id="s9")
    assert (query.store_row, who.store_id, who.flags) == (None, "s9", ("stock_unknown",))
    assert desk.flags("member:m1", store_id="nowhere") == ("unknown_store", "stock_unknown")
    put_rows(
        desk.database, "stores", {"store_id": "s1", "status": "closed"}, {"store_id": "s0", "closed_on": NOW.date()}
    )
    query, who = desk.who("member:m1")
    assert (query.store_row, who.store_id) == (None, None)
    query, who = desk.who("member:m1", store_id="s0")
    assert (query.store_row, who.store_id, who.flags[0]) == (None, None, "store_closed")


def test_what_may_not_be_shown(desk: Desk) -> None:
    put_rows(
        desk.database,
        "items",
        {"item_id": "i00", "restricted_class": "tobacco"},
        {"item_id": "i01", "restricted_class": "alcohol"},
        {"item_id": "i02", "available_until": NOW},
        {"item_id": "later", "title": "Newer than the bundle"},
    )
    put_rows(desk.database, "members", {"member_id": "old", "adult": "true"}, {"member_id": "young", "adult": "false"})
    assert allowed(desk.who("member:old")[0], "not_sellable") == [1, 3, 4, 5, 6]
    assert allowed(desk.who("member:young")[0], "not_sellable") == [3, 4, 5, 6]
    assert allowed(desk.who(None)[0], "not_sellable") == [3, 4, 5, 6]
    query, _ = desk.who(None, exclude=["i04", "later", "unknown"])
    assert allowed(query, "excluded") == [0, 1, 2, 3, 5]
    assert allowed(desk.who(None)[0], "excluded") is None


def test_assortment_and_stock_of_the_store(desk: Desk) -> None:
    put_rows(desk.database, "stores", {"store_id": "s0"}, {"store_id": "s1"})
    put_rows(desk.database, "assortment", *({"store_id": "s0", "item_id": f"i0{row}"} for row in (1, 2, 3)))
    put_rows(
        desk.database,
        "inventory",
        {"store_id": "s0", "item_id": "i01", "on_hand": 2},
        {"store_id": "s0", "item_id": "i02", "on_hand": 0},
    )
    query, who = desk.who("member:m1", store_id="s0")
    assert allowed(query, "not_listed") == [1, 2, 3]
    assert allowed(query, "out_of_stock") == [1]
    assert who.flags == ()
    query, who = desk.who("member:m1", store_id="s1")
    assert (allowed(query, "not_listed"), allowed(query, "out_of_stock")) == (None, None)
    assert who.flags == ("stock_unknown",)
    query, who = desk.who("member:m1", store_id="s0", stock=False)
    assert (allowed(query, "not_listed"), allowed(query, "out_of_stock")) == ([1, 2, 3], None)
    assert who.flags == ()
    assert [mask.rule for mask in desk.who(None, store_id="s0", exclude=["i01"])[0].masks] == [
        "not_sellable",
        "excluded",
        "not_listed",
        "out_of_stock",
    ]


def test_without_a_store_whatever_can_be_reached_counts(desk: Desk) -> None:
    put_rows(
        desk.database,
        "stores",
        {"store_id": "s0", "city": "Suzhou", "channel": "pos"},
        {"store_id": "s1", "city": "Suzhou", "channel": "pos"},
        {"store_id": "far", "city": "Xi'an", "channel": "pos"},
        {"store_id": "web", "channel": "web"},
    )
    put_rows(desk.database, "members", {"member_id": "m1", "home_store_id": "s0"}, {"member_id": "m2"})
    stocked = {"s0": "i00", "s1": "i01", "far": "i02", "web": "i03"}
    rows = [{"store_id": store, "item_id": item, "on_hand": 1} for store, item in stocked.items()]
    put_rows(desk.database, "inventory", *rows[:3])
    assert desk.flags("member:m1") == ("stock_unknown",)  # of the web shop nothing is known yet
    put_rows(desk.database, "inventory", rows[3])
    query, who = desk.who("member:m1")
    assert allowed(query, "out_of_stock") == [0, 1, 3]
    assert who.flags == ()
    assert allowed(desk.who("member:m2")[0], "out_of_stock") == [3]
    put_rows(desk.database, "stores", {"store_id": "s1", "status": "closed"})
    assert allowed(desk.who("member:m1")[0], "out_of_stock") == [0, 3]


def test_a_list_as_of_an_earlier_time_uses_the_history_given(desk: Desk) -> None:
    desk.post(purchase("e1", "i04"))
    past = history((5, 40))
    query, _ = desk.ask(replace(HOME, subject="member:m1"), past=(past, AS_OF - 30 * 1440))
    assert (entries(query), query.as_of) == ([(5, 40)], AS_OF - 30 * 1440)


def test_an_old_bundle_is_asked_as_of_its_own_end(desk: Desk) -> None:
    old = TRAINED + timedelta(days=STALE_DAYS, minutes=1)
    query, _ = desk.ask(replace(HOME, subject="member:m1"), old)
    assert query.as_of == AS_OF + 1
    desk.post(replace(purchase("e1", "i04"), occurred_at=old - timedelta(hours=1)))
    query, _ = desk.ask(replace(HOME, subject="member:m1"), old)
    assert query.as_of == AS_OF + STALE_DAYS * 1440 - 59 + 1
    assert (query.history.minute < query.as_of).all()


def test_what_the_bundle_includes_is_not_read_again(desk: Desk, tmp_path: Path) -> None:
    desk.post(purchase("e1", "i04"))
    arrays, description = SHOP.parts()
    facts = replace(desk.bundle.manifest.facts, last_sequence=1)
    subjects = IdIndex.of([member_subject("m1")])
    name = write_bundle(tmp_path, arrays | history_arrays(subjects, history((0, 10))), description, "", facts, {})
    desk.post(purchase("e2", "i05"))
    query, _ = Desk(open_bundle(tmp_path / name), desk.database).who("member:m1")
    assert [row for row, _ in entries(query)] == [0, 5]


def test_the_slate_of_a_request(desk: Desk) -> None:
    put_rows(desk.database, "inventory", {"store_id": "s0", "item_id": "i01", "on_hand": 1})
    put_rows(desk.database, "inventory", {"store_id": "s0", "item_id": "i04", "on_hand": 1})
    query, _ = desk.who("member:m1", store_id="s0")
    slate = desk.bundle.recommender().recommend([query])[0]
    assert slate.row.tolist() == [1, 4]
    assert slate.dropped == {"out_of_stock": 4}


def test_a_request_about_items_is_a_query_about_rows(desk: Desk) -> None:
    context = RequestContext("i03", ["i01", "i05"], [SessionEvent("i02"), SessionEvent("i04")])
    query, who = desk.who("member:m1", scenario=Scenario.BASKET, context=context)
    assert query.context.row.tolist() == [1, 5]
    assert allowed(query, "in_context") == [0, 2, 3, 4]
    assert entries(query)[-2:] == [(2, -1), (4, -1)]
    assert who.flags == ("stock_unknown",)
    query, _ = desk.who("member:m1", context=context)
    assert len(query.context) == 0
    assert allowed(query, "in_context") == [0, 2, 3, 4]


def test_the_visit_of_who_opted_out_is_not_used_but_the_item_they_look_at_is(desk: Desk) -> None:
    refused = {"member_id": "m1", "purpose": "personalization", "granted": False, "at": NOW}
    put_rows(desk.database, "consents", refused)
    context = RequestContext("i03", events=[SessionEvent("i02")])
    query, who = desk.who("member:m1", scenario=Scenario.SESSION, context=context)
    assert (len(query.context), query.personal) == (0, False)
    assert "not_personalised" in who.flags
    query, _ = desk.who("member:m1", scenario=Scenario.SIMILAR, context=context)
    assert query.context.row.tolist() == [3]


def test_who_is_known_by_this_visit_only_is_still_flagged(desk: Desk) -> None:
    query, who = desk.who("member:nobody", context=RequestContext(events=[SessionEvent("i02")]))
    assert [row for row, _ in entries(query)] == [2]
    assert who.flags == ("unknown_member", "empty_history", "stock_unknown")


def test_delicate_goods_are_not_likened_to_others(desk: Desk) -> None:
    put_rows(desk.database, "items", {"item_id": "i02", "restricted_class": "medicine"}, {"item_id": "i04"})
    context = RequestContext("i03")
    query, _ = desk.who("member:m1", scenario=Scenario.SIMILAR, context=context)
    assert allowed(query, "delicate") == [0, 1, 3, 4, 5]
    query, _ = desk.who("member:m1", scenario=Scenario.SUBSTITUTES, context=context)
    assert allowed(query, "delicate") is None


def test_items_of_its_kind_stand_for_one_that_is_newer_than_the_bundle(both: Desk) -> None:
    dairy = {"category": "dairy", "brand": "a"}
    put_rows(
        both.database,
        "items",
        {"item_id": "new", **dairy, "price_cents": 100},
        {"item_id": "i01", **dairy, "price_cents": 300},
        {"item_id": "i02", **dairy, "price_cents": 110},
        {"item_id": "i03", "category": "dairy", "brand": "b", "price_cents": 100},
        {"item_id": "i04", "category": "dairy", "brand": "b"},
        {"item_id": "i05", "category": "tools", "brand": "a", "price_cents": 100},
        {"item_id": "newer", **dairy, "price_cents": 100},
        {"item_id": "alone"},
    )
    query, who = both.who("member:m1", scenario=Scenario.SIMILAR, context=RequestContext("new"))
    assert query.context.row.tolist() == [2, 1, 3, 4]
    assert query.context.hidden.tolist() == []
    assert "new_item" in who.flags
    query, who = both.who("member:m1", scenario=Scenario.SUBSTITUTES, context=RequestContext("alone"))
    assert len(query.context) == 0
    assert "new_item" in who.flags
    assert "unknown_item" in both.flags("member:m1", scenario=Scenario.SIMILAR, context=RequestContext("nothing"))

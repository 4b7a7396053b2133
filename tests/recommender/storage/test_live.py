"""The live view follows what changes in SQL; catalogue columns and item details."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from recommender.catalog import NEVER, ItemDetails
from recommender.errors import StoreBusyError
from recommender.ids import IdIndex
from recommender.storage import live, live_rows
from recommender.storage.catalog import read_items
from recommender.storage.database import Database
from recommender.storage.details import Details
from recommender.storage.live import LiveState, LiveView
from recommender.storage.stock_file import Shelf
from tests.factories import NOW, put_rows

ITEMS = IdIndex.of(["a", "b", "c"])
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def state(database: Database) -> LiveState:
    return LiveState(database, ITEMS, poll_seconds=0)


@pytest.fixture
def sqlite_state(sqlite_database: Database) -> LiveState:
    return LiveState(sqlite_database, ITEMS, poll_seconds=0)


def sellable(view: LiveView, adult: bool | None = None) -> set[str]:
    allowed = view.sellable(adult)
    return {view.catalog.item_id(row) for row in range(len(view.catalog)) if allowed[row]}


def shelf(view: LiveView, store_id: str) -> Shelf | None:
    """Return the stock of a store as it is held in memory."""
    return view._availability.stock.shelf(store_id)


def stocked(view: LiveView, store_id: str) -> set[str] | None:
    stock = view.stock(store_id)
    return None if stock is None else {view.catalog.item_id(row) for row in range(len(stock)) if stock[row]}


def listed(view: LiveView, store_id: str) -> set[str] | None:
    rows = view.assortment(store_id)
    return None if rows is None else {view.catalog.item_id(row) for row in range(len(rows)) if rows[row]}


def test_items_of_which_nothing_is_known_may_be_shown(state: LiveState) -> None:
    view = state.current(NOW)
    assert sellable(view) == {"a", "b", "c"}
    assert not view.catalog.columns.priced.any()
    assert view.stock("s") is None
    assert view.assortment("s") is None
    assert view.closed_stores == frozenset()


def test_a_change_is_in_the_next_view_and_not_in_the_old_one(database: Database, state: LiveState) -> None:
    put_rows(database, "items", {"item_id": "a", "price_cents": 0}, {"item_id": "b"})
    before = state.current(NOW)
    put_rows(database, "items", {"item_id": "b", "hidden": True, "sponsored": True, "price_cents": 250})
    after = state.current(NOW)
    assert sellable(before) == {"a", "b", "c"}
    assert sellable(after) == {"a", "c"}
    assert after.catalog.columns.priced.tolist() == [True, True, False]
    assert after.catalog.columns.price_cents.tolist() == [0, 250, 0]
    assert after.catalog.columns.sponsored.tolist() == [False, True, False]
    assert state.current(NOW) is after


def test_items_that_came_later_follow_the_bundles(database: Database, state: LiveState) -> None:
    put_rows(database, "items", {"item_id": "m"})
    put_rows(database, "inventory", {"store_id": "s", "item_id": "m", "on_hand": 1})
    view = state.current(NOW)
    assert (view.catalog.row("m"), view.catalog.row("c"), view.catalog.row("x")) == (3, 2, None)
    assert stocked(view, "s") == {"m"}
    put_rows(database, "items", {"item_id": "k", "hidden": True}, {"item_id": "a", "title": "Apple"})
    view = state.current(NOW)
    assert [view.catalog.item_id(row) for row in range(5)] == ["a", "b", "c", "k", "m"]
    assert sellable(view) == {"a", "b", "c", "m"}
    assert stocked(view, "s") == {"m"}
    rows, known = view.catalog.rows(["m", "x", "a", "k"])
    assert rows.tolist() == [4, 0, 3]
    assert known.tolist() == [True, False, True, True]


def test_restricted_goods(database: Database, state: LiveState) -> None:
    put_rows(
        database,
        "items",
        {"item_id": "a", "restricted_class": "tobacco"},
        {"item_id": "b", "restricted_class": "alcohol"},
        {"item_id": "c", "restricted_class": "medicine"},
    )
    view = state.current(NOW)
    assert sellable(view, None) == {"c"}
    assert sellable(view, False) == {"c"}
    assert sellable(view, True) == {"b", "c"}


def test_dates_of_sale(sqlite_database: Database, sqlite_state: LiveState) -> None:
    minute = timedelta(minutes=1)
    put_rows(
        sqlite_database,
        "items",
        {"item_id": "a", "available_from": NOW + minute},
        {"item_id": "b", "available_until": NOW},
        {"item_id": "c", "available_from": NOW, "available_until": NOW + minute},
    )
    assert sellable(sqlite_state.current(NOW)) == {"c"}
    assert sellable(sqlite_state.current(NOW + minute)) == {"a"}


def test_a_date_beyond_all_minutes_is_never(sqlite_database: Database, sqlite_state: LiveState) -> None:
    far = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
    put_rows(sqlite_database, "items", {"item_id": "a", "available_until": far})
    assert sqlite_state.current(NOW).catalog.columns.available_until[0] == NEVER


def test_a_season_ends_with_its_local_day(sqlite_database: Database) -> None:
    put_rows(sqlite_database, "items", {"item_id": "a", "season_until": date(2026, 9, 27)})
    state = LiveState(sqlite_database, ITEMS, SHANGHAI, poll_seconds=0)
    last = datetime.fromisoformat("2026-09-27T23:59:00+08:00")
    assert "a" in sellable(state.current(last))
    assert "a" not in sellable(state.current(last + timedelta(minutes=1)))


def test_closed_stores(database: Database) -> None:
    put_rows(
        database,
        "stores",
        {"store_id": "open", "city": "Hefei", "channel": "pos"},
        {"store_id": "shut", "status": "closed"},
        {"store_id": "soon", "closed_on": date(2026, 3, 3)},
    )
    state = LiveState(database, ITEMS, SHANGHAI, poll_seconds=0)
    evening = datetime.fromisoformat("2026-03-02T23:59:00+08:00")
    assert state.current(evening).closed_stores == {"shut"}
    assert state.current(evening + timedelta(minutes=1)).closed_stores == {"shut", "soon"}
    assert state.current(evening).stores["open"].city == "Hefei"
    put_rows(database, "stores", {"store_id": "shut", "status": "open"})
    assert state.current(evening).closed_stores == frozenset()


def test_stock_follows_what_changes(database: Database, state: LiveState) -> None:
    def put(item_id: str, on_hand: float, store_id: str = "s") -> None:
        put_rows(database, "inventory", {"store_id": store_id, "item_id": item_id, "on_hand": on_hand})

    assert stocked(state.current(NOW), "s") is None
    put("a", 5)
    put("b", 0)
    put("unknown", 3)
    view = state.current(NOW)
    assert stocked(view, "s") == {"a"}
    assert stocked(view, "s") == {"a"}
    put("b", 2)
    put("a", -1)
    put("c", 1, "other")
    assert stocked(state.current(NOW), "s") == {"b"}
    assert stocked(state.current(NOW), "other") == {"c"}
    assert stocked(view, "s") == {"a"}


def test_stock_that_did_not_change_is_kept(database: Database, state: LiveState) -> None:
    put_rows(database, "inventory", {"store_id": "s", "item_id": "a", "on_hand": 1})
    kept = shelf(state.current(NOW), "s")
    put_rows(database, "items", {"item_id": "a", "title": "Apple"})
    put_rows(database, "inventory", {"store_id": "t", "item_id": "a", "on_hand": 1})
    assert shelf(state.current(NOW), "s") is kept


def test_many_stock_changes_are_read_anew(
    sqlite_database: Database, sqlite_state: LiveState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_STOCK_CHANGES", 1)
    put_rows(sqlite_database, "inventory", {"store_id": "s", "item_id": "a", "on_hand": 1})
    assert stocked(sqlite_state.current(NOW), "s") == {"a"}
    rows = [{"store_id": "s", "item_id": item_id, "on_hand": 1} for item_id in "bc"]
    put_rows(sqlite_database, "inventory", *rows)
    assert stocked(sqlite_state.current(NOW), "s") == {"a", "b", "c"}


def test_only_so_many_stores_stay_in_memory(sqlite_database: Database) -> None:
    state = LiveState(sqlite_database, ITEMS, poll_seconds=0, stores_kept=2)
    rows = [{"store_id": store, "item_id": "a", "on_hand": 1} for store in "xyz"]
    put_rows(sqlite_database, "inventory", *rows)
    view = state.current(NOW)
    first = shelf(view, "x")
    shelf(view, "y")
    assert shelf(view, "x") is first
    shelf(view, "z")
    assert shelf(view, "x") is first
    y = shelf(view, "y")
    assert y is not None
    assert shelf(view, "z") is not None
    assert shelf(view, "x") is not first


def test_assortment(database: Database, state: LiveState) -> None:
    day = timedelta(days=1)
    put_rows(
        database,
        "assortment",
        {"store_id": "s", "item_id": "a"},
        {"store_id": "s", "item_id": "b", "listed_from": NOW + day},
        {"store_id": "s", "item_id": "c", "listed_until": NOW + day},
    )
    assert listed(state.current(NOW), "s") == {"a", "c"}
    assert listed(state.current(NOW), "t") is None
    assert listed(state.current(NOW + day), "s") == {"a", "b"}
    put_rows(database, "assortment", {"store_id": "t", "item_id": "b"})
    put_rows(database, "assortment", {"store_id": "s", "item_id": "a", "listed_until": NOW})
    assert listed(state.current(NOW), "s") == {"c"}
    assert listed(state.current(NOW), "t") == {"b"}


def test_views_are_polled_no_more_often_than_told(sqlite_database: Database) -> None:
    state = LiveState(sqlite_database, ITEMS, poll_seconds=3600)
    first = state.current(NOW)
    put_rows(sqlite_database, "items", {"item_id": "a", "hidden": True})
    assert state.current(NOW) is first
    later = state.current(NOW + timedelta(minutes=1))
    assert later.minute == first.minute + 1
    assert later.catalog is first.catalog


def test_items_are_read_page_by_page(
    sqlite_database: Database, sqlite_state: LiveState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_rows, "PAGE_ROWS", 2)
    put_rows(sqlite_database, "items", *({"item_id": f"n{n}", "price_cents": n} for n in range(5)))
    put_rows(sqlite_database, "items", {"item_id": "a", "price_cents": 7})
    catalog = sqlite_state.current(NOW).catalog
    assert [catalog.item_id(row) for row in range(8)] == ["a", "b", "c", "n0", "n1", "n2", "n3", "n4"]
    assert catalog.columns.price_cents.tolist() == [7, 0, 0, 0, 1, 2, 3, 4]


def test_without_a_bundle_every_item_is_extra(sqlite_database: Database) -> None:
    put_rows(sqlite_database, "items", {"item_id": "b"}, {"item_id": "a", "hidden": True})
    view = LiveState(sqlite_database, IdIndex.of([])).current(NOW)
    assert sellable(view) == {"b"}


def test_the_last_view_stays_while_the_database_is_away(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    state = LiveState(sqlite_database, ITEMS, poll_seconds=0)
    view = state.current(NOW)
    state._database = Database("postgresql+psycopg://nobody@/nothing?host=/nonexistent")
    with caplog.at_level(logging.WARNING):
        assert state.current(NOW) is view
    assert "live_state_stale" in caplog.text
    with pytest.raises(StoreBusyError):
        LiveState(state._database, ITEMS).current(NOW)


def test_threads_share_one_state(sqlite_database: Database) -> None:
    state = LiveState(sqlite_database, ITEMS, poll_seconds=0.001)
    rows = [{"store_id": "s", "item_id": item_id, "on_hand": 1} for item_id in "abc"]

    def work(number: int) -> bool:
        if number % 10 == 0:
            put_rows(sqlite_database, "inventory", *rows, now=NOW + timedelta(seconds=number))
        view = state.current(NOW)
        stock = view.stock("s")
        return stock is None or len(stock) == len(view.catalog)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(300)))


def test_item_details_in_the_order_asked_for(database: Database) -> None:
    put_rows(
        database,
        "items",
        {
            "item_id": "a",
            "title": "苹果",
            "category": "fruit > apples",
            "brand": "x",
            "price_cents": 500,
            "sponsored": True,
            "attributes": {"titles": {"en": "Apple", "zh": "苹果"}},
        },
        {"item_id": "b", "title": "Pear", "attributes": '{"titles": 3}'},
    )
    with database.read() as connection:
        found = read_items(connection, ["b", "x", "a"], None, NOW)
        assert read_items(connection, [], None, NOW) == []
    nothing = ItemDetails("x", None, {}, None, None, None, None, False)
    assert found == [
        replace(nothing, item_id="b", title="Pear"),
        nothing,
        ItemDetails("a", "苹果", {"en": "Apple", "zh": "苹果"}, "fruit > apples", "x", 500, None, True),
    ]


def test_the_price_is_the_stores_price_now(database: Database) -> None:
    day = timedelta(days=1)
    base = {"store_id": "s", "item_id": "a"}
    put_rows(database, "items", {"item_id": "a", "price_cents": 500}, {"item_id": "b", "price_cents": 60})
    put_rows(
        database,
        "prices",
        base | {"price_cents": 480},
        base | {"price_cents": 450, "valid_from": NOW - day, "valid_until": NOW + day},
        base | {"price_cents": 400, "member_price_cents": 390, "valid_from": NOW - day / 2, "valid_until": NOW},
        base | {"price_cents": 300, "valid_from": NOW + day},
    )

    def prices(store_id: str | None, now: datetime) -> list[tuple[int | None, int | None]]:
        with database.read() as connection:
            found = read_items(connection, ["a", "b"], store_id, now)
        return [(item.price_cents, item.member_price_cents) for item in found]

    assert prices("s", NOW) == [(450, None), (60, None)]
    assert prices("s", NOW - timedelta(hours=1)) == [(400, 390), (60, None)]
    assert prices("s", NOW - 2 * day) == [(480, None), (60, None)]
    assert prices("s", NOW + day) == [(300, None), (60, None)]
    assert prices("t", NOW) == [(500, None), (60, None)]
    assert prices(None, NOW) == [(500, None), (60, None)]


def test_details_are_remembered_until_the_catalogue_changes(database: Database, state: LiveState) -> None:
    put_rows(database, "items", {"item_id": "a", "title": "Apple", "price_cents": 500})
    first = state.current(NOW).details.of(["a", "x"], None, NOW)
    assert [(one.item_id, one.title, one.price_cents) for one in first] == [("a", "Apple", 500), ("x", None, None)]
    put_rows(database, "inventory", {"store_id": "s", "item_id": "a", "on_hand": 1})
    assert state.current(NOW).details.of(["a"], None, NOW)[0] is first[0]
    put_rows(database, "items", {"item_id": "a", "title": "Green apple"})
    assert state.current(NOW).details.of(["a"], None, NOW)[0].title == "Green apple"


def test_details_have_the_prices_of_stores(database: Database, state: LiveState) -> None:
    put_rows(database, "items", {"item_id": "a", "price_cents": 500}, {"item_id": "b", "price_cents": 60})

    def price(store_id: str | None) -> list[int | None]:
        return [one.price_cents for one in state.current(NOW).details.of(["a", "b"], store_id, NOW)]

    assert price("s") == [500, 60]
    put_rows(database, "prices", *({"store_id": name, "item_id": "a", "price_cents": 480} for name in "sux"))
    assert [price(name) for name in ("s", "t", "u", "x", None)] == [
        [480, 60],
        [500, 60],
        [480, 60],
        [480, 60],
        [500, 60],
    ]


def test_only_so_many_details_stay_in_memory(sqlite_database: Database) -> None:
    details = Details(sqlite_database, frozenset(), kept=2)
    for item_ids, kept in ((["a", "b", "a"], "ab"), (["b"], "ab"), (["c", "b"], "c"), (["b", "c"], "bc")):
        assert [one.item_id for one in details.of(item_ids, None, NOW)] == item_ids
        assert set(details.known) == set(kept)

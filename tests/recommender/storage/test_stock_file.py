"""The stock file follows the database, is shared by readers, and is made anew where it does not fit."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from recommender.ids import IdIndex
from recommender.storage import stock_keeper
from recommender.storage.database import Database
from recommender.storage.live import LiveState
from recommender.storage.stock_file import Room, StockFile
from recommender.storage.stock_keeper import StockKeeper
from tests.factories import NOW, put_rows

ITEMS = IdIndex.of(["a", "b", "c"])


def stock(database: Database, store_id: str, **on_hand: float) -> None:
    rows = [{"store_id": store_id, "item_id": item_id, "on_hand": count} for item_id, count in on_hand.items()]
    put_rows(database, "inventory", *rows)


def keeper_of(database: Database, path: Path, origin: str = "here") -> StockKeeper:
    return StockKeeper(database, path, origin)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stock" / "stock.bin"


def counts(path: Path, store_id: str) -> dict[str, float] | None:
    file = StockFile(path)
    shelf = file.shelf(store_id, np.arange(1, file.item_count + 1))
    if shelf is None:
        return None
    pairs = zip(file.item_ids(), shelf.on_hand.tolist(), shelf.as_of.tolist(), strict=True)
    return {item_id: count for item_id, count, minute in pairs if minute}


def test_the_file_holds_what_the_database_says_and_follows_it(database: Database, path: Path) -> None:
    put_rows(database, "items", {"item_id": "a"})
    stock(database, "s", a=2, b=0)
    stock(database, "t", b=1.5)
    keeper = keeper_of(database, path)
    assert keeper.keep()
    assert (counts(path, "s"), counts(path, "t"), counts(path, "u")) == ({"a": 2, "b": 0}, {"b": 1.5}, None)
    stock(database, "s", a=-1, new=4)
    stock(database, "u", a=7)
    keeper.keep()
    assert counts(path, "s") == {"a": -1, "b": 0, "new": 4}
    assert (counts(path, "t"), counts(path, "u")) == ({"b": 1.5}, {"a": 7})
    keeper.stop()


def test_one_process_keeps_it_at_a_time_and_another_goes_on(sqlite_database: Database, path: Path) -> None:
    stock(sqlite_database, "s", a=2)
    first, second = keeper_of(sqlite_database, path), keeper_of(sqlite_database, path)
    assert first.keep()
    assert not second.keep()
    assert not second.rebuild()
    inode = StockFile(path).inode
    first.stop()
    stock(sqlite_database, "s", a=3)
    assert second.keep()
    assert counts(path, "s") == {"a": 3}
    assert StockFile(path).inode == inode, "what exists is kept"
    second.stop()


@pytest.mark.parametrize("spoil", ["gone", "cut", "other", "garbage", "ahead"])
def test_a_file_that_does_not_fit_is_made_anew(sqlite_database: Database, path: Path, spoil: str) -> None:
    stock(sqlite_database, "s", a=2)
    first = keeper_of(sqlite_database, path)
    first.keep()
    first.stop()
    if spoil == "gone":
        path.unlink()
    elif spoil == "cut":
        path.write_bytes(path.read_bytes()[:-4096])
    elif spoil == "garbage":
        path.write_bytes(b"x")
    elif spoil == "ahead":
        StockFile(path, writable=True).follow(10**9, 0.0)
    second = keeper_of(sqlite_database, path, "elsewhere" if spoil == "other" else "here")
    second.keep()
    second.stop()
    assert counts(path, "s") == {"a": 2}


def test_a_file_too_small_or_too_far_behind_is_made_anew(
    sqlite_database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock_keeper, "LEAST_ROOM", 1)
    stock(sqlite_database, "s", a=2)
    stock(sqlite_database, "t", b=1, c=3)
    keeper = keeper_of(sqlite_database, path)
    keeper.keep()
    assert (counts(path, "s"), counts(path, "t")) == ({"a": 2}, {"b": 1, "c": 3})
    stock(sqlite_database, "u", d=1, e=2, f=3)
    keeper.keep()
    assert (counts(path, "s"), counts(path, "u")) == ({"a": 2}, {"d": 1, "e": 2, "f": 3})
    monkeypatch.setattr(stock_keeper, "MOST_CHANGES", 2)
    inode = StockFile(path).inode
    stock(sqlite_database, "s", a=5, b=6, c=7)
    keeper.keep()
    assert counts(path, "s") == {"a": 5, "b": 6, "c": 7}
    assert StockFile(path).inode != inode
    keeper.stop()


def test_views_of_two_workers_read_the_file_at_once(sqlite_database: Database, path: Path) -> None:
    stock(sqlite_database, "s", a=2, b=0)
    keeper = keeper_of(sqlite_database, path)
    keeper.keep()
    workers = [LiveState(sqlite_database, ITEMS, poll_seconds=0, stock_file=path) for _ in range(2)]

    def seen() -> list[list[bool]]:
        return [worker.current(NOW).stock("s").tolist() for worker in workers]  # type: ignore[union-attr]

    assert seen() == [[True, False, False]] * 2
    stock(sqlite_database, "s", a=0, c=0.7)
    assert seen() == [[True, False, False]] * 2, "the file is the source, not SQL"
    keeper.keep()
    assert seen() == [[False, False, True]] * 2
    view = workers[0].current(NOW)
    assert view.on_hand("s", np.arange(3, dtype=np.int32)) == [0.0, 0.0, 0.7]
    assert view.stock("t") is None
    assert view.on_hand("t", np.arange(3, dtype=np.int32)) == [None, None, None]
    put_rows(sqlite_database, "items", {"item_id": "later"})
    old = workers[0].current(NOW)
    stock(sqlite_database, "s", later=1)
    keeper.keep()
    assert old.stock("s").tolist() == [False, False, True, False], "this view does not know its column yet"  # type: ignore[union-attr]
    assert seen() == [[False, False, True, True]] * 2
    inode = StockFile(path).inode
    keeper.rebuild()
    stock(sqlite_database, "s", a=1)
    keeper.keep()
    assert StockFile(path).inode != inode
    assert seen() == [[True, False, True, True]] * 2
    keeper.stop()


def test_a_file_that_nobody_keeps_is_not_believed(sqlite_database: Database, path: Path) -> None:
    stock(sqlite_database, "s", a=2)
    keeper = StockKeeper(sqlite_database, path, "here", clock=lambda: time.time() - 60)
    keeper.keep()
    keeper.stop()
    stock(sqlite_database, "s", a=0, b=1)
    state = LiveState(sqlite_database, ITEMS, poll_seconds=0, stock_file=path)
    assert state.current(NOW).stock("s").tolist() == [False, True, False]  # type: ignore[union-attr]


def test_an_empty_file_is_sparse(tmp_path: Path) -> None:
    path = tmp_path / "stock.bin"
    StockFile.create(path, Room(60_000, 600), "here")
    assert path.stat().st_size > 280_000_000
    assert path.stat().st_blocks * 512 < 1_000_000


def test_what_is_written_has_its_place_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "stock.bin"
    file = StockFile.create(path, Room(60_000, 600), "here")
    file.add_items(["a"])
    file.add_stores(["s", "t"])
    file.put(1, np.array([1]), np.ones(1, np.float32), np.ones(1, np.int32))
    row = 60_000 * 8
    assert row < path.stat().st_blocks * 512 < 2 * row + 100_000, "a whole row, so that later counts find room"


def test_the_keeper_runs_in_the_background(sqlite_database: Database, path: Path) -> None:
    keeper = keeper_of(sqlite_database, path)
    keeper.start()
    stock(sqlite_database, "s", a=2)
    deadline = time.monotonic() + 5
    while not path.exists() or counts(path, "s") is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    keeper.stop()


def test_counts_past_what_the_file_can_hold_do_not_stop_it(sqlite_database: Database, path: Path) -> None:
    stock(sqlite_database, "s1", a=1e300, b=5)
    keeper = keeper_of(sqlite_database, path)
    assert keeper.keep()
    found = counts(path, "s1")
    assert found is not None
    assert sorted(found.values()) == [5, stock_keeper.MOST_ON_HAND]
    keeper.stop()


def test_a_file_that_is_kept_no_more_gives_way_to_sql(sqlite_database: Database, path: Path) -> None:
    stock(sqlite_database, "s", a=2)
    moment = [time.time()]
    keeper = StockKeeper(sqlite_database, path, "here", clock=lambda: moment[0])
    keeper.keep()
    state = LiveState(sqlite_database, ITEMS, poll_seconds=0, stock_file=path)
    assert state.current(NOW).stock("s").tolist() == [True, False, False]  # type: ignore[union-attr]
    moment[0] -= 60
    keeper.keep()
    keeper.stop()
    stock(sqlite_database, "s", a=0, b=1)
    assert state.current(NOW).stock("s").tolist() == [False, True, False]  # type: ignore[union-attr]
    again = keeper_of(sqlite_database, path)
    again.keep()
    stock(sqlite_database, "s", b=0)
    again.keep()
    assert state.current(NOW).stock("s").tolist() == [False, False, False]  # type: ignore[union-attr]
    again.stop()


def test_stopping_does_not_wait_for_a_file_under_way(sqlite_database: Database, path: Path) -> None:
    stock(sqlite_database, "s", a=2)
    keeper = keeper_of(sqlite_database, path)
    keeper.stop()
    with pytest.raises(InterruptedError):
        keeper.keep()
    assert not path.exists()

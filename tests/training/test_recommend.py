"""Lists for many members: the same as one by one, in order, and honest about time."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from recommender.context import RequestContext, SessionEvent
from recommender.errors import InputError
from recommender.events import member_subject
from recommender.lookup import QuerySource
from recommender.query import Scenario
from recommender.request import SlateRequest
from recommender.storage.live import LiveState
from recommender.storage.upserts import upsert
from tests.training.shops import END, MEMBERS, NOW, SETTINGS, open_shop, purchase, put_events
from training.place import Place
from training.progress import Silent
from training.recommend import Ask, Written, all_members, later_than, read_members, recommend_to
from training.train import Trained, train

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def backtest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A shop whose bundle was trained until 20 days before the end of its history."""
    place = open_shop(tmp_path_factory.mktemp("backtest"))
    train(place, SETTINGS, END - timedelta(days=20), True, NOW, Silent())
    yield place
    place.database.dispose()


def write(place: Place, asks: list[Ask], out: Path, scenario: Scenario = Scenario.HOME, count: int = 5) -> Written:
    return recommend_to(place, place.registry.open(), asks, scenario, count, out, NOW, True)


def rows_of(file: Path) -> Rows:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def items_of(rows: Rows, member: str) -> list[str]:
    return [row["item_id"] for row in rows if row["member_id"] == member]


def test_every_member_gets_a_full_sorted_list(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    place, _ = shop
    asks = all_members(place, place.registry.open())
    written = write(place, asks, tmp_path / "lists.csv")
    rows = rows_of(tmp_path / "lists.csv")
    assert [ask.member_id for ask in asks] == list(MEMBERS)
    assert (written.lists, written.rows) == (40, 200)
    assert list(rows[0]) == ["member_id", "position", "item_id", "score", "reason"]
    keys = [(row["member_id"], int(row["position"])) for row in rows]
    assert keys == [(member, position) for member in MEMBERS for position in range(1, 6)]
    assert all(row["reason"] for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["lists.csv"]


def test_lists_can_be_about_items(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    place, _ = shop
    bundle, asks = place.registry.open(), [Ask("m01"), Ask("")]
    first, second = bundle.recommender().items.ids(np.arange(2))
    for scenario, context in (
        (Scenario.SIMILAR, RequestContext(first)),
        (Scenario.SUBSTITUTES, RequestContext(first)),
        (Scenario.BASKET, RequestContext(basket_item_ids=[first, second])),
        (Scenario.SESSION, RequestContext(events=[SessionEvent(second), SessionEvent(first)])),
    ):
        out = tmp_path / f"{scenario}.csv"
        recommend_to(place, bundle, asks, scenario, 5, out, NOW, True, context=context)
        rows = rows_of(out)
        assert len(rows) == 10
        assert first not in items_of(rows, "m01")
        with pytest.raises(InputError, match="about items that are not named"):
            recommend_to(place, bundle, asks, scenario, 5, out, NOW, True)


def test_lists_are_those_that_requests_get(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    place, _ = shop
    bundle = place.registry.open()
    write(place, [Ask(member) for member in MEMBERS], tmp_path / "lists.csv", Scenario.DISCOVER)
    rows = rows_of(tmp_path / "lists.csv")
    recommender = bundle.recommender()
    source = QuerySource(bundle, place.database, place.settings.channel_kinds)
    view = LiveState(place.database, recommender.items, place.settings.zone).current(NOW)
    for member in MEMBERS[:5]:
        query, _ = source.query(SlateRequest(Scenario.DISCOVER, 5, member_subject(member)), view, NOW)
        (slate,) = recommender.recommend([query])
        assert items_of(rows, member) == recommender.items.ids(slate.row)
        scores = [float(row["score"]) for row in rows if row["member_id"] == member]
        assert scores == pytest.approx(slate.score.tolist(), rel=1e-5)


def test_parquet_holds_the_same(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    place, _ = shop
    asks = [Ask("m03"), Ask("m07")]
    write(place, asks, tmp_path / "lists.csv")
    write(place, asks, tmp_path / "lists.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "lists.parquet")
    assert table.schema.names == ["member_id", "position", "item_id", "score", "reason"]
    assert table.column("item_id").to_pylist() == [row["item_id"] for row in rows_of(tmp_path / "lists.csv")]


def test_unknown_and_empty_members_get_popular_items_and_are_counted(
    shop: tuple[Place, Trained], tmp_path: Path
) -> None:
    written = write(shop[0], [Ask(""), Ask("m00"), Ask("stranger")], tmp_path / "lists.csv")
    rows = rows_of(tmp_path / "lists.csv")
    assert items_of(rows, "") == items_of(rows, "stranger")
    assert len(items_of(rows, "stranger")) == 5
    assert written.flags["unknown_member"] == 1
    assert written.flags["anonymous"] == 1


def test_members_of_other_kinds_are_not_among_all(fresh_shop: Place) -> None:
    train(fresh_shop, SETTINGS, None, True, NOW, Silent())
    with fresh_shop.database.write() as connection:
        upsert(connection, "members", [{"member_id": "m00", "kind": "test"}, {"member_id": "new"}], NOW)
    asks = all_members(fresh_shop, fresh_shop.registry.open())
    assert [ask.member_id for ask in asks] == [*MEMBERS[1:], "new"]


def test_lists_as_of_a_time_use_only_what_came_before(backtest: Place, tmp_path: Path) -> None:
    at = END - timedelta(days=20)
    asks = [Ask(member, at) for member in MEMBERS]
    write(backtest, asks, tmp_path / "before.csv")
    put_events(backtest.database, [purchase("m00", "i30", at), purchase("m00", "i31", at + timedelta(days=1))])
    write(backtest, asks, tmp_path / "after.csv")
    assert rows_of(tmp_path / "after.csv") == rows_of(tmp_path / "before.csv")
    later = [Ask("m00", at + timedelta(minutes=1)), Ask("m00", at + timedelta(days=2))]
    write(backtest, later, tmp_path / "later.csv", Scenario.BUY_AGAIN, 40)
    rows = rows_of(tmp_path / "later.csv")
    assert list(rows[0]) == ["member_id", "at", "position", "item_id", "score", "reason"]
    bought = [
        {row["item_id"] for row in rows if row["reason"].startswith("bought") and row["at"] == at_}
        for at_ in sorted({row["at"] for row in rows})
    ]
    assert "i30" in bought[0]
    assert "i31" not in bought[0]
    assert {"i30", "i31"} <= bought[1]


def test_the_list_as_of_the_end_is_the_list_of_the_bundle(backtest: Place, tmp_path: Path) -> None:
    """At the moment a bundle ends, the log and the bundle's own histories say the same."""
    bundle = backtest.registry.open()
    recommender = bundle.recommender()
    write(backtest, [Ask("m05", bundle.trained_until)], tmp_path / "lists.csv", count=10)
    source = QuerySource(bundle, backtest.database, backtest.settings.channel_kinds)
    view = LiveState(backtest.database, recommender.items, backtest.settings.zone).current(NOW)
    row = bundle.subjects.row(member_subject("m05"))
    assert row is not None
    past = (bundle.histories.of(row), int(bundle.trained_until.timestamp() // 60))
    query, _ = source.query(SlateRequest(Scenario.HOME, 10, member_subject("m05")), view, NOW, past)
    (slate,) = recommender.recommend([query])
    assert items_of(rows_of(tmp_path / "lists.csv"), "m05") == recommender.items.ids(slate.row)


def test_asks_before_the_end_of_a_bundle_are_counted() -> None:
    until = datetime(2024, 3, 1, tzinfo=UTC)
    asks = [Ask("a", until), Ask("b", until - timedelta(minutes=1)), Ask("c")]
    assert later_than(asks, until) == 1


def test_members_are_read_as_text_in_order_and_once(tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    file.write_text("\ufeffname,member_id\nx,007\ny,12\n\nz,007\n", "utf-8")
    assert read_members(file, UTC) == [Ask("007"), Ask("12")]


def test_times_without_offset_are_local(tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    file.write_text("member_id,at\n7,2024-03-01\n7,2024-03-01T12:00:00Z\n", "utf-8")
    assert read_members(file, ZoneInfo("Asia/Shanghai")) == [
        Ask("7", datetime(2024, 2, 29, 16, tzinfo=UTC)),
        Ask("7", datetime(2024, 3, 1, 12, tzinfo=UTC)),
    ]


def test_members_are_read_from_parquet(tmp_path: Path) -> None:
    table = pa.table({"member_id": [7, 3], "at": pa.array([datetime(2024, 3, 1, tzinfo=UTC)] * 2)})
    pyarrow.parquet.write_table(table, tmp_path / "members.parquet")
    at = datetime(2024, 3, 1, tzinfo=UTC)
    assert read_members(tmp_path / "members.parquet", UTC) == [Ask("3", at), Ask("7", at)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id\n7\n", "member_id.*accepted: member_id"),
        ("", "member_id"),
        ("member_id,at\n7,soon\n", "Line 2 .* value: 'soon'; accepted: ISO 8601"),
        ("member_id,at\n7,2024-01-01\n8,\n", "Line 3"),
    ],
)
def test_unusable_files_are_told(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "members.csv"
    file.write_text(content, "utf-8")
    with pytest.raises(InputError, match=message):
        read_members(file, UTC)


def test_missing_files_and_other_formats_are_told(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_members(tmp_path / "nobody.csv", UTC)
    (tmp_path / "broken.parquet").write_text("not parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_members(tmp_path / "broken.parquet", UTC)
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        write(shop[0], [Ask("m00")], tmp_path / "lists.xlsx")

"""Loading canonical tables: formats, encodings, values, and what a second load does."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender.errors import InputError
from recommender.storage.identities import Resolution, resolve, unlink
from recommender.storage.loads import LedgerDay, find_loads, list_loads, read_ledger
from tests.training.loading.intake import NOW, Intake, write

EVENTS = """
    event_id,occurred_at,kind,channel,member_id,item_id,store_id,order_id,order_line,quantity,unit_price_cents
    e1,2026-02-28T23:30:00+08:00,purchase,pos,m1,i1,s1,o1,1,2,1250
    e2,2026-03-01T01:00:00Z,view,app,m1,i2,,,,,
    e3,2026-03-01 10:00:00,Return,pos,,i1,s1,o1,1,1.0,1250.0
"""
TIMES = [
    datetime(2026, 2, 28, 15, 30, tzinfo=UTC),
    datetime(2026, 3, 1, 1, 0, tzinfo=UTC),
    datetime(2026, 3, 1, 10, 0, tzinfo=UTC),
]


def test_events_become_files_by_month(any_intake: Intake, tmp_path: Path) -> None:
    report = any_intake.load(write(tmp_path / "events.csv", EVENTS))
    assert any_intake.count(report) == (3, 3, 0, 0, 0)
    assert any_intake.events("event_id", "kind", "channel", "subject", "quantity", "unit_price_cents") == [
        ("e1", "purchase", "pos", "member:m1", 2.0, 1250),
        ("e2", "view", "app", "member:m1", None, None),
        ("e3", "return", "pos", None, 1.0, 1250),
    ]
    assert any_intake.events("occurred_at") == TIMES
    assert any_intake.events("source") == ["canonical"] * 3
    assert {name.rpartition("/")[0] for name in any_intake.files()} == {
        "event_log/month=2026-02",
        "event_log/month=2026-03",
    }


def test_a_load_is_recorded_and_counted_in_the_ledger(any_intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path / "events.csv", EVENTS)
    report = any_intake.load(path, source="till")
    with any_intake.database.read() as connection:
        (load,) = list_loads(connection)
        assert find_loads(connection, load.checksum) == [load]
        assert read_ledger(connection) == {
            LedgerDay("till", "", date(2026, 3, 1)): 1,
            LedgerDay("till", "s1", date(2026, 2, 28)): 1,
            LedgerDay("till", "s1", date(2026, 3, 1)): 1,
        }
    assert (load.load_id, load.source, load.file) == (report.files[0].load_id, "till", str(path))
    assert (load.read, load.added, load.duplicate, load.rejected) == (3, 3, 0, 0)


def test_the_same_file_twice_adds_nothing(any_intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path / "events.csv", EVENTS)
    any_intake.load(path)
    before = any_intake.files()
    assert any_intake.count(any_intake.load(path)) == (3, 0, 0, 3, 0)
    assert any_intake.files() == before
    with any_intake.database.read() as connection:
        assert sum(read_ledger(connection).values()) == 3


@pytest.mark.parametrize(
    "form", ["csv", "csv.gz", "bom", "gb18030", "utf-16", "semicolon", "parquet", "jsonl", "ndjson.gz"]
)
def test_every_format_gives_the_same_events(intake: Intake, tmp_path: Path, form: str) -> None:
    text = """
        event_id,occurred_at,kind,channel,member_id,item_id,quantity,attributes
        e1,2026-02-28T23:30:00Z,purchase,pos,会员一,"商品,一",1.5,"{""颜色"":""红""}"
        e2,2026-03-01T01:00:00.25Z,view,app,m2,i2,,
    """
    intake.load(write_as(form, tmp_path, text))
    names = ("event_id", "occurred_at", "subject", "item_id", "quantity", "attributes")
    assert intake.events(*names) == [
        ("e1", datetime(2026, 2, 28, 23, 30, tzinfo=UTC), "member:会员一", "商品,一", 1.5, '{"颜色":"红"}'),
        ("e2", datetime(2026, 3, 1, 1, 0, 0, 250_000, tzinfo=UTC), "member:m2", "i2", None, None),
    ]


def write_as(form: str, folder: Path, text: str) -> Path:
    plain = write(folder / "plain" / "events.csv", text)
    if form in ("bom", "gb18030", "utf-16"):
        return write(folder / "events.csv", text, encoding="utf-8-sig" if form == "bom" else form)
    if form == "csv":
        return plain
    if form == "csv.gz":
        path = folder / "events.csv.gz"
        path.write_bytes(gzip.compress(plain.read_bytes()))
        return path
    if form == "semicolon":
        quoted = text.replace('"商品,一"', "商品|一").replace(",", ";").replace("商品|一", "商品,一")
        return write(folder / "events-2026.csv", quoted)
    rows = [
        {"event_id": "e1", "occurred_at": "2026-02-28T23:30:00Z", "kind": "purchase", "channel": "pos"}
        | {"member_id": "会员一", "item_id": "商品,一", "quantity": 1.5, "attributes": {"颜色": "红"}},
        {"event_id": "e2", "occurred_at": "2026-03-01T01:00:00.25Z", "kind": "view", "channel": "app"}
        | {"member_id": "m2", "item_id": "i2"},
    ]
    if form == "parquet":
        typed = [row | {"occurred_at": datetime.fromisoformat(str(row["occurred_at"]))} for row in rows]
        pq.write_table(pa.Table.from_pylist(typed), folder / "events.parquet")
        return folder / "events.parquet"
    lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
    path = folder / f"events.{form}"
    path.write_bytes(gzip.compress(lines) if form.endswith(".gz") else lines)
    return path


def test_naive_times_are_in_the_declared_zone(intake: Intake, tmp_path: Path) -> None:
    shanghai = Intake(intake.home, intake.database, zone="Asia/Shanghai")
    text = """
        event_id,occurred_at,kind,channel
        a,2026-02-01T00:30:00,view,app
        b,2026-02-01,view,app
        c,2026-02-01 00:30:00.5+0000,view,app
        d,2026-02-01T00:30Z,view,app
    """
    shanghai.load(write(tmp_path / "events.csv", text))
    assert shanghai.events("occurred_at") == [
        datetime(2026, 1, 31, 16, 30, tzinfo=UTC),
        datetime(2026, 1, 31, 16, 0, tzinfo=UTC),
        datetime(2026, 2, 1, 0, 30, 0, 500_000, tzinfo=UTC),
        datetime(2026, 2, 1, 0, 30, tzinfo=UTC),
    ]


def test_tables_of_a_folder_are_loaded_with_their_types(any_intake: Intake, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder / "events.csv", "event_id,occurred_at,kind,channel,item_id\ne1,2026-02-01T00:00:00Z,view,app,i1")
    write(folder / "members-1.csv", "member_id,kind,birth_date,points_balance,adult\nm1,employee,1990-05-06,12,TRUE")
    write(folder / "members-2.csv", "member_id,registered_at\nm2,2020-01-01T00:00:00+02:00")
    write(folder / "items.csv", 'item_id,title,price_cents,sponsored,attributes\ni1,奶,990,yes,"{""a"":1}"\ni2,,,,')
    write(folder / "inventory" / "2026-02.csv", "store_id,item_id,on_hand,as_of\ns1,i1,-2.5,2026-02-01T00:00:00Z")
    write(folder / "calendar.csv", "date,festival,region\n2026-02-17,spring festival,")
    write(folder / "notes.csv", "a,b\n1,2")
    write(folder / "README.txt", "hello")
    report = any_intake.load(folder)
    assert [Path(file.file).name for file in report.files] == [
        "members-1.csv",
        "members-2.csv",
        "items.csv",
        "2026-02.csv",
        "calendar.csv",
        "events.csv",
    ]
    assert [Path(name).name for name in report.ignored] == ["notes.csv"]
    assert any_intake.rows("members", "member_id", "kind", "birth_date", "points_balance", "adult") == [
        ("m1", "employee", date(1990, 5, 6), 12, "true"),
        ("m2", None, None, None, None),
    ]
    assert any_intake.rows("members", "registered_at")[1] == (datetime(2019, 12, 31, 22, tzinfo=UTC),)
    assert any_intake.rows("items", "item_id", "title", "price_cents", "sponsored", "attributes") == [
        ("i1", "奶", 990, True, '{"a":1}'),
        ("i2", None, None, None, None),
    ]
    assert any_intake.rows("inventory", "store_id", "item_id", "on_hand") == [("s1", "i1", -2.5)]
    assert any_intake.rows("calendar", "date", "festival", "region") == [(date(2026, 2, 17), "spring festival", "")]
    assert report.count("events").unknown_items == 0


def test_rows_change_only_where_they_differ(intake: Intake, tmp_path: Path) -> None:
    intake.load(write(tmp_path / "a" / "items.csv", "item_id,title,price_cents\ni1,milk,100\ni2,tea,200"))
    report = intake.load(write(tmp_path / "b" / "items.csv", "item_id,price_cents\ni1,110\ni2,200\ni3,300\ni3,310"))
    assert intake.count(report, "items") == (4, 1, 2, 1, 0)
    assert intake.rows("items", "item_id", "title", "price_cents") == [
        ("i1", "milk", 110),
        ("i2", "tea", 200),
        ("i3", None, 310),
    ]


def test_phone_numbers_are_nowhere_in_clear(intake: Intake, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    identities = """
        namespace,value,member_id,linked_at
        phone,138 0013 8000,m1,2026-01-01T00:00:00Z
        Email,Li@Example.com,m1,
        wechat_openid,oA1,m2,
        phone,nobody-13900139000x-nobody,m3,2026-01-01T00:00:00Z,too many
        phone,13700137000,m3,when?
    """
    events = """
        event_id,occurred_at,kind,channel,namespace,value,identity_value
        e1,2026-02-01T00:00:00Z,view,app,phone,+8613800138000,
        e2,2026-02-01T00:00:00Z,view,app,wechat_openid,,oA1
        e3,2026-02-01T00:00:00Z,rating,app,wechat_openid,4.5,oA1
        e4,when?,view,app,phone,13600136000,
        e5,2026-02-01T00:00:00Z,view,app,phone,13600136000,"broken
    """
    write(folder / "identities.csv", identities)
    write(folder / "events.csv", events)
    report = intake.load(folder)
    assert (report.count("identities").rejected, report.count("events").rejected) == (2, 2)
    with intake.database.read() as connection:
        hashed = intake.rows("identities", "namespace", "value", "member_id")
        assert [row[0] for row in hashed] == ["email", "phone", "wechat_openid"]
        assert hashed[1][1].startswith("h1:")
        assert resolve(connection, "phone", hashed[1][1]) == Resolution("m1")
    assert intake.events("event_id", "subject", "value") == [
        ("e1", f"phone:{hashed[1][1]}", None),
        ("e2", "wechat_openid:oA1", None),
        ("e3", "wechat_openid:oA1", 4.5),
    ]
    assert len(intake.files()) > 2
    for secret in ("13800138000", "138 0013 8000", "13900139000", "13700137000", "13600136000", "xample.com"):
        assert intake.holds(secret) == []


def test_a_link_that_was_undone_stays_undone(intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path / "identities.csv", "namespace,value,member_id\ncard,c1,m1")
    intake.load(path)
    with intake.database.write() as connection:
        unlink(connection, "card", "c1", "m1", NOW)
    assert intake.count(intake.load(path), "identities") == (1, 0, 0, 1, 0)
    with intake.database.read() as connection:
        assert resolve(connection, "card", "c1") == Resolution(None)


def test_a_customer_named_twice_goes_by_the_member_id(intake: Intake, tmp_path: Path) -> None:
    text = """
        event_id,occurred_at,kind,channel,member_id,namespace,identity_value
        e1,2026-02-01T00:00:00Z,view,app,m1,wechat_openid,oA1
        e2,2026-02-01T00:00:00Z,view,app,m1,wechat_openid,
    """
    intake.load(write(tmp_path / "events.csv", text))
    assert intake.events("subject") == ["member:m1", "member:m1"]


def test_a_dry_run_changes_nothing(intake: Intake, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder / "items.csv", "item_id,cost_cents\ni1,5\ni2,")
    text = """
        event_id,occurred_at,kind,channel,member_id,item_id
        e1,2026-02-01T00:00:00Z,view,app,m1,i1
        e2,2026-02-01T00:00:00Z,view,app,,i9
        e3,2026-02-30T00:00:00Z,view,app,m1,i1
    """
    write(folder / "events.csv", text)
    report = intake.load(folder, dry_run=True)
    counts = report.count("events")
    assert (counts.read, counts.added, counts.rejected) == (3, 2, 1)
    events = report.files[1].tables[0]
    assert (events.unknown_items, [gap.item_id for gap in events.item_gaps]) == (1, ["i9"])
    shares = events.shares
    assert shares is not None
    assert (shares.events, shares.named, shares.known, shares.items, shares.without_cost) == (2, 1, 0, 2, 1)
    assert [tuple(sample)[:4] for sample in report.files[1].samples] == [
        (4, "occurred_at", "2026-02-30T00:00:00Z", "not_a_time")
    ]
    assert (intake.events(), intake.rows("items", "item_id"), intake.files()) == ([], [], [])
    with intake.database.read() as connection:
        assert list_loads(connection) == []


def test_events_of_erased_customers_lose_them(intake: Intake, tmp_path: Path) -> None:
    with intake.database.write() as connection:
        connection.exec_driver_sql("INSERT INTO erased_subjects (subject, erased_at) VALUES ('member:m1', 0)")
    text = "event_id,occurred_at,kind,channel,member_id\ne1,2026-02-01T00:00:00Z,view,app,m1"
    path = write(tmp_path / "events.csv", text)
    intake.load(path)
    assert intake.events("event_id", "subject") == [("e1", None)]
    assert intake.count(intake.load(path)) == (1, 0, 0, 1, 0)


def test_unknown_items_and_channels_are_told_and_loaded(intake: Intake, tmp_path: Path) -> None:
    text = """
        event_id,occurred_at,kind,channel,item_id,colour
        e1,2026-02-01T00:00:00Z,view,kiosk,i1,red
        e2,2026-02-01T00:00:00Z,view,app,i1,red
    """
    report = intake.load(write(tmp_path / "events.csv", text))
    counts = report.files[0].tables[0]
    assert (counts.added, counts.unknown_items, counts.unknown_item_events) == (2, 1, 2)
    assert counts.unknown_channels == {"kiosk": 1}
    assert report.files[0].unknown_columns == ("colour",)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("events.csv", "event_id,kind\ne1,view", "lacks required columns"),
        ("events.csv", "event_id,event_id,occurred_at,kind,channel\n", "names a column twice"),
        ("events.csv", "", "is empty"),
        ("events.parquet", "no parquet", "no Parquet file"),
        ("events.csv.gz", "no gzip", "damaged"),
        ("events.jsonl", "[1]", "no JSON objects"),
    ],
)
def test_a_file_that_cannot_be_read_does_not_stop_the_others(
    intake: Intake, tmp_path: Path, name: str, text: str, told: str
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / name).write_text(text)
    write(tmp_path / "export" / "items.csv", "item_id\ni1")
    report = intake.load(tmp_path / "export")
    assert told in str(report.files[1].error)
    assert report.failed == (str(tmp_path / "export" / name),)
    assert intake.rows("items", "item_id") == [("i1",)]


def test_names_that_say_no_table(intake: Intake, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs --mapping"):
        intake.load(write(tmp_path / "till.csv", "a\n1"))
    with pytest.raises(InputError, match="no such file"):
        intake.load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No canonical tables"):
        intake.load(tmp_path / "empty")


def test_an_identity_of_two_members_is_told(intake: Intake, tmp_path: Path) -> None:
    text = "namespace,value,member_id\ncard,c1,m1\ncard,c1,m2\ncard,c2,m2"
    report = intake.load(write(tmp_path / "identities.csv", text))
    assert report.files[0].tables[0].conflicts == 1
    with intake.database.read() as connection:
        assert resolve(connection, "card", "c1") == Resolution(None, conflict=True)


def test_names_of_files_are_no_patterns(intake: Intake, tmp_path: Path) -> None:
    write(tmp_path / "items-1.csv", "item_id\nwrong")
    intake.load(write(tmp_path / "items-[1]'*?.csv", "item_id\ni1"))
    pq.write_table(pa.table({"item_id": ["i2"]}), tmp_path / "items [a].parquet")
    intake.load(tmp_path / "items [a].parquet")
    assert intake.rows("items", "item_id") == [("i1",), ("i2",)]

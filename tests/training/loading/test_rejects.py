"""Bad rows: each goes to the reject file with its line, column, value and reason, and none stops a load."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender.columns import TABLES
from tests.training.loading.intake import NOW, Intake, write
from training.loading.rejects import EXPLANATIONS
from training.loading.report import IngestReport
from training.sources.cells import Check
from training.sources.mapping import Context, canonical_rules
from training.sources.selection import select
from training.sources.source import Source

HEADER = "event_id,occurred_at,kind,channel,member_id,item_id,revision,fulfilment,quantity,unit_price_cents,attributes"
GOOD = "2026-02-01T00:00:00Z,view,app,m1,i1"
LONG = "x" * 129


def rejected(report: IngestReport) -> list[tuple[int, str, str, str]]:
    """Read the reject file: line, column, value, reason."""
    path = report.files[0].reject_file
    assert path is not None
    with open(path, encoding="utf-8-sig", newline="") as file:
        return [
            (int(row["line"]), row["column"], row["value"], row["reason"])
            for row in csv.DictReader(file)
            if row["file"] == Path(report.files[0].file).name
        ]


def test_every_bad_value_of_an_event_has_its_reason(intake: Intake, tmp_path: Path) -> None:
    lines = [
        HEADER,
        f"e02,{GOOD},1,in_store,2.5,100,{{}}",
        f",{GOOD},,,,,",
        f"{LONG},{GOOD},,,,,",
        "e05,,view,app,m1,i1,,,,,",
        "e06,yesterday,view,app,m1,i1,,,,,",
        "e07,infinity,view,app,m1,i1,,,,,",
        "e08,2026-02-30T00:00:00Z,view,app,m1,i1,,,,,",
        "e09,2026-03-03T09:31:00Z,view,app,m1,i1,,,,,",
        "e10,1969-12-31T23:59:59Z,view,app,m1,i1,,,,,",
        "e11,2026-02-01T00:00:00Z,bought,app,m1,i1,,,,,",
        "e12,2026-02-01T00:00:00Z,view,,m1,i1,,,,,",
        f"e13,2026-02-01T00:00:00Z,view,app,{LONG},i1,,,,,",
        f"e14,{GOOD},1.5,,,,",
        f"e15,{GOOD},-1,,,,",
        f"e16,{GOOD},3000000000,,,,",
        f"e17,{GOOD},,by_drone,,,",
        f"e18,{GOOD},,,NaN,,",
        f"e19,{GOOD},,,1e999,,",
        f"e20,{GOOD},,,-1,,",
        f"e21,{GOOD},,,1_000,,",
        f"e22,{GOOD},,,,9.99,",
        f"e23,{GOOD},,,,-5,",
        f"e24,{GOOD},,,,99999999999999999999,",
        f"e25,{GOOD},,,,,{{broken",
        f"e26,{GOOD}",
        f'e27,{GOOD},,,,,5" screen',
        f"e28,{GOOD},,,,,",
    ]
    report = intake.load(write(tmp_path / "events.csv", "\n".join(lines)))
    assert rejected(report) == [
        (3, "event_id", "", "missing"),
        (4, "event_id", LONG, "too_long"),
        (5, "occurred_at", "", "missing"),
        (6, "occurred_at", "yesterday", "not_a_time"),
        (7, "occurred_at", "infinity", "not_a_time"),
        (8, "occurred_at", "2026-02-30T00:00:00Z", "not_a_time"),
        (9, "occurred_at", "2026-03-03T09:31:00Z", "in_the_future"),
        (10, "occurred_at", "1969-12-31T23:59:59Z", "too_early"),
        (11, "kind", "bought", "not_a_choice"),
        (12, "channel", "", "missing"),
        (13, "member_id", LONG, "too_long"),
        (14, "revision", "1.5", "not_an_integer"),
        (15, "revision", "-1", "too_small"),
        (16, "revision", "3000000000", "too_large"),
        (17, "fulfilment", "by_drone", "not_a_choice"),
        (18, "quantity", "NaN", "not_a_number"),
        (19, "quantity", "1e999", "not_a_number"),
        (20, "quantity", "-1", "too_small"),
        (21, "quantity", "1_000", "not_a_number"),
        (22, "unit_price_cents", "9.99", "not_an_integer"),
        (23, "unit_price_cents", "-5", "too_small"),
        (24, "unit_price_cents", "99999999999999999999", "not_an_integer"),
        (25, "attributes", "{broken", "not_json"),
        (26, "", "", "wrong_columns"),
        (27, "", "", "bad_quote"),
    ]
    assert intake.events("event_id") == ["e02", "e28"]
    assert intake.count(report) == (27, 2, 0, 0, 25)
    assert report.files[0].reasons == Counter(row[3] for row in rejected(report))


def test_lines_are_right_behind_quoted_line_ends_and_blank_lines(intake: Intake, tmp_path: Path) -> None:
    text = """
        item_id,title,price_cents
        i1,"two
        lines",1

        i2,x,bad
        "i3","three
        lines
        here",2
        i4,y,worse
    """
    report = intake.load(write(tmp_path / "items.csv", text))
    assert rejected(report) == [
        (5, "price_cents", "bad", "not_an_integer"),
        (9, "price_cents", "worse", "not_an_integer"),
    ]
    assert intake.rows("items", "item_id", "title") == [("i1", "two\nlines"), ("i3", "three\nlines\nhere")]


def test_rows_of_parquet_and_json_have_numbers_and_lines(intake: Intake, tmp_path: Path) -> None:
    lines = """
        {"item_id": "i1"}

        {"item_id": "i2", "price_cents": -1}
        {"item_id":
        "i4"
        {"item_id": "i5", "price_cents": 5}
    """
    report = intake.load(write(tmp_path / "items.jsonl", lines))
    assert rejected(report) == [
        (3, "price_cents", "-1", "too_small"),
        (4, "", "", "malformed_json"),
        (5, "", "", "malformed_json"),
    ]
    assert intake.rows("items", "item_id", "price_cents") == [("i1", None), ("i5", 5)]
    table = pa.table({"item_id": ["i6", "i7", None], "price_cents": [1.0, 1.5, 2.0]})
    pq.write_table(table, tmp_path / "items.parquet")
    report = intake.load(tmp_path / "items.parquet")
    assert rejected(report) == [(2, "price_cents", "1.5", "not_an_integer"), (3, "item_id", "", "missing")]


def test_malformed_lines_are_shown_where_they_hold_nobody(intake: Intake, tmp_path: Path) -> None:
    report = intake.load(write(tmp_path / "items.csv", "item_id,title\ni1\ni2,tea"))
    assert rejected(report) == [(2, "", "i1", "wrong_columns")]


def test_undecodable_bytes_reject_their_lines(intake: Intake, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes("item_id,title\ni1,牛奶\ni2,".encode() + b"\xff\xfe\n" + "i3,酸奶\n".encode())
    assert rejected(intake.load(path)) == [(3, "", "i2,��", "undecodable")]
    path.write_bytes("item_id,title\ni4,牛奶\ni5,牛奶".encode("gb18030") + b"\xff\n" + "i6,酸奶\n".encode("gb18030"))
    assert [row[0] for row in rejected(intake.load(path))] == [3]
    assert intake.rows("items", "item_id", "title") == [
        ("i1", "牛奶"),
        ("i3", "酸奶"),
        ("i4", "牛奶"),
        ("i6", "酸奶"),
    ]


def test_many_rejects_keep_their_lines(intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loading.rejects._HELD", 100)
    rows = "\n".join(f"e{line},{'when?' if line % 3 == 0 else '2026-02-01'},view,app" for line in range(2, 20_002))
    report = intake.load(write(tmp_path / "events.csv", "event_id,occurred_at,kind,channel\n" + rows))
    found = rejected(report)
    assert [row[0] for row in found] == [line for line in range(2, 20_002) if line % 3 == 0]
    assert intake.count(report) == (20_000, 20_000 - len(found), 0, 0, len(found))


def test_identities_must_be_complete(intake: Intake, tmp_path: Path) -> None:
    text = """
        namespace,value,member_id
        member,m1,m2
        card:no,c1,m1
        phone,unknown,m1
        phone,138****8000,m1
        card,,m1
        card,c1,m1
    """
    report = intake.load(write(tmp_path / "identities.csv", text))
    assert rejected(report) == [
        (2, "namespace", "member", "not_a_namespace"),
        (3, "namespace", "card:no", "not_a_namespace"),
        (4, "value", "", "not_an_identity"),
        (5, "value", "", "not_an_identity"),
        (6, "value", "", "missing"),
    ]
    events = """
        event_id,occurred_at,kind,channel,namespace,identity_value,value
        e1,2026-02-01,view,app,card,,
        e2,2026-02-01,view,app,,c1,
        e3,2026-02-01,rating,app,card,c1,many
        e4,2026-02-01,rating,app,,,5
    """
    report = intake.load(write(tmp_path / "events.csv", events))
    assert rejected(report) == [
        (2, "identity_value", "", "missing"),
        (3, "namespace", "", "missing"),
        (4, "value", "", "not_a_number"),
    ]


def test_every_reason_is_explained_and_every_query_keeps_the_order() -> None:
    """No check of any table lacks an explanation, and no query holds a list that DuckDB would join."""
    for spec in TABLES.values():
        names = [column.name for column in spec.columns]
        source = Source(Path("x"), tuple(names), "x", 0, 0, None)
        selection = select(source, canonical_rules(spec, names).table, Context("Asia/Shanghai"), NOW)
        assert {check.reason for check in selection.checks} <= set(EXPLANATIONS)
        assert " IN (" not in selection.layer
        assert all(isinstance(check, Check) and check.accepted for check in selection.checks)


def test_a_file_of_nothing_but_bad_rows(intake: Intake, tmp_path: Path) -> None:
    report = intake.load(
        write(tmp_path / "events.csv", "event_id,occurred_at,kind,channel\ne1,x,view,app\ne2,y,view,app")
    )
    assert intake.count(report) == (2, 0, 0, 0, 2)
    assert intake.events() == []
    report = intake.load(write(tmp_path / "events.csv", "event_id,occurred_at,kind,channel"))
    assert intake.count(report) == (0, 0, 0, 0, 0)

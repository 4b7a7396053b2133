"""What rules of a mapping make of cells: times from numbers, money, words, signs, joined levels, scale barcodes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recommender.errors import MappingError
from tests.training.loading.intake import Intake, write
from tests.training.loading.test_rejects import rejected

REST = """
kind = { constant = "purchase" }
channel = { constant = "pos" }
"""


def events(columns: str, *, file: str = "", more: str = "") -> str:
    """Write a mapping that fills events."""
    return f'[file]\n{file}\n[[tables]]\nname = "events"\n{more}\n[tables.columns]\n{columns}\n'


def day(number: int, month: int = 2, hour: int = 0) -> datetime:
    return datetime(2026, month, number, hour, tzinfo=UTC)


def test_day_numbers_count_from_an_origin(intake: Intake, tmp_path: Path) -> None:
    export = write(tmp_path / "e.csv", "id,day\na,0\nb,3\nc,1.5\nd,x\n")
    rule = 'occurred_at = { column = "day", origin = "2026-02-01", unit = "day", time_zone = "Asia/Shanghai" }'
    report = intake.load(export, mapping=events(f'event_id = "id"\n{rule}{REST}'))
    assert intake.events("occurred_at") == [day(31, 1, 16), day(3, hour=16), day(2, hour=4)]
    assert rejected(report) == [(5, "day", "x", "not_a_time")]


def test_order_indexes_end_where_each_member_ends(intake: Intake, tmp_path: Path) -> None:
    """The last order of everybody is at the origin, earlier ones a week apart, whoever has how many."""
    text = "user,basket\nu1,1\nu1,2\nu1,3\nu2,7\nu2,5\n,1\n"
    count = 'origin = "2026-02-22T00:00:00Z", unit = "week", align = "end", per = "user"'
    rule = f'occurred_at = {{ column = "basket", {count} }}'
    intake.load(write(tmp_path / "e.csv", text), mapping=events(f'member_id = "user"\n{rule}{REST}'))
    assert sorted(intake.events("subject", "occurred_at"), key=str) == [
        ("member:u1", day(15)),
        ("member:u1", day(22)),
        ("member:u1", day(8)),
        ("member:u2", day(22)),
        ("member:u2", day(8)),
        (None, day(22)),
    ]


def test_numbers_may_end_together(intake: Intake, tmp_path: Path) -> None:
    rule = 'occurred_at = { column = "n", origin = "2026-02-22T00:00:00Z", unit = "day", align = "end" }'
    intake.load(write(tmp_path / "e.csv", "id,n\na,10\nb,12\n"), mapping=events(f'event_id = "id"\n{rule}{REST}'))
    assert intake.events("occurred_at") == [day(20), day(22)]


def test_time_formats_are_tried_in_turn(intake: Intake, tmp_path: Path) -> None:
    text = "id,t\na,2026年2月1日 8:05\nb,2026-02-01T00:05:00Z\nc,20260201\nd,1.2.2026\ne,01/02/2026 08:00 +0800\n"
    file = 'time_zone = "Asia/Shanghai"\ntime_formats = ["%Y年%m月%d日 %H:%M", "iso", "%Y%m%d", "%d/%m/%Y %H:%M %z"]'
    report = intake.load(
        write(tmp_path / "e.csv", text), mapping=events(f'event_id = "id"\noccurred_at = "t"{REST}', file=file)
    )
    minutes = datetime(2026, 2, 1, 0, 5, tzinfo=UTC)
    assert intake.events("occurred_at") == [minutes, minutes, day(31, 1, 16), day(1)]
    assert rejected(report) == [(5, "t", "1.2.2026", "not_a_time")]


def test_money_is_exact(intake: Intake, tmp_path: Path) -> None:
    amounts = ["12.3", "￥1,234.50", "0.29", "-0", ".5", "1.100", "12,50", "1.005", "1e2", "99999999999999.99", "3元"]
    text = "item,price\n" + "\n".join(f'i{at:02d},"{amount}"' for at, amount in enumerate(amounts))
    columns = 'item_id = "item"\nprice_cents = "price"'
    mapping = f'[[tables]]\nname = "items"\n[tables.columns]\n{columns}'
    report = intake.load(write(tmp_path / "e.csv", text), mapping=mapping)
    assert [row[0] for row in intake.rows("items", "price_cents")] == [
        1230,
        123450,
        29,
        0,
        50,
        110,
        9_999_999_999_999_999,
        300,
    ]
    assert [row[2:] for row in rejected(report)] == [(bad, "not_money") for bad in ("12,50", "1.005", "1e2")]
    rounded = mapping.replace('"price"', '{ column = "price", round = true }')
    intake.load(write(tmp_path / "e.csv", "item,price\na,1.005\nb,1.0049\n"), mapping=rounded)
    assert [row[0] for row in intake.rows("items", "price_cents")][:2] == [101, 100]
    whole = mapping.replace('"price"', '{ column = "price", money = "cents" }')
    intake.load(write(tmp_path / "e.csv", "item,price\nc,250\n"), mapping=whole)
    assert intake.rows("items", "item_id", "price_cents")[2] == ("c", 250)
    yen = f"[file]\nmoney_decimals = 0\n{mapping}"
    report = intake.load(write(tmp_path / "e.csv", "item,price\nd,250\ne,250.5\n"), mapping=yen)
    assert intake.rows("items", "item_id", "price_cents")[3] == ("d", 250)
    assert rejected(report) == [(3, "price", "250.5", "not_money")]


def test_words_signs_defaults_and_prefixes(intake: Intake, tmp_path: Path) -> None:
    text = "id,what,n,state\n1,buy,2,已取消\n2,,-3,done\n3,steal,1,\n4,buy,x,\n"
    columns = """
    event_id = { column = "id", prefix = "t-" }
    occurred_at = { constant = "2026-02-01" }
    kind = { column = "n", positive = "purchase", negative = "return" }
    channel = { column = "what", values = { "buy" = "app", "" = "web" } }
    quantity = { column = "n", absolute = true }
    status = { column = "state", values = { "已取消" = "cancelled" }, keep_others = true, default = "paid" }
    attributes = { collect = { original = "what" } }
    """
    report = intake.load(write(tmp_path / "e.csv", text), mapping=events(columns))
    names = ("event_id", "kind", "channel", "quantity", "status", "attributes")
    assert intake.events(*names) == [
        ("t-1", "purchase", "app", 2.0, "cancelled", '{"original":"buy"}'),
        ("t-2", "return", "web", 3.0, "done", None),
    ]
    assert rejected(report) == [(4, "what", "steal", "unknown_value"), (5, "n", "x", "unknown_value")]


def test_rows_are_chosen_and_cells_stripped(intake: Intake, tmp_path: Path) -> None:
    text = (
        'id;t;name\n "\'1"; 2026-02-01 ;\u3000x\u00a0\n'.replace(' "', '"')
        + "2;2026-02-01;total\n3;2026-02-01;\n4;bad;y\n"
    )
    path = tmp_path / "e.txt"
    path.write_text(text, encoding="utf-8")
    columns = f'event_id = "id"\noccurred_at = "t"\nitem_id = "name"{REST}'
    more = 'only = { "id" = ["1", "2", "3"] }\nskip = { "name" = ["total", ""] }'
    file = 'format = "csv"\ndelimiter = "semicolon"\nstrip = "\'"'
    report = intake.load(path, mapping=events(columns, file=file, more=more))
    assert intake.events("event_id", "item_id") == [("1", "x")]
    counts = report.count("events")
    assert (counts.read, counts.added, counts.skipped, counts.rejected) == (1, 1, 3, 0)


def test_files_without_a_header(intake: Intake, tmp_path: Path) -> None:
    file = 'format = "csv"\ndelimiter = "tab"\nquote = ""\ncolumns = ["id", "t", "name"]\nskip_lines = 1'
    text = 'exported today\n1\t2026-02-01\t5" pipe\n2\t2026-02-01\t"x\n3\t2026-02-01\n'
    columns = f'event_id = "id"\noccurred_at = "t"\nitem_id = "name"{REST}'
    report = intake.load(write(tmp_path / "e.tsv", text), mapping=events(columns, file=file))
    assert intake.events("event_id", "item_id") == [("1", '5" pipe'), ("2", '"x')]
    assert rejected(report) == [(4, "", "", "wrong_columns")]


def test_scale_barcodes_with_prices(intake: Intake, tmp_path: Path) -> None:
    """22 00802 01350 7: item 00802 for 13.50; at 5.40 a kilogram that is 2.5 of it."""
    text = (
        "id,code,n,price\n1,2200802013507,1,5.40\n2,2200802013506,1,5.40\n3,6901234567892,2,5.40\n4,2200802013507,,0\n"
    )
    columns = 'event_id = "id"\noccurred_at = { constant = "2026-02-01" }\nunit_price_cents = "price"\nquantity = "n"'
    scale = '[tables.scale_barcode]\ncolumn = "code"\nkind = "price"\nitem_prefix = "W"'
    intake.load(write(tmp_path / "e.csv", text), mapping=events(columns + REST) + scale)
    assert intake.events("event_id", "item_id", "quantity") == [
        ("1", "W00802", 2.5),
        ("2", "2200802013506", 1.0),
        ("3", "6901234567892", 2.0),
        ("4", "W00802", 1.0),
    ]


def test_missing_columns_are_named(intake: Intake, tmp_path: Path) -> None:
    export = write(tmp_path / "e.csv", "id,times\n1,2026-02-01\n")
    with pytest.raises(MappingError, match="Did you mean times"):
        intake.load(export, mapping=events(f'event_id = "id"\noccurred_at = "time"{REST}'))
    assert intake.files() == []


def test_several_tables_and_kinds_from_one_file(intake: Intake, tmp_path: Path) -> None:
    """Ids of all events of a file are compared, whichever table of the mapping they come from."""
    text = "id,t,back\n1,2026-02-01,\n2,2026-02-02,2026-02-05\n"
    sold = f'event_id = "id"\noccurred_at = "t"{REST}'
    back = sold.replace('"t"', '"back"').replace("purchase", "return")
    clash = events(sold) + events(back, more='only = { "id" = ["2"] }').replace("[file]\n", "")
    report = intake.load(write(tmp_path / "e.csv", text), mapping=clash)
    assert rejected(report) == [(3, "event_id", "2", "conflicting_duplicate")]
    assert intake.events("event_id", "kind") == [("1", "purchase"), ("2", "purchase")]
    fine = clash.replace(
        'event_id = "id"\noccurred_at = "back"', 'event_id = { column = "id", prefix = "r" }\noccurred_at = "back"'
    )
    assert intake.count(intake.load(tmp_path / "e.csv", mapping=fine)) == (3, 1, 0, 2, 0)

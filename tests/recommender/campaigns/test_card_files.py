"""Card files: CSV in two encodings and spreadsheets, and files that mean harm or nothing."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from recommender.campaigns import xlsx
from recommender.campaigns.card_files import CardColumn, CardRow, read_cards
from recommender.errors import InputError

SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)
SHARED = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</sst>'


def spreadsheet(rows: str, shared: str | None = None) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as file:
        file.writestr("xl/worksheets/sheet1.xml", rows if rows.startswith("<?") else SHEET.format(rows))
        if shared is not None:
            file.writestr("xl/sharedStrings.xml", SHARED.format(shared))
    return buffer.getvalue()


def values(column: CardColumn) -> list[tuple[int, str]]:
    return [(row.line, row.value) for row in column.rows]


def test_a_heading_says_what_a_column_holds() -> None:
    found = read_cards("姓名,手机号\n张三,13800138000\n李四,\n王五,13900139000\n".encode("gb18030"))
    assert found == CardColumn("phone", [CardRow(2, "13800138000"), CardRow(4, "13900139000")])


def test_a_byte_order_mark_and_other_delimiters_do_not_matter() -> None:
    found = read_cards(b"\xef\xbb\xbfname;Card\r\na;600012345\r\n")
    assert found == CardColumn("card", [CardRow(2, "600012345")])


def test_a_file_without_a_heading_needs_a_namespace() -> None:
    content = b"600012345\n600012346\n"
    assert values(read_cards(content, "card")) == [(1, "600012345"), (2, "600012346")]
    with pytest.raises(InputError) as caught:
        read_cards(content)
    assert caught.value.field == "namespace"


def test_a_column_is_named() -> None:
    content = b"card,loyalty\n1,a\n2,b\n"
    assert values(read_cards(content, "loyalty_no", "Loyalty")) == [(2, "a"), (3, "b")]
    with pytest.raises(InputError) as caught:
        read_cards(content, "card", "cards")
    assert caught.value.field == "column"


def test_an_empty_file_holds_nothing() -> None:
    assert read_cards(b"", "card").rows == []


def test_a_spreadsheet_is_read() -> None:
    rows = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
        '<row r="2"><c r="B2"><v>13800138000</v></c></row>'
        '<row r="4"><c r="A4" t="inlineStr"><is><t>x</t></is></c><c r="B4"><v>1.39E10</v></c></row>'
        '<row r="5"><c><v>0.5</v></c><c t="str"><f>A1</f><v>007</v></c></row>'
    )
    shared = "<si><t>name</t></si><si><r><t>手机</t></r><r><t>号</t></r><rPh><t>shouji</t></rPh></si>"
    found = read_cards(spreadsheet(rows, shared))
    assert found.namespace == "phone"
    assert [row.value for row in found.rows] == ["13800138000", "13900000000", "007"]


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 no archive",
        spreadsheet('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        spreadsheet('<?xml version="1.0"?><worksheet><sheetData>'),
        b"\x00\x01\x02",
        b"\xff\xfe\xff\xff\xff",
    ],
)
def test_files_that_cannot_be_read_are_told(content: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_cards(content, "card")
    assert caught.value.field == "file"


def test_a_spreadsheet_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MOST_BYTES", 100_000)
    row = '<row><c t="inlineStr"><is><t>' + "a" * 1_000 + "</t></is></c></row>"
    with pytest.raises(InputError, match="unpacks to more"):
        read_cards(spreadsheet(row * 200), "card")


def test_a_spreadsheet_without_a_sheet_is_refused() -> None:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as file:
        file.writestr("readme.txt", "nothing")
    with pytest.raises(InputError, match="holds no sheet"):
        read_cards(buffer.getvalue(), "card")

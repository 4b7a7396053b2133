"""The look over the bytes of a file: what is a record, on which line, and what cannot be read."""

import csv
import io
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.sources import records
from training.sources.mapping import FileLayout
from training.sources.records import Dialect, Malformed, Scan, copy_records, scan_records
from training.sources.source import Source, open_source

PLAIN = Dialect()


def scan(folder: Path, data: bytes, columns: int = 2, dialect: Dialect = PLAIN) -> tuple[Scan, list[Malformed]]:
    path = folder / "file"
    path.write_bytes(data)
    found: list[Malformed] = []
    return scan_records(path, dialect, columns, found.append), found


def good_lines(scanned: Scan) -> list[int]:
    return scanned.lines.lines(np.arange(scanned.records)).tolist() if scanned.records else []


def test_plain_lines(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b"1,a\n2,b\n3,c\n")
    assert (scanned.records, good_lines(scanned), found, scanned.clean) == (3, [1, 2, 3], [], True)


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    assert scan(tmp_path, b"1,a\n2,b")[0].records == 2


def test_quoted_delimiters_and_line_ends_belong_to_the_cell(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b'1,"a,b"\n2,"c\nd ""e"""\n3,f\n')
    assert (good_lines(scanned), found, scanned.clean) == ([1, 2, 4], [], True)


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b"1,a\n\n2,b\n\n\n3,c\n")
    assert (good_lines(scanned), found, scanned.clean) == ([1, 3, 6], [], True)


def test_blank_lines_of_a_single_column_are_left_out(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b"a\n\nb\n", columns=1)
    assert (good_lines(scanned), found, scanned.clean) == ([1, 3], [], False)


def test_wrong_numbers_of_cells(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b"1,a\n2\n3,c,d\n4,e\n")
    assert good_lines(scanned) == [1, 4]
    assert found == [Malformed(2, "wrong_columns", "2"), Malformed(3, "wrong_columns", "3,c,d")]


def test_a_quote_inside_a_cell(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b'1,24" screen\n2,"a"b\n3,"ok"\n')
    assert good_lines(scanned) == [3]
    assert [(one.line, one.reason) for one in found] == [(1, "bad_quote"), (2, "bad_quote")]


def test_an_unclosed_quote_costs_one_line(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b'1,a\n2,"b\n3,c\n4,"d"\n5,e\n')
    assert good_lines(scanned) == [1, 3, 4, 5]
    assert found == [Malformed(2, "bad_quote", '2,"b')]


def test_an_unclosed_quote_at_the_end(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b'1,a\n2,"b\n3,c\n')
    assert good_lines(scanned) == [1, 3]
    assert found == [Malformed(2, "unclosed_quote", '2,"b')]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, "1,ä\n2,".encode() + b"\xff\n3,\xc3\n4,b\x00\n5,c\rd\n6,e\n")
    assert good_lines(scanned) == [1, 6]
    assert [(one.line, one.reason) for one in found] == [
        (2, "undecodable"),
        (3, "undecodable"),
        (4, "bad_character"),
        (5, "bad_character"),
    ]


def test_a_record_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 50)
    monkeypatch.setattr(records, "_BLOCK_BYTES", 20)
    scanned, found = scan(tmp_path, b"1,a\n2," + b"b" * 500 + b'\n3,c\n4,"' + b"d\n" * 40 + b'"\n5,e\n')
    assert [one.reason for one in found][:2] == ["too_long", "unclosed_quote"]
    assert good_lines(scanned)[:2] == [1, 3]
    assert good_lines(scanned)[-1] == 45


def test_without_quotes_a_quote_is_a_letter(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b'1\t24"\n2\t"a\n', dialect=Dialect("\t", ""))
    assert (scanned.records, found) == (2, [])


def test_mixed_line_ends_are_made_one_kind(tmp_path: Path) -> None:
    scanned, found = scan(tmp_path, b'1,a\r\n2,b\n3,"c\r\nd"\r\n')
    assert (good_lines(scanned), found, scanned.clean) == ([1, 2, 3], [], False)
    copy_records(tmp_path / "file", tmp_path / "copy", scanned, 0)
    assert (tmp_path / "copy").read_bytes() == b'1,a\n2,b\n3,"c\nd"\n'


DUCK = duckdb.connect()
CELL = st.text(alphabet='ab ,"\n\r中é;', max_size=6)
DAMAGE = st.sampled_from([b'x,"y\n', b'a"b,c\n', b"1,2,3\n", b"1\n", b"\xff,z\n", b"\n", b'"p"q,r\n'])


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(st.one_of(st.tuples(CELL, CELL), DAMAGE), max_size=30),
    ends=st.sampled_from(["\n", "\r\n"]),
    block=st.integers(7, 200),
)
def test_duckdb_reads_exactly_what_the_scan_found(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, str] | bytes], ends: str, block: int
) -> None:
    """Whatever stands in a file: the rows DuckDB reads are as many as were found, and lie where they should."""
    folder = tmp_path_factory.mktemp("records")
    data = b"k,v\n" + b"".join(piece if isinstance(piece, bytes) else write(piece, ends) for piece in pieces)
    (folder / "events.csv").write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_BLOCK_BYTES", block)
        patch.setattr(records, "_SMALL_BYTES", 5)
        source = open_source(folder / "events.csv", "csv", FileLayout(encoding="utf-8"), folder, lambda one: None)
    rows = DUCK.execute(f"SELECT c0, c1 FROM {source.relation}").fetchall()
    assert len(rows) == source.rows
    check_places(source, rows, data)


def write(cells: tuple[str, str], ends: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=ends, quoting=csv.QUOTE_ALL).writerow(cells)
    return text.getvalue().encode()


def check_places(source: Source, rows: list[tuple[str | None, str | None]], data: bytes) -> None:
    physical = data.split(b"\n")
    for line, (first, _) in zip(source.lines(np.arange(len(rows))).tolist(), rows, strict=True):
        begins = physical[line - 1].decode().removeprefix('"')
        beginning = (first or "").replace('"', '""').split("\n")[0].rstrip("\r")
        assert begins.startswith(beginning)

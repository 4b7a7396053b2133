"""Source: a file made readable for DuckDB: its columns, its rows as SQL, and the lines that rows lie on."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from recommender.errors import InputError
from recommender.quoting import text
from training.sources.duck import name
from training.sources.encodings import UTF8, guess_encoding, is_compressed, write_utf8
from training.sources.json_lines import json_paths, json_relation, outer_path
from training.sources.mapping import FileLayout
from training.sources.records import (
    MAX_RECORD_BYTES,
    Dialect,
    LineIndex,
    LongVector,
    Malformed,
    copy_records,
    scan_records,
)

_HEAD_BYTES = 1 << 20
_DELIMITERS = ",\t;|"
_LINES = Dialect("\x1f", "")
"""Reads whole lines: the unit separator cannot stand in JSON."""
_MARK = b"\xef\xbb\xbf"
_BUFFER_BYTES = 8 << 20
"""DuckDB reads text in such pieces, per thread; its own choice takes four times the memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """A readable file.

    columns: names in the file, in order; "a.b" for a value b inside a JSON object a.
    relation: SQL of its rows, columns c0, c1, ... as text; of its lines as c0 for JSON.
    rows: how many it gives.  malformed: records left out.  index: None where rows have numbers, not lines.
    json_paths: path by column, for JSON.
    """

    path: Path
    columns: tuple[str, ...]
    relation: str
    rows: int
    malformed: int
    index: LineIndex | None
    json_paths: Mapping[str, str] | None = None

    @property
    def outer_columns(self) -> tuple[str, ...]:
        """The columns that are not inside another one."""
        nested = self.json_paths or {}
        return tuple(one for one in self.columns if nested.get(one, "").count('."') < 2)

    def with_columns(self, names: Iterable[str]) -> Source:
        """Return the source with further names, which may stand anywhere in JSON; other formats have a header."""
        if self.json_paths is None:
            return self
        paths = {**self.json_paths, **{one: outer_path(one) for one in names if one not in self.json_paths}}
        return replace(self, columns=tuple(paths), json_paths=paths)

    def cells(self, used: Iterable[str]) -> str:
        """Return the SQL of its rows, columns c0, c1, ... as text; for JSON also `faulty`: no object there."""
        if self.json_paths is None:
            return self.relation
        return json_relation(self.relation, self.json_paths, used)

    def lines(self, rows: LongVector) -> LongVector:
        """Return the lines that rows (from 0) lie on; the row numbers from 1 where the file has no lines."""
        return rows + 1 if self.index is None else self.index.lines(rows)


def open_source(
    path: Path, format_: str, layout: FileLayout, workspace: Path, report: Callable[[Malformed], None]
) -> Source:
    """Make a file readable.

    Args:
        format_: csv, jsonl or parquet.
        layout: how it is written, as far as that is known.
        workspace: an existing folder for what must be rewritten: other encodings, compressed or damaged text.
        report: takes records that cannot be read.
    Raises: InputError if the file cannot be read at all.
    """
    if not path.is_file():
        raise InputError("There is no such file.", field="file", value=path)
    plain = workspace / "export"  # DuckDB takes * ? [ ] in a name for a pattern
    plain.symlink_to(path.resolve())
    if format_ == "parquet":
        return _open_parquet(path, plain)
    encoding = layout.encoding or guess_encoding(path)
    utf8, transcoded = plain, encoding not in (UTF8, "utf-8-sig")
    if transcoded or is_compressed(path):
        utf8 = workspace / "utf8"
        write_utf8(path, encoding, utf8)
    opened = _open_json if format_ == "jsonl" else _open_csv
    return opened(path, utf8, layout, workspace, report, transcoded)


def _open_csv(
    path: Path,
    utf8: Path,
    layout: FileLayout,
    workspace: Path,
    report: Callable[[Malformed], None],
    transcoded: bool,
) -> Source:
    head = _read_head(utf8, layout)
    delimiter = layout.delimiter or guess_delimiter(head.first)
    dialect = Dialect(delimiter, layout.quote)
    columns, start, line, ending = layout.columns, head.start, head.line, b""
    if not columns:
        columns = _parse_header(head.first, dialect, path)
        start, line, ending = head.start + head.size, head.line + head.lines, head.first[-2:].encode()
    scan = scan_records(
        utf8,
        dialect,
        len(columns),
        report,
        start=start,
        first_line=line,
        header_end=ending,
        transcoded=transcoded,
    )
    plain = scan.clean and head.start == 0 and not layout.columns
    if not plain:
        copy_records(utf8, workspace / "records", scan, start)
    relation = _csv_relation(
        utf8 if plain else workspace / "records", dialect, len(columns), scan.line_end, header=plain
    )
    return Source(path, columns, relation, scan.records, scan.malformed, scan.lines)


def _open_json(
    path: Path,
    utf8: Path,
    layout: FileLayout,
    workspace: Path,
    report: Callable[[Malformed], None],
    transcoded: bool,
) -> Source:
    del layout
    with utf8.open("rb") as file:
        mark = 3 if file.read(3) == _MARK else 0
    scan = scan_records(utf8, _LINES, 1, report, start=mark, transcoded=transcoded)
    clean = utf8
    if not scan.clean or mark:
        clean = workspace / "records"
        copy_records(utf8, clean, scan, mark)
    paths = json_paths(clean, path.name)
    relation = _csv_relation(clean, _LINES, 1, scan.line_end, header=False)
    return Source(path, tuple(paths), relation, scan.records, scan.malformed, scan.lines, paths)


def _open_parquet(path: Path, plain: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"This is no Parquet file: {error}.", field="file", value=path.name) from error
    cells = []
    for at, column in enumerate(schema):
        nested = pa.types.is_nested(column.type)
        cell = f"to_json({name(column.name)})" if nested else name(column.name)
        cells.append(f"CAST({cell} AS VARCHAR) AS c{at}")
    relation = f"(SELECT {', '.join(cells)} FROM read_parquet({text(str(plain))}))"
    return Source(path, tuple(schema.names), relation, rows, 0, None)


def _csv_relation(path: Path, dialect: Dialect, columns: int, line_end: str, *, header: bool) -> str:
    names = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(columns))
    options = (
        "auto_detect = false",
        f"header = {str(header).lower()}",
        f"delim = {text(dialect.delimiter)}",
        f"quote = {text(dialect.quote)}",
        f"escape = {text(dialect.quote)}",
        f"new_line = {text(line_end.replace(chr(13), chr(92) + 'r').replace(chr(10), chr(92) + 'n'))}",
        f"max_line_size = {2 * MAX_RECORD_BYTES}",
        f"buffer_size = {_BUFFER_BYTES}",
        f"columns = {{{names}}}",
    )
    return f"read_csv({text(str(path))}, {', '.join(options)})"


class _Head(NamedTuple):
    """The first record of a file: its text, where it begins, its bytes, its line and how many lines it has."""

    first: str
    start: int
    size: int
    line: int
    lines: int


def _read_head(path: Path, layout: FileLayout) -> _Head:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    start = 3 if head.startswith(_MARK) else 0
    mark, lines = start, head[start:].splitlines(keepends=True)
    at = 0
    while at < len(lines) and (at < layout.skip_lines or not lines[at].strip()):
        start += len(lines[at])
        at += 1
    if at == len(lines):
        raise InputError("The file is empty.", field="file", value=path.name, accepted="a header and rows")
    quote, first, count = layout.quote.encode(), lines[at], 1
    while quote and first.count(quote) % 2 and at + count < len(lines):
        first += lines[at + count]
        count += 1
    begin = 0 if start == mark else start
    return _Head(first.decode("utf-8", "replace"), begin, len(first) + (start - begin), at + 1, count)


def guess_delimiter(header: str) -> str:
    """Return the delimiter that is most frequent in a header."""
    return max(_DELIMITERS, key=header.count)


def _parse_header(header: str, dialect: Dialect, path: Path) -> tuple[str, ...]:
    rows = csv.reader(
        io.StringIO(header, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )
    names = [cell.strip() for cell in next(rows)]
    repeated = sorted({one for one in names if one and names.count(one) > 1})
    if repeated:
        raise InputError(f"{path.name} names a column twice.", field=repeated[0], value=", ".join(names))
    return tuple(names)

"""Records of a text file: where each begins, and which cannot be read as a record of the expected columns.

DuckDB reads the file quickly but stops at, or quietly repairs, what is not well formed. So the bytes are looked
over first, block by block: every record must have the expected number of cells, quotes must open and close
around whole cells, and the text must be UTF-8. What fails is left out and reported with its line; the rest
keeps its line numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LongVector = npt.NDArray[np.int64]
BoolVector = npt.NDArray[np.bool_]
ByteVector = npt.NDArray[np.uint8]

MAX_RECORD_BYTES = 1 << 20
"""A longer record is malformed: most likely a quote that is never closed."""
_BLOCK_BYTES = 1 << 21
_SMALL_BYTES = 1 << 16
_NEWLINE, _RETURN = 10, 13
_REPLACEMENT = "\ufffd".encode()
_FAULTS = ("wrong_columns", "undecodable", "bad_character", "too_long")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are told apart: one ASCII character between them; `quote` "" means none is special."""

    delimiter: str = ","
    quote: str = '"'


class Malformed(NamedTuple):
    """A record that cannot be read: its line, why, and how it begins."""

    line: int
    reason: str
    text: str


@dataclass(slots=True)
class LineIndex:
    """Line numbers of good records: record `n` (from 0) lies on line `n` + shift of the last start <= `n`."""

    starts: array[int] = field(default_factory=lambda: array("q"))
    shifts: array[int] = field(default_factory=lambda: array("q"))

    def add(self, first: int, lines: LongVector) -> None:
        """Note the lines of the records from number `first` on."""
        if not len(lines):
            return
        shifts = lines - np.arange(first, first + len(lines))
        last = self.shifts[-1] if self.shifts else None
        changed = np.flatnonzero(np.diff(shifts)) + 1
        if last != shifts[0]:
            changed = np.concatenate(([0], changed))
        self.starts.extend((changed + first).tolist())
        self.shifts.extend(shifts[changed].tolist())

    def lines(self, records: LongVector) -> LongVector:
        """Return the line of each record number. int64, (n,)."""
        at = np.searchsorted(np.array(self.starts, np.int64), records, side="right") - 1
        return records + np.array(self.shifts, np.int64)[at]


@dataclass(slots=True)
class Scan:
    """What was found: good records, their lines, byte ranges to leave out, and the ends of lines used."""

    records: int = 0
    malformed: int = 0
    lines: LineIndex = field(default_factory=LineIndex)
    dropped: array[int] = field(default_factory=lambda: array("q"))
    plain_ends: int = 0
    return_ends: int = 0

    @property
    def line_end(self) -> str:
        """How records end, in the copy if there is one."""
        return "\r\n" if self.return_ends and not self.plain_ends else "\n"

    @property
    def clean(self) -> bool:
        """Whether the file can be read as it is."""
        return not self.dropped and not (self.plain_ends and self.return_ends)


def scan_records(
    path: Path,
    dialect: Dialect,
    columns: int,
    report: Callable[[Malformed], None],
    *,
    start: int = 0,
    first_line: int = 1,
    header_end: bytes = b"",
    transcoded: bool = False,
) -> Scan:
    """Look over all records of a UTF-8 file, in bounded memory.

    Args:
        columns: cells that every record must have.
        report: takes each record that is left out.
        start: byte at which the first record begins.
        first_line: line number there.
        header_end: how the header before it ends, since one kind of line end is read only.
        transcoded: replacement characters stand for bytes that could not be decoded.
    """
    scanner = _Scanner(dialect, columns, report, start, first_line, transcoded)
    scanner.scan.return_ends += header_end.endswith(b"\r\n")
    scanner.scan.plain_ends += header_end.endswith(b"\n") and not header_end.endswith(b"\r\n")
    with path.open("rb") as file:
        file.seek(start)
        rest = b""
        while block := file.read(_BLOCK_BYTES):
            rest = scanner.feed(rest + block, final=False)
        scanner.feed(rest, final=True)
    return scanner.scan


def copy_records(source: Path, target: Path, scan: Scan, start: int) -> None:
    """Copy the good records of a scanned file, with one kind of line end."""
    strip = bool(scan.plain_ends and scan.return_ends)
    ranges = zip(scan.dropped[0::2], scan.dropped[1::2], strict=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        at = start
        for begin, end in (*ranges, (source.stat().st_size, 0)):
            reader.seek(at)
            _copy(reader.read, writer.write, begin - at, strip)
            at = end


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], object], size: int, strip: bool) -> None:
    held = b""
    while size > 0:
        block = read(min(size, _BLOCK_BYTES))
        size -= len(block)
        if strip:
            block = held + block
            held = b"\r" if block.endswith(b"\r") and size > 0 else b""
            block = block[: len(block) - len(held)].replace(b"\r\n", b"\n")
        write(block)


class _Records(NamedTuple):
    """Complete records at the beginning of some data: begin and end of each (without its line end)."""

    begin: LongVector
    end: LongVector
    newlines: LongVector
    quotes: LongVector
    bad_quote: int | None
    rest: int


class _Scanner:
    def __init__(
        self,
        dialect: Dialect,
        columns: int,
        report: Callable[[Malformed], None],
        offset: int,
        line: int,
        transcoded: bool,
    ) -> None:
        self.scan = Scan()
        self._delimiter = ord(dialect.delimiter)
        self._quote = ord(dialect.quote) if dialect.quote else None
        self._columns, self._report, self._transcoded = columns, report, transcoded
        self._offset, self._line = offset, line
        self._skipping = False

    def feed(self, data: bytes, final: bool) -> bytes:
        """Account for the complete records of data that begins a record; return what is left of it."""
        at, size = 0, len(data)
        while at < len(data):
            whole = at + size >= len(data)
            used, troubled = self._take(data[at : at + size], final and whole)
            at += used
            if used == 0 and whole:
                break
            size = _SMALL_BYTES if troubled else size * 2
        return data[at:]

    def _take(self, data: bytes, final: bool) -> tuple[int, bool]:
        """Account for what can be told of `data`. Returns: bytes used; whether a quote was bad."""
        if self._skipping:
            return self._skip(data, final), False
        found = _split(data, self._quote, self._delimiter, final)
        self._account(data, found)
        if found.bad_quote is not None:
            end = data.find(b"\n", found.rest) + 1
            if end or final:
                return self._leave_out(data, found.rest, end or len(data), "bad_quote"), True
        if found.rest == 0 and (len(data) > MAX_RECORD_BYTES or (final and data)):
            end = data.find(b"\n") + 1
            self._skipping = not (end or final)
            reason = "unclosed_quote" if end or final else "too_long"
            return self._leave_out(data, 0, end or len(data), reason), True
        return self._advance(data, found.rest), False

    def _skip(self, data: bytes, final: bool) -> int:
        """Leave out the rest of a line that is too long."""
        end = data.find(b"\n") + 1 or len(data)
        self._skipping = not data.endswith(b"\n", 0, end) and not final
        self.scan.dropped[-1] += end
        return self._advance(data, end)

    def _leave_out(self, data: bytes, begin: int, end: int, reason: str) -> int:
        line = self._line + data.count(b"\n", 0, begin)
        self._drop(line, self._offset + begin, self._offset + end, reason, data[begin:end])
        return self._advance(data, end)

    def _drop(self, line: int, begin: int, end: int, reason: str | None, text: bytes) -> None:
        self.scan.dropped.extend((begin, end))
        if reason is not None:
            self.scan.malformed += 1
            self._report(Malformed(line, reason, text[:400].decode("utf-8", "replace").rstrip("\r\n")))

    def _advance(self, data: bytes, used: int) -> int:
        self._offset += used
        self._line += data.count(b"\n", 0, used)
        return used

    def _account(self, data: bytes, found: _Records) -> None:
        """Count the good ones among complete records and leave out the others."""
        if not len(found.begin):
            return
        octets = np.frombuffer(data, np.uint8)
        returned = (found.end > found.begin) & (octets[np.maximum(found.end - 1, 0)] == _RETURN)
        content = found.end - returned
        blank = content == found.begin
        lines = self._line + np.searchsorted(found.newlines, found.begin)
        wrong = self._wrong_columns(octets, found) & ~blank
        faulty = self._faulty(data, octets, found, content)
        drop = (faulty > 0) | wrong | (blank & (self._columns == 1))
        for at in np.flatnonzero(drop):
            reason = None if blank[at] else _FAULTS[faulty[at]]
            begin, end = int(found.begin[at]), int(found.end[at])
            stop = min(end + 1, len(data))
            text = data[begin:end]
            self._drop(int(lines[at]), self._offset + begin, self._offset + stop, reason, text)
        good = ~drop & ~blank
        self.scan.lines.add(self.scan.records, lines[good])
        self.scan.records += int(good.sum())
        self.scan.return_ends += int(returned.sum())
        self.scan.plain_ends += int((~returned & (found.end < len(data))).sum())

    def _wrong_columns(self, octets: ByteVector, found: _Records) -> BoolVector:
        marks = np.flatnonzero(octets[: found.rest] == self._delimiter)
        if len(found.quotes):
            marks = marks[(np.searchsorted(found.quotes, marks) & 1) == 0]
        cells = np.searchsorted(marks, found.end) - np.searchsorted(marks, found.begin)
        return np.asarray(cells != self._columns - 1)

    def _faulty(self, data: bytes, octets: ByteVector, found: _Records, content: LongVector) -> npt.NDArray[np.int8]:
        """Return the place in _FAULTS of what keeps each record from being read, 0 if nothing does."""
        faults = np.where(found.end - found.begin > MAX_RECORD_BYTES, 3, 0).astype(np.int8)
        used = data[: found.rest]
        if 0 in used:
            _mark(faults, found.begin, np.flatnonzero(octets[: found.rest] == 0), 2)
        if used.count(b"\r") != np.count_nonzero(content != found.end):
            marks = np.flatnonzero(octets[: found.rest] == _RETURN)
            at = np.searchsorted(found.begin, marks, side="right") - 1
            inner = marks < content[at]
            if len(found.quotes):
                inner &= (np.searchsorted(found.quotes, marks) & 1) == 0
            _mark(faults, found.begin, marks[inner], 2)
        try:
            used.decode("utf-8")
        except UnicodeDecodeError:
            for record, (begin, end) in enumerate(zip(found.begin, found.end, strict=True)):
                faults[record] = faults[record] if _is_utf8(data[begin:end]) else 1
        if self._transcoded and _REPLACEMENT in used:
            for record, (begin, end) in enumerate(zip(found.begin, found.end, strict=True)):
                faults[record] = 1 if _REPLACEMENT in data[begin:end] else faults[record]
        return faults


def _split(data: bytes, quote: int | None, delimiter: int, final: bool) -> _Records:
    """Find the complete records of data that begins a record, up to the first bad quote."""
    octets = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(octets == _NEWLINE)
    quotes, bad, ends, open_end = np.empty(0, np.int64), None, newlines, False
    if quote is not None and quote in data:
        quotes = np.flatnonzero(octets == quote)
        ends = newlines[(np.searchsorted(quotes, newlines) & 1) == 0]
        bad = _first_bad_quote(octets, quotes, quote, delimiter)
        if bad is not None:
            ends = ends[ends < bad]
        open_end = bool(len(quotes) & 1)
    rest = int(ends[-1]) + 1 if len(ends) else 0
    if final and bad is None and not open_end and rest < len(data):
        ends, rest = np.concatenate((ends, [len(data)])), len(data)
    begin = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else np.empty(0, np.int64)
    return _Records(begin, ends, newlines, quotes, bad, rest)


def _first_bad_quote(octets: ByteVector, quotes: LongVector, quote: int, delimiter: int) -> int | None:
    """Return where a quote first stands inside a cell that is not quoted as a whole."""
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > 0, octets[opening - 1], _NEWLINE)
    follows = np.minimum(closing + 1, len(octets) - 1)
    after = np.where(closing + 1 < len(octets), octets[follows], _NEWLINE)
    bad_opening = opening[~np.isin(before, (delimiter, _NEWLINE, quote))]
    bad_closing = closing[~np.isin(after, (delimiter, _NEWLINE, _RETURN, quote))]
    firsts = [int(bad[0]) for bad in (bad_opening, bad_closing) if len(bad)]
    return min(firsts, default=None)


def _mark(faults: npt.NDArray[np.int8], begin: LongVector, places: LongVector, fault: int) -> None:
    at = np.searchsorted(begin, places, side="right") - 1
    faults[at[at >= 0]] = fault


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

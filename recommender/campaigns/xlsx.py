"""Reads the cells of a spreadsheet (.xlsx): the first sheet as texts, in bounded memory.

Only what a list needs is read, by the standard library: entities and document types are refused, and what unpacks to
more than MOST_BYTES is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from recommender.errors import InputError

MOST_BYTES = 256 * 1024 * 1024
"""Most bytes that a sheet, or the texts that sheets share, may unpack to."""
MOST_COLUMNS = 1_000
_CHUNK_BYTES = 1 << 16
_SHEET = re.compile(r"xl/worksheets/sheet(\d+)\.xml")
_SHARED = "xl/sharedStrings.xml"
_COLUMN = re.compile(r"([A-Z]{1,3})\d*")


def read_xlsx(content: bytes) -> Iterator[list[str]]:
    """Yield the rows of the first sheet, each a list of texts; rows that the file leaves out are left out.

    Raises: InputError if it is no spreadsheet, or one that unpacks to too much.
    """
    try:
        with ZipFile(BytesIO(content)) as file:
            sheets = sorted((int(found[1]), found[0]) for name in file.namelist() if (found := _SHEET.fullmatch(name)))
            if not sheets:
                raise _unreadable("it holds no sheet")
            shared = _Shared()
            if _SHARED in file.namelist():
                for _ in _parsed(file, _SHARED, shared):
                    pass
            sheet = _Sheet(shared.texts)
            for _ in _parsed(file, sheets[0][1], sheet):
                yield from sheet.take()
    except (BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, expat.ExpatError) as error:
        raise _unreadable(str(error)) from error


def _parsed(file: ZipFile, name: str, reader: _Shared | _Sheet) -> Iterator[None]:
    """Give a part of the file to a reader, chunk by chunk."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: reader.start(tag.rpartition(" ")[2], attributes)
    parser.EndElementHandler = lambda tag: reader.end(tag.rpartition(" ")[2])
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    total = 0
    with file.open(name) as part:
        while chunk := part.read(_CHUNK_BYTES):
            total += len(chunk)
            if total > MOST_BYTES:
                raise _unreadable(f"it unpacks to more than {MOST_BYTES:,} bytes")
            parser.Parse(chunk, False)
            yield
        parser.Parse(b"", True)
        yield


def _refuse(*_declared: object) -> None:
    raise _unreadable("it declares a document type or entities")


class _Shared:
    """Collects the texts that sheets share."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._parts: list[str] = []
        self._within = self._phonetic = False

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        if tag == "si":
            self._parts = []
        self._phonetic |= tag == "rPh"
        self._within = tag == "t" and not self._phonetic

    def end(self, tag: str) -> None:
        self._within = False
        if tag == "rPh":
            self._phonetic = False
        if tag == "si":
            self.texts.append("".join(self._parts))

    def text(self, data: str) -> None:
        if self._within:
            self._parts.append(data)


class _Sheet:
    """Collects the rows of a sheet."""

    def __init__(self, shared: list[str]) -> None:
        self._shared = shared
        self._rows: list[list[str]] = []
        self._row: list[str] = []
        self._parts: list[str] = []
        self._place = 0
        self._kind = ""
        self._within = False

    def take(self) -> list[list[str]]:
        """Return the rows that are complete, once."""
        rows, self._rows = self._rows, []
        return rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "row":
            self._row = []
        elif tag == "c":
            found = _COLUMN.match(attributes.get("r", ""))
            self._place = _number(found[1]) if found else len(self._row)
            self._kind, self._parts = attributes.get("t", "n"), []
        self._within = tag in ("v", "t")

    def end(self, tag: str) -> None:
        self._within = False
        if tag == "c" and self._place < MOST_COLUMNS:
            self._row += [""] * (self._place + 1 - len(self._row))
            self._row[self._place] = self._value("".join(self._parts))
        elif tag == "row":
            self._rows.append(self._row)

    def text(self, data: str) -> None:
        if self._within:
            self._parts.append(data)

    def _value(self, text: str) -> str:
        if self._kind == "s":
            place = int(text) if text.isdecimal() else len(self._shared)
            return self._shared[place] if place < len(self._shared) else ""
        return _plain(text) if self._kind == "n" else text


def _number(letters: str) -> int:
    """Return the place of a column: A is 0."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def _plain(text: str) -> str:
    """Return a number as it is written: card numbers may be kept as 1.38E10."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() and abs(number) < 2**63 else text


def _unreadable(reason: str) -> InputError:
    return InputError(f"The spreadsheet cannot be read: {reason}.", field="file", accepted="an .xlsx file, or CSV")

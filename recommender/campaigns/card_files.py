"""Card files: a column of identities from CSV (UTF-8 or GB18030) or a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import chain, islice

from recommender.campaigns.xlsx import read_xlsx
from recommender.errors import InputError
from recommender.events import MEMBER_NAMESPACE

MOST_ROWS = 5_000_000
_ZIP = b"PK\x03\x04"
_SNIFFED = ",;\t|"
HEADINGS = {
    "member_id": MEMBER_NAMESPACE,
    "member": MEMBER_NAMESPACE,
    "会员号": MEMBER_NAMESPACE,
    "会员id": MEMBER_NAMESPACE,
    "card": "card",
    "card_no": "card",
    "卡号": "card",
    "会员卡号": "card",
    "phone": "phone",
    "mobile": "phone",
    "手机": "phone",
    "手机号": "phone",
    "电话": "phone",
    "email": "email",
    "邮箱": "email",
    "openid": "wechat_openid",
    "unionid": "wechat_unionid",
}
"""Headings that say which namespace a column is of."""


@dataclass(frozen=True, slots=True)
class CardRow:
    """One identity of a file, and the line (row of the sheet) it stands in, from 1."""

    line: int
    value: str


@dataclass(frozen=True, slots=True)
class CardColumn:
    """The column of a file that was read: of which namespace, and its rows that are not empty."""

    namespace: str
    rows: list[CardRow]


def read_cards(content: bytes, namespace: str | None = None, column: str | None = None) -> CardColumn:
    """Read a column of identities.

    Args:
        content: a CSV file in UTF-8 or GB18030, or an .xlsx file.
        namespace: of the identities; None: as the heading says.
        column: its heading; None: the first column whose heading says a namespace, else the first without a heading.
    Raises: InputError.
    """
    rows = iter(read_xlsx(content) if content.startswith(_ZIP) else _csv_rows(content))
    first = next(rows, [])
    headings = [cell.strip().lower() for cell in first]
    if column is not None:
        wanted = column.strip().lower()
        if wanted not in headings:
            raise InputError("There is no such column.", field="column", value=column, accepted=", ".join(first[:20]))
        place, rest, start = headings.index(wanted), rows, 2
    else:
        known = [at for at, heading in enumerate(headings) if heading in HEADINGS]
        place = known[0] if known else 0
        rest, start = (rows, 2) if known else (chain([first], rows), 1)
    found = namespace or (HEADINGS.get(headings[place]) if headings else None)
    if found is None:
        accepted = "a namespace, or a heading such as " + ", ".join(list(HEADINGS)[:4])
        raise InputError("What the column holds is not said.", field="namespace", accepted=accepted)
    cards = list(islice(_cells(rest, place, start), MOST_ROWS + 1))
    if len(cards) > MOST_ROWS:
        raise InputError("The file is too long.", field="file", accepted=f"at most {MOST_ROWS:,} rows")
    return CardColumn(found, cards)


def _cells(rows: Iterable[list[str]], place: int, start: int) -> Iterator[CardRow]:
    for line, row in enumerate(rows, start):
        value = row[place].strip() if place < len(row) else ""
        if value:
            yield CardRow(line, value)


def _csv_rows(content: bytes) -> Iterator[list[str]]:
    text = _decoded(content)
    head = text[:4096].partition("\n")[0]
    delimiter = max(_SNIFFED, key=head.count)
    try:
        yield from csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise InputError(f"The file is no CSV: {error}.", field="file", accepted="CSV, or an .xlsx file") from error


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError("The file is no text.", field="file", accepted="CSV in UTF-8 or GB18030, or an .xlsx file")

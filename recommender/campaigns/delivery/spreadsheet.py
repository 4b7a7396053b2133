"""CSV that spreadsheet programs open without running anything in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

GUARD = "'"
"""Put in front of such a cell: shown as text, and to be taken off by programs."""
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", GUARD)
"""What a spreadsheet program may take for the beginning of a formula, full-width signs included; and the guard."""


def guarded(cell: object) -> str:
    """Return a cell as text that no spreadsheet program runs. None becomes an empty cell."""
    text = "" if cell is None else str(cell)
    return GUARD + text if text.startswith(FORMULA_SIGNS) or text.lstrip().startswith(FORMULA_SIGNS) else text


def unguarded(text: str) -> str:
    """Return what a guarded cell stands for."""
    rest = text.removeprefix(GUARD)
    return rest if rest != text and guarded(rest) == text else text


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV: every cell in quotes and guarded, lines ended by CR LF (RFC 4180)."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return written.getvalue()

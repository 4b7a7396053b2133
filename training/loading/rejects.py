"""Rejects: every row that could not be loaded, with its line, column, value and reason; and counts by reason."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import IO, NamedTuple

from training.sources.records import Malformed

CONFLICT = "conflicting_duplicate"

EXPLANATIONS: dict[str, str] = {
    "wrong_columns": "more or fewer cells than the header",
    "bad_quote": "a quote inside a cell that is not quoted as a whole",
    "unclosed_quote": "a quote that is never closed",
    "undecodable": "bytes that are no text in the file's encoding",
    "bad_character": "a NUL or a lone carriage return",
    "too_long": "longer than accepted",
    "malformed_json": "no JSON object on the line",
    "missing": "a required value is blank",
    "unknown_value": "a text that the mapping's values do not list",
    "not_an_integer": "no whole number",
    "not_a_number": "no finite number",
    "not_money": "no amount, or more decimals than the currency has",
    "not_a_time": "no time in an accepted form",
    "not_a_date": "no date in an accepted form",
    "not_true_or_false": "neither true nor false",
    "not_a_choice": "none of the accepted words",
    "not_json": "no JSON",
    "not_a_namespace": "no usable namespace of an identity",
    "not_an_identity": "no phone number or e-mail address",
    "too_small": "below the least accepted value",
    "too_large": "above the greatest accepted value",
    "in_the_future": "more than a day after now",
    "too_early": "before 1970",
    CONFLICT: "an event id that an earlier event with other content has",
}
"""What the reasons mean."""

_HEADER = ("file", "line", "column", "value", "reason", "accepted")
_HELD = 50_000
_SAMPLES = 5
_SHOWN_CHARACTERS = 200


class Reject(NamedTuple):
    """One row that was not loaded; `line` first, so that rejects sort by it."""

    line: int
    column: str
    value: str
    reason: str
    accepted: str = ""


class Rejects:
    """Collects the rejects of one file and writes them, mostly in order of line, when there are any.

    Args:
        file: the source file's name.
        path: the reject file; None keeps counts and samples only.
        private: the file may hold phone numbers or e-mail addresses, so malformed lines are not shown.
    """

    def __init__(self, file: str, path: Path | None, private: bool = False) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.samples: list[Reject] = []
        self._file, self._private = file, private
        self._held: list[Reject] = []
        self._writer: IO[str] | None = None

    @property
    def total(self) -> int:
        """Rows rejected so far."""
        return self.counts.total()

    @property
    def written(self) -> bool:
        """Whether there is a reject file."""
        return self._writer is not None

    def add(self, reject: Reject) -> None:
        """Take one reject."""
        self.counts[reject.reason] += 1
        if len(self.samples) < _SAMPLES:
            self.samples.append(reject)
        if self.path is not None:
            self._held.append(reject)
            if len(self._held) >= _HELD:
                self._flush()

    def add_malformed(self, malformed: Malformed) -> None:
        """Take a record that could not be read."""
        value = "" if self._private else malformed.text
        self.add(Reject(malformed.line, "", value, malformed.reason, EXPLANATIONS[malformed.reason]))

    def close(self) -> None:
        """Write what is held."""
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if not self._held or self.path is None:
            return
        first = self._writer is None
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self.path.open("w", encoding="utf-8-sig", newline="")
        rows = csv.writer(self._writer, lineterminator="\n")
        if first:
            rows.writerow(_HEADER)
        for line, column, value, reason, accepted in sorted(self._held):
            rows.writerow((self._file, line, column, value[:_SHOWN_CHARACTERS], reason, accepted))
        self._held.clear()

"""Results: figures of each benchmark as one table and as JSON, with their bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

Figure = float | int | str
Row = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Bar:
    """Something promised: what was reached beside what was asked."""

    what: str
    reached: float
    asked: str
    met: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark: a row of figures per size (and load), what they are measured against, and the bars."""

    name: str
    rows: Sequence[Row]
    bars: Sequence[Bar]
    notes: Sequence[str] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return everything as JSON values."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the tables in Markdown."""
        lines = [f"## {self.name}", "", *table(self.rows), ""]
        if self.bars:
            rows = [
                {"bar": bar.what, "reached": bar.reached, "asked": bar.asked, "met": "yes" if bar.met else "no"}
                for bar in self.bars
            ]
            lines += [*table(rows), ""]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes), ""])


def at_least(what: str, reached: float, bar: float) -> Bar:
    """Return a bar that must be reached from below."""
    return Bar(what, reached, f"at least {bar:g}", reached >= bar)


def at_most(what: str, reached: float, bar: float) -> Bar:
    """Return a bar that must not be exceeded."""
    return Bar(what, reached, f"at most {bar:g}", reached <= bar)


def table(rows: Sequence[Row]) -> list[str]:
    """Lay rows out as a Markdown table."""
    if not rows:
        return []
    names = list(rows[0])
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    numeric = [not isinstance(rows[0][name], str) for name in names]
    ruler = [("-" * (width - 1) + ":") if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    lines = [cells[0], ruler, *cells[1:]]
    return ["| " + " | ".join(_pad(*cell) for cell in zip(line, widths, numeric, strict=True)) + " |" for line in lines]


def growth(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the exponent with which values grow from the smallest to the largest size: 1 is linear."""
    return math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0])


def _text(value: Figure) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _pad(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)

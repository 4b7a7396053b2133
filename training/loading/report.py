"""What a run of ingest did: values, and their form as JSON and as tables for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from training.loading.counts import Shares, TableCounts
from training.loading.rejects import EXPLANATIONS, Reject


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file.

    reasons: rejected rows by reason, most frequent first.  samples: some of them.
    error: why the file could not be read at all; nothing of it was loaded then.
    """

    file: str
    load_id: str
    tables: tuple[TableCounts, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    reasons: dict[str, int] | None = None
    samples: tuple[Reject, ...] = ()
    reject_file: str | None = None
    error: str | None = None
    seconds: float = 0.0

    @property
    def rejected(self) -> int:
        """Rows that were not loaded."""
        return sum((self.reasons or {}).values())


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What a run did. `ignored`: files in folders whose names name no table."""

    files: tuple[FileReport, ...]
    ignored: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def rejected(self) -> int:
        """Rows that were not loaded, of all files."""
        return sum(file.rejected for file in self.files)

    @property
    def failed(self) -> tuple[str, ...]:
        """Files that could not be read at all."""
        return tuple(file.file for file in self.files if file.error is not None)

    def as_json(self) -> dict[str, Any]:
        """Return the report as values that JSON knows."""
        shown = asdict(self)
        for file in shown["files"]:
            file["samples"] = [Reject(*sample)._asdict() for sample in file["samples"]]
        return shown | {"rejected": self.rejected, "failed": list(self.failed)}

    def count(self, table: str) -> TableCounts:
        """Return what became of a table's rows, over all files."""
        found = [counts for file in self.files for counts in file.tables if counts.table == table]
        numbers = ("read", "added", "changed", "duplicate", "rejected", "skipped")
        return TableCounts(table, **{name: sum(getattr(one, name) for one in found) for name in numbers})


def print_report(report: IngestReport, console: Console) -> None:
    """Show a report: one line per table of every file, then counts by reason and what to look at."""
    names = ("file", "table", "read", "added", "changed", "duplicate", "rejected", "seconds")
    table = Table(title="Checked only, nothing loaded" if report.dry_run else None)
    for name in names:
        table.add_column(name, justify="left" if name in ("file", "table") else "right")
    for file in report.files:
        for counts in file.tables:
            numbers = (counts.read, counts.added, counts.changed, counts.duplicate, counts.rejected)
            cells = [f"{number:,}" for number in numbers]
            table.add_row(_name(file.file), counts.table, *cells, f"{file.seconds:.1f}")
    console.print(table)
    _print_reasons(report, console)
    for file in report.files:
        for line in _notes(file):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for path in report.ignored:
        console.print(f"{path}: left alone, its name names no table.", highlight=False, markup=False, soft_wrap=True)


def _print_reasons(report: IngestReport, console: Console) -> None:
    if not report.rejected:
        return
    table = Table(title="Rejected rows")
    for name in ("file", "reason", "rows", "meaning"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for file in report.files:
        for reason, rows in (file.reasons or {}).items():
            table.add_row(_name(file.file), reason, f"{rows:,}", EXPLANATIONS[reason])
    console.print(table)


def _notes(file: FileReport) -> list[str]:
    name, lines = _name(file.file), []
    if file.error is not None:
        lines.append(f"{name}: NOT LOADED. {file.error}")
    if file.reject_file is not None:
        lines.append(f"{name}: rejected rows are in {file.reject_file}")
    if file.reject_file is None:
        lines += [
            f"{name}, line {sample.line}: {sample.column or 'the record'} {sample.value!r}: {sample.reason}"
            for sample in file.samples
        ]
    if file.unknown_columns:
        lines.append(f"{name}: columns nobody knows were ignored: {', '.join(file.unknown_columns)}")
    for counts in file.tables:
        if counts.skipped:
            lines.append(f"{name}: {counts.skipped:,} rows were left out by the mapping's only or skip.")
        if counts.unknown_items:
            first = ", ".join(gap.item_id for gap in counts.item_gaps[:5])
            lines.append(
                f"{name}: {counts.unknown_item_events:,} events name {counts.unknown_items:,} items "
                f"that the table of items does not hold yet: {first}, ..."
            )
        if counts.conflicts:
            lines.append(
                f"{name}: {counts.conflicts:,} identities are linked to several members, "
                "and belong to none of them until a link is removed."
            )
        lines += [f"{name}: {line}" for line in _shares(counts.shares)] if counts.shares else []
        for channel, events in counts.unknown_channels.items():
            lines.append(
                f"{name}: {events:,} events of channel {channel!r}, which is not known: add it by the setting "
                f"MEMBERWISE_CHANNELS={channel}=online or =offline."
            )
    return lines


def _shares(shares: Shares) -> list[str]:
    lines = []
    if shares.events:
        lines.append(
            f"{shares.named / shares.events:.1%} of {shares.events:,} events name a customer, "
            f"{shares.known / shares.events:.1%} a member who is known."
        )
    if shares.items:
        lines.append(f"the cost of {shares.without_cost:,} of {shares.items:,} items is not known.")
    return lines


def _name(path: str) -> str:
    return path.rpartition("/")[2]

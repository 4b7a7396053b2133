"""Recommends to many members at once, through the very code that answers requests; lists go to a file.

With a time per member, each list is what would have been shown then: the history is read from the log, strictly
before that minute; catalogue and rules are those of now.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.bundle import Bundle
from recommender.columns import LEARNED_KINDS
from recommender.context import CONTEXT_FIELDS, NO_REQUEST_CONTEXT, RequestContext
from recommender.errors import InputError
from recommender.events import member_subject
from recommender.history import Histories
from recommender.house import HouseRules
from recommender.lookup import QuerySource
from recommender.query import Query, Scenario
from recommender.reasons import explain, reason_summary
from recommender.request import SlateRequest
from recommender.storage.live import LiveState, LiveView
from recommender.storage.members import member_ids, member_kinds
from training.panel import CHUNK
from training.past import Past
from training.place import Place
from training.progress import Step

SUFFIXES = (".csv", ".parquet")
CONTEXT_OPTIONS = {"item_id": "--item ID", "basket_item_ids": "--basket ID, once per item", "events": "--viewed ID"}
"""How the command line is told each part of a context."""
_COLUMNS = [
    ("member_id", pa.string()),
    ("position", pa.int32()),
    ("item_id", pa.string()),
    ("score", pa.float32()),
    ("reason", pa.string()),
]


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """One list wanted: for whom, and as of when (None: now). An empty member id is an unknown customer."""

    member_id: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: lists, rows, and how often each flag of the lookup was raised."""

    lists: int
    rows: int
    flags: dict[str, int]


def all_members(place: Place, bundle: Bundle) -> list[Ask]:
    """Return every member in the database or with a history in the bundle, except kinds not recommended to."""
    with place.database.read() as connection:
        kinds = member_kinds(connection)
        members = member_ids(connection)
    prefix = member_subject("")
    subjects = bundle.subjects.ids(np.arange(len(bundle.subjects)))
    known = {subject.removeprefix(prefix) for subject in subjects if subject.startswith(prefix)}
    left_out = {member for member, kind in kinds.items() if kind not in LEARNED_KINDS}
    return [Ask(member) for member in sorted((known | set(members)) - left_out)]


def read_members(file: Path, zone: tzinfo) -> list[Ask]:
    """Read whom to recommend to from a CSV or Parquet file with a column member_id, and perhaps `at`.

    Args:
        file: whose other columns are ignored.
        zone: the time zone of times without an offset.
    Returns: distinct asks, ordered by member and time.
    Raises: InputError if the file cannot be read, lacks member_id, or a time cannot be understood.
    """
    table = _read_table(file)
    members = [str(value or "").strip() for value in table.column("member_id").to_pylist()]
    if "at" not in table.column_names:
        return [Ask(member) for member in sorted(set(members))]
    times = [_time(value, line, zone) for line, value in enumerate(table.column("at").to_pylist(), start=2)]
    return sorted({Ask(member, at) for member, at in zip(members, times, strict=True)})


def recommend_to(
    place: Place,
    bundle: Bundle,
    asks: Sequence[Ask],
    scenario: Scenario,
    count: int,
    out: Path,
    now: datetime,
    stock: bool,
    step: Step = lambda lists: None,
    context: RequestContext = NO_REQUEST_CONTEXT,
) -> Written:
    """Write the lists of many members to a CSV or Parquet file, which appears when it is complete.

    Args:
        place: where members, links, events and stock are.
        bundle: the models.
        asks: whom and as of when, in the order of the output.
        scenario, count: of every list.
        out: named .csv or .parquet; an existing file is replaced.
        now: the present.
        stock: leave out what is not in stock now.
        step: called with the number of lists just made.
        context: what every list is about.
    Raises: InputError if the file's name has another ending, or the scenario needs a context that is not given.
    """
    check_context(scenario, context)
    if out.suffix not in SUFFIXES:
        raise InputError("The lists cannot be written.", field="out", value=out, accepted=" or ".join(SUFFIXES))
    timed = any(ask.at is not None for ask in asks)
    request = SlateRequest(scenario, count, stock=stock, context=context)
    source = _Lists(place, bundle, asks, request, now)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    schema = pa.schema([*_COLUMNS[:1], ("at", pa.timestamp("us", "UTC")), *_COLUMNS[1:]] if timed else _COLUMNS)
    rows = 0
    # Small matrices: threads of the linear algebra would only wait for one another.
    with threadpool_limits(1, "blas"), table_writer(part, out.suffix, schema) as writer:
        for start in range(0, len(asks), CHUNK):
            table = source.table(asks[start : start + CHUNK], schema)
            writer.write_table(table)
            rows += table.num_rows
            step(min(CHUNK, len(asks) - start))
    part.replace(out)
    return Written(len(asks), rows, dict(source.flags))


def check_context(scenario: Scenario, context: RequestContext) -> None:
    """Check that a scenario is told what its lists are about.

    Raises: InputError if not.
    """
    if scenario in CONTEXT_FIELDS and not context.item_ids(scenario):
        field = CONTEXT_FIELDS[scenario]
        raise InputError(
            f"The scenario {scenario} is about items that are not named.", field=field, accepted=CONTEXT_OPTIONS[field]
        )


class _Lists:
    """Makes lists chunk by chunk with one view of the live state."""

    def __init__(
        self,
        place: Place,
        bundle: Bundle,
        asks: Sequence[Ask],
        request: SlateRequest,
        now: datetime,
    ) -> None:
        self._recommender = bundle.recommender()
        self._source = QuerySource(
            bundle, place.database, place.settings.channel_kinds, HouseRules(place.settings.show_delicate_goods)
        )
        live = LiveState(place.database, self._recommender.items, place.settings.zone)
        self._view: LiveView = live.current(now)
        times = [ask.at for ask in asks if ask.at is not None]
        self._past = Past(place, bundle, max(times), now) if times else None
        self._request = request
        self._now = now
        self.flags: Counter[str] = Counter()

    def table(self, asks: Sequence[Ask], schema: pa.Schema) -> pa.Table:
        """Return the lists of some members as rows."""
        queries = [self._query(ask) for ask in asks]
        columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        for ask, query, slate in zip(asks, queries, self._recommender.recommend(queries), strict=True):
            size = len(slate.row)
            columns["member_id"] += [ask.member_id] * size
            columns["position"] += range(1, size + 1)
            columns["item_id"] += [self._view.catalog.item_id(int(row)) for row in slate.row]
            columns["score"] += slate.score.tolist()
            columns["reason"] += [reason_summary(part) for part in explain(slate, query, self._recommender)]
            if "at" in columns:
                columns["at"] += [ask.at] * size
        return pa.table(columns, schema=schema)

    def _query(self, ask: Ask) -> Query:
        subject = member_subject(ask.member_id) if ask.member_id else None
        request = replace(self._request, subject=subject)
        query, who = self._source.query(request, self._view, self._now, self._before(ask))
        self.flags.update(who.flags)
        return query

    def _before(self, ask: Ask) -> tuple[Histories, int] | None:
        """Return the history before the ask's time and its minute, or None if it is now."""
        if ask.at is None or self._past is None:
            return None
        return self._past.of(member_subject(ask.member_id) if ask.member_id else None, ask.at)


def later_than(asks: Sequence[Ask], until: datetime) -> int:
    """Count the asks whose time lies before the end of the data a bundle was trained on."""
    return sum(ask.at is not None and ask.at < until for ask in asks)


def table_writer(path: Path, suffix: str, schema: pa.Schema) -> Any:
    """Open a Parquet or CSV file, by the suffix of what it will be called, to write tables to."""
    if suffix == ".parquet":
        return pyarrow.parquet.ParquetWriter(path, schema)
    return pyarrow.csv.CSVWriter(path, schema)


def _read_table(file: Path) -> pa.Table:
    if not file.is_file():
        raise InputError("There is no such file of members.", field="members", value=file, accepted="all, or a file")
    try:
        table = pyarrow.parquet.read_table(file) if file.suffix == ".parquet" else _read_csv(file)
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The file of members cannot be read: {error}", field="members", value=file) from error
    if "member_id" not in table.column_names:
        names = ", ".join(table.column_names)
        raise InputError(
            "The file of members lacks a column.", field="member_id", value=names, accepted="member_id[, at]"
        )
    return table


def _read_csv(file: Path) -> pa.Table:
    """Read a CSV with every value as text, so that ids keep their leading zeros."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        names = [name.strip() for name in next(csv.reader(stream), [])]
        rows = list(_padded(csv.reader(stream), len(names)))
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.table({name: pa.array(list(column), pa.string()) for name, column in zip(names, columns, strict=True)})


def _padded(rows: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    """Bring rows to one width; empty lines are left out."""
    for row in rows:
        if row:
            yield (row + [""] * width)[:width]


def _time(value: object, line: int, zone: tzinfo) -> datetime:
    """Read one time of the column `at`."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise InputError(
            f"Line {line} of the file of members has a time that cannot be understood.",
            field="at",
            value=value,
            accepted="ISO 8601, such as 2024-03-01T09:30:00+08:00",
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)

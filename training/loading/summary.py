"""What a load's events say as a whole: the ledger's counts, and what they name that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb
from sqlalchemy.engine import Connection

from recommender.events import member_subject
from recommender.quoting import text
from recommender.storage.identities import active_links
from recommender.storage.loads import LedgerDay
from recommender.storage.statements import fetch, marks
from recommender.storage.types import from_day_number
from training.loading.counts import ItemGap, Shares, TableCounts
from training.loading.place import TableLoad
from training.loading.staging import Part

_LOOKED_UP = 500
_SHOWN_GAPS = 10


def ledger_rows(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], source_name: str) -> dict[LedgerDay, int]:
    """Count staged events by source, store and UTC day."""
    if not parts:
        return {}
    rows = connection.execute(
        "SELECT coalesce(store_id, ''), epoch_us(occurred_at) // 86400000000, count(*) "
        f"FROM {_files([str(part.path) for part in parts])} GROUP BY ALL"
    ).fetchall()
    return {LedgerDay(source_name, store, from_day_number(day)): count for store, day, count in rows}


def summarise(load: TableLoad, paths: Sequence[str], counts: TableCounts) -> TableCounts:
    """Add the items and channels that events name and nobody knows, and in a dry run the shares."""
    if not paths:
        return counts
    named = _count_by(load.duck, "item_id", paths)
    channels = _count_by(load.duck, "channel", paths)
    with load.run.stores.database.read() as state:
        known = _known_items(state, list(named)) | load.run.planned_items
        shares = _shares(state, load, paths, counts, named, known) if load.run.options.dry_run else None
    unknown = {item: events for item, events in named.items() if item not in known}
    most = sorted(unknown.items(), key=lambda entry: (-entry[1], entry[0]))[:_SHOWN_GAPS]
    return replace(
        counts,
        unknown_items=len(unknown),
        unknown_item_events=sum(unknown.values()),
        item_gaps=tuple(ItemGap(item, events) for item, events in most),
        unknown_channels={name: count for name, count in channels.items() if name not in load.run.stores.channels},
        shares=shares,
    )


def _shares(
    state: Connection,
    load: TableLoad,
    paths: Sequence[str],
    counts: TableCounts,
    items: dict[str, int],
    costs: dict[str, bool],
) -> Shares:
    subjects = _count_by(load.duck, "subject", paths)
    own = [one for one in subjects if one.startswith(member_subject(""))]
    known = _known_members(state, [one.removeprefix(member_subject("")) for one in own])
    if len(own) < len(subjects):
        known |= {subject for subject, _ in active_links(state)}
    return Shares(
        events=counts.added,
        named=sum(subjects.values()),
        known=sum(events for subject, events in subjects.items() if subject in known),
        items=len(items),
        without_cost=sum(not costs.get(item, False) for item in items),
    )


def _count_by(connection: duckdb.DuckDBPyConnection, column: str, paths: Sequence[str]) -> dict[str, int]:
    """Count events by the value of a column, where there is one."""
    table = connection.sql(
        f"SELECT {column}, count(*) AS events FROM {_files(paths)} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).to_arrow_table()
    return dict(zip(*(one.to_pylist() for one in table.columns), strict=True))


def _known_items(state: Connection, item_ids: Sequence[str]) -> dict[str, bool]:
    """Return those of the items that the table holds, each with whether its cost is known."""
    known: dict[str, bool] = {}
    for chunk in _chunks(item_ids):
        statement = f"SELECT item_id, cost_cents IS NOT NULL FROM items WHERE item_id IN ({marks(len(chunk))})"
        known.update((row[0], bool(row[1])) for row in fetch(state, statement, chunk))
    return known


def _known_members(state: Connection, member_ids: Sequence[str]) -> set[str]:
    """Return the subjects of those of the members that the table holds."""
    known: set[str] = set()
    for chunk in _chunks(member_ids):
        statement = f"SELECT member_id FROM members WHERE member_id IN ({marks(len(chunk))})"
        known.update(member_subject(row[0]) for row in fetch(state, statement, chunk))
    return known


def _chunks(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + _LOOKED_UP] for start in range(0, len(values), _LOOKED_UP)]


def _files(paths: Sequence[str]) -> str:
    return f"read_parquet([{', '.join(text(path) for path in paths)}])"

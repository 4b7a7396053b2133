"""Upserts of canonical rows: add what is new, change what differs, leave alone what a row does not name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.columns import TABLES, ColumnKind
from recommender.errors import InputError
from recommender.storage.statements import next_sequence, set_counter
from recommender.storage.tables import CANONICAL, LIVE_TABLES, key_default

Row = dict[str, Any]
Key = tuple[Any, ...]

CHUNK_ROWS = 400
"""Rows looked up in one statement."""


@dataclass(frozen=True, slots=True)
class UpsertCounts:
    """What became of the rows given: added + changed + unchanged is their number."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0

    def __add__(self, other: UpsertCounts) -> UpsertCounts:
        return UpsertCounts(self.added + other.added, self.changed + other.changed, self.unchanged + other.unchanged)


def upsert(
    connection: Connection, table_name: str, rows: Sequence[Mapping[str, object]], now: datetime
) -> UpsertCounts:
    """Add or change rows of a canonical table (all but events), inside a write transaction.

    A column that a row does not name keeps its value. Rows with the same key are applied one after the other.
    Inventory older than what is stored is left out and counted as unchanged; inventory without `as_of` is as
    of `now`. Serving notices what changed through `change_sequence`.

    Args:
        table_name: a name of columns.TABLES but events.
        rows: Python values of the column kinds: text, int, float, bool, aware datetime, date; JSON as text or
            as a value. Identities' phone and email values are already hashed.
        now: the present.
    Raises: InputError if a row names an unknown column or lacks a required one that is not stored yet.
    """
    if not rows:
        return UpsertCounts()
    table = CANONICAL[table_name]
    prepared = [_prepare(table, row, now) for row in rows]
    sequence = next_sequence(connection)
    counts = UpsertCounts()
    for start in range(0, len(prepared), CHUNK_ROWS):
        counts += _upsert_chunk(connection, table, prepared[start : start + CHUNK_ROWS], sequence)
    if table_name in LIVE_TABLES and counts.added + counts.changed:
        set_counter(connection, f"changed:{table_name}", sequence)
    return counts


def _prepare(table: sa.Table, row: Mapping[str, object], now: datetime) -> Row:
    """Check the columns of a row and give its values the form in which they are stored."""
    spec = TABLES[table.name]
    prepared: Row = {}
    for name, value in row.items():
        if name not in table.c or name == "change_sequence":
            raise InputError(
                f"Table {table.name} has no such column.",
                field=name,
                accepted=", ".join(column.name for column in spec.columns),
            )
        if value is not None or name != "hidden":
            prepared[name] = value
    for column in spec.columns:
        if column.name in spec.key and prepared.get(column.name) is None:
            if column.required:
                raise InputError(f"A row of {table.name} lacks its key.", field=column.name)
            prepared[column.name] = key_default(column)
        elif column.kind is ColumnKind.JSON and not isinstance(prepared.get(column.name), str | None):
            prepared[column.name] = json.dumps(
                prepared[column.name], ensure_ascii=False, sort_keys=True, separators=(",", ":")
            )
    if table.name == "inventory" and prepared.get("as_of") is None:
        prepared["as_of"] = now
    return prepared


def _upsert_chunk(connection: Connection, table: sa.Table, rows: Sequence[Row], sequence: int) -> UpsertCounts:
    names = TABLES[table.name].key
    stored = read_rows(connection, table, [_key(row, names) for row in rows])
    before, fates = dict(stored), []
    for row in rows:
        key = _key(row, names)
        old = stored.get(key)
        fate, merged = _merge(table, old, row)
        stored[key] = merged
        fates.append(fate)
    touched = [key for key, row in stored.items() if row is not before.get(key)]
    _insert(connection, table, [stored[key] for key in touched if key not in before], sequence)
    _update(connection, table, [stored[key] for key in touched if key in before], sequence)
    return UpsertCounts(fates.count("added"), fates.count("changed"), fates.count("unchanged"))


def _merge(table: sa.Table, old: Row | None, row: Row) -> tuple[str, Row]:
    """Return what becomes of a row and the row as it is to be stored; the old one itself if unchanged."""
    merged = row if old is None else {**old, **row}
    for column in TABLES[table.name].columns:
        if column.required and merged.get(column.name) is None:
            raise InputError(f"A row of {table.name} lacks a required column.", field=column.name)
    if old is None:
        return "added", merged
    outdated = table.name == "inventory" and old["as_of"] is not None and row["as_of"] < old["as_of"]
    if outdated or all(old.get(name) == value for name, value in row.items()):
        return "unchanged", old
    return "changed", merged


def read_rows(connection: Connection, table: sa.Table, keys: Sequence[Key]) -> dict[Key, Row]:
    """Read the rows of some keys, without `change_sequence`."""
    names = TABLES[table.name].key
    columns = [column for column in table.c if column.name != "change_sequence"]
    chosen = sa.select(*columns).where(_one_of(table, names, list(dict.fromkeys(keys))))
    found = [dict(row) for row in connection.execute(chosen).mappings()]
    return {_key(row, names): row for row in found}


def _one_of(table: sa.Table, names: tuple[str, ...], keys: Sequence[Key]) -> sa.ColumnElement[bool]:
    if len(names) == 1:
        return table.c[names[0]].in_([key[0] for key in keys])
    return sa.tuple_(*(table.c[name] for name in names)).in_(keys)


def _insert(connection: Connection, table: sa.Table, rows: Sequence[Row], sequence: int) -> None:
    for columns, group in _grouped(rows):
        extra = {"change_sequence": sequence} if table.name in LIVE_TABLES else {}
        connection.execute(table.insert(), [{name: row[name] for name in columns} | extra for row in group])


def _update(connection: Connection, table: sa.Table, rows: Sequence[Row], sequence: int) -> None:
    names = TABLES[table.name].key
    for columns, group in _grouped(rows):
        values: dict[str, sa.BindParameter[Any]] = {
            name: sa.bindparam(f"new_{name}") for name in columns if name not in names
        }
        if table.name in LIVE_TABLES:
            values["change_sequence"] = sa.bindparam("new_change_sequence")
        matches = [table.c[name] == sa.bindparam(f"key_{name}") for name in names]
        connection.execute(
            table.update().where(*matches).values(values),
            [
                {f"new_{name}": row[name] for name in columns if name not in names}
                | {f"key_{name}": row[name] for name in names}
                | {"new_change_sequence": sequence}
                for row in group
            ],
        )


def _grouped(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    """Group rows that name the same columns, which one statement can take."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row)), []).append(row)
    yield from groups.items()


def _key(row: Mapping[str, Any], names: tuple[str, ...]) -> Key:
    return tuple(row[name] for name in names)

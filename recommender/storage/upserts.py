"""Upserts of canonical rows: add what is new, change what differs, leave alone what a row does not name."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.engine import Connection

from recommender.columns import TABLES, ColumnKind
from recommender.errors import InputError
from recommender.events import member_subject
from recommender.storage.statements import execute_many, fetch, marks, next_sequence, set_counter
from recommender.storage.tables import CANONICAL, LIVE_TABLES, WATCHED_TABLES, key_default
from recommender.storage.types import to_day_number, to_micros

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
    Inventory older than what is stored is left out and counted as unchanged; inventory without `as_of`, or of the
    future, is as of `now`. Rows of erased members are left out and counted as unchanged. Serving notices what
    changed through `change_sequence`.

    Args:
        table_name: a name of columns.TABLES but events.
        rows: Python values of the column kinds: text, int, float, bool, aware datetime, date; JSON as text or
            as a value. Identities' phone and email values are already hashed.
        now: the present.
    Raises: InputError if a row names an unknown column or lacks a required one that is not stored yet.
    """
    if not rows:
        return UpsertCounts()
    prepared = [_prepare(table_name, row, now) for row in rows]
    sequence = next_sequence(connection)
    received = len(prepared)
    prepared = _without_erased(connection, table_name, prepared)
    counts = UpsertCounts(unchanged=received - len(prepared))
    for start in range(0, len(prepared), CHUNK_ROWS):
        counts += _upsert_chunk(connection, table_name, prepared[start : start + CHUNK_ROWS], sequence)
    if table_name in WATCHED_TABLES and counts.added + counts.changed:
        set_counter(connection, f"changed:{table_name}", sequence)
    return counts


def read_rows(connection: Connection, table_name: str, keys: Sequence[Key]) -> dict[Key, Row]:
    """Read the rows of some keys in their stored form: times as microseconds, days as numbers.

    Args:
        keys: in stored form, values in the order of the table's key.
    Returns: rows by key, without `change_sequence`.
    """
    spec, found = TABLES[table_name], {}
    names = _stored_columns(table_name)
    places = [names.index(name) for name in spec.key]
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), CHUNK_ROWS):
        chunk = distinct[start : start + CHUNK_ROWS]
        values = [value for key in chunk for value in key]
        for row in fetch(connection, _read_statement(table_name, len(chunk)), values):
            found[tuple(row[place] for place in places)] = dict(zip(names, row, strict=True))
    return found


def stored_form(value: object) -> object:
    """Return a value as the driver takes it: times as microseconds, days as numbers, the rest unchanged.

    Raises: ValueError if a time has no offset.
    """
    if isinstance(value, datetime):
        return to_micros(value)
    return to_day_number(value) if isinstance(value, date) else value


def _without_erased(connection: Connection, table_name: str, rows: list[Row]) -> list[Row]:
    """Leave out rows about members who were erased: an export that still names them brings nothing back."""
    if "member_id" not in _stored_columns(table_name):
        return rows
    wanted = sorted({member_subject(str(row.get("member_id"))) for row in rows})
    erased: set[str] = set()
    for start in range(0, len(wanted), CHUNK_ROWS):
        chunk = wanted[start : start + CHUNK_ROWS]
        statement = f"SELECT subject FROM erased_subjects WHERE subject IN ({marks(len(chunk))})"
        erased.update(row[0] for row in fetch(connection, statement, chunk))
    return [row for row in rows if member_subject(str(row.get("member_id"))) not in erased] if erased else rows


@functools.lru_cache(maxsize=256)
def _read_statement(table_name: str, count: int) -> str:
    # A join: SQLite would scan the whole table for a row value IN a list.
    key = TABLES[table_name].key
    wanted = ", ".join([f"({marks(len(key))})"] * count)
    same = " AND ".join(f"t.{name} = wanted.{name}" for name in key)
    columns = ", ".join(f"t.{name}" for name in _stored_columns(table_name))
    return (
        f"WITH wanted ({', '.join(key)}) AS (VALUES {wanted}) "
        f"SELECT {columns} FROM wanted JOIN {table_name} t ON {same}"
    )


@functools.cache
def _stored_columns(table_name: str) -> tuple[str, ...]:
    return tuple(column.name for column in CANONICAL[table_name].c if column.name != "change_sequence")


def _prepare(table_name: str, row: Mapping[str, object], now: datetime) -> Row:
    """Check the columns of a row and give its values the form in which they are stored."""
    spec, known = TABLES[table_name], _stored_columns(table_name)
    prepared: Row = {}
    for name, value in row.items():
        if name not in known:
            accepted = ", ".join(column.name for column in spec.columns)
            raise InputError(f"Table {table_name} has no such column.", field=name, accepted=accepted)
        if value is not None or name != "hidden":
            prepared[name] = stored_form(value)
    for column in spec.columns:
        value = prepared.get(column.name)
        if column.name in spec.key and value is None:
            if column.required:
                raise InputError(f"A row of {table_name} lacks its key.", field=column.name)
            prepared[column.name] = stored_form(key_default(column))
        elif column.kind is ColumnKind.JSON and not isinstance(value, str | None):
            prepared[column.name] = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if table_name == "inventory":
        counted = prepared.get("as_of")
        # A clock that runs fast must not make all later counts look old.
        prepared["as_of"] = to_micros(now) if not isinstance(counted, int) else min(counted, to_micros(now))
    return prepared


def _upsert_chunk(connection: Connection, table_name: str, rows: Sequence[Row], sequence: int) -> UpsertCounts:
    names = TABLES[table_name].key
    stored = read_rows(connection, table_name, [_key(row, names) for row in rows])
    before, fates = dict(stored), []
    for row in rows:
        key = _key(row, names)
        fate, stored[key] = _merge(table_name, stored.get(key), row)
        fates.append(fate)
    touched = [key for key, row in stored.items() if row is not before.get(key)]
    extra = {"change_sequence": sequence} if table_name in LIVE_TABLES else {}
    _insert(connection, table_name, [stored[key] | extra for key in touched if key not in before])
    _update(connection, table_name, [stored[key] | extra for key in touched if key in before])
    return UpsertCounts(fates.count("added"), fates.count("changed"), fates.count("unchanged"))


def _merge(table_name: str, old: Row | None, row: Row) -> tuple[str, Row]:
    """Return what becomes of a row and the row as it is to be stored; the old one itself if unchanged."""
    merged = row if old is None else {**old, **row}
    for name in TABLES[table_name].required:
        if merged.get(name) is None:
            raise InputError(f"A row of {table_name} lacks a required column.", field=name)
    if old is None:
        return "added", merged
    outdated = table_name == "inventory" and old["as_of"] is not None and row["as_of"] < old["as_of"]
    if outdated or merged == old:
        return "unchanged", old
    return "changed", merged


def _insert(connection: Connection, table_name: str, rows: Sequence[Row]) -> None:
    for columns, group in _grouped(rows):
        statement = f"INSERT INTO {table_name} ({', '.join(columns)}) VALUES ({marks(len(columns))})"
        execute_many(connection, statement, [_key(row, columns) for row in group])


def _update(connection: Connection, table_name: str, rows: Sequence[Row]) -> None:
    names = TABLES[table_name].key
    for columns, group in _grouped(rows):
        others = tuple(name for name in columns if name not in names)
        assigned = ", ".join(f"{name} = ?" for name in others)
        same = " AND ".join(f"{name} = ?" for name in names)
        statement = f"UPDATE {table_name} SET {assigned} WHERE {same}"
        execute_many(connection, statement, [_key(row, others + names) for row in group])


def _grouped(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    """Group rows that name the same columns, which one statement can take."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row)), []).append(row)
    yield from groups.items()


def _key(row: Row, names: tuple[str, ...]) -> Key:
    return tuple([row[name] for name in names])

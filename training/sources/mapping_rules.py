"""Reads the rule of one canonical column from a mapping file."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recommender.columns import Column, ColumnKind
from training.sources.mapping import Count, Rule
from training.sources.mapping_values import Place, check_zone

UNITS = {
    "millisecond": 1_000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
    "week": 604_800_000_000,
}
_SOURCES = ("column", "join", "constant", "collect")
_ANY = (*_SOURCES, "separator", "values", "otherwise", "keep_others", "default", "prefix")
_TIMES = ("formats", "time_zone", "origin", "unit", "align", "per")
_KEYS: dict[ColumnKind, tuple[str, ...]] = {
    ColumnKind.TIME: (*_ANY, *_TIMES),
    ColumnKind.DATE: (*_ANY, "formats"),
    ColumnKind.CENTS: (*_ANY, "money", "round", "absolute"),
    ColumnKind.INTEGER: (*_ANY, "absolute"),
    ColumnKind.NUMBER: (*_ANY, "absolute"),
    ColumnKind.CHOICE: (*_ANY, "positive", "negative"),
    ColumnKind.TEXT: (*_ANY, "positive", "negative"),
}


@dataclass(frozen=True, slots=True)
class RuleDefaults:
    """What [file] says for all columns: strptime formats and how money is written."""

    formats: tuple[str, ...] = ()
    money: str = "decimal"


def read_rule(place: Place, column: Column, value: object, defaults: RuleDefaults) -> Rule:
    """Read one rule: the name of a column, or a table of keys.

    Raises: MappingError naming the key, its value and what is accepted.
    """
    if isinstance(value, str) and value:
        value = {"column": value}
    if not isinstance(value, dict):
        raise place.wrong(column.name, value, "a column of the file, or a table such as { constant = ... }")
    table: dict[str, Any] = value
    place = place.below(column.name)
    place.only_keys(table, _KEYS.get(column.kind, _ANY))
    given = [key for key in _SOURCES if key in table]
    if len(given) != 1:
        raise place.wrong(given[1] if given else "column", given or None, "exactly one of " + ", ".join(_SOURCES))
    collect = place.table(table, "collect")
    count = _read_count(place, table)
    time = column.kind in (ColumnKind.TIME, ColumnKind.DATE) and count is None
    money = place.choice(table, "money", ("decimal", "cents")) or defaults.money
    return Rule(
        columns=place.texts(table, "join") or place.texts(table, "column"),
        constant=place.text(table, "constant"),
        separator=_separator(place, table),
        values=_read_values(place, table),
        otherwise=place.text(table, "otherwise", empty=True),
        keep_others=place.flag(table, "keep_others", False),
        default=place.text(table, "default"),
        prefix=place.text(table, "prefix") or "",
        formats=(place.texts(table, "formats") or defaults.formats) if time else (),
        time_zone=check_zone(place, table),
        count=count,
        money=money if column.kind is ColumnKind.CENTS else None,
        round=place.flag(table, "round", False),
        signs=_read_signs(place, table),
        absolute=place.flag(table, "absolute", False),
        collect=tuple((name, _text(place.below("collect"), collect, name)) for name in collect),
    )


def _separator(place: Place, table: Table[str, Any]) -> str:
    separator = place.text(table, "separator", empty=True)
    return " " if separator is None else separator


def _text(place: Place, table: Table[str, Any], key: str) -> str:
    text = place.text(table, key)
    if text is None:
        raise place.wrong(key, None, "a text")
    return text


def _read_values(place: Place, table: Table[str, Any]) -> tuple[tuple[str, str], ...]:
    values, inner = place.table(table, "values"), place.below("values")
    if ("otherwise" in table or "keep_others" in table) and not values:
        raise place.wrong("values", None, "a table of texts, beside otherwise or keep_others")
    if "otherwise" in table and "keep_others" in table:
        raise place.wrong("keep_others", table["keep_others"], "either otherwise or keep_others")
    return tuple((key, inner.text(values, key, empty=True) or "") for key in values)


def _read_count(place: Place, table: Table[str, Any]) -> Count | None:
    if "origin" not in table and "unit" not in table:
        for key in ("align", "per"):
            if key in table:
                raise place.wrong("origin", None, f"the time that {key} refers to")
        return None
    origin, unit = _text(place, table, "origin"), place.choice(table, "unit", tuple(UNITS))
    if unit is None:
        raise place.wrong("unit", None, ", ".join(UNITS))
    if "formats" in table:
        raise place.wrong("formats", table["formats"], "either formats, or origin and unit")
    try:
        datetime.fromisoformat(origin)
    except ValueError:
        raise place.wrong("origin", origin, "an ISO 8601 time, such as 2024-01-01T00:00:00+08:00") from None
    align, per = place.choice(table, "align", ("start", "end")) or "start", place.text(table, "per")
    if per is not None and align != "end":
        raise place.wrong("per", per, 'only beside align = "end"')
    return Count(origin, UNITS[unit], align, per)


def _read_signs(place: Place, table: Table[str, Any]) -> tuple[str, str] | None:
    if "positive" not in table and "negative" not in table:
        return None
    return _text(place, table, "positive"), _text(place, table, "negative")

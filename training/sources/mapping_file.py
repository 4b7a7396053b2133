"""Reads mapping files (TOML) and says exactly what is wrong with one."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any, cast

from recommender.columns import TABLES
from recommender.errors import InputError, MappingError
from training.sources.encodings import check_encoding
from training.sources.mapping import COMPUTED, Condition, FileLayout, Mapping, Rule, ScaleBarcode, TableRules
from training.sources.mapping_rules import RuleDefaults, read_rule
from training.sources.mapping_values import Place, check_zone

_TOP = ("source", "file", "tables")
_FILE = (
    "format",
    "encoding",
    "delimiter",
    "quote",
    "skip_lines",
    "columns",
    "strip",
    "time_zone",
    "time_formats",
    "money",
    "money_decimals",
)
_TABLE = ("name", "only", "skip", "columns", "scale_barcode")
_SCALE = ("column", "prefixes", "item", "measure", "kind", "decimals", "item_prefix", "check_digit")
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
FORMATS = ("csv", "jsonl", "parquet")


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises: MappingError naming the file, the key, the value and what is accepted.
    """
    try:
        return parse_mapping(path.read_text("utf-8-sig"), path.name)
    except OSError as error:
        raise MappingError("The mapping file cannot be read.", field="mapping", value=path) from error
    except UnicodeDecodeError as error:
        raise MappingError("The mapping file is not UTF-8.", field="mapping", value=path) from error


def parse_mapping(text: str, name: str) -> Mapping:
    """Read the text of a mapping file.

    Args:
        name: of the file, for errors; without its suffix the name of the source where the text gives none.
    Raises: MappingError naming the file, the key, the value and what is accepted.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{name} is not TOML: {error}.", field="mapping", value=name) from error
    place = Place(name)
    place.only_keys(table, _TOP)
    layout = place.table(table, "file")
    at_file = place.below("file")
    at_file.only_keys(layout, _FILE)
    defaults = RuleDefaults(
        formats=at_file.texts(layout, "time_formats"),
        money=at_file.choice(layout, "money", ("decimal", "cents")) or "decimal",
    )
    return Mapping(
        source=place.text(table, "source") or name.partition(".")[0],
        layout=_read_layout(at_file, layout),
        tables=_read_tables(place, table, defaults),
        time_zone=check_zone(at_file, layout),
        money_decimals=at_file.whole(layout, "money_decimals", 2, 0, 4),
    )


def check_names(mapping: Mapping, found: Iterable[str], file: str) -> None:
    """Check that a file has the columns that its mapping reads.

    Raises: MappingError naming the missing column and those of the file.
    """
    names = list(found)
    for name in mapping.used:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise MappingError(
                f"{file} has no column that its mapping reads.{hint}",
                field=name,
                accepted=", ".join(names),
            )


def _read_layout(place: Place, table: Table[str, Any]) -> FileLayout:
    encoding = place.text(table, "encoding")
    if encoding is not None:
        try:
            encoding = check_encoding(encoding)
        except InputError as error:
            raise place.wrong("encoding", encoding, error.accepted or "") from None
    delimiter = place.text(table, "delimiter")
    delimiter = _DELIMITERS.get(delimiter or "", delimiter)
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n'):
        raise place.wrong("delimiter", delimiter, "one ASCII character, or comma, semicolon, tab, pipe")
    quote = place.text(table, "quote", empty=True)
    if quote is not None and (len(quote) > 1 or not quote.isascii()):
        raise place.wrong("quote", quote, "one ASCII character, or nothing")
    return FileLayout(
        format=place.choice(table, "format", FORMATS),
        encoding=encoding,
        delimiter=delimiter,
        quote='"' if quote is None else quote,
        skip_lines=place.whole(table, "skip_lines", 0, 0, 10_000),
        columns=place.texts(table, "columns"),
        strip=place.text(table, "strip", empty=True) or "",
    )


def _read_tables(place: Place, table: Table[str, Any], defaults: RuleDefaults) -> tuple[TableRules, ...]:
    entries = table.get("tables")
    if not isinstance(entries, list) or not entries or not all(isinstance(one, dict) for one in entries):
        raise place.wrong("tables", entries, "one or several [[tables]]")
    return tuple(
        _read_table(place.below(f"tables[{number}]"), cast(dict[str, Any], one), defaults)
        for number, one in enumerate(entries, 1)
    )


def _read_table(place: Place, table: Table[str, Any], defaults: RuleDefaults) -> TableRules:
    place.only_keys(table, _TABLE)
    name = place.choice(table, "name", tuple(TABLES))
    if name is None:
        raise place.wrong("name", None, ", ".join(TABLES))
    spec, columns = TABLES[name], place.table(table, "columns")
    inner = place.below("columns")
    inner.only_keys(columns, [column.name for column in spec.columns])
    rules: dict[str, Rule] = {
        column.name: read_rule(inner, column, columns[column.name], defaults)
        for column in spec.columns
        if column.name in columns
    }
    scale = _read_scale(place, table)
    if scale is not None:
        if not {"item_id", "quantity"} <= {column.name for column in spec.columns}:
            raise place.wrong("scale_barcode", scale.column, "a table with item_id and quantity")
        rules = {"item_id": Rule((scale.column,)), "quantity": Rule(constant="1"), **rules}
    for required in spec.required:
        if required not in rules and required != COMPUTED:
            raise inner.wrong(required, None, f"a rule: every row of {name} needs it")
    return TableRules(spec, rules, _read_conditions(place, table), scale)


def _read_conditions(place: Place, table: Table[str, Any]) -> tuple[Condition, ...]:
    found = []
    for key in ("only", "skip"):
        inner, entries = place.below(key), place.table(table, key)
        for column in entries:
            values = inner.texts(entries, column, blank=True)
            found.append(Condition(column, values, only=key == "only"))
    return tuple(found)


def _read_scale(place: Place, table: Table[str, Any]) -> ScaleBarcode | None:
    if "scale_barcode" not in table:
        return None
    entries, place = place.table(table, "scale_barcode"), place.below("scale_barcode")
    place.only_keys(entries, _SCALE)
    column = place.text(entries, "column")
    if column is None:
        raise place.wrong("column", None, "the column that holds the barcodes")
    prefixes = place.texts(entries, "prefixes") or tuple(str(number) for number in range(20, 30))
    if not all(prefix.isdigit() and len(prefix) <= 6 for prefix in prefixes):
        raise place.wrong("prefixes", prefixes, 'first digits, such as ["20", "21"]')
    kind = place.choice(entries, "kind", ("weight", "price")) or "weight"
    measure = place.digits(entries, "measure", (8, 12))
    return ScaleBarcode(
        column=column,
        prefixes=prefixes,
        item=place.digits(entries, "item", (3, 7)),
        measure=measure,
        kind=kind,
        decimals=place.whole(entries, "decimals", 3 if kind == "weight" else 2, 0, measure[1] - measure[0]),
        item_prefix=place.text(entries, "item_prefix", empty=True) or "",
        check_digit=place.flag(entries, "check_digit", True),
    )

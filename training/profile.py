"""Profile: looks at a raw export and drafts the mapping that reads it, marking what a person must decide."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.columns import TABLES, ColumnKind
from recommender.errors import InputError
from training.guesses import (
    guess_kinds,
    guess_money,
    guess_statuses,
    guess_time,
    is_time_of_day,
    join_time_of_day,
)
from training.headers import match_headers
from training.sources.cells import clean
from training.sources.duck import name, open_duck
from training.sources.encodings import UTF8, guess_encoding, open_binary
from training.sources.files import format_of
from training.sources.mapping import FileLayout
from training.sources.source import Source, guess_delimiter, open_source

UNDECIDED = "???"
"""Stands in a draft where a person must decide."""

_SAMPLE_ROWS = 20_000
_TITLE_LINES = 20
_MEMORY_MIB, _THREADS = 256, 2
_NAMESPACES = ("wechat_unionid", "wechat_openid", "phone", "email", "device")

Samples = Mapping[str, list[str]]
Rule = str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a mapping file; `usable` if nothing in it is left undecided."""

    text: str
    usable: bool


def draft_mapping(path: Path, time_zone: str | None) -> Draft:
    """Draft a mapping for a raw export.

    Args:
        time_zone: of times without an offset, if that is known.
    Raises: InputError if the file cannot be read at all.
    """
    format_ = format_of(path)
    if not path.is_file() or format_ is None:
        raise InputError(
            "There is no such export.", field="file", value=path, accepted="a .csv, .tsv, .jsonl or .parquet file"
        )
    layout = _guess_layout(path, format_)
    with tempfile.TemporaryDirectory() as folder:
        source = open_source(path, format_, layout, Path(folder), lambda malformed: None)
        samples = _read_samples(source, Path(folder))
    text = _render(path, format_, layout, time_zone, samples)
    bare = "\n".join(line.partition(" #")[0] for line in text.splitlines() if not line.startswith("#"))
    return Draft(text, "[[tables]]" in bare and UNDECIDED not in bare)


def _guess_layout(path: Path, format_: str) -> FileLayout:
    if format_ == "parquet":
        return FileLayout(format=format_)
    encoding = guess_encoding(path)
    if format_ == "jsonl":
        return FileLayout(format=format_, encoding=encoding)
    with open_binary(path) as file:
        head = file.read(1 << 16).decode(encoding, "replace").splitlines()[:_TITLE_LINES]
    delimiter = guess_delimiter("\n".join(head))
    filled = [sum(bool(cell.strip()) for cell in row) for row in csv.reader(head, delimiter=delimiter)]
    skip = filled.index(max(filled, default=0)) if filled else 0
    return FileLayout(format=format_, encoding=encoding, delimiter=delimiter, skip_lines=skip)


def _read_samples(source: Source, folder: Path) -> Samples:
    """Return distinct filled values by column, of the first rows."""
    found: dict[str, list[str]] = {}
    with open_duck(_MEMORY_MIB, _THREADS, folder) as duck:
        cells = ", ".join(f"{clean(f'c{at}', '')} AS c{at}" for at in range(len(source.columns)))
        duck.execute(
            f"CREATE TEMP TABLE sample AS SELECT {cells} FROM {source.cells(source.columns)} LIMIT {_SAMPLE_ROWS}"
        )
        for at, column in enumerate(source.columns):
            values = duck.execute(f"SELECT DISTINCT {name(f'c{at}')} FROM sample WHERE c{at} IS NOT NULL ORDER BY 1")
            found[column] = [row[0] for row in values.fetchall()]
    return found


def _render(path: Path, format_: str, layout: FileLayout, time_zone: str | None, samples: Samples) -> str:
    matched = match_headers(list(samples))
    lines = [
        f"# Drafted by `memberwise profile {path.name}`. Check every line; {UNDECIDED} must be replaced.",
        f"source = {_toml(path.name.partition('.')[0])}",
        "",
        "[file]",
        f"format = {_toml(format_)}",
    ]
    if layout.encoding is not None and layout.encoding != UTF8:
        lines.append(f"encoding = {_toml(layout.encoding)}")
    if layout.delimiter not in (None, ","):
        lines.append(f"delimiter = {_toml('tab' if layout.delimiter == chr(9) else layout.delimiter)}")
    if layout.skip_lines:
        lines.append(f"skip_lines = {layout.skip_lines}")
    if any(value.startswith("'") for values in samples.values() for value in values):
        lines.append('strip = "\'"')
    zone = "" if time_zone else "  # of times without an offset: check"
    lines.append(f"time_zone = {_toml(time_zone or _likely_zone(samples))}{zone}")
    used: set[str] = set()
    for table, columns in matched.items():
        rules = _draft_rules(table, columns, samples)
        lines += ["", "[[tables]]", f"name = {_toml(table)}", "", "[tables.columns]"]
        lines += [f"{column} = {_toml(rule)}{_remark(column, rule, samples)}" for column, rule in rules.items()]
        used |= {header for rule in rules.values() for header in _headers(rule)}
    if not matched:
        lines += ["", f"# No canonical table was recognised. Tables: {', '.join(TABLES)}.", "# [[tables]]"]
    left = [header for header in samples if header not in used]
    lines += ["", "# Columns that are not used:", *(f"#   {_example(header, samples)}" for header in left)]
    return "\n".join(lines if left else lines[:-1]).rstrip() + "\n"


def _draft_rules(table: str, matched: Mapping[str, list[str]], samples: Samples) -> dict[str, Rule]:
    """Return the rule of every canonical column that a header was found for, in the order of the contract."""
    taken: set[str] = set()
    drafted: dict[str, Rule] = {}
    for column, headers in matched.items():
        free = [header for header in headers if header not in taken]
        if free and column not in _NAMESPACES:
            drafted[column] = _draft_rule(table, column, free, samples)
            taken |= set(_headers(drafted[column]))
    if table == "events":
        _add_event_rules(drafted, matched)
    order = [column.name for column in TABLES[table].columns]
    return {column: drafted[column] for column in order if column in drafted}


def _draft_rule(table: str, column: str, headers: Sequence[str], samples: Samples) -> Rule:
    header, values = headers[0], samples[headers[0]]
    kind = TABLES[table].column(column).kind
    if column == "category" and len(headers) > 1:
        return {"join": [one for one in samples if one in headers], "separator": " > "}
    if kind is ColumnKind.TIME and is_time_of_day(values):
        days = [one for one in headers if not is_time_of_day(samples[one])]
        if days:
            return {"join": [days[0], header], **join_time_of_day(guess_time(samples[days[0]]), values)}
    if kind is ColumnKind.TIME and values:
        keys = guess_time(values)
        return {"column": header, **keys} if keys else header
    if kind is ColumnKind.CENTS and guess_money(header, values) == "cents":
        return {"column": header, "money": "cents"}
    if column == "kind":
        return {"column": header, "values": guess_kinds(values) or dict.fromkeys(values[:20], UNDECIDED)}
    if column == "status" and table == "events":
        statuses = guess_statuses(values)
        return {"column": header, "values": statuses, "keep_others": True} if statuses else header
    if column == "quantity" and any(value.startswith("-") for value in values):
        return {"column": header, "absolute": True}
    return header


def _add_event_rules(drafted: dict[str, Rule], matched: Mapping[str, list[str]]) -> None:
    """Add what every event needs: a kind, a channel, a customer, and an id where one can be made."""
    quantity = drafted.get("quantity")
    if "kind" not in drafted and isinstance(quantity, dict):
        drafted["kind"] = {"column": quantity["column"], "positive": "purchase", "negative": "return"}
    drafted.setdefault("kind", {"constant": "purchase" if "order_id" in drafted else "view"})
    drafted.setdefault("channel", {"constant": "pos" if "store_id" in drafted else "app"})
    if "event_id" not in drafted and "order_id" in drafted and "order_line" in drafted:
        parts = [*_headers(drafted["order_id"]), *_headers(drafted["order_line"])]
        drafted["event_id"] = {"join": parts, "separator": "-"}
    identity = next((one for one in _NAMESPACES if one in matched), None)
    if identity is not None and "member_id" not in drafted:
        drafted["namespace"] = {"constant": identity}
        drafted["identity_value"] = matched[identity][0]


def _headers(rule: Rule) -> list[str]:
    if isinstance(rule, str):
        return [rule]
    return [rule["column"]] if "column" in rule else list(rule.get("join", []))


def _remark(column: str, rule: Rule, samples: Samples) -> str:
    if column == "kind" and isinstance(rule, dict) and "values" in rule:
        left = [value for value in samples[rule["column"]] if value not in rule["values"]]
        return f"  # rows with other words are rejected: {', '.join(left[:20])}" if left else ""
    if isinstance(rule, dict) and "constant" in rule:
        return "  # assumed: check"
    if isinstance(rule, dict) and any("/%Y" in one for one in rule.get("formats", [])):
        return "  # day or month first? check"
    return ""


def _likely_zone(samples: Samples) -> str:
    """Exports with Chinese headers are most likely written in China."""
    chinese = any("\u4e00" <= letter <= "\u9fff" for header in samples for letter in header)
    return "Asia/Shanghai" if chinese else "UTC"


def _example(header: str, samples: Samples) -> str:
    return f"{header}: {len(samples[header]):,} different values"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").isalnum() else _toml(key)

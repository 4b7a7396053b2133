"""JSON Lines: one object per line, read as text columns; "a.b" names the value b inside the object a."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from recommender.errors import InputError
from recommender.quoting import text

SAMPLE_LINES = 200_000
"""Lines looked at for names; values under names that first come later are not read."""


def json_paths(path: Path, shown: str) -> dict[str, str]:
    """Return the names found in the first lines, in order of first use, each with its JSON path.

    Args:
        shown: the file's name for errors.
    Raises: InputError if none of the lines is an object.
    """
    paths: dict[str, str] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in islice(file, SAMPLE_LINES):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                _collect(value, "", "$", paths)
    if not paths:
        raise InputError("The file holds no JSON objects.", field="file", value=shown, accepted='{"a": 1}')
    return paths


def json_relation(lines: str, paths: Mapping[str, str], used: Iterable[str]) -> str:
    """Return the SQL of rows: columns c0, c1, ... as text by place in `paths`, and `faulty`: no object there.

    Args:
        lines: SQL of the lines, as column c0.
        used: names that are asked for; the others are left out.
    """
    chosen = {column: at for at, column in enumerate(paths) if column in set(used)}
    places = ", ".join(text(paths[column]) for column in chosen)
    cells = "".join(f"cells[{number}] AS c{at}, " for number, at in enumerate(chosen.values(), 1))
    found = f"CASE WHEN json_valid(c0) THEN json_extract_string(c0, [{places}]) END" if chosen else "NULL"
    object_ = "CASE WHEN json_valid(c0) THEN json_type(c0) = 'OBJECT' ELSE FALSE END"
    return f"(SELECT {cells}faulty FROM (SELECT {found} AS cells, NOT {object_} AS faulty FROM {lines}))"


def outer_path(column: str) -> str:
    """Return the JSON path of a name that stands in no other object."""
    return f"$.{json.dumps(column, ensure_ascii=False)}"


def _collect(value: dict[str, object], above: str, place: str, paths: dict[str, str]) -> None:
    for key, inner in value.items():
        below = f"{place}.{json.dumps(key, ensure_ascii=False)}"
        paths.setdefault(above + key, below)
        if isinstance(inner, dict):
            _collect(inner, f"{above}{key}.", below, paths)

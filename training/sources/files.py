"""Finds the files of canonical tables and tells table and format from their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recommender.columns import TABLES
from recommender.errors import InputError

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_LAST = "events"
"""Loaded after everything it refers to; the other tables in the order of the contract."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of a canonical table. `table` is None where only a mapping can tell."""

    path: Path
    format: str
    table: str | None


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """Files in the order to load them, and those in a folder whose names name no table."""

    files: tuple[TableFile, ...]
    ignored: tuple[Path, ...]


def find_files(paths: Iterable[Path]) -> FoundFiles:
    """Find the canonical files that paths (files or folders) name.

    A file is named after its table: events.csv, events-2024-05.csv.gz, events.part1.parquet, or
    events/2024-05.parquet. Files of other formats in a folder are left alone.

    Raises: InputError if a path does not exist, the name of a file given names no table, or nothing is found.
    """
    found: dict[Path, TableFile] = {}
    ignored: list[Path] = []
    given = list(paths)
    for path in given:
        inside = _in_folder(path) if path.is_dir() else [describe_file(path)]
        for file in inside:
            if file.table is not None:
                found[file.path] = file
            elif path.is_dir():
                ignored.append(file.path)
            else:
                raise _no_table(path)
    if not found:
        shown = ", ".join(str(path) for path in given)
        raise InputError("No canonical tables found.", field="path", value=shown, accepted=_accepted())
    order = [name for name in TABLES if name != _LAST] + [_LAST]
    files = sorted(found.values(), key=lambda file: (order.index(file.table or _LAST), str(file.path)))
    return FoundFiles(tuple(files), tuple(ignored))


def describe_file(path: Path, format_: str | None = None) -> TableFile:
    """Tell a file's format and table from its name.

    Args:
        format_: the format, where it is known.
    Raises: InputError if there is no such file or its name says no format.
    """
    if not path.is_file():
        raise InputError("There is no such file or folder.", field="path", value=path)
    found = format_ or format_of(path)
    if found is None:
        raise InputError("The file's name says no format.", field="path", value=path, accepted=_accepted())
    return TableFile(path, found, table_of(path))


def format_of(path: Path) -> str | None:
    """Return csv, jsonl or parquet by a file's name, None if it says nothing known."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def table_of(path: Path) -> str | None:
    """Return the table that a file is named after, or else its folder; None if there is none."""
    stem = path.name.partition(".")[0]
    if stem in TABLES:
        return stem
    for separator in "-_ ":
        for name in TABLES:
            if stem.startswith(name + separator) and not _longer_name(stem, name, separator):
                return name
    return path.parent.name if path.parent.name in TABLES else None


def _longer_name(stem: str, name: str, separator: str) -> bool:
    """Whether a longer table name fits too: offer_items is no file of offers."""
    longer = (other for other in TABLES if other != name and other.startswith(name + separator))
    return any(stem == other or stem.startswith((other + "-", other + "_")) for other in longer)


def _in_folder(folder: Path) -> Iterable[TableFile]:
    candidates = [*folder.iterdir(), *(path for name in TABLES for path in (folder / name).glob("*"))]
    for path in sorted(candidates):
        if path.is_file() and not path.name.startswith((".", "_")) and format_of(path):
            yield describe_file(path)


def _no_table(path: Path) -> InputError:
    return InputError(
        f"The name of {path.name} names no table; a raw export needs --mapping.",
        field="path",
        value=path,
        accepted=_accepted(),
    )


def _accepted() -> str:
    names = ", ".join(TABLES)
    return f"TABLE.csv, .csv.gz, .parquet, .jsonl or .ndjson, where TABLE is one of {names}"

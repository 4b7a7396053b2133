"""Mapping: how the columns of a file fill the columns of canonical tables.

A canonical file is mapped too: every column to the one of its name. The TOML form is read by mapping_file.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from recommender.columns import TableSpec, check_columns

COMPUTED = "event_id"
"""The one required column that may be missing: event ids are then made from the rows' content."""

ALWAYS_STRIPPED = " \t\u00a0\u3000"
"""Characters that never count at the ends of a cell of a mapped file."""


@dataclass(frozen=True, slots=True)
class Count:
    """Turns a day number, an order index or the like into a time.

    origin: the time of number 0 (align "start") or of the highest number (align "end"), ISO 8601.
    unit_microseconds: what one counts.
    per: the column whose values have their own highest number, for align "end"; None: the whole file.
    """

    origin: str
    unit_microseconds: int
    align: str = "start"
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How one canonical column is filled; in the order: columns, values, otherwise or default, prefix.

    columns: joined by `separator` where several; empty for a constant.
    values: replaces texts; others are rejected, kept (`keep_others`) or become `otherwise`.
    formats: strptime formats of a time or date; empty: ISO 8601.
    money: "decimal" (12.34) or "cents"; `round` rounds further decimals half up instead of rejecting them.
    signs: texts for a number >= 0 and for one below 0.
    absolute: the sign of a number does not count.
    collect: (name, column) pairs put into one JSON object.
    """

    columns: tuple[str, ...] = ()
    constant: str | None = None
    separator: str = " "
    values: tuple[tuple[str, str], ...] = ()
    otherwise: str | None = None
    keep_others: bool = False
    default: str | None = None
    prefix: str = ""
    formats: tuple[str, ...] = ()
    time_zone: str | None = None
    count: Count | None = None
    money: str | None = None
    round: bool = False
    signs: tuple[str, str] | None = None
    absolute: bool = False
    collect: tuple[tuple[str, str], ...] = ()

    @property
    def used(self) -> tuple[str, ...]:
        """The columns of the file that it reads."""
        per = () if self.count is None or self.count.per is None else (self.count.per,)
        return (*self.columns, *per, *(column for _, column in self.collect))


@dataclass(frozen=True, slots=True)
class Condition:
    """Rows count only if (`only`) or unless (not `only`) a column holds one of the values; "" means blank."""

    column: str
    values: tuple[str, ...]
    only: bool


@dataclass(frozen=True, slots=True)
class ScaleBarcode:
    """EAN-13 codes printed by scales: item and weight or price in one number.

    item, measure: first and last digit, from 1.  decimals: of the measure.
    kind: "weight" (becomes the quantity) or "price" (of the line; divided by the unit price).
    """

    column: str
    prefixes: tuple[str, ...]
    item: tuple[int, int]
    measure: tuple[int, int]
    kind: str
    decimals: int
    item_prefix: str = ""
    check_digit: bool = True


@dataclass(frozen=True, slots=True)
class TableRules:
    """How one canonical table is filled."""

    spec: TableSpec
    rules: dict[str, Rule]
    conditions: tuple[Condition, ...] = ()
    scale_barcode: ScaleBarcode | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """The columns of the file that it reads, each once, in order of first use."""
        names = [name for rule in self.rules.values() for name in rule.used]
        names += [condition.column for condition in self.conditions]
        names += [] if self.scale_barcode is None else [self.scale_barcode.column]
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class FileLayout:
    """How the file is written. None: guessed, or as canonical files are.

    columns: names where the file has no header.  skip_lines: before the header.
    strip: further characters that do not count at the ends of a cell.
    """

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    skip_lines: int = 0
    columns: tuple[str, ...] = ()
    strip: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping file: where rows come from, how they are written, and the tables that they fill."""

    source: str
    layout: FileLayout
    tables: tuple[TableRules, ...]
    time_zone: str | None = None
    money_decimals: int = 2

    @property
    def used(self) -> tuple[str, ...]:
        """The columns of the file that any table reads."""
        return tuple(dict.fromkeys(name for table in self.tables for name in table.used))


@dataclass(frozen=True, slots=True)
class Context:
    """What the reading of values needs besides the rules.

    time_zone: of times without an offset.  money_decimals: minor units per unit, as decimals.
    strip: characters that do not count at the ends of a cell; None: spaces only.
    """

    time_zone: str
    money_decimals: int = 2
    strip: str | None = None


@dataclass(frozen=True, slots=True)
class CanonicalRules:
    """The rules of a canonical file and the columns in it that nobody knows."""

    table: TableRules
    unknown: tuple[str, ...] = field(default=())


def canonical_rules(spec: TableSpec, columns: Sequence[str]) -> CanonicalRules:
    """Map every column of a canonical file to the one of its name.

    Raises: InputError if a required column is missing or a name appears twice.
    """
    names = list(columns)
    absent = [COMPUTED] if spec.name == "events" and COMPUTED not in names else []
    unknown = check_columns(spec, names + absent)
    known = [column.name for column in spec.columns if column.name in names]
    rules = TableRules(spec, {name: Rule((name,)) for name in known})
    return CanonicalRules(rules, tuple(unknown))

"""DuckDB expressions for one canonical column: its text, its value, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recommender.columns import Column, ColumnKind, TableSpec
from recommender.ids import MAX_ID_BYTES
from recommender.quoting import text
from training.sources import times
from training.sources.duck import name, one_of
from training.sources.mapping import ALWAYS_STRIPPED, Context, Rule

MAX_TEXT_BYTES = 4_000
MAX_JSON_BYTES = 65_536
_INTEGER = r"[+-]?[0-9]{1,18}(\.0*)?"
NUMBER_PATTERN = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
_MONEY = r"[+-]?([0-9]{1,3}(,[0-9]{3})+|[0-9]{0,14})(\.%s)?"
_TRUE, _FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")
_MICROS_OF_YEAR_10000 = 253_402_300_800_000_000

Highest = Callable[[Rule], str | None]


@dataclass(frozen=True, slots=True)
class Check:
    """Something that rejects a row: a condition (SQL), the canonical column, why, and what is accepted."""

    condition: str
    column: str
    reason: str
    accepted: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One canonical column in SQL.

    shown: the text as the file has it, for reports.  text: the text to read, NULL if blank.
    value: the typed value, from the column `t_NAME` that holds the text; NULL if it cannot be read.
    checks: over `t_NAME` and `v_NAME`.
    """

    column: Column
    rule: Rule
    shown: str
    text: str
    value: str
    checks: tuple[Check, ...]


def clean(cell: str, strip: str | None) -> str:
    """Return a cell of the file without what does not count at its ends; NULL if nothing is left."""
    if strip is None:
        trimmed = f"nullif(trim({cell}), '')"
        return f"CASE WHEN {cell} <= '!' OR suffix({cell}, ' ') THEN {trimmed} ELSE {cell} END"
    return f"nullif(trim({cell}, {text(ALWAYS_STRIPPED + strip)}), '')"


def make_cell(spec: TableSpec, column: Column, rule: Rule, context: Context, highest: Highest) -> Cell:
    """Write the SQL of one column.

    Args:
        highest: the expression of the highest number that a counted time refers to, None where it needs none.
    """
    shown = _join(rule)
    checks = list(_text_checks(spec, column, rule))
    value = _value(column, rule, context, highest(rule))
    checks += _value_checks(column, rule, context)
    return Cell(column, rule, shown, _text(rule, shown), value, tuple(checks))


def _join(rule: Rule) -> str:
    if rule.constant is not None:
        return text(rule.constant)
    if rule.collect:
        return _object(rule)
    parts = [name(f"k_{column}") for column in rule.columns]
    return parts[0] if len(parts) == 1 else f"nullif(concat_ws({text(rule.separator)}, {', '.join(parts)}), '')"


def _object(rule: Rule) -> str:
    parts = []
    for key, column in rule.collect:
        cell = name(f"k_{column}")
        parts.append(f"CASE WHEN {cell} IS NOT NULL THEN to_json({text(key)}) || ':' || to_json({cell}) END")
    return f"'{{' || nullif(concat_ws(',', {', '.join(parts)}), '') || '}}'"


def _text(rule: Rule, shown: str) -> str:
    expression = shown
    if rule.signs is not None:
        positive, negative = rule.signs
        number = f"TRY_CAST({shown} AS DOUBLE)"
        expression = f"CASE WHEN {number} < 0 THEN {text(negative)} WHEN {number} >= 0 THEN {text(positive)} END"
    if rule.values:
        pairs = " ".join(f"WHEN {text(old)} THEN {text(new)}" for old, new in rule.values if old)
        other = "NULL" if rule.otherwise is None else text(rule.otherwise)
        other = shown if rule.keep_others else f"CASE WHEN {shown} IS NOT NULL THEN {other} END"
        expression = f"nullif(CASE {shown} {pairs} ELSE {other} END, '')" if pairs else other
    blank = dict(rule.values).get("") or rule.default
    if blank:
        expression = f"CASE WHEN {shown} IS NULL THEN {text(blank)} ELSE {expression} END"
    return f"{text(rule.prefix)} || {expression}" if rule.prefix else expression


def _text_checks(spec: TableSpec, column: Column, rule: Rule) -> list[Check]:
    given, shown = f"t_{column.name}", _join(rule)
    checks = []
    if (rule.values and rule.otherwise is None and not rule.keep_others) or rule.signs:
        blanked = [old for old, new in rule.values if old and not new]
        but = f" AND NOT {one_of(shown, blanked)}" if blanked else ""
        accepted = ", ".join(old for old, _ in rule.values if old) or "a number"
        checks.append(Check(f"{given} IS NULL AND {shown} IS NOT NULL{but}", column.name, "unknown_value", accepted))
    if column.required:
        checks.append(Check(f"{given} IS NULL", column.name, "missing", "a value"))
    limit = {ColumnKind.ID: MAX_ID_BYTES, ColumnKind.TEXT: MAX_TEXT_BYTES, ColumnKind.JSON: MAX_JSON_BYTES}
    most = MAX_ID_BYTES if column.name in spec.key else limit.get(column.kind)
    if most is not None:
        checks.append(Check(f"strlen({given}) > {most}", column.name, "too_long", f"at most {most} bytes"))
    return checks


def _value(column: Column, rule: Rule, context: Context, highest: str | None) -> str:
    given, zone = f"t_{column.name}", rule.time_zone or context.time_zone
    kind = column.kind
    if kind is ColumnKind.TIME:
        if rule.count is not None:
            return times.counted_time(_number(given), highest, rule.count, zone)
        return times.formatted_time(given, rule.formats or (times.ISO,), zone)
    if kind is ColumnKind.DATE:
        return times.formatted_date(given, rule.formats or (times.ISO,))
    if kind is ColumnKind.BOOLEAN:
        word = f"lower({given})"
        return f"CASE WHEN {one_of(word, _TRUE)} THEN TRUE WHEN {one_of(word, _FALSE)} THEN FALSE END"
    if kind is ColumnKind.CHOICE:
        return f"lower({given})"
    if kind is ColumnKind.NUMBER:
        return _signed(_number(given), rule)
    if kind is ColumnKind.CENTS and rule.money == "decimal":
        return _signed(_cents(given, rule, context.money_decimals), rule)
    if kind in (ColumnKind.INTEGER, ColumnKind.CENTS):
        return _signed(f"CASE WHEN regexp_full_match({given}, '{_INTEGER}') THEN TRY_CAST({given} AS BIGINT) END", rule)
    return given


def _number(given: str) -> str:
    return f"CASE WHEN regexp_full_match({given}, '{NUMBER_PATTERN}') THEN TRY_CAST({given} AS DOUBLE) END"


def _cents(given: str, rule: Rule, decimals: int) -> str:
    """Read an amount exactly: currency signs, spaces and thousands separators do not count."""
    plain = f"regexp_replace({given}, '[¥￥$€£元\\s]', '', 'g')"
    pattern = _MONEY % ("[0-9]*" if rule.round else f"[0-9]{{0,{decimals}}}0*")
    amount = f"TRY_CAST(replace({plain}, ',', '') AS DECIMAL(38, {decimals})) * {10**decimals}"
    return f"CASE WHEN regexp_full_match({plain}, '{pattern}') THEN TRY_CAST({amount} AS BIGINT) END"


def _signed(number: str, rule: Rule) -> str:
    return f"abs({number})" if rule.absolute else number


_REASONS: dict[ColumnKind, tuple[str, str]] = {
    ColumnKind.INTEGER: ("not_an_integer", "a whole number"),
    ColumnKind.NUMBER: ("not_a_number", "a number such as 1.5"),
    ColumnKind.CENTS: ("not_an_integer", "a whole number of the currency's minor unit"),
    ColumnKind.TIME: ("not_a_time", times.ACCEPTED_TIME),
    ColumnKind.DATE: ("not_a_date", times.ACCEPTED_DATE),
    ColumnKind.BOOLEAN: ("not_true_or_false", "true, false, 1, 0, yes, no"),
}


def _value_checks(column: Column, rule: Rule, context: Context) -> list[Check]:
    given, value, kind = f"t_{column.name}", f"v_{column.name}", column.kind
    checks = []
    if kind in _REASONS:
        reason, accepted = _REASONS[kind]
        if rule.money == "decimal":
            reason = "not_money"
            accepted = f"an amount such as 12.34, at most {context.money_decimals} decimals"
        elif rule.formats:
            accepted = ", ".join(rule.formats)
        elif rule.count is not None:
            accepted = "a number"
        unread = f"{given} IS NOT NULL AND {value} IS NULL"
        checks.append(Check(unread, column.name, reason, accepted))
    if kind is ColumnKind.TIME:
        outside = f"{value} NOT BETWEEN -62135596800000000 AND {_MICROS_OF_YEAR_10000 - 1}"
        checks.append(Check(outside, column.name, "not_a_time", "a time in the years 1 to 9999"))
    elif kind is ColumnKind.NUMBER:
        checks.append(Check(f"NOT isfinite({value})", column.name, "not_a_number", "a finite number"))
    elif kind is ColumnKind.CHOICE:
        outside = f"NOT {one_of(value, column.choices)}"
        checks.append(Check(outside, column.name, "not_a_choice", ", ".join(column.choices)))
    elif kind is ColumnKind.JSON:
        checks.append(Check(f"NOT json_valid({given})", column.name, "not_json", "JSON"))
    if column.minimum is not None:
        least = f"at least {column.minimum:g}"
        checks.append(Check(f"{value} < {column.minimum:g}", column.name, "too_small", least))
    return checks

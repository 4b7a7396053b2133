"""Selection: the one DuckDB query that turns a file's cells into typed canonical rows, each good or with its problem.

The query keeps the order of the file and is read as a stream. It has these layers: cells without blanks at
their ends (`k_COLUMN of the file`), texts of canonical columns (`t_NAME`), values (`v_NAME`), and the number of
the first check that fails (`problem`, NULL for good rows) with the text to show for it (`shown`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recommender.columns import ColumnKind, TableSpec
from recommender.events import HASHED_NAMESPACES, MEMBER_NAMESPACE
from recommender.quoting import text
from training.sources.barcodes import scale_layer
from training.sources.cells import Cell, Check, clean, make_cell
from training.sources.duck import HASH_IDENTITY, name, one_of
from training.sources.mapping import Condition, Context, Rule, TableRules
from training.sources.source import Source

HAPPENED = {
    "events": "occurred_at",
    "consents": "at",
    "identities": "linked_at",
    "inventory": "as_of",
    "sends": "sent_at",
    "redemptions": "redeemed_at",
}
"""Columns that say when something happened, which cannot be in the future."""
FUTURE_ALLOWED = timedelta(days=1)
"""Clocks and time zones may be this wrong."""

_SQL_TYPES: dict[ColumnKind, str] = {
    ColumnKind.INTEGER: "BIGINT",
    ColumnKind.CENTS: "BIGINT",
    ColumnKind.NUMBER: "DOUBLE",
    ColumnKind.TIME: "BIGINT",
    ColumnKind.DATE: "INTEGER",
    ColumnKind.BOOLEAN: "BOOLEAN",
}
_NAMESPACE = "[a-z0-9_.-]{1,64}"
_PRIVATE = {"events": ("identity_value", "value"), "identities": ("value",)}
"""Columns whose texts may be a phone number or an e-mail address: never shown."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A query and the meaning of its `problem` numbers.

    layer: the query up to the values, problem and shown; columns `v_NAME`, `problem`, `shown`, `skipped`.
    filled: canonical columns that the file fills, in the order of the contract.
    """

    spec: TableSpec
    layer: str
    filled: tuple[str, ...]
    cells: Mapping[str, Cell]
    checks: tuple[Check, ...]

    def value(self, column: str) -> str:
        """Return the expression of a column's value over `layer`, a typed NULL if the file does not fill it."""
        if column in self.filled:
            return f"v_{column}"
        return f"CAST(NULL AS {_SQL_TYPES.get(self.spec.column(column).kind, 'VARCHAR')})"

    def shown_column(self, check: Check) -> str:
        """Return the column of the file that a check is about, the canonical one where there is none."""
        cell = self.cells.get(check.column)
        used = () if cell is None else cell.rule.used
        return " + ".join(used) or check.column


def select(
    source: Source,
    table: TableRules,
    context: Context,
    now: datetime,
    highest: Callable[[Rule], str | None] = lambda rule: None,
) -> Selection:
    """Write the query that fills one canonical table.

    Args:
        source: the file; it has all columns that the table's rules read.
        context: time zone, decimals of money, characters to strip.
        now: times that happened must not be more than a day later.
        highest: SQL of the highest number for counted times that are aligned at the end, over the k layer.
    """
    spec, places = table.spec, {column: f"c{at}" for at, column in enumerate(source.columns)}
    cleaned = [f"{clean(places[used], context.strip)} AS {name('k_' + used)}" for used in table.used]
    faulty = "FALSE" if source.json_paths is None else "faulty"
    inner = f"SELECT {faulty} AS faulty{''.join(', ' + one for one in cleaned)} FROM {source.cells(table.used)}"
    cells = {
        column: make_cell(spec, spec.column(column), rule, context, highest) for column, rule in table.rules.items()
    }
    given = [f"{cell.text} AS t_{column}" for column, cell in cells.items()]
    inner = f"SELECT *, {_skipped(table.conditions)} AS skipped{''.join(', ' + one for one in given)} FROM ({inner})"
    filled = tuple(column.name for column in spec.columns if column.name in cells)
    if table.scale_barcode is not None:
        inner = scale_layer(inner, table.scale_barcode, cells, context)
    values = {column: cells[column].value for column in filled}
    values |= _identity_values(table, values)
    private = _PRIVATE.get(spec.name, ()) if "namespace" in filled else ()
    layer = f"SELECT *, {', '.join(f'{value} AS v_{column}' for column, value in values.items())} FROM ({inner})"
    checks = [] if source.json_paths is None else [Check("faulty", "", "malformed_json", "a JSON object")]
    checks += [check for column in filled if column not in private for check in cells[column].checks]
    checks += _table_checks(spec, filled, now)
    return Selection(spec, _problem_layer(spec, layer, cells, checks), filled, cells, tuple(checks))


def _skipped(conditions: tuple[Condition, ...]) -> str:
    parts = []
    for condition in conditions:
        matches = one_of(f"coalesce({name('k_' + condition.column)}, '')", condition.values)
        parts.append(f"NOT {matches}" if condition.only else matches)
    return " OR ".join(parts) or "FALSE"


def _identity_values(table: TableRules, values: Mapping[str, str]) -> dict[str, str]:
    """Return the values of columns that name a customer, hashed where their namespace asks for it."""
    spec = table.spec
    if "namespace" not in values or spec.name not in _PRIVATE:
        return {}
    namespace = "lower(t_namespace)"
    if spec.name == "identities":
        return {"namespace": namespace, "value": _hashed("t_value")}
    parts = [f"t_{column}" for column in ("identity_value", "value") if column in values]
    given = f"coalesce({', '.join(parts)})" if parts else "CAST(NULL AS VARCHAR)"
    if table.rules["namespace"].constant is not None:  # a mapped row without a value names nobody
        namespace = f"CASE WHEN {given} IS NOT NULL THEN {namespace} END"
    found = {"namespace": namespace}
    if "value" in values:
        alone = "t_namespace IS NOT NULL"
        alone += " AND t_identity_value IS NULL" if "identity_value" in values else ""
        found["value"] = f"CASE WHEN NOT ({alone}) THEN {values['value']} END"
    found["identity_value"] = f"CASE WHEN t_namespace IS NOT NULL THEN {_hashed(given)} END"
    return found


def _hashed(given: str) -> str:
    condition = one_of("lower(t_namespace)", sorted(HASHED_NAMESPACES))
    return f"CASE WHEN {condition} THEN {HASH_IDENTITY}(lower(t_namespace), {given}) ELSE {given} END"


def _table_checks(spec: TableSpec, filled: tuple[str, ...], now: datetime) -> list[Check]:
    checks = []
    happened = HAPPENED.get(spec.name)
    if happened in filled:
        latest = int((now + FUTURE_ALLOWED).timestamp() * 1_000_000)
        checks.append(Check(f"v_{happened} > {latest}", happened, "in_the_future", "a time that has come"))
    if spec.name == "events":
        if "occurred_at" in filled:
            checks.append(Check("v_occurred_at < 0", "occurred_at", "too_early", "1970 or later"))
        for column in ("revision", "position"):
            if column in filled:
                checks.append(Check(f"v_{column} > 2147483647", column, "too_large", "at most 2147483647"))
    if "namespace" in filled and spec.name in _PRIVATE:
        checks += _identity_checks(spec, filled)
    return checks


def _identity_checks(spec: TableSpec, filled: tuple[str, ...]) -> list[Check]:
    odd = f"v_namespace = {text(MEMBER_NAMESPACE)} OR NOT regexp_full_match(v_namespace, '{_NAMESPACE}')"
    accepted = f"lower-case letters, digits, _ . -, but not {MEMBER_NAMESPACE}"
    checks = [Check(odd, "namespace", "not_a_namespace", accepted)]
    if spec.name == "identities":
        unread = "v_value IS NULL AND t_value IS NOT NULL"
        checks.append(Check("t_value IS NULL", "value", "missing", "a value"))
        checks.append(Check(unread, "value", "not_an_identity", "a phone number or an e-mail address"))
        checks.append(Check("strlen(v_value) > 128", "value", "too_long", "at most 128 bytes"))
        return checks
    column = "identity_value" if "identity_value" in filled else "value"
    if "value" in filled:
        alone = "t_identity_value IS NOT NULL" if "identity_value" in filled else "FALSE"
        number = f"t_value IS NOT NULL AND v_value IS NULL AND (t_namespace IS NULL OR {alone})"
        checks.append(Check(number, "value", "not_a_number", "a number such as 1.5"))
        checks.append(Check("NOT isfinite(v_value)", "value", "not_a_number", "a finite number"))
    given = " AND ".join(f"t_{one} IS NULL" for one in ("identity_value", "value") if one in filled) or "TRUE"
    nameless = " AND t_member_id IS NULL" if "member_id" in filled else ""
    missing = f"v_namespace IS NOT NULL AND {given}{nameless}"
    unread = f"v_namespace IS NOT NULL AND v_identity_value IS NULL{nameless}"
    checks.append(Check(missing, column, "missing", "the identity's value, beside its namespace"))
    checks.append(Check(unread, column, "not_an_identity", "a phone number or an e-mail address"))
    checks.append(Check("strlen(v_identity_value) > 128", column, "too_long", "at most 128 bytes"))
    if "identity_value" in filled:
        alone = f"t_identity_value IS NOT NULL AND t_namespace IS NULL{nameless}"
        checks.append(Check(alone, "namespace", "missing", "the namespace of the identity's value"))
    return checks


def _problem_layer(spec: TableSpec, layer: str, cells: Mapping[str, Cell], checks: Sequence[Check]) -> str:
    cases = " ".join(f"WHEN {check.condition} THEN {number}" for number, check in enumerate(checks))
    problem = f"CAST(CASE WHEN skipped THEN NULL {cases} END AS SMALLINT)"
    shown = []
    for column, cell in cells.items():
        numbers = [str(number) for number, check in enumerate(checks) if check.column == column]
        if numbers and column not in _PRIVATE.get(spec.name, ()):
            shown += [f"WHEN {number} THEN {cell.shown}" for number in numbers]
    text_shown = f"CASE problem {' '.join(shown)} END" if shown else "CAST(NULL AS VARCHAR)"
    return f"SELECT *, {text_shown} AS shown FROM (SELECT *, {problem} AS problem FROM ({layer}))"

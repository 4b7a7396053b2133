"""How a settings field is declared, described and converted; recommender/settings.py reads the values.

A process declares its settings as a frozen dataclass, usually extending CoreSettings. Every field is written
`name: type = field(default=..., metadata=setting("meaning", unit=..., minimum=...))`. Types are text, whole
number, number, true or false, path, list of texts, or another such dataclass: a TOML table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

PREFIX = "MEMBERWISE_"

_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What a field says of itself: meaning, unit, accepted values; `check` raises ValueError(accepted)."""

    meaning: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    check: Callable[[Any], None] | None = None

    def problem(self, value: Any) -> str | None:
        """Return what would be accepted instead of this value, or None if it is fine."""
        if self.choices and value not in self.choices:
            return ", ".join(self.choices)
        if self.minimum is not None and not value >= self.minimum:
            return f"at least {self.minimum:g}" + (f" {self.unit}" if self.unit else "")
        if self.maximum is not None and not value <= self.maximum:
            return f"at most {self.maximum:g}" + (f" {self.unit}" if self.unit else "")
        if self.check is not None:
            try:
                self.check(value)
            except ValueError as error:
                return str(error)
        return None


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of the settings table."""

    name: str
    environment: str
    default: object
    unit: str
    meaning: str


def setting(
    meaning: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
    check: Callable[[Any], None] | None = None,
) -> dict[str, Rule]:
    """Describe a settings field: its meaning, unit and what is accepted.

    Args:
        meaning: one sentence for the settings table.
        minimum, maximum: inclusive limits of a number.
        secret: the value is never shown in errors.
        check: raises ValueError with what would be accepted.
    """
    return {"rule": Rule(meaning, unit, minimum, maximum, choices, secret, check)}


def describe(kind: type[Any]) -> list[SettingRow]:
    """List every setting of a kind, nested tables as "table.name", in the order declared."""
    return _describe(kind, "", PREFIX)


def _describe(kind: type[Any], path: str, prefix: str) -> list[SettingRow]:
    rows: list[SettingRow] = []
    for entry, hint in typed_fields(kind):
        name, environment = path + entry.name, prefix + entry.name.upper()
        if is_dataclass(hint):
            rows += _describe(cast(type[Any], hint), f"{name}.", f"{environment}_")
        else:
            rule = rule_of(entry)
            rows.append(SettingRow(name, environment, _shown(_default(entry)), rule.unit, rule.meaning))
    return rows


def convert(hint: Any, raw: object) -> Any:
    """Turn text or a TOML value into the type of a field. Raises: ValueError(accepted)."""
    text = raw.strip() if isinstance(raw, str) else raw
    if hint is bool:
        word = str(text).lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
        raise ValueError("true or false")
    if hint in (int, float):
        try:
            if isinstance(text, bool) or (hint is int and isinstance(text, float)):
                raise ValueError
            return hint(text)
        except (TypeError, ValueError):
            raise ValueError("a whole number" if hint is int else "a number") from None
    if hint == tuple[str, ...]:
        parts = text.split(",") if isinstance(text, str) else text
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return tuple(part.strip() for part in parts if part.strip())
        raise ValueError("names separated by commas, or a list of texts")
    if not isinstance(text, str):
        raise ValueError("a text")
    return Path(text).expanduser() if hint is Path else text


def typed_fields(kind: type[Any]) -> list[tuple[Field[Any], Any]]:
    """Return the fields of a settings class with their types resolved."""
    hints = get_type_hints(kind)
    return [(entry, hints[entry.name]) for entry in fields(kind)]


def rule_of(entry: Field[Any]) -> Rule:
    """Return what a field says of itself."""
    rule = entry.metadata.get("rule")
    assert isinstance(rule, Rule), f"setting {entry.name} is declared without setting(...)"
    return rule


def _default(entry: Field[Any]) -> Any:
    return entry.default_factory() if callable(entry.default_factory) else entry.default


def _shown(value: object) -> object:
    return ",".join(value) if isinstance(value, tuple) else value

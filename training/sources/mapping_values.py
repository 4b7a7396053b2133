"""Place: where in a mapping file a value stands, and the checked reading of values there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass
from typing import Any, cast
from zoneinfo import ZoneInfo

from recommender.errors import MappingError


@dataclass(frozen=True, slots=True)
class Place:
    """A table of a mapping file, by the keys that lead to it."""

    file: str
    keys: tuple[str, ...] = ()

    def below(self, key: str) -> Place:
        """Return the place of a table inside this one."""
        return Place(self.file, (*self.keys, key))

    def wrong(self, key: str, value: object, accepted: str) -> MappingError:
        """Return the error that says what stands at a key and what is accepted there."""
        path = ".".join((*self.keys, key))
        message = f"{self.file} lacks a key." if value is None else f"{self.file} holds a wrong value."
        return MappingError(message, field=path, value=value, accepted=accepted)

    def only_keys(self, table: Table[str, Any], known: Iterable[str]) -> None:
        """Refuse keys that mean nothing. Raises: MappingError."""
        names = list(known)
        for key in table:
            if key not in names:
                close = difflib.get_close_matches(key, names, n=1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise MappingError(
                    f"{self.file} holds an unknown key.{hint}",
                    field=".".join((*self.keys, key)),
                    accepted=", ".join(names),
                )

    def table(self, table: Table[str, Any], key: str) -> dict[str, Any]:
        """Return a table, empty if there is none."""
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, "a table")
        return cast(dict[str, Any], value)

    def text(self, table: Table[str, Any], key: str, *, empty: bool = False) -> str | None:
        """Return a text, None if there is none."""
        value = table.get(key)
        if value is None or (isinstance(value, str) and (value or empty)):
            return value
        raise self.wrong(key, value, "a text")

    def texts(self, table: Table[str, Any], key: str, *, blank: bool = False) -> tuple[str, ...]:
        """Return a list of texts, or one text as a list; empty if there is none. `blank` allows ""."""
        value = table.get(key, [])
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(one, str) and (one or blank) for one in values):
            return tuple(values)
        raise self.wrong(key, value, "a text or a list of texts")

    def choice(self, table: Table[str, Any], key: str, choices: tuple[str, ...]) -> str | None:
        """Return one of some words, None if there is none."""
        value = table.get(key)
        if value is None or value in choices:
            return cast(str | None, value)
        raise self.wrong(key, value, ", ".join(choices))

    def whole(self, table: Table[str, Any], key: str, default: int, least: int, most: int) -> int:
        """Return a whole number within limits."""
        value = table.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise self.wrong(key, value, f"a whole number from {least} to {most}")

    def flag(self, table: Table[str, Any], key: str, default: bool) -> bool:
        """Return true or false."""
        value = table.get(key, default)
        if isinstance(value, bool):
            return value
        raise self.wrong(key, value, "true or false")

    def digits(self, table: Table[str, Any], key: str, default: tuple[int, int]) -> tuple[int, int]:
        """Return the first and last digit of a part of a 13-digit code, from 1."""
        value = table.get(key, list(default))
        whole = isinstance(value, list) and all(isinstance(one, int) for one in value)
        if whole and len(value) == 2 and 1 <= value[0] <= value[1] <= 13:
            return value[0], value[1]
        raise self.wrong(key, value, "[first, last] digit, from 1 to 13")


def check_zone(place: Place, table: Table[str, Any], key: str = "time_zone") -> str | None:
    """Return the name of a time zone, None if there is none. Raises: MappingError if it does not exist."""
    name = place.text(table, key)
    if name is not None:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise place.wrong(key, name, "an IANA time zone, such as UTC or Asia/Shanghai") from None
    return name

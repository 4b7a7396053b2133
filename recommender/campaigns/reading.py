"""Fields: reads an object of JSON name by name; errors name the place, the value found and what is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from recommender.errors import InputError

T = TypeVar("T")


class Fields:
    """The fields of one object.

    Args:
        value: as JSON gives it; None counts as an empty object.
        path: what the object is called in errors; "" for the whole document.
        names: all fields there are.
    Raises: InputError if it is no object, or has another field.
    """

    def __init__(self, value: object, path: str, names: tuple[str, ...]) -> None:
        accepted = "an object with " + ", ".join(f"`{name}`" for name in names)
        if value is not None and not isinstance(value, Mapping):
            raise InputError("This is no object.", field=path or "settings", value=value, accepted=accepted)
        self._values: Mapping[str, Any] = value or {}
        self._path = path
        for name in self._values:
            if name not in names:
                raise InputError("There is no such field.", field=self.place(str(name)), value=name, accepted=accepted)

    def place(self, name: str) -> str:
        """Return what a field is called in errors."""
        return f"{self._path}.{name}" if self._path else name

    def get(self, name: str) -> Any:
        """Return a field as it stands, None if it is not there."""
        return self._values.get(name)

    def whole(self, name: str, default: T, low: int, high: int) -> int | T:
        """Return a whole number from low to high."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}")
        return value

    def number(self, name: str, default: T, low: float, high: float) -> float | T:
        """Return a number from low to high."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def text(self, name: str, default: T, most: int = 200) -> str | T:
        """Return a text of at least one and at most `most` characters."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or not 0 < len(value) <= most or "\0" in value:
            raise self.wrong(name, f"a text of 1 to {most} characters")
        return value

    def choice(self, name: str, default: T, choices: tuple[str, ...]) -> str | T:
        """Return one of some texts."""
        value = self.get(name)
        if value is None:
            return default
        if value not in choices:
            raise self.wrong(name, " or ".join(f'"{one}"' for one in choices))
        return str(value)

    def items(self, name: str, most: int) -> list[Any]:
        """Return a list of at most `most` values, empty if it is not there."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > most:
            raise self.wrong(name, f"a list of at most {most}")
        return value

    def wrong(self, name: str, accepted: str, message: str = "This is not acceptable.") -> InputError:
        """Return the error about a field."""
        return InputError(message, field=self.place(name), value=self.get(name), accepted=accepted)

"""Trees of conditions in JSON, joined by `and`, `or` and `not`: the frame that filters and audiences have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from recommender.errors import InputError
from recommender.json_values import read_list

MAX_DEPTH = 8
"""How deep expressions may lie in one another."""
MAX_CONDITIONS = 200
"""Most conditions of one expression, `and`, `or` and `not` included."""

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Grammar(Generic[E]):
    """What expressions are made of.

    noun: what errors call an expression.  mistake: what they say where something is no expression at all.
    conditions: reads each kind from its content and its place.
    both, either, inverse: join expressions.
    """

    noun: str
    mistake: str
    conditions: Mapping[str, Callable[[object, str], E]]
    both: Callable[[tuple[E, ...]], E]
    either: Callable[[tuple[E, ...]], E]
    inverse: Callable[[E], E]

    @property
    def kinds(self) -> Sequence[str]:
        """Everything that an object may hold."""
        return ("and", "or", "not", *self.conditions)


@dataclass(slots=True)
class TreeReader(Generic[E]):
    """Reads one expression, and keeps which kinds it met."""

    grammar: Grammar[E]
    count: int = 0
    names: set[str] = field(default_factory=set)

    def read(self, value: object, path: str, depth: int = 1) -> E:
        """Read an expression as JSON gives it.

        Raises: InputError that names the place, the value found and what is accepted.
        """
        self.count += 1
        self._check_size(path, depth)
        grammar = self.grammar
        if not isinstance(value, Mapping) or len(value) != 1:
            found = ", ".join(map(str, value)) if isinstance(value, Mapping) else value
            accepted = "an object with exactly one of " + ", ".join(grammar.kinds)
            raise InputError(grammar.mistake, field=path, value=found, accepted=accepted)
        name, content = next(iter(value.items()))
        here = f"{path}.{name}"
        if name in ("and", "or"):
            listed = enumerate(read_list(content, here))
            parts = tuple(self.read(part, f"{here}[{number}]", depth + 1) for number, part in listed)
            return grammar.both(parts) if name == "and" else grammar.either(parts)
        if name == "not":
            return grammar.inverse(self.read(content, here, depth + 1))
        reader = grammar.conditions.get(name)
        if reader is None:
            accepted = "one of " + ", ".join(grammar.kinds)
            raise InputError("There is no such condition.", field=path, value=name, accepted=accepted)
        self.names.add(name)
        return reader(content, here)

    def _check_size(self, path: str, depth: int) -> None:
        noun = self.grammar.noun
        if depth > MAX_DEPTH:
            raise InputError(f"The {noun} is too deep.", field=path, value=depth, accepted=f"{MAX_DEPTH} levels")
        if self.count > MAX_CONDITIONS:
            accepted = f"{MAX_CONDITIONS} conditions"
            raise InputError(f"The {noun} has too many conditions.", field=path, value=self.count, accepted=accepted)

"""Placement: what marketers keep of a scenario as data: rules, cool-down, variety; and Steering, what requests may add.

Read from JSON, so that the same text is posted, stored, distributed and given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from recommender.errors import InputError
from recommender.filter_parsing import parse_filter
from recommender.filters import Filter
from recommender.ids import check_id
from recommender.item_facts import normal_path

MAX_BOOSTS = 20
MAX_PINS = 20
MAX_POSITION = 100
MAX_FACTOR = 100.0
MAX_COOL_DOWN_DAYS = 730
MAX_COOL_DOWN_CATEGORIES = 200
MAX_EXPLORATION_SHARE = 0.2
MAX_DIVERSITY = 0.95


@dataclass(frozen=True, slots=True)
class Boost:
    """The scores of the items that a filter holds for are multiplied by a factor."""

    filters: Filter
    factor: float


@dataclass(frozen=True, slots=True)
class Pin:
    """An item that is shown at a position, 1 = first."""

    item_id: str
    position: int


@dataclass(frozen=True, slots=True)
class Steering:
    """How a slate is steered by hand.

    filters: what may be shown.  boosts: what counts more, or less.  bury: what is shown where nothing else is left.
    pins: what is shown where; distinct items and positions, by rising position.
    """

    filters: Filter | None = None
    boosts: tuple[Boost, ...] = ()
    bury: Filter | None = None
    pins: tuple[Pin, ...] = ()


NO_STEERING = Steering()


@dataclass(frozen=True, slots=True)
class CoolDown:
    """How long an item bought lately is kept back.

    share: the part of the usual interval between two purchases that must have passed; 0 = no cool-down.
    days: by category path in normal form, the days in place of that share; the longest path holds; 0 = none.
    """

    share: float = 0.0
    days: Mapping[str, int] | None = None

    @property
    def active(self) -> bool:
        """Whether anything is ever kept back."""
        return self.share > 0 or bool(self.days and any(self.days.values()))


NO_COOL_DOWN = CoolDown()


@dataclass(frozen=True, slots=True)
class Placement:
    """The settings of one scenario.

    cool_down: how long what was bought is kept back; docs/decisions/0015 says why that is off by default.
    diversity: strength in [0, 1) in place of the one that training chose; None leaves that.
    repeat_share: the part of a slate that is held for items bought before, the rest for others; None leaves the order.
    exploration_share: the part of slates that try something else, with its propensity recorded.
    version: of the settings, 0 where none were made.
    """

    steering: Steering = NO_STEERING
    cool_down: CoolDown = NO_COOL_DOWN
    diversity: float | None = None
    repeat_share: float | None = None
    exploration_share: float = 0.0
    version: int = 0


NO_PLACEMENT = Placement()


def parse_placement(value: object, version: int = 0, path: str = "settings") -> Placement:
    """Read the settings of a scenario.

    Args:
        value: as JSON gives it.
        version: of the settings.
        path: what they are called in errors.
    Raises: InputError that names the place, the value found and what is accepted.
    """
    known = ("filters", "boosts", "bury", "pins", "cool_down", "diversity", "repeat_share", "exploration_share")
    found = _object(value, path, known)
    steering = parse_steering({name: found[name] for name in known[:4] if name in found}, path)
    cool_down = found.get("cool_down")
    exploration = _share(found.get("exploration_share"), f"{path}.exploration_share", MAX_EXPLORATION_SHARE)
    return Placement(
        steering=steering,
        cool_down=NO_COOL_DOWN if cool_down is None else _cool_down(cool_down, f"{path}.cool_down"),
        diversity=_share(found.get("diversity"), f"{path}.diversity", MAX_DIVERSITY),
        repeat_share=_share(found.get("repeat_share"), f"{path}.repeat_share", 1.0),
        exploration_share=exploration or 0.0,
        version=version,
    )


def parse_steering(value: object, path: str = "") -> Steering:
    """Read `filters`, `boosts`, `bury` and `pins`. Raises: as parse_placement."""
    found = _object(value, path, tuple(entry.name for entry in fields(Steering)))
    before = f"{path}." if path else ""
    boosts = _list(found.get("boosts"), f"{before}boosts", MAX_BOOSTS)
    pins = _list(found.get("pins"), f"{before}pins", MAX_PINS)
    return Steering(
        filters=_filter(found.get("filters"), f"{before}filters"),
        boosts=tuple(_boost(boost, f"{before}boosts[{at}]") for at, boost in enumerate(boosts)),
        bury=_filter(found.get("bury"), f"{before}bury"),
        pins=_pins([_pin(pin, f"{before}pins[{at}]") for at, pin in enumerate(pins)], f"{before}pins"),
    )


def joined(kept: Steering, asked: Steering) -> tuple[Pin, ...]:
    """Return the pins of a scenario and of a request: where both want an item or a position, the request has it."""
    items = {pin.item_id for pin in asked.pins}
    positions = {pin.position for pin in asked.pins}
    free = [pin for pin in kept.pins if pin.item_id not in items and pin.position not in positions]
    return tuple(sorted((*free, *asked.pins), key=lambda pin: pin.position))


def without_pins(steering: Steering) -> Steering:
    """Return what is left of a steering after the first page."""
    return replace(steering, pins=())


def _filter(value: object, path: str) -> Filter | None:
    return None if value is None else parse_filter(value, path)


def _boost(value: object, path: str) -> Boost:
    found = _object(value, path, ("filters", "factor"))
    factor = found.get("factor")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= MAX_FACTOR:
        accepted = f"a number above 0, at most {MAX_FACTOR:g}"
        raise InputError("This is no factor.", field=f"{path}.factor", value=factor, accepted=accepted)
    return Boost(parse_filter(found.get("filters"), f"{path}.filters"), float(factor))


def _pin(value: object, path: str) -> Pin:
    found = _object(value, path, ("item_id", "position"))
    item_id, position = found.get("item_id"), found.get("position")
    if not isinstance(item_id, str):
        raise InputError("This is no item id.", field=f"{path}.item_id", value=item_id, accepted="text")
    try:
        check_id(item_id)
    except InputError as error:
        raise InputError(error.message, field=f"{path}.item_id", value=item_id, accepted=error.accepted) from None
    if isinstance(position, bool) or not isinstance(position, int) or not 1 <= position <= MAX_POSITION:
        accepted = f"a whole number from 1 to {MAX_POSITION}"
        raise InputError("This is no position.", field=f"{path}.position", value=position, accepted=accepted)
    return Pin(item_id, position)


def _pins(pins: list[Pin], path: str) -> tuple[Pin, ...]:
    for name, values in (("item_id", [pin.item_id for pin in pins]), ("position", [pin.position for pin in pins])):
        for at, value in enumerate(values):
            if value in values[:at]:
                accepted = "each item and each position once"
                raise InputError("This is pinned twice.", field=f"{path}[{at}].{name}", value=value, accepted=accepted)
    return tuple(sorted(pins, key=lambda pin: pin.position))


def _cool_down(value: object, path: str) -> CoolDown:
    found = _object(value, path, ("share", "categories"))
    categories = found.get("categories")
    days: dict[str, int] = {}
    if categories is not None:
        if not isinstance(categories, Mapping) or len(categories) > MAX_COOL_DOWN_CATEGORIES:
            accepted = f"an object of days by category, at most {MAX_COOL_DOWN_CATEGORIES}"
            raise InputError("These are no days.", field=f"{path}.categories", accepted=accepted)
        for name, count in categories.items():
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COOL_DOWN_DAYS:
                accepted = f"whole days from 0 to {MAX_COOL_DOWN_DAYS}"
                raise InputError(
                    "These are no days.", field=f"{path}.categories.{name}", value=count, accepted=accepted
                )
            days[normal_path(name)] = count
    return CoolDown(_share(found.get("share"), f"{path}.share", 1.0) or 0.0, days)


def _share(value: object, path: str, most: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InputError("This is no share.", field=path, value=value, accepted=f"a number from 0 to {most:g}")
    return float(value)


def _list(value: object, path: str, most: int) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        found = f"{len(value)} entries" if isinstance(value, list) else value
        raise InputError(
            "This is no list that can be used.", field=path, value=found, accepted=f"at most {most} entries"
        )
    return value


def _object(value: object, path: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    accepted = "an object with " + ", ".join(f"`{name}`" for name in names)
    if not isinstance(value, Mapping):
        raise InputError("This is no object.", field=path or "body", value=value, accepted=accepted)
    for name in value:
        if name not in names:
            field = f"{path}.{name}" if path else str(name)
            raise InputError("There is no such field.", field=field, value=name, accepted=accepted)
    return value

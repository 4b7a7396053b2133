"""MemberColumns: what the member table and consents say of each member, as aligned columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from recommender.item_facts import Labels, Scalar, Values, leaves

BoolVector = npt.NDArray[np.bool_]
RowVector = npt.NDArray[np.int32]
IntVector = npt.NDArray[np.int64]
Consent = tuple[str, str]
"""Purpose and channel ("": any) of a consent."""

MICROS_PER_DAY = 86_400_000_000
NO_DAY = np.int32(np.iinfo(np.int32).min)
NO_POINTS = np.int64(np.iinfo(np.int64).min)
UNKNOWN, ADULT, MINOR = 0, 1, 2
LABELS = ("kind", "home_store", "city", "tier", "guide")
"""Columns of which many members share a value."""
_ADULT = {"true": ADULT, "false": MINOR}
_NO_ROWS = np.empty(0, np.int32)
_NO_TEXTS = Values(_NO_ROWS, _NO_ROWS)
_NO_NUMBERS = Values(_NO_ROWS, np.empty(0, np.float64))


@dataclass(frozen=True, slots=True)
class MemberAttribute:
    """One attribute of all members: `texts` holds places in `names`, JSON texts of what is no number; and numbers."""

    names: tuple[str, ...] = ()
    texts: Values = _NO_TEXTS
    numbers: Values = _NO_NUMBERS

    def put(self, own: RowVector, others: MemberAttribute, theirs: RowVector, kept: BoolVector) -> MemberAttribute:
        """As MemberColumns.put; `kept` tells which new rows keep what they had."""
        numbers = {name: number for number, name in enumerate(self.names)}
        places = np.array([numbers.setdefault(name, len(numbers)) for name in others.names], np.int32)
        added = Values(others.texts.row, places[others.texts.value] if len(others.texts.row) else others.texts.value)
        texts = self.texts.put(own, added, theirs, kept)
        return MemberAttribute(tuple(numbers), texts, self.numbers.put(own, others.numbers, theirs, kept))


@dataclass(frozen=True, slots=True, eq=False)
class MemberColumns:
    """One entry per member in every column.

    household: bytes, b"" if none.  birth_day, registered_day: int32 days since 1970-01-01, NO_DAY if unknown.
    adult: uint8, UNKNOWN, ADULT or MINOR by the flag.  points: int64, NO_POINTS if unknown.
    attributes: by key.  consents: int64, by purpose and channel: twice the microsecond of the latest one, one more if
    it refuses, 0 if there is none; so the greater of two is the one that counts.
    """

    household: npt.NDArray[np.bytes_]
    kind: Labels
    home_store: Labels
    city: Labels
    tier: Labels
    guide: Labels
    birth_day: RowVector
    registered_day: RowVector
    adult: npt.NDArray[np.uint8]
    points: IntVector
    attributes: Mapping[str, MemberAttribute]
    consents: Mapping[Consent, IntVector]

    def __len__(self) -> int:
        return len(self.household)

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]], day_offset: int) -> MemberColumns:
        """Return columns of rows of the member table, without consents.

        Args:
            rows: household_id, kind, home_store_id, city, tier, guide_id, birth_date, registered_at, adult,
                points_balance, attributes; a day as its number, a time in microseconds.
            day_offset: what to add to a microsecond to make local days begin at multiples of a day.
        """
        household, *labels, born, registered, adult, points, attributes = zip(*rows, strict=True) if rows else [()] * 11
        days = [NO_DAY if time is None else (time + day_offset) // MICROS_PER_DAY for time in registered]
        named: dict[str, Any] = {name: Labels.of(column) for name, column in zip(LABELS, labels, strict=True)}
        return cls(
            household=np.array([(one or "").encode() for one in household], np.bytes_),
            **named,
            birth_day=np.array([NO_DAY if day is None else day for day in born], np.int32),
            registered_day=np.array(days, np.int32),
            adult=np.array([_ADULT.get(flag, UNKNOWN) for flag in adult], np.uint8),
            points=np.array([NO_POINTS if number is None else number for number in points], np.int64),
            attributes=_attributes(attributes),
            consents={},
        )

    def put(self, count: int, own: RowVector, others: MemberColumns, theirs: RowVector) -> MemberColumns:
        """Return columns of `count` members: row own[i] of these stays at i, then others are put at `theirs`.

        Args:
            others: their consents are not taken.
            theirs: int32, (len(others),), distinct.
        """
        kept = np.ones(count, bool)
        kept[theirs] = False
        nothing = MemberAttribute()
        keys = self.attributes.keys() | others.attributes.keys()
        labels: dict[str, Any] = {
            name: getattr(self, name).put(count, own, getattr(others, name), theirs) for name in LABELS
        }
        plain: dict[str, Any] = {
            name: _laid(count, own, getattr(self, name), getattr(others, name), theirs, nothing_known)
            for name, nothing_known in _PLAIN.items()
        }
        attributes = {
            key: self.attributes.get(key, nothing).put(own, others.attributes.get(key, nothing), theirs, kept)
            for key in sorted(keys)
        }
        consents = {key: _longer(column, own, count) for key, column in self.consents.items()}
        return MemberColumns(**labels, **plain, attributes=attributes, consents=consents)

    def with_consents(self, stamps: Mapping[Consent, tuple[RowVector, IntVector]]) -> MemberColumns:
        """Return the columns with more consents: rows and stamps by purpose and channel, in any order.

        A consent of the time of one that is known corrects it.
        """
        found = dict(self.consents)
        for key, (rows, values) in stamps.items():
            added = np.zeros(len(self), np.int64)
            np.maximum.at(added, rows, values)
            known = found.get(key, np.zeros(len(self), np.int64))
            corrects = (added > 0) & (added // 2 == known // 2)
            found[key] = np.where(corrects, added, np.maximum(added, known))
        return replace(self, consents=found)

    def latest(self, purpose: str, channel: str | None = None) -> IntVector:
        """Return the stamp of each member's latest consent for a purpose, int64; 0 if there is none.

        Args:
            channel: those for this channel and for any; None: whatever the channel.
        """
        wanted = [
            stamps
            for (name, place), stamps in self.consents.items()
            if name == purpose and (channel is None or place in ("", channel))
        ]
        return np.maximum.reduce(wanted) if wanted else np.zeros(len(self), np.int64)


def granted(stamps: IntVector) -> BoolVector:
    """Return which stamps are of a consent that was given."""
    return np.asarray((stamps > 0) & (stamps % 2 == 0), bool)


def refused(stamps: IntVector) -> BoolVector:
    """Return which stamps are of a consent that was refused."""
    return np.asarray(stamps % 2 == 1, bool)


def consent_stamp(at_micros: int, is_granted: bool) -> int:
    """Return the stamp of one consent; of two at the same time the strictest counts."""
    return 2 * max(at_micros, 1) + (not is_granted)


def scalar_name(value: Scalar) -> str:
    """Return the name under which a text or a truth value of an attribute is kept."""
    return orjson.dumps(value).decode()


_PLAIN: dict[str, object] = {
    "household": b"",
    "birth_day": NO_DAY,
    "registered_day": NO_DAY,
    "adult": UNKNOWN,
    "points": NO_POINTS,
}


def _laid(
    count: int, own: RowVector, mine: npt.NDArray[Any], others: npt.NDArray[Any], theirs: RowVector, missing: object
) -> npt.NDArray[Any]:
    column = np.full(count, missing, np.promote_types(mine.dtype, others.dtype))
    column[own] = mine
    column[theirs] = others
    return column


def _longer(column: IntVector, own: RowVector, count: int) -> IntVector:
    found = np.zeros(count, np.int64)
    found[own] = column
    return found


def _attributes(documents: Sequence[str | None]) -> dict[str, MemberAttribute]:
    """Return the attributes by key, from one JSON text per member."""
    texts: dict[str, tuple[list[int], list[int], dict[str, int]]] = {}
    numbers: dict[str, tuple[list[int], list[float]]] = {}
    for row, document in enumerate(documents):
        for key, value in leaves(document):
            if isinstance(value, str | bool):
                rows, codes, names = texts.setdefault(key, ([], [], {}))
                rows.append(row)
                codes.append(names.setdefault(scalar_name(value), len(names)))
            else:
                at, found = numbers.setdefault(key, ([], []))
                at.append(row)
                found.append(float(value))
    nothing = MemberAttribute()
    return {
        key: MemberAttribute(
            tuple(texts[key][2]) if key in texts else (),
            Values(*(np.array(part, np.int32) for part in texts[key][:2])) if key in texts else nothing.texts,
            Values(np.array(numbers[key][0], np.int32), np.array(numbers[key][1], np.float64))
            if key in numbers
            else nothing.numbers,
        )
        for key in sorted(texts.keys() | numbers.keys())
    }

"""Column types that mean the same on SQLite and PostgreSQL: times, days, and texts ordered by their bytes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = date(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)

ByteText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text ordered by its bytes on both databases, so that ordered reads agree."""


def to_micros(time: datetime) -> int:
    """Return an aware time as microseconds since 1970-01-01 UTC. Raises: ValueError if it has no offset."""
    if time.tzinfo is None:
        raise ValueError(f"The time {time.isoformat()} has no offset from UTC.")
    return (time - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return microseconds since 1970-01-01 UTC as an aware time in UTC."""
    return EPOCH + micros * MICROSECOND


def to_day_number(day: date) -> int:
    """Return a day as days since 1970-01-01."""
    return (day - EPOCH_DAY).days


def from_day_number(number: int) -> date:
    """Return days since 1970-01-01 as a day."""
    return EPOCH_DAY + timedelta(days=number)


class UtcTime(TypeDecorator[datetime]):
    """An aware time, stored as BIGINT microseconds since 1970-01-01 UTC."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store a time as microseconds."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Read microseconds as a time."""
        return None if value is None else from_micros(value)


class Day(TypeDecorator[date]):
    """A calendar day without a time zone, stored as INTEGER days since 1970-01-01."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> int | None:
        """Store a day as its number."""
        return None if value is None else to_day_number(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> date | None:
        """Read a number as a day."""
        return None if value is None else from_day_number(value)

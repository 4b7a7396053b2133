"""DuckDB expressions that read times and dates: ISO 8601, given formats, and numbers counted from an origin.

Times become microseconds since 1970-01-01 UTC (BIGINT), dates days since then (INTEGER); NULL where the text
is none. The session's time zone is UTC.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from recommender.quoting import text
from training.sources.mapping import Count

_OFFSET = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]+)?)? ?{_OFFSET}?)?"
_WITH_OFFSET = rf"[T ].*{_OFFSET}$"
_ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00(\.0+)?)?)?"
ISO = "iso"
"""The format that stands for ISO 8601 in a list of formats."""

ACCEPTED_TIME = "ISO 8601, such as 2024-05-01T09:30:00+08:00"
ACCEPTED_DATE = "ISO 8601, such as 2024-05-01"


def iso_time(value: str, zone: str) -> str:
    """Read ISO 8601; a time without an offset is in `zone`, a date alone is its midnight."""
    instant = f"epoch_us(TRY_CAST({value} AS TIMESTAMPTZ))"
    if zone != "UTC":
        local = _local(f"TRY_CAST({value} AS TIMESTAMP)", zone)
        instant = f"CASE WHEN regexp_matches({value}, '{_WITH_OFFSET}') THEN {instant} ELSE {local} END"
    return f"CASE WHEN regexp_full_match({value}, '{_ISO}') THEN {instant} END"


def formatted_time(value: str, formats: tuple[str, ...], zone: str) -> str:
    """Read a time in the first of the formats that fits; those without %z are in `zone`."""
    found = []
    for format_ in formats:
        if format_ == ISO:
            found.append(iso_time(value, zone))
        elif "%z" in format_:
            found.append(f"epoch_us(TRY_CAST(try_strptime({value}, {text(format_)}) AS TIMESTAMPTZ))")
        else:
            found.append(_local(f"try_strptime({value}, {text(format_)})", zone))
    return f"coalesce({', '.join(found)})" if len(found) > 1 else found[0]


def counted_time(number: str, highest: str | None, count: Count, zone: str) -> str:
    """Turn a number (DOUBLE) into a time.

    Args:
        highest: the highest number (DOUBLE), for counts aligned at the end.
    """
    origin = datetime.fromisoformat(count.origin)
    steps = number if highest is None else f"({number} - {highest})"
    shift = f"to_microseconds(CAST(round({steps} * {count.unit_microseconds}) AS BIGINT))"
    if origin.tzinfo is not None:
        origin = origin.replace(tzinfo=None) - (origin.utcoffset() or timedelta())
        zone = "UTC"
    start = f"TIMESTAMP {text(origin.isoformat(sep=' '))}"
    return (
        f"CASE WHEN isfinite({steps}) AND abs({steps}) < {_most(count)} THEN {_local(f'{start} + {shift}', zone)} END"
    )


def iso_date(value: str) -> str:
    """Read an ISO 8601 date, or a time at midnight as typed files give for dates."""
    date = f"TRY_CAST(substr({value}, 1, 10) AS DATE)"
    return f"CASE WHEN regexp_full_match({value}, '{_ISO_DATE}') THEN {_days(date)} END"


def formatted_date(value: str, formats: tuple[str, ...]) -> str:
    """Read a date in the first of the formats that fits."""
    found = [
        iso_date(value) if one == ISO else _days(f"CAST(try_strptime({value}, {text(one)}) AS DATE)") for one in formats
    ]
    return f"coalesce({', '.join(found)})" if len(found) > 1 else found[0]


def _days(date: str) -> str:
    return f"CAST({date} - DATE '1970-01-01' AS INTEGER)"


def _local(timestamp: str, zone: str) -> str:
    return f"epoch_us({timestamp})" if zone == "UTC" else f"epoch_us(timezone({text(zone)}, {timestamp}))"


def _most(count: Count) -> int:
    """Numbers beyond some thousand years are no times."""
    return 10**17 // count.unit_microseconds

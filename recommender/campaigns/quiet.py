"""Quiet hours and calendar days, in the zone of whom they protect."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from recommender.campaigns.settings import QuietHours

QUIET = QuietHours(time(21), time(9))
"""When nothing is sent unless the settings say otherwise."""


def quiet_until(now: datetime, zone: ZoneInfo, quiet: QuietHours) -> datetime | None:
    """Return when the quiet hours end that hold now, in UTC; None if none do."""
    here = now.astimezone(zone)
    if not quiet.holds(here.time()):
        return None
    day = here.date() if here.time() < quiet.end else here.date() + timedelta(days=1)
    end = datetime.combine(day, quiet.end, zone).astimezone(UTC)
    # Where clocks are put back a time of day comes twice, and its first coming may be over.
    return end if end > now else end + timedelta(hours=1)


def local_day(now: datetime, zone: ZoneInfo) -> date:
    """Return the calendar day in a zone."""
    return now.astimezone(zone).date()


def parse_quiet(text: str) -> QuietHours | None:
    """Read "21:00-09:00"; "" is none at all. Raises: ValueError(accepted)."""
    if not text.strip():
        return None
    first, _, last = (part.strip() for part in text.partition("-"))
    try:
        start, end = time.fromisoformat(first), time.fromisoformat(last)
        if len(first) != len(last) or len(first) != len("hh:mm") or start == end:
            raise ValueError
    except ValueError:
        raise ValueError("two different times such as 21:00-09:00, or nothing") from None
    return QuietHours(start, end)

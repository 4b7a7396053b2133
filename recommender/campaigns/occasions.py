"""When a campaign speaks: Schedule (a calendar rule of recurring campaigns) and Trigger (an event that starts one)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from recommender.campaigns.reading import Fields

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = 'a time of day such as "09:30"'


class Event(StrEnum):
    """What starts a triggered campaign for one member."""

    BASKET_LEFT = "basket_left"
    DUE_AGAIN = "due_again"
    LAPSED = "lapsed"
    STORE_VISIT = "store_visit"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A calendar rule: on these weekdays (0 = Monday) and days of the month, at this time in the campaign's zone.

    At least one of the two is not empty; a day that either names counts.
    """

    at: time
    weekdays: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return the first occasion after a moment; aware, in UTC.

        A time that the clock skips (summer time) is taken as the zone counts it; one that comes twice comes once.
        """
        day = moment.astimezone(zone).date()
        while True:
            if self._falls_on(day):
                at = datetime.combine(day, self.at, zone).astimezone(moment.tzinfo)
                if at > moment:
                    return at
            day += timedelta(days=1)

    def _falls_on(self, day: date) -> bool:
        return day.weekday() in self.weekdays or day.day in self.month_days


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts the campaign for a member.

    after_minutes: how long after the event.  days: of LAPSED, without a purchase; of DUE_AGAIN, how near the usual
    interval's end.  again_days: how long the member is left alone afterwards.
    """

    event: Event
    after_minutes: int
    days: int
    again_days: int


def parse_schedule(value: object, path: str = "schedule") -> Schedule:
    """Read a calendar rule. Raises: InputError."""
    found = Fields(value, path, ("weekdays", "month_days", "at"))
    weekdays = found.items("weekdays", len(WEEKDAYS))
    if any(one not in WEEKDAYS for one in weekdays):
        raise found.wrong("weekdays", "a list of " + ", ".join(WEEKDAYS))
    days = found.items("month_days", 31)
    if any(isinstance(one, bool) or not isinstance(one, int) or not 1 <= one <= 31 for one in days):
        raise found.wrong("month_days", "a list of days from 1 to 31")
    if not weekdays and not days:
        raise found.wrong("weekdays", "weekdays, month_days or both", "A calendar rule names no day.")
    if not weekdays and min(days) > 28:
        raise found.wrong("month_days", "at least one day that every month has, or a weekday")
    at = parse_clock(found, "at")
    if at is None:
        raise found.wrong("at", CLOCK)
    return Schedule(at, frozenset(WEEKDAYS.index(one) for one in weekdays), frozenset(days))


def parse_trigger(value: object, path: str = "trigger") -> Trigger:
    """Read a trigger. Raises: InputError."""
    found = Fields(value, path, ("event", "after_minutes", "days", "again_days"))
    event = found.choice("event", None, tuple(Event))
    if event is None:
        raise found.wrong("event", ", ".join(Event))
    return Trigger(
        Event(event),
        found.whole("after_minutes", 60 if event == Event.BASKET_LEFT else 0, 0, 7 * 1440),
        found.whole("days", 60 if event == Event.LAPSED else 3, 1, 730),
        found.whole("again_days", 7, 1, 730),
    )


def parse_clock(found: Fields, name: str) -> time | None:
    """Read a time of day, None if it is not there. Raises: InputError."""
    value = found.get(name)
    if value is None:
        return None
    try:
        at = time.fromisoformat(value)
    except (TypeError, ValueError):
        raise found.wrong(name, CLOCK) from None
    if at.tzinfo is not None or len(value) != len("hh:mm"):
        raise found.wrong(name, CLOCK)
    return at

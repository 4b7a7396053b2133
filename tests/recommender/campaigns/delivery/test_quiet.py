"""Quiet hours: over midnight, in other zones, and when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.campaigns.quiet import QUIET, local_day, parse_quiet, quiet_until
from recommender.campaigns.settings import QuietHours

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
zones = st.sampled_from([ZoneInfo(name) for name in ("UTC", "Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe")])
moments = st.integers(0, 730 * 1440).map(lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
clocks = st.times().map(lambda at: at.replace(second=0, microsecond=0))


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (datetime(2026, 3, 2, 12, 59, 59, tzinfo=UTC), None),
        (datetime(2026, 3, 2, 13, tzinfo=UTC), datetime(2026, 3, 3, 1, tzinfo=UTC)),
        (datetime(2026, 3, 3, 0, 59, 59, tzinfo=UTC), datetime(2026, 3, 3, 1, tzinfo=UTC)),
        (datetime(2026, 3, 3, 1, tzinfo=UTC), None),
    ],
)
def test_from_nine_to_nine_in_shanghai(now: datetime, end: datetime | None) -> None:
    assert quiet_until(now, SHANGHAI, QUIET) == end


def test_a_day_begins_at_midnight_of_the_zone() -> None:
    assert [local_day(datetime(2026, 3, 2, hour, tzinfo=UTC), SHANGHAI).day for hour in (15, 16)] == [2, 3]


def test_an_hour_that_comes_twice_ends_with_its_second_coming() -> None:
    # On 25 October 2026 clocks in Berlin go back from 03:00 to 02:00, at 01:00 UTC.
    quiet = QuietHours(time(2), time(2, 30))
    assert quiet_until(datetime(2026, 10, 25, 0, 10, tzinfo=UTC), BERLIN, quiet) == datetime(
        2026, 10, 25, 0, 30, tzinfo=UTC
    )
    assert quiet_until(datetime(2026, 10, 25, 1, 10, tzinfo=UTC), BERLIN, quiet) == datetime(
        2026, 10, 25, 1, 30, tzinfo=UTC
    )


@given(moments, zones, clocks, clocks)
def test_what_is_held_is_held_until_later_and_not_for_longer_than_a_day(
    now: datetime, zone: ZoneInfo, start: time, end: time
) -> None:
    quiet = QuietHours(start, end)
    until = quiet_until(now, zone, quiet)
    assert (until is not None) == (start != end and quiet.holds(now.astimezone(zone).time()))
    if until is not None:
        assert now < until <= now + timedelta(hours=26)


def test_settings_name_two_times() -> None:
    assert parse_quiet(" 22:00 - 07:30 ") == QuietHours(time(22), time(7, 30))
    assert parse_quiet("") is None
    for text in ("22", "22:00", "22:00-22:00", "22:00-25:00", "22:00:00-07:00:00", "22:00-7:00"):
        with pytest.raises(ValueError, match="two different times"):
            parse_quiet(text)

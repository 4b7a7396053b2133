"""Settings of campaigns: what is read, what holds where nothing is said, and errors that name the place."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recommender.campaigns.message import Text
from recommender.campaigns.occasions import Event, Schedule
from recommender.campaigns.settings import (
    Approval,
    AudienceChoice,
    CampaignSettings,
    Caps,
    Kind,
    QuietHours,
    parse_settings,
)
from recommender.errors import InputError

MESSAGE = {"texts": {"zh": {"title": "你好", "body": "{offer}，{until} 前有效"}, "en": {"body": "{offer} at {store}"}}}


def test_nothing_said_means_the_defaults() -> None:
    settings = parse_settings({})
    assert settings == CampaignSettings()
    assert (settings.kind, settings.holdout_share, settings.audience.everybody) == (Kind.ONE_OFF, 0.1, True)


def test_everything_that_is_said_is_read() -> None:
    settings = parse_settings(
        {
            "audience": {"expression": {"tier": "gold"}},
            "holdout_share": 0.2,
            "transport": "push",
            "message": MESSAGE | {"purpose": "service", "template": "t1", "link": "https://shop.example/a"},
            "caps": {"per_day": 1, "per_week": 3},
            "quiet_hours": {"from": "21:00", "until": "09:00"},
            "zone": "Asia/Shanghai",
            "per_member": 2,
            "explore": 0.05,
            "pessimism": 1,
            "liability_cents": 5,
            "contact_cents": 4,
            "window_days": 14,
            "schedule": {"weekdays": ["fri"], "at": "10:00"},
            "approval": "other_key",
            "undo_seconds": 0,
            "seeds": ["m1", "m1", "m2"],
        }
    )
    assert settings.audience == AudienceChoice({"tier": "gold"})
    assert settings.message is not None
    assert (settings.message.purpose, settings.message.template) == ("service", "t1")
    assert settings.caps == Caps(1, 3, None)
    assert settings.quiet_hours == QuietHours(time(21), time(9))
    assert settings.zone == ZoneInfo("Asia/Shanghai")
    assert (settings.kind, settings.schedule) == (Kind.RECURRING, Schedule(time(10), frozenset({4})))
    assert (settings.approval, settings.undo_seconds, settings.seeds) == (Approval.OTHER_KEY, 0, ("m1", "m2"))
    assert (settings.per_member, settings.explore, settings.pessimism, settings.window_days) == (2, 0.05, 1.0, 14)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "settings"),
        ({"budget": 1}, "settings.budget"),
        ({"holdout_share": 0.6}, "settings.holdout_share"),
        ({"holdout_share": True}, "settings.holdout_share"),
        ({"audience": {"expression": []}}, "settings.audience.expression"),
        ({"audience": {"expression": {}, "audience_id": "a"}}, "settings.audience.audience_id"),
        ({"transport": "push"}, "settings.message"),
        ({"message": {"texts": {}}}, "settings.message.texts"),
        ({"message": {"texts": {"fr": {"body": "a"}}}}, "settings.message.texts.fr"),
        ({"message": {"texts": {"en": {"body": "Dear {name}"}}}}, "settings.message.texts.en.body"),
        ({"caps": {"per_day": 3, "per_week": 2}}, "settings.caps.per_week"),
        ({"caps": {"per_day": 3, "per_month": 2}}, "settings.caps.per_month"),
        ({"quiet_hours": {"from": "21:00"}}, "settings.quiet_hours.until"),
        ({"quiet_hours": {"from": "9", "until": "10:00"}}, "settings.quiet_hours.from"),
        ({"zone": "Mars/Base"}, "settings.zone"),
        ({"zone": "../etc/passwd"}, "settings.zone"),
        ({"per_member": 0}, "settings.per_member"),
        ({"explore": 0.9}, "settings.explore"),
        ({"schedule": {"at": "10:00"}}, "settings.schedule.weekdays"),
        ({"schedule": {"weekdays": ["someday"], "at": "10:00"}}, "settings.schedule.weekdays"),
        ({"schedule": {"month_days": [31], "at": "10:00"}}, "settings.schedule.month_days"),
        ({"schedule": {"month_days": [1]}}, "settings.schedule.at"),
        ({"trigger": {}}, "settings.trigger.event"),
        ({"trigger": {"event": "lapsed"}, "schedule": {"month_days": [1], "at": "10:00"}}, "settings.trigger"),
        ({"approval": "mine"}, "settings.approval"),
        ({"undo_seconds": -1}, "settings.undo_seconds"),
        ({"seeds": [1]}, "settings.seeds"),
    ],
)
def test_what_is_wrong_is_named(given: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings(given)
    assert caught.value.field == field
    assert caught.value.accepted


def test_a_text_is_filled_for_a_member_and_the_other_language_stands_in() -> None:
    message = parse_settings({"message": MESSAGE}).message
    assert message is not None
    facts = {"offer": "满100减20", "until": "3月31日"}
    assert message.text("zh").filled(facts) == Text("满100减20，3月31日 前有效", "你好")
    assert message.text("en").filled({"offer": "20 off"}) == Text("20 off at ")
    assert message.text("fr") == message.text("zh")


def test_quiet_hours_may_go_over_midnight() -> None:
    night, noon = QuietHours(time(21), time(9)), QuietHours(time(12), time(14))
    assert [night.holds(time(hour)) for hour in (8, 9, 20, 21, 0)] == [True, False, False, True, True]
    assert [noon.holds(time(hour)) for hour in (11, 12, 13, 14)] == [False, True, True, False]


def test_a_calendar_rule_names_the_next_occasion_in_the_zone_of_the_campaign() -> None:
    settings = parse_settings({"schedule": {"weekdays": ["fri"], "month_days": [1], "at": "10:00"}})
    zone = ZoneInfo("Asia/Shanghai")
    assert settings.schedule is not None
    monday = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    friday = datetime(2026, 3, 6, 2, 0, tzinfo=UTC)
    assert settings.schedule.next_after(monday, zone) == friday
    assert settings.schedule.next_after(friday, zone) == datetime(2026, 3, 13, 2, 0, tzinfo=UTC)
    assert settings.schedule.next_after(datetime(2026, 3, 27, 2, 0, tzinfo=UTC), zone) == datetime(
        2026, 4, 1, 2, 0, tzinfo=UTC
    )


def test_a_time_that_the_clock_skips_comes_once() -> None:
    settings = parse_settings({"schedule": {"weekdays": ["sun"], "at": "02:30"}})
    zone = ZoneInfo("Europe/Berlin")
    assert settings.schedule is not None
    first = settings.schedule.next_after(datetime(2026, 3, 28, tzinfo=UTC), zone)
    assert first == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert settings.schedule.next_after(first, zone) == datetime(2026, 4, 5, 0, 30, tzinfo=UTC)


def test_triggers_have_defaults_that_suit_their_event() -> None:
    basket = parse_settings({"trigger": {"event": "basket_left"}})
    lapsed = parse_settings({"trigger": {"event": "lapsed"}})
    assert basket.kind is Kind.TRIGGERED
    assert basket.trigger is not None
    assert lapsed.trigger is not None
    assert (basket.trigger.event, basket.trigger.after_minutes, lapsed.trigger.days) == (Event.BASKET_LEFT, 60, 60)

"""CampaignSettings: what a marketer decides of a campaign beside its dates, budget and offers; read from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from recommender.campaigns.message import Message, parse_message
from recommender.campaigns.occasions import Schedule, Trigger, parse_clock, parse_schedule, parse_trigger
from recommender.campaigns.reading import Fields
from recommender.errors import InputError
from recommender.ids import check_id

MOST_HOLDOUT = 0.5
MOST_EXPLORE = 0.2
MOST_CENTS = 10**15
MOST_SEEDS = 20
HOLDOUT_SHARE = 0.1
EXPLORE = 0.01
WINDOW_DAYS = 28
UNDO_SECONDS = 600


class Kind(StrEnum):
    """When a campaign speaks: once, by the calendar, or on an event of a member."""

    ONE_OFF = "one_off"
    RECURRING = "recurring"
    TRIGGERED = "triggered"


class Approval(StrEnum):
    """Who must approve a plan before launch: nobody, anybody, or another key than the author's."""

    NONE = "none"
    ANY = "any"
    OTHER_KEY = "other_key"


@dataclass(frozen=True, slots=True)
class AudienceChoice:
    """Whom a campaign may reach: an expression, a saved audience (its newest version), or everybody: both None."""

    expression: Mapping[str, Any] | None = None
    audience_id: str | None = None

    @property
    def everybody(self) -> bool:
        """Whether nobody is left out beforehand."""
        return self.expression is None and self.audience_id is None


@dataclass(frozen=True, slots=True)
class Caps:
    """Most messages of all campaigns to one unit, by calendar days in the campaign's zone; None: what holds for all."""

    per_day: int | None = None
    per_week: int | None = None
    per_month: int | None = None

    def stricter(self, other: Caps) -> Caps:
        """Return the lower one of each."""
        return Caps(
            _least(self.per_day, other.per_day),
            _least(self.per_week, other.per_week),
            _least(self.per_month, other.per_month),
        )


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When nothing is sent, from one time of day until another, over midnight if that is the earlier one."""

    start: time
    end: time

    def holds(self, at: time) -> bool:
        """Tell whether a time of day is quiet."""
        if self.start <= self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """What holds for one campaign.

    audience: whom it may reach.  holdout_share: of the units, kept back to measure the effect.
    transport: by which messages leave; None: coupons wait in slates and wallets, nothing is sent.  message: None only
    without a transport.  caps; quiet_hours: None: those of the installation.  zone: of days and quiet hours where the
    member's is not known; None: the installation's.
    per_member: most coupons of the campaign for one member, over all its occasions.
    explore: share of members for whom lots are drawn.  pessimism: standard errors by which profits are lowered.
    liability_cents: most discount if every coupon is redeemed.  contact_cents: what one message costs.
    window_days: how long after a message purchases count in the report.
    schedule: of recurring campaigns.  trigger: of triggered ones.
    approval: who must approve.  undo_seconds: how long a launch can be taken back.
    seeds: members who get test messages.
    """

    audience: AudienceChoice = field(default_factory=AudienceChoice)
    holdout_share: float = HOLDOUT_SHARE
    transport: str | None = None
    message: Message | None = None
    caps: Caps = field(default_factory=Caps)
    quiet_hours: QuietHours | None = None
    zone: ZoneInfo | None = None
    per_member: int = 1
    explore: float = EXPLORE
    pessimism: float = 0.0
    liability_cents: int | None = None
    contact_cents: int = 0
    window_days: int = WINDOW_DAYS
    schedule: Schedule | None = None
    trigger: Trigger | None = None
    approval: Approval = Approval.ANY
    undo_seconds: int = UNDO_SECONDS
    seeds: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """When it speaks."""
        if self.schedule is not None:
            return Kind.RECURRING
        return Kind.ONE_OFF if self.trigger is None else Kind.TRIGGERED


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


FIELDS = tuple(CampaignSettings.__dataclass_fields__)


def parse_settings(value: object, path: str = "settings") -> CampaignSettings:
    """Read the settings of a campaign; whether its audience exists is for those to say who look it up.

    Raises: InputError that names the place, the value found and what is accepted.
    """
    found = Fields(value, path, FIELDS)
    transport = found.text("transport", None)
    message = found.get("message")
    if transport is not None and message is None:
        raise found.wrong("message", "a message", "Where there is a transport there is a message.")
    schedule, trigger = found.get("schedule"), found.get("trigger")
    if schedule is not None and trigger is not None:
        raise found.wrong("trigger", "a schedule or a trigger", "A campaign recurs or is triggered, not both.")
    return CampaignSettings(
        audience=_audience(found.get("audience"), found.place("audience")),
        holdout_share=found.number("holdout_share", HOLDOUT_SHARE, 0, MOST_HOLDOUT),
        transport=transport,
        message=None if message is None else parse_message(message, found.place("message")),
        caps=_caps(found.get("caps"), found.place("caps")),
        quiet_hours=_quiet(found.get("quiet_hours"), found.place("quiet_hours")),
        zone=_zone(found),
        per_member=found.whole("per_member", 1, 1, 1000),
        explore=found.number("explore", EXPLORE, 0, MOST_EXPLORE),
        pessimism=found.number("pessimism", 0.0, 0, 10),
        liability_cents=found.whole("liability_cents", None, 0, MOST_CENTS),
        contact_cents=found.whole("contact_cents", 0, 0, 1_000_000),
        window_days=found.whole("window_days", WINDOW_DAYS, 1, 365),
        schedule=None if schedule is None else parse_schedule(schedule, found.place("schedule")),
        trigger=None if trigger is None else parse_trigger(trigger, found.place("trigger")),
        approval=Approval(found.choice("approval", Approval.ANY, tuple(Approval))),
        undo_seconds=found.whole("undo_seconds", UNDO_SECONDS, 0, 86_400),
        seeds=_seeds(found),
    )


def _audience(value: object, path: str) -> AudienceChoice:
    found = Fields(value, path, ("expression", "audience_id"))
    expression = found.get("expression")
    if expression is not None and not isinstance(expression, Mapping):
        raise found.wrong("expression", "an expression: an object")
    audience_id = found.text("audience_id", None)
    if expression is not None and audience_id is not None:
        raise found.wrong("audience_id", "an expression or a saved audience, not both")
    return AudienceChoice(expression, audience_id)


def _caps(value: object, path: str) -> Caps:
    found = Fields(value, path, ("per_day", "per_week", "per_month"))
    caps = Caps(*(found.whole(name, None, 1, 1000) for name in ("per_day", "per_week", "per_month")))
    day, week, month = ("per_day", caps.per_day), ("per_week", caps.per_week), ("per_month", caps.per_month)
    for (short, less), (long, more) in ((day, week), (week, month), (day, month)):
        if less is not None and more is not None and less > more:
            raise found.wrong(long, f"at least {less}, as `{short}` allows", "The caps contradict one another.")
    return caps


def _quiet(value: object, path: str) -> QuietHours | None:
    if value is None:
        return None
    found = Fields(value, path, ("from", "until"))
    start, end = parse_clock(found, "from"), parse_clock(found, "until")
    if start is None or end is None or start == end:
        raise found.wrong(
            "until", 'two different times of day such as "21:00" and "09:00"', "Quiet hours need two times."
        )
    return QuietHours(start, end)


def _zone(found: Fields) -> ZoneInfo | None:
    name = found.text("zone", None)
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise found.wrong("zone", 'a time zone such as "Asia/Shanghai"') from None


def _seeds(found: Fields) -> tuple[str, ...]:
    seeds = found.items("seeds", MOST_SEEDS)
    try:
        return tuple(dict.fromkeys(check_id(one) for one in seeds))
    except (InputError, AttributeError, TypeError):
        raise found.wrong("seeds", f"at most {MOST_SEEDS} member ids") from None

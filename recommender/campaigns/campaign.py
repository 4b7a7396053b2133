"""Campaign: what it is about and where it is in its life; Step: an entry of its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recommender.campaigns.lifecycle import Status
from recommender.campaigns.settings import CampaignSettings, Kind, parse_settings


@dataclass(frozen=True, slots=True)
class CampaignTerms:
    """What a campaign is about: times aware, starts before it ends; budget None: no limit; offers: at least one."""

    name: str | None
    starts_at: datetime
    ends_at: datetime
    budget_cents: int | None
    offers: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it stands.

    document: the settings as they were given.  version: rises with every change.  salt: of its groups.
    plan_id: the plan that holds.  launch_at: when the time to undo a launch is over.
    """

    campaign_id: str
    name: str | None
    starts_at: datetime
    ends_at: datetime
    budget_cents: int | None
    offers: tuple[str, ...]
    kind: Kind
    status: Status
    version: int
    document: Mapping[str, Any]
    salt: str
    plan_id: str | None
    author: str
    approved_by: str | None
    launch_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def settings(self) -> CampaignSettings:
        """The settings as read."""
        return parse_settings(self.document)

    @property
    def terms(self) -> CampaignTerms:
        """What it is about."""
        return CampaignTerms(
            self.name, self.starts_at, self.ends_at, self.budget_cents, self.offers, dict(self.document)
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a timeline; details: JSON values."""

    sequence: int
    at: datetime
    caller: str
    action: str
    status: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class By:
    """Who changes a campaign, when, and which version they have seen; None: whatever there is."""

    caller: str
    now: datetime
    version: int | None = None

"""Small campaigns for tests: offers, members and households in a database, and terms that can be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recommender.campaigns.campaign import By, Campaign, CampaignTerms
from recommender.campaigns.store import create_campaign
from recommender.storage.database import Database
from recommender.storage.statements import execute

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
TERMS = CampaignTerms("Spring", NOW, NOW + timedelta(days=14), 100_000, ("o1", "o2"), {"holdout_share": 0.5})


def add_offers(database: Database, *offer_ids: str) -> None:
    """Add offers of 2.00 off everything."""
    with database.write() as connection:
        for offer_id in offer_ids:
            execute(
                connection,
                "INSERT INTO offers (offer_id, title, kind, value) VALUES (?, ?, 'amount_off', 200)",
                (offer_id, f"Offer {offer_id}"),
            )


def add_members(database: Database, households: Mapping[str, str | None]) -> None:
    """Add members, each with a household or without."""
    with database.write() as connection:
        for member_id, household_id in households.items():
            execute(
                connection,
                "INSERT INTO members (member_id, household_id, change_sequence) VALUES (?, ?, 1)",
                (member_id, household_id),
            )


def create(database: Database, campaign_id: str = "c1", caller: str = "ann", **changes: Any) -> Campaign:
    """Create a campaign whose offers are there."""
    with database.write() as connection:
        return create_campaign(connection, campaign_id, replace(TERMS, **changes), By(caller, NOW))

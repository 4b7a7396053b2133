"""What speaks against a step of a campaign: wrong terms, a budget too small, the wrong approver, time that is over."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.campaigns.audience_store import check_expression, get_audience
from recommender.campaigns.campaign import By, Campaign, CampaignTerms
from recommender.campaigns.delivery.kinds import check_message
from recommender.campaigns.lifecycle import Status
from recommender.campaigns.settings import Approval, CampaignSettings, parse_settings
from recommender.campaigns.transports import get_transport
from recommender.coupons.counters import Count, used
from recommender.errors import ConflictError, InputError
from recommender.ids import MAX_ID_BYTES, check_id
from recommender.storage.statements import fetch, marks

MOST_OFFERS = 200
ID_ACCEPTED = f"text of 1 to {MAX_ID_BYTES} bytes"
_AUTHORS = "SELECT 1 FROM campaign_transitions WHERE campaign_id = ? AND caller = ? AND action IN ('create', 'edit')"


def check_campaign_id(campaign_id: str) -> None:
    """Check that a campaign can be called so, in paths too. Raises: InputError."""
    check_id(campaign_id)
    if any(sign in "/:" or not sign.isprintable() for sign in campaign_id):
        raise InputError(
            "A campaign cannot be called so.",
            field="campaign_id",
            value=campaign_id,
            accepted=f'{ID_ACCEPTED}, without "/", ":" and control characters',
        )


def check_terms(connection: Connection, terms: CampaignTerms, now: datetime) -> CampaignSettings:
    """Read the settings and check the rest. Raises: InputError."""
    settings = parse_settings(terms.settings)
    if terms.ends_at <= terms.starts_at or terms.ends_at <= now:
        raise InputError(
            "A campaign ends after it starts, and not in the past.",
            field="ends_at",
            value=terms.ends_at.isoformat(),
            accepted=f"later than {max(terms.starts_at, now).isoformat()}",
        )
    if not 0 < len(terms.offers) <= MOST_OFFERS or len(set(terms.offers)) < len(terms.offers):
        raise InputError(
            "A campaign has offers, each once.",
            field="offers",
            value=", ".join(terms.offers),
            accepted=f"1 to {MOST_OFFERS} different offers",
        )
    known = fetch(
        connection, f"SELECT offer_id FROM offers WHERE offer_id IN ({marks(len(terms.offers))})", terms.offers
    )
    for offer_id in sorted(set(terms.offers) - {row[0] for row in known}):
        raise InputError("There is no such offer.", field="offers", value=offer_id, accepted="ids of offers")
    _check_audience(connection, settings)
    return settings


def _check_audience(connection: Connection, settings: CampaignSettings) -> None:
    """Check that an audience can be read and names only what there is. Raises: InputError; NotFoundError."""
    if settings.audience.expression is not None:
        check_expression(connection, settings.audience.expression)
    elif settings.audience.audience_id is not None:
        get_audience(connection, settings.audience.audience_id)


def check_budget(connection: Connection, campaign_id: str, budget_cents: int | None) -> None:
    """Check that no more is spent than a budget. Raises: ConflictError."""
    spent = spent_cents(connection, campaign_id)
    if budget_cents is not None and budget_cents < spent:
        raise ConflictError(
            "This much is spent or reserved already.",
            field="budget_cents",
            value=budget_cents,
            accepted=f"at least {spent}",
        )


def check_approval(connection: Connection, campaign: Campaign, by: By) -> None:
    """Check who approves. Raises: ConflictError."""
    wanted = campaign.settings.approval is Approval.OTHER_KEY
    if wanted and fetch(connection, _AUTHORS, (campaign.campaign_id, by.caller)):
        raise ConflictError(
            "The plan is approved by another key than those that made or changed the campaign.",
            field="approval",
            value=by.caller,
            accepted="another key",
        )


def check_transport(connection: Connection, settings: CampaignSettings) -> None:
    """Check that messages can leave as the settings say. Raises: InputError; NotFoundError; ConflictError."""
    if settings.transport is None or settings.message is None:
        return
    row = get_transport(connection, settings.transport)
    check_message(row.settings, settings.message)
    if not row.active:
        raise ConflictError(
            "The transport is switched off.", field="settings.transport", value=row.name, accepted="an active transport"
        )


def check_launch(connection: Connection, campaign: Campaign, by: By) -> None:
    """Check that a plan may be launched. Raises: ConflictError."""
    if campaign.status is Status.PLANNED and campaign.settings.approval is not Approval.NONE:
        raise ConflictError(
            "The plan waits for approval.", field="status", value=campaign.status, accepted=Status.APPROVED
        )
    check_transport(connection, campaign.settings)
    if campaign.ends_at <= by.now:
        raise ConflictError(
            "The campaign's time is over.", field="ends_at", value=campaign.ends_at.isoformat(), accepted="a later end"
        )


def spent_cents(connection: Connection, campaign_id: str) -> int:
    """Return what of a budget is spent or reserved, here and by other systems, in cents."""
    return sum(used(connection, kind, campaign_id) for kind in (Count.COMMITTED, Count.EXTERNAL))

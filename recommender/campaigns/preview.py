"""What members would read of a campaign, or why they would get nothing; nothing is sent and nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from recommender.campaigns.campaign import Campaign
from recommender.campaigns.composing import Content, facts_of, language_of
from recommender.campaigns.recipients import Recipient, read_recipients
from recommender.campaigns.transports import get_transport
from recommender.coupons.store import read_offers
from recommender.errors import InputError
from recommender.storage.holdouts import TREATED
from recommender.storage.statements import fetch, marks

MOST_MEMBERS = 20
SHOWN = 5
HELD_OUT = "held_out"
NO_OFFER = "no_offer"
_FIRST = """
SELECT member_id FROM campaign_members WHERE campaign_id = ? AND arm = 'treated' AND offer_id IS NOT NULL
ORDER BY member_id LIMIT ?"""
_PLANNED = "SELECT member_id, arm, offer_id FROM campaign_members WHERE campaign_id = ? AND member_id IN ({marks})"


@dataclass(frozen=True, slots=True)
class Shown:
    """The message to one member.  problem: why they would get none, as things stand; None: they would."""

    member_id: str
    language: str
    title: str
    body: str
    link: str | None
    offer_id: str | None
    problem: str | None


def preview(
    connection: Connection, campaign: Campaign, member_ids: Sequence[str], zone: ZoneInfo, now: datetime
) -> list[Shown]:
    """Return what some members would read; none named: the first few whom the plan gives an offer.

    A member whom the plan gives nothing, or of a campaign without a plan, is shown the first offer.

    Raises: InputError if the campaign has no message.
    """
    settings = campaign.settings
    if settings.message is None:
        raise InputError("The campaign has no message.", field="settings.message", accepted="a message")
    chosen = list(dict.fromkeys(member_ids)) or [
        row[0] for row in fetch(connection, _FIRST, (campaign.campaign_id, SHOWN))
    ]
    statement = _PLANNED.replace("{marks}", marks(max(len(chosen), 1)))
    rows = fetch(connection, statement, (campaign.campaign_id, *(chosen or ("",))))
    planned = {member_id: (arm, offer_id) for member_id, arm, offer_id in rows}
    content = Content(
        settings.message,
        campaign.name or campaign.campaign_id,
        settings.zone or zone,
        read_offers(connection, campaign.offers).offers,
    )
    channel = "" if settings.transport is None else get_transport(connection, settings.transport).settings.channel
    people = read_recipients(connection, chosen, channel, now)
    return [_shown(content, people[one], *planned.get(one, (None, None)), campaign.offers[0]) for one in chosen]


def _shown(content: Content, person: Recipient, arm: str | None, offer_id: str | None, first: str) -> Shown:
    problem = None if person.against is None else str(person.against)
    if arm not in (None, TREATED):
        problem = problem or HELD_OUT
    elif arm is not None and offer_id is None:
        problem = problem or NO_OFFER
    offer = content.offers.get(offer_id or first)
    language = language_of(content.message, person)
    facts = facts_of(content, offer, None if offer is None else offer.valid_until, person, language)
    text = content.message.text(language).filled(facts)
    link = content.message.link
    return Shown(person.member_id, language, text.title, text.body, link, offer_id or first, problem)

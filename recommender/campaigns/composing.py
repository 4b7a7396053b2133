"""Composing: from a message in the outbox and what is known of its member to what leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from recommender.campaigns.delivery.base import Outgoing
from recommender.campaigns.leases import Waiting
from recommender.campaigns.message import LANGUAGES, Message
from recommender.campaigns.recipients import Recipient
from recommender.coupons.offer_texts import headline, say_day
from recommender.coupons.offers import Offer


@dataclass(frozen=True, slots=True)
class Content:
    """What the messages of one campaign say.

    zone: in which days are told.  offers: by id, those that messages are about.
    """

    message: Message
    campaign_name: str
    zone: ZoneInfo
    offers: Mapping[str, Offer] = field(default_factory=dict)


def language_of(message: Message, recipient: Recipient) -> str:
    """Return the language of the member if the message has it, else the first one that it has."""
    if recipient.language in message.texts:
        return str(recipient.language)
    return next((one for one in LANGUAGES if one in message.texts), LANGUAGES[0])


def facts_of(
    content: Content, offer: Offer | None, ends: datetime | None, recipient: Recipient, language: str
) -> dict[str, str]:
    """Return what placeholders stand for.

    Args:
        ends: the first moment at which the coupon can no longer be used.
    """
    facts = {"campaign": content.campaign_name, "store": recipient.store or ""}
    if offer is not None:
        said = headline(offer, language)
        facts |= {"discount": said, "offer": offer.title or said}
    if ends is not None:
        zone = recipient.zone or content.zone
        facts["until"] = say_day((ends - timedelta.resolution).astimezone(zone).date(), language)
    return facts


def compose(waiting: Waiting, coupon_id: str | None, content: Content, recipient: Recipient) -> Outgoing:
    """Return what leaves; the same for the same message and coupon while campaign and member stay as they are."""
    language = language_of(content.message, recipient)
    offer = None if waiting.offer_id is None else content.offers.get(waiting.offer_id)
    ends = None if offer is None else offer.valid_until
    facts = facts_of(content, offer, ends, recipient, language)
    text = content.message.text(language).filled(facts)
    return Outgoing(
        message_id=waiting.delivery_id,
        campaign_id=waiting.campaign_id,
        member_id=waiting.member_id,
        created_at=waiting.created_at,
        purpose=content.message.purpose,
        language=language,
        title=text.title,
        body=text.body,
        template=content.message.template,
        link=content.message.link,
        offer_id=waiting.offer_id,
        coupon_id=coupon_id,
        coupon_expires_at=None if coupon_id is None else ends,
        values=facts,
        contacts=recipient.contacts or {},
        guide_id=recipient.guide_id,
        test=waiting.test,
    )

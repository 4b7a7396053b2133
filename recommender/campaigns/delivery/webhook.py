"""webhook: one signed POST per message to the retailer's own gateway, as Standard Webhooks has it.

The gateway knows phone numbers and devices; it is told member ids. Any 2xx means that it has the message for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from recommender.campaigns.delivery.answers import body_of, by_status, reference
from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.delivery.endpoint import Answered
from recommender.campaigns.delivery.posting import Posting

TYPE = "message.send"


class Webhook(Posting):
    """Posts messages in our own shape."""

    def shape(self, message: Outgoing) -> Mapping[str, Any]:
        """Return the body."""
        return body(message)

    def meaning(self, answered: Answered) -> Answer:
        """Take the gateway's own id of the message, if it answers one."""
        found = by_status(answered)
        if found.result is Result.ACCEPTED and answered.body:
            return replace(found, provider_ref=reference(body_of(answered).get("id")))
        return found


def body(message: Outgoing) -> dict[str, Any]:
    """Return a message in our own shape."""
    ends = message.coupon_expires_at
    coupon = {"coupon_id": message.coupon_id, "expires_at": None if ends is None else ends.isoformat()}
    data: dict[str, Any] = {
        "message_id": message.message_id,
        "campaign_id": message.campaign_id,
        "member_id": message.member_id,
        "purpose": message.purpose,
        "language": message.language,
        "title": message.title,
        "body": message.body,
        "link": message.link,
        "template": message.template,
        "offer_id": message.offer_id,
        "coupon": None if message.coupon_id is None else coupon,
        "test": message.test,
    }
    if message.contacts:
        data["contacts"] = dict(message.contacts)
    return {"type": TYPE, "timestamp": message.created_at.isoformat(), "data": data}

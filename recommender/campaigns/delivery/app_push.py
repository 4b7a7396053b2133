"""app_push: one POST per notification to the gateway of the retailer's app, addressed by the member's device token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from recommender.campaigns.delivery.answers import body_of, by_status, reference
from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.delivery.endpoint import Answered
from recommender.campaigns.delivery.posting import NotSendableError, Posting

DEVICE = "device"
"""The namespace of identities that hold device tokens."""
GONE_STATUS = 404
"""By it push gateways say that a device token is not registered any more."""


class AppPush(Posting):
    """Posts `{"message_id", "token", "notification": {"title", "body"}, "data": {...}}`."""

    def shape(self, message: Outgoing) -> Mapping[str, Any]:
        """Return the body. Raises: NotSendableError if the member has no device."""
        token = message.contacts.get(DEVICE)
        if token is None:
            raise NotSendableError("no_device")
        data = {"link": message.link, "offer_id": message.offer_id, "coupon_id": message.coupon_id}
        return {
            "message_id": message.message_id,
            "token": token,
            "notification": {"title": message.title, "body": message.body},
            "data": {name: value for name, value in data.items() if value is not None},
            "collapse_key": message.campaign_id,
            "test": message.test,
        }

    def meaning(self, answered: Answered) -> Answer:
        """Take a device that is not registered any more for a refusal."""
        if answered.status == GONE_STATUS:
            return Answer(Result.REFUSED, "device_gone")
        return replace(by_status(answered), provider_ref=reference(body_of(answered).get("id")))

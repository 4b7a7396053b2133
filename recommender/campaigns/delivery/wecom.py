"""wecom: a task for the member's guide, who sends the message from their own WeCom, or does not.

The message stands as `tasked` until the guide confirmed it. Source of shape and codes: WeCom's server interface
`externalcontact/add_msg_template`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from recommender.campaigns.delivery.answers import body_of
from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.delivery.endpoint import Answered
from recommender.campaigns.delivery.posting import JSON_HEADERS, NotSendableError, Posting
from recommender.campaigns.delivery.wechat import by_code

CUSTOMER = "wecom_customer"
"""The namespace of identities that hold the members' ids as customers of the guides."""
NO_CUSTOMER = 84061


class WecomGuideTask(Posting):
    """Posts to `/cgi-bin/externalcontact/add_msg_template`."""

    def shape(self, message: Outgoing) -> Mapping[str, Any]:
        """Return the body. Raises: NotSendableError without a guide, or if the member is no customer in WeCom."""
        customer = message.contacts.get(CUSTOMER)
        if customer is None:
            raise NotSendableError("no_wecom_customer")
        if message.guide_id is None:
            raise NotSendableError("no_guide")
        body: dict[str, Any] = {
            "chat_type": "single",
            "external_userid": [customer],
            "sender": message.guide_id,
            "text": {"content": message.body},
        }
        if message.link is not None:
            link = {"title": message.title or message.body[:40], "url": message.link}
            body["attachments"] = [{"msgtype": "link", "link": link}]
        return body

    def headers(self, message: Outgoing, body: bytes, at: datetime) -> Mapping[str, str]:
        """The token stands in the query."""
        return JSON_HEADERS

    def query(self) -> str:
        """Return the access token."""
        return urlencode({"access_token": self.keyring.token(self.name) or ""})

    def meaning(self, answered: Answered) -> Answer:
        """Read WeCom's code; a customer in `fail_list` got no task: they have had their messages of the month."""
        found = by_code(answered, NO_CUSTOMER, "no_wecom_customer")
        if found.result is not Result.ACCEPTED:
            return found
        if body_of(answered).get("fail_list"):
            return Answer(Result.REFUSED, "provider_capped", found.provider_ref)
        return Answer(Result.TASKED, "guide", found.provider_ref)

"""wechat: subscription messages of a mini program, for service only: one message for each prompt a member accepted.

Source of shape and codes: WeChat's server interface `subscribeMessage.send`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from recommender.campaigns.delivery.answers import PAUSE_SECONDS, body_of, by_status, reference
from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.delivery.endpoint import Answered, Endpoint
from recommender.campaigns.delivery.keyring import Keyring
from recommender.campaigns.delivery.posting import JSON_HEADERS, NotSendableError, Posting
from recommender.campaigns.message import Text

OPENID = "wechat_openid"
"""The namespace of identities that hold the members' ids with the mini program."""
MOST_CHARACTERS = 20
"""WeChat refuses longer values of `thing` fields."""
LANGUAGES = {"zh": "zh_CN", "en": "en_US"}

OK, BUSY, NOT_SUBSCRIBED = 0, -1, 43101
TOKEN_CODES = frozenset({40001, 40014, 41001, 42001})
THROTTLE_CODES = frozenset({45009, 45011, 45047})


class WechatSubscription(Posting):
    """Posts to `/cgi-bin/message/subscribe/send`.

    Args:
        fields: the template's fields, each with the text that fills it, with placeholders as in messages.
    """

    def __init__(self, name: str, endpoint: Endpoint, keyring: Keyring, fields: Mapping[str, str]) -> None:
        super().__init__(name, endpoint, keyring)
        self._fields = dict(fields)

    def shape(self, message: Outgoing) -> Mapping[str, Any]:
        """Return the body. Raises: NotSendableError without an openid or a template."""
        openid = message.contacts.get(OPENID)
        if openid is None:
            raise NotSendableError("no_openid")
        if message.template is None:
            raise NotSendableError("no_template")
        body: dict[str, Any] = {
            "touser": openid,
            "template_id": message.template,
            "lang": LANGUAGES.get(message.language, LANGUAGES["zh"]),
            "data": {name: {"value": self._filled(text, message)} for name, text in self._fields.items()},
        }
        return body | ({} if message.link is None else {"page": message.link})

    def headers(self, message: Outgoing, body: bytes, at: datetime) -> Mapping[str, str]:
        """The token stands in the query."""
        return JSON_HEADERS

    def query(self) -> str:
        """Return the access token."""
        return urlencode({"access_token": self.keyring.token(self.name) or ""})

    def meaning(self, answered: Answered) -> Answer:
        """Read WeChat's code, which comes with a 200."""
        return by_code(answered, NOT_SUBSCRIBED, "not_subscribed")

    def _filled(self, text: str, message: Outgoing) -> str:
        known = {"title": message.title, "body": message.body, **message.values}
        filled = Text(text).filled(known).body
        return filled if len(filled) <= MOST_CHARACTERS else filled[: MOST_CHARACTERS - 1] + "…"


def by_code(answered: Answered, gone: int, gone_reason: str) -> Answer:
    """Return what an answer of WeChat or WeCom means.

    Args:
        gone: the code by which the customer cannot be reached any more, told as `gone_reason`.
    """
    if not 200 <= answered.status < 300:
        return by_status(answered)
    body = body_of(answered)
    code = body.get("errcode", OK if body else None)
    if code == OK:
        return Answer(Result.ACCEPTED, provider_ref=reference(body.get("msgid")))
    if code == gone:
        return Answer(Result.REFUSED, gone_reason)
    reason = f"errcode_{code}"
    if code in THROTTLE_CODES:
        return Answer(Result.AGAIN, reason, pause_seconds=PAUSE_SECONDS)
    if code in TOKEN_CODES or code == BUSY or code is None:
        return Answer(Result.AGAIN, reason)
    return Answer(Result.REFUSED, reason)

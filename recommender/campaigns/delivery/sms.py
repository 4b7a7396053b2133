"""sms: one POST per text message to a gateway that knows the phone numbers.

A text begins with the sender's signature, as Chinese providers demand, and a marketing text ends by saying how to opt
out of more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from recommender.campaigns.delivery.answers import body_of, by_status, reference
from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.delivery.endpoint import Answered, Endpoint
from recommender.campaigns.delivery.keyring import Keyring
from recommender.campaigns.delivery.posting import NotSendableError, Posting
from recommender.campaigns.message import MARKETING

OPT_OUT = {"zh": " 拒收请回复R", "en": " Reply STOP to opt out"}
"""What a marketing text ends with where the settings say nothing else."""
FIRST_PART, FURTHER_PARTS, MOST_PARTS = 70, 67, 10
"""Characters of a text that fits one message, and of each part of a longer one (16 bits a character)."""


class Sms(Posting):
    """Posts `{"message_id", "member_id", "text", "parts", "template", "marketing"}`."""

    def __init__(self, name: str, endpoint: Endpoint, keyring: Keyring, signature: str, opt_out: str | None) -> None:
        super().__init__(name, endpoint, keyring)
        self._signature, self._opt_out = signature, opt_out

    def shape(self, message: Outgoing) -> Mapping[str, Any]:
        """Return the body. Raises: NotSendableError if the text is too long."""
        marketing = message.purpose == MARKETING
        ending = (self._opt_out or OPT_OUT.get(message.language, OPT_OUT["en"])) if marketing else ""
        text = f"【{self._signature}】{message.body}{ending}"
        parts = count_parts(text)
        if parts > MOST_PARTS:
            raise NotSendableError("text_too_long")
        return {
            "message_id": message.message_id,
            "member_id": message.member_id,
            "text": text,
            "parts": parts,
            "template": message.template,
            "marketing": marketing,
            "test": message.test,
        }

    def meaning(self, answered: Answered) -> Answer:
        """Read the gateway's own code, which may refuse behind a 200."""
        found, body = by_status(answered), body_of(answered)
        code = body.get("code")
        if found.result is Result.ACCEPTED and code not in (None, 0, "0", "OK"):
            return Answer(Result.REFUSED, "provider_" + str(code)[:40])
        return replace(found, provider_ref=reference(body.get("id")))


def count_parts(text: str) -> int:
    """Return how many short messages a text takes."""
    units = len(text.encode("utf-16-be")) // 2
    return 1 if units <= FIRST_PART else -(-units // FURTHER_PARTS)

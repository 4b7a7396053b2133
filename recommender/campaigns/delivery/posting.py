"""Posting: a transport that posts each message to an endpoint; kinds say how a message looks and what answers mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from recommender.campaigns.delivery.answers import by_status
from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.delivery.endpoint import Answered, Endpoint, UnreachableError
from recommender.campaigns.delivery.keyring import Keyring
from recommender.errors import SettingsError
from recommender.webhook_signature import sign

JSON_HEADERS = {"Content-Type": "application/json", "User-Agent": "memberwise"}


class NotSendableError(Exception):
    """A message cannot be put into the provider's shape; `reason` is a short code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Posting(ABC):
    """Posts messages one by one. Kinds override shape(), and where needed query(), headers() and meaning()."""

    most = 1

    def __init__(self, name: str, endpoint: Endpoint, keyring: Keyring) -> None:
        self.name = name
        self.keyring = keyring
        self._endpoint = endpoint

    def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
        """Post each message once."""
        return [self._post(message, at) for message in messages]

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    @abstractmethod
    def shape(self, message: Outgoing) -> Mapping[str, Any]:
        """Return the body in the provider's shape. Raises: NotSendableError."""

    def headers(self, message: Outgoing, body: bytes, at: datetime) -> Mapping[str, str]:
        """Return what proves to the receiver who sends: signatures, and the token if there is one."""
        found = dict(JSON_HEADERS)
        signing = self.keyring.signing(self.name)
        if signing:
            found |= sign(signing, message.message_id, at, body)
        token = self.keyring.token(self.name)
        if token is not None:
            found["Authorization"] = f"Bearer {token}"
        return found

    def query(self) -> str:
        """Return what is added to the URL's query."""
        return ""

    def meaning(self, answered: Answered) -> Answer:
        """Return what an answer means."""
        return by_status(answered)

    def _post(self, message: Outgoing, at: datetime) -> Answer:
        try:
            body = orjson.dumps(self.shape(message))
            headers = self.headers(message, body, at)
            return self.meaning(self._endpoint.post(body, headers, self.query()))
        except NotSendableError as error:
            return Answer(Result.REFUSED, error.reason)
        except UnreachableError as error:
            return Answer(Result.AGAIN, error.reason)
        except SettingsError:
            return Answer(Result.AGAIN, "secrets_unreadable")

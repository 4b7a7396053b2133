"""What every transport takes and answers: Outgoing messages, and for each an Answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as it leaves; sent again, it is the same in every byte.

    message_id: by which the receiver knows a message that comes again.  created_at: when it was decided on.
    values: what the texts' placeholders were filled with.  contacts: identities by namespace, of those namespaces that
    the transport asks for.  guide_id: the member's guide, if they have one.  test: to a seed contact.
    """

    message_id: str
    campaign_id: str
    member_id: str
    created_at: datetime
    purpose: str
    language: str
    title: str
    body: str
    template: str | None = None
    link: str | None = None
    offer_id: str | None = None
    coupon_id: str | None = None
    coupon_expires_at: datetime | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    contacts: Mapping[str, str] = field(default_factory=dict)
    guide_id: str | None = None
    test: bool = False


class Result(StrEnum):
    """What became of an attempt.

    ACCEPTED: the provider has it.  TASKED: somebody must confirm it.  AGAIN: not now, or nobody knows.
    REFUSED: never, as it is.
    """

    ACCEPTED = "accepted"
    TASKED = "tasked"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt to send one message.

    reason: a short code, such as `http_503`; None if it was accepted.  provider_ref: the provider's own id.
    pause_seconds: how long the whole transport is asked to wait.
    """

    result: Result
    reason: str | None = None
    provider_ref: str | None = None
    pause_seconds: float = 0.0


ACCEPTED = Answer(Result.ACCEPTED)


class Transport(Protocol):
    """A way out; used by several threads at once.

    most: messages that one call takes.
    """

    most: int

    def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
        """Try to send messages, once; one answer each, in order. Nothing is raised for what a receiver does."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...

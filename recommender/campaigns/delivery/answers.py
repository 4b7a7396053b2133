"""What HTTP answers mean for a message: accepted, to be tried again, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from recommender.campaigns.delivery.base import Answer, Result
from recommender.campaigns.delivery.endpoint import Answered

NEVER = frozenset({400, 410, 413, 422})
"""Statuses by which a receiver says that this message will never do; all others but 2xx are tried again."""
THROTTLED = frozenset({429, 503})
PAUSE_SECONDS = 5.0
"""How long a transport waits that is throttled without being told how long."""
MOST_REF = 200


def by_status(answered: Answered) -> Answer:
    """Return what a status means. A redirect is not followed and counts as a failure."""
    if 200 <= answered.status < 300:
        return Answer(Result.ACCEPTED)
    reason = f"http_{answered.status}"
    if answered.status in NEVER:
        return Answer(Result.REFUSED, reason)
    if answered.status in THROTTLED:
        told = answered.retry_after_seconds
        pause = told if told is not None else PAUSE_SECONDS if answered.status == 429 else 0.0
        return Answer(Result.AGAIN, reason, pause_seconds=pause)
    return Answer(Result.AGAIN, reason)


def body_of(answered: Answered) -> Mapping[str, Any]:
    """Return the JSON object that was answered; an empty one if it is none."""
    try:
        found = orjson.loads(answered.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def reference(value: object) -> str | None:
    """Return the provider's id of a message, None if it gives none."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return str(value)[:MOST_REF]

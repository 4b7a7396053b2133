"""Services: all that views may use, built once per process after fork; and the Call, what one request
brings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from api.auth import KeyCache
from api.metrics import Metrics
from api.serving import ServingWatch
from api.settings import ServiceSettings
from recommender.exposures import ExposureLog
from recommender.storage.database import Database
from recommender.storage.hashing import HashKey
from recommender.storage.keys import ApiKey


@dataclass(frozen=True, slots=True)
class Services:
    """What views may use; nothing in it belongs to one request.

    channels: known channels.  hash_key: keys the hashes of phone numbers and e-mail addresses.  clock: the
    present, aware, in UTC.
    """

    settings: ServiceSettings
    database: Database
    keys: KeyCache
    serving: ServingWatch
    exposures: ExposureLog
    metrics: Metrics
    channels: frozenset[str]
    hash_key: HashKey
    clock: Callable[[], datetime]


@dataclass(slots=True)
class Call:
    """One request: its id, time, language and caller, and what its log line will say beside."""

    request_id: str
    now: datetime
    started: float
    operation: str = "none"
    caller: ApiKey | None = None
    language: str = "en"
    notes: dict[str, object] = field(default_factory=dict)

"""Services: all that views may use, built once per process after fork; and the Call, what one request
brings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from api.auth import Caller, CallerCache
from api.export_gate import ExportGate
from api.metrics import Metrics
from api.rate_limits import RateLimits
from api.serving import ServingWatch
from api.settings import ServiceSettings
from recommender.campaigns.live_features import LiveFeatures
from recommender.coupons.kept_plans import KeptPlans
from recommender.coupons.wallet import WalletRules
from recommender.exposures import ExposureLog
from recommender.storage.database import Database
from recommender.storage.hashing import HashKey
from recommender.storage.stock_keeper import StockKeeper


@dataclass(frozen=True, slots=True)
class Services:
    """What views may use; nothing in it belongs to one request.

    channels: known channels.  hash_key: keys the hashes of phone numbers and e-mail addresses.  stock: keeps the
    stock file, if no other process of the host does.  clock: the present, aware, in UTC.  wallet: what holds for all
    coupons.
    plans: who was given which offer by the latest plans.  audiences: features of members, opened when they are asked
    for.
    """

    settings: ServiceSettings
    database: Database
    callers: CallerCache
    limits: RateLimits
    serving: ServingWatch
    exposures: ExposureLog
    metrics: Metrics
    channels: frozenset[str]
    hash_key: HashKey
    stock: StockKeeper
    clock: Callable[[], datetime]
    plans: KeptPlans
    audiences: LiveFeatures
    exports: ExportGate = field(default_factory=ExportGate)
    wallet: WalletRules = field(default_factory=WalletRules)


@dataclass(frozen=True, slots=True)
class Written:
    """What a request writes, as the audit trail tells it.

    target: what its path names.  rows: rows in its body.  details: their number by list, and the first ones' ids.
    """

    target: str
    rows: int
    details: str | None


@dataclass(slots=True)
class Call:
    """One request: its id, time, language and caller, and what its log line will say beside.

    limit_headers: what is left of the caller's rate.  streamed, audited, describe: for the audit trail: whether its
    writes are only counted, whether they are noted already, and what they are.  message_id: of a signed webhook.
    """

    request_id: str
    now: datetime
    started: float
    operation: str = "none"
    caller: Caller | None = None
    limit_headers: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    idempotency_key: str | None = None
    message_id: str | None = None
    notes: dict[str, object] = field(default_factory=dict)
    streamed: bool = False
    audited: bool = False
    describe: Callable[[], Written] | None = None

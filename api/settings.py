"""ServiceSettings: what the web workers and the background worker need to know beside the shared settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from api.headers import parse_origins
from api.proxy import parse_networks
from recommender.attribution import Window
from recommender.campaigns.quiet import parse_quiet
from recommender.settings import CoreSettings, setting

METRICS_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which the web workers' figures meet; prometheus_client reads it when it is imported."""


def _check_proxies(text: str) -> None:
    parse_networks(text)


def _check_quiet(text: str) -> None:
    parse_quiet(text)


def _check_origins(text: str) -> None:
    parse_origins(text)


@dataclass(frozen=True, slots=True)
class ServiceSettings(CoreSettings):
    """Settings of `memberwise serve` and `memberwise worker`."""

    host: str = field(default="127.0.0.1", metadata=setting("Address the service listens on."))
    port: int = field(
        default=8000,
        metadata=setting("Port the service listens on; 0 picks a free one.", minimum=0, maximum=65535),
    )
    workers: int = field(
        default=0, metadata=setting("Web worker processes; 0: one per processor.", minimum=0, maximum=256)
    )
    threads: int = field(
        default=2,
        metadata=setting(
            "Threads of each web worker. More of them answer no more requests, and each waits longer; a database"
            " far away may need more.",
            minimum=1,
            maximum=64,
        ),
    )
    keepalive_seconds: int = field(
        default=5,
        metadata=setting("How long an idle connection is kept open.", unit="seconds", minimum=0, maximum=3600),
    )
    graceful_seconds: int = field(
        default=30,
        metadata=setting(
            "How long requests may go on when the service stops.", unit="seconds", minimum=1, maximum=3600
        ),
    )
    trusted_proxies: str = field(
        default="",
        metadata=setting(
            "Reverse proxies, by address or network, whose header X-Forwarded-Prefix says below which path the"
            " service is reached. Empty: the header is ignored.",
            check=_check_proxies,
        ),
    )
    max_body_bytes: int = field(
        default=8 * 1024 * 1024,
        metadata=setting("Largest request body.", unit="bytes", minimum=1024, maximum=1 << 30),
    )
    rate_limit: float = field(
        default=0.0,
        metadata=setting(
            "Requests per second that one API key may make on one machine; 0: no limit. A key can have its own.",
            unit="requests per second",
            minimum=0,
        ),
    )
    member_rate_limit: float = field(
        default=10.0,
        metadata=setting(
            "Requests per second that one member may make by member tokens on one machine; 0: no limit.",
            unit="requests per second",
            minimum=0,
        ),
    )
    cors_origins: str = field(
        default="",
        metadata=setting(
            'Origins of pages that may call from a browser, with commas; "*": all. Empty: none.',
            check=_check_origins,
        ),
    )
    jwt_issuer: str = field(
        default="", metadata=setting("The `iss` that member tokens must name. Empty: member tokens are refused.")
    )
    jwt_audience: str = field(default="memberwise", metadata=setting("The `aud` that member tokens must name."))
    jwt_keys: str = field(
        default="",
        metadata=setting(
            "File of the keys that verify member tokens (JSON Web Key Set). Empty: jwt_keys.json in HOME."
        ),
    )
    jwt_leeway_seconds: int = field(
        default=30,
        metadata=setting(
            "By how much the clocks of those who sign member tokens may differ.",
            unit="seconds",
            minimum=0,
            maximum=600,
        ),
    )
    jwt_longest_seconds: int = field(
        default=86_400,
        metadata=setting(
            "How far in the future a member token may end.", unit="seconds", minimum=60, maximum=2_592_000
        ),
    )
    books_days: int = field(
        default=3650,
        metadata=setting(
            "How long coupons, sends and redemptions of erased members are kept under a pseudonym.",
            unit="days",
            minimum=0,
            maximum=36_500,
        ),
    )
    audit_days: float = field(
        default=1100.0,
        metadata=setting("How long the audit trail is kept.", unit="days", minimum=1, maximum=36_500),
    )
    clock_skew_seconds: int = field(
        default=300,
        metadata=setting(
            "How far in the future an event may lie; later ones are rejected.",
            unit="seconds",
            minimum=0,
            maximum=86400,
        ),
    )
    spool: str = field(
        default="",
        metadata=setting("Folder of the exposure spool, on a disk of this machine. Empty: spool in HOME."),
    )
    drain_seconds: float = field(
        default=2.0,
        metadata=setting(
            "How often the worker moves exposures from the spool to the database.",
            unit="seconds",
            minimum=0.1,
            maximum=3600,
        ),
    )
    exposure_days: float = field(
        default=400.0,
        metadata=setting(
            "How long it is kept what was shown and what came of it; at least twice the days of attribution.",
            unit="days",
            minimum=1,
            maximum=36_500,
        ),
    )
    assisted_channels: str = field(
        default="offline",
        metadata=setting(
            "Channels whose purchases count as assisted when they name no recommendation of an item shown before.",
            choices=("offline", "all"),
        ),
    )
    attribute_seconds: float = field(
        default=10.0,
        metadata=setting(
            "How often the worker credits new events to what was shown.", unit="seconds", minimum=0.1, maximum=3600
        ),
    )
    compact_seconds: float = field(
        default=600.0,
        metadata=setting(
            "How often the worker copies live events to the event log.",
            unit="seconds",
            minimum=1,
            maximum=86400,
        ),
    )
    compact_rows: int = field(
        default=10_000,
        metadata=setting(
            "How many events must wait before the worker copies them: each copy makes a file.",
            unit="events",
            minimum=1,
        ),
    )
    coupon_seconds: float = field(
        default=10.0,
        metadata=setting(
            "How often the worker ends locks and coupons whose time is over, and looks for offers that run away.",
            unit="seconds",
            minimum=0.1,
            maximum=3600,
        ),
    )
    coupon_lock_seconds: int = field(
        default=900,
        metadata=setting("How long an order may hold a coupon.", unit="seconds", minimum=1, maximum=86400),
    )
    coupon_code_seconds: int = field(
        default=300,
        metadata=setting("How long a till code is valid.", unit="seconds", minimum=10, maximum=86400),
    )
    coupon_claim_limit: int = field(
        default=5,
        metadata=setting(
            "Coupons of one offer that one device, one payer or one phone number may claim; 0: any number.",
            unit="coupons",
            minimum=0,
        ),
    )
    coupon_breaker_redemptions: int = field(
        default=10_000,
        metadata=setting(
            "Redemptions of one offer within an hour that freeze it; 0: any number.", unit="redemptions", minimum=0
        ),
    )
    coupon_breaker_share: float = field(
        default=0.8,
        metadata=setting(
            "Share of what the goods of an hour cost that an offer may take off; above it, it is frozen.",
            minimum=0,
            maximum=1,
        ),
    )
    coupon_offline_limit: int = field(
        default=200,
        metadata=setting(
            "Redemptions of one store on one day that its tills may accept without a connection; what goes beyond is"
            " recorded as a breach. 0: any number.",
            unit="redemptions",
            minimum=0,
        ),
    )
    coupon_explore_share: float = field(
        default=0.01,
        metadata=setting(
            "Share of the members between plans who are offered an offer by lot, anew every day. 0: nobody.",
            minimum=0,
            maximum=0.5,
        ),
    )
    coupon_risk_hook: str = field(
        default="",
        metadata=setting(
            "A function, as module:name, that may refuse before a coupon is issued or redeemed. Empty: none."
        ),
    )
    audience_seconds: float = field(
        default=3600.0,
        metadata=setting(
            "How old the features that audiences are found by may get while something is written; the worker then"
            " makes them anew. 0: it does not.",
            unit="seconds",
            minimum=0,
        ),
    )
    guide_capacity: int = field(
        default=20,
        metadata=setting("Customers that a shopping guide can contact on one day.", unit="customers", minimum=1),
    )
    guide_rest_days: int = field(
        default=7,
        metadata=setting(
            "How long a customer whom a guide contacted, or skipped, is no follow-up again.", unit="days", minimum=1
        ),
    )
    guide_effect: float = field(
        default=0.1,
        metadata=setting(
            "By how much a guide's word is assumed to raise the chance that a product that is due is bought.",
            minimum=0,
            maximum=1,
        ),
    )
    deliver: bool = field(default=True, metadata=setting("Let the worker send the messages of campaigns."))
    delivery_networks: str = field(
        default="",
        metadata=setting(
            "Networks, or addresses, that messages may be sent to although they are not public. Empty: none.",
            check=_check_proxies,
        ),
    )
    delivery_batch: int = field(
        default=200,
        metadata=setting(
            "Messages that are taken from the outbox in one transaction.", unit="messages", minimum=1, maximum=1000
        ),
    )
    delivery_lease_seconds: int = field(
        default=90,
        metadata=setting(
            "How long a worker has in hand what it takes from the outbox; if it dies, others wait that long."
            " At least three time-outs of the transport.",
            unit="seconds",
            minimum=1,
            maximum=600,
        ),
    )
    quiet_hours: str = field(
        default="21:00-09:00",
        metadata=setting(
            "When no messages are sent, in the member's time zone, unless a campaign says otherwise. Empty: never.",
            check=_check_quiet,
        ),
    )
    contact_day: int = field(
        default=1,
        metadata=setting(
            "Most messages of all campaigns to one household, or member, on a calendar day; 0: any number.",
            unit="messages",
            minimum=0,
        ),
    )
    contact_week: int = field(
        default=3, metadata=setting("The same, in the last 7 calendar days.", unit="messages", minimum=0)
    )
    contact_month: int = field(
        default=8, metadata=setting("The same, in the last 30 calendar days.", unit="messages", minimum=0)
    )
    log_level: str = field(
        default="info",
        metadata=setting("Least level that is logged.", choices=("debug", "info", "warning", "error")),
    )

    @property
    def spool_folder(self) -> Path:
        """The folder of the exposure spool, with the default filled in."""
        return Path(self.spool).expanduser() if self.spool else self.home / "spool"

    @property
    def attribution_window(self) -> Window:
        """What may be credited to an exposure."""
        kinds = self.channel_kinds
        chosen = (name for name, kind in kinds.items() if self.assisted_channels in ("all", kind))
        return Window(timedelta(days=self.attribution_days), frozenset(chosen))

    @property
    def jwt_keys_file(self) -> Path:
        """The file of member token keys, with the default filled in."""
        return Path(self.jwt_keys).expanduser() if self.jwt_keys else self.home / "jwt_keys.json"

    @property
    def stock_file(self) -> Path:
        """The file in which the web workers of this host share the stock of all stores."""
        return self.home / "stock" / "stock.bin"

    @property
    def metrics_folder(self) -> Path:
        """The folder in which the figures of the web workers on one port meet."""
        return self.home / "metrics" / str(self.port)

    @property
    def worker_count(self) -> int:
        """The number of web workers, with the default filled in."""
        return self.workers or len(os.sched_getaffinity(0))

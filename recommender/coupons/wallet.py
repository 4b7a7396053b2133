"""The wallet's nouns: Coupon and its states, the rules, the turn that is being taken, and what came of it.

    issued -> locked -> redeemed          a full return makes a redeemed coupon issued again
       |        |                         a lock that ends makes it issued again
       +--------+--> expired, voided

issuing.py gives coupons out, using.py locks and redeems, undoing.py takes back; ledger.py keeps the books.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from sqlalchemy.engine import Connection

from recommender.coupons.discount import Discount, Refused
from recommender.coupons.fairness import FairnessRules
from recommender.coupons.refusals import Refusal


class Status(StrEnum):
    """Where a coupon stands."""

    ISSUED = "issued"
    LOCKED = "locked"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class Coupon:
    """An offer issued to one member, as it stands.

    campaign_id: whose budget its discount comes from; None: nobody's.  service: given by hand, outside of campaigns.
    order_id: the order that locked or redeemed it.  locked_until: while it is locked.
    discount_cents: reserved for it (locked) or granted (redeemed); else 0.
    """

    coupon_id: str
    offer_id: str
    member_id: str
    campaign_id: str | None
    status: Status
    service: bool
    issued_at: datetime
    expires_at: datetime | None
    order_id: str | None = None
    locked_until: datetime | None = None
    discount_cents: int = 0

    def expired_at(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def overdue(self, now: datetime) -> bool:
        """Whether it is locked, and the lock has ended."""
        return self.status is Status.LOCKED and self.locked_until is not None and self.locked_until <= now


@dataclass(frozen=True, slots=True)
class RiskQuestion:
    """What a risk hook is told: `action` is issue or redeem; `device` as the caller named it."""

    action: str
    member_id: str
    offer_id: str
    coupon_id: str | None = None
    device: str | None = None
    store_id: str | None = None


def _no_risk(_question: RiskQuestion) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class WalletRules:
    """What holds for all coupons.

    lock: how long an order may hold a coupon.  code: how long a till code is valid.
    claim_limit: coupons of one offer for one device, payer or phone number; 0: any number.
    breaker_redemptions: redemptions of one offer in an hour that freeze it; 0: any number.
    breaker_share: share of what the goods of an hour cost, from `BREAKER_LEAST` redemptions on, that freezes it.
    risk: may refuse before issue and redemption; an exception refuses too.
    fairness: what holds for all that is not given by hand.
    household_limits: whether a member's limit counts the coupons of the household, where it is known.
    offline_limit: redemptions of one store on a local day that tills may accept offline; 0: any number.
    zone: of local days.
    """

    lock: timedelta = timedelta(minutes=15)
    code: timedelta = timedelta(minutes=5)
    claim_limit: int = 5
    breaker_redemptions: int = 10_000
    breaker_share: float = 0.8
    risk: Callable[[RiskQuestion], bool] = field(default=_no_risk)
    fairness: FairnessRules = field(default_factory=FairnessRules)
    household_limits: bool = True
    offline_limit: int = 0
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Turn:
    """One write transaction on the wallet: who acts, when, by which rules, under which business request number."""

    connection: Connection
    rules: WalletRules
    now: datetime
    caller: str = ""
    request_no: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request for one coupon.

    coupon: as it stands now; None if there is none.  refused: why it was not done; None: it was.
    discount: what it takes off, where that was computed.  repeated: it had been done before, by the same order.
    """

    coupon_id: str | None
    coupon: Coupon | None = None
    refused: Refused | None = None
    discount: Discount | None = None
    repeated: bool = False


def refusal(reason: Refusal, coupon: Coupon | None = None, coupon_id: str | None = None) -> Outcome:
    """Return the outcome of a request that is refused."""
    return Outcome(coupon.coupon_id if coupon is not None else coupon_id, coupon, Refused(reason))

"""Sender: takes what waits for one transport out of the outbox, sends it, and writes down what became of it.

    take      in one transaction: messages whose time has come, looked at anew; coupons, caps; leased (durable)
    attempt   outside of any transaction, by several threads; a pause or a withdrawn consent stops what was not tried
    record    in one transaction: sent, tried again later, or a dead letter; the lease ends

A worker that is killed in between leaves its leases behind; when they are over another one sends those messages again,
under the same id. So every message is delivered at least once, and never by two workers that know of one another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from recommender.campaigns.admission import Admission, Admitted, Terms, admit
from recommender.campaigns.campaign import Campaign
from recommender.campaigns.composing import Content
from recommender.campaigns.delivery.base import Answer, Result, Transport
from recommender.campaigns.delivery.kinds import TransportSettings
from recommender.campaigns.leases import LEASE, is_due, lease, note_sends, release, settle, take_due
from recommender.campaigns.lifecycle import Status
from recommender.campaigns.message import Message
from recommender.campaigns.outbox import State
from recommender.campaigns.outcomes import Attempt, Tally, add_tally, record_attempts, tally_of
from recommender.campaigns.quiet import QUIET
from recommender.campaigns.recipients import read_recipients
from recommender.campaigns.settings import CampaignSettings, Caps, QuietHours
from recommender.campaigns.store import list_campaigns
from recommender.campaigns.throttle import give_back_tokens, is_paused, take_tokens
from recommender.coupons.wallet import WalletRules
from recommender.errors import StoreBusyError
from recommender.storage.database import Database
from recommender.storage.statements import fetch

logger = logging.getLogger(__name__)

BATCH = 200
"""Messages taken in one transaction."""
LOOK_SECONDS = 0.25
"""How often, while messages are being sent, it is looked whether they still may be."""
TRYING_SHARE = 0.5
"""Share of a lease after which no further message of a batch is tried; what is left is given back."""
TIMEOUTS = 3
"""Time-outs that a lease lasts at least: the last attempt must end before it does."""
MOST_AT_ONCE = 500
"""Messages taken in one transaction by transports that take many in one call."""
RECORD_SECONDS = 20.0
"""How long it is tried to write down what became of messages while the database is away."""
_STATUS = "SELECT status FROM campaign_states WHERE campaign_id = ?"


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """What holds for all campaigns.

    zone: of members and campaigns whose own is not known.  quiet: None: messages leave at any time.
    lease: how long a worker has in hand what it takes, and others wait when it dies.
    """

    zone: ZoneInfo
    caps: Caps = field(default_factory=Caps)
    quiet: QuietHours | None = QUIET
    wallet: WalletRules = field(default_factory=WalletRules)
    batch: int = BATCH
    lease: timedelta = LEASE


class Sender:
    """Sends by one transport. One thread at a time uses it.

    Args:
        owner: names this sender among all; part of its leases.
        clock: the present, aware.
        rng: spreads retries.
    """

    def __init__(
        self,
        database: Database,
        settings: TransportSettings,
        transport: Transport,
        rules: DeliveryRules,
        owner: str,
        clock: Callable[[], datetime],
        rng: np.random.Generator,
    ) -> None:
        self._database, self._settings, self._transport, self._rules = database, settings, transport, rules
        self._owner, self._clock, self._rng = owner, clock, rng
        self._pool = ThreadPoolExecutor(settings.parallel, thread_name_prefix=f"send-{settings.name}")
        self._lease = max(rules.lease, timedelta(seconds=TIMEOUTS * settings.options.get("timeout_seconds", 0.0)))
        self._parsed: dict[tuple[str, int], CampaignSettings] = {}
        self._batches = 0
        self._stop = threading.Event()

    def send_some(self, stop: threading.Event | None = None) -> Tally:
        """Take one batch of every running campaign; return what became of them, empty if nothing waited.

        Args:
            stop: when it is set, what was taken and not tried yet is given back.
        """
        self._stop = stop or threading.Event()
        total = Tally()
        for terms in self._running():
            for state in (State.HELD, State.PENDING):
                if not self._stop.is_set():
                    total += self._batch(terms, state)
        return total

    def close(self) -> None:
        """Wait for what is being sent, and let connections go."""
        self._pool.shutdown()
        self._transport.close()

    def _running(self) -> list[Terms]:
        """Return the terms of the running campaigns of this transport."""
        with self._database.read() as connection:
            running = list_campaigns(connection, (Status.RUNNING,))
        known = {(one.campaign_id, one.version): self._settings_of(one) for one in running}
        self._parsed = known
        mine = [(one, known[one.campaign_id, one.version]) for one in running]
        return [self._terms(one, own) for one, own in mine if own.transport == self._settings.name]

    def _settings_of(self, campaign: Campaign) -> CampaignSettings:
        return self._parsed.get((campaign.campaign_id, campaign.version)) or campaign.settings

    def _terms(self, campaign: Campaign, settings: CampaignSettings) -> Terms:
        return terms_of(campaign, settings, self._settings, self._rules)

    def _batch(self, terms: Terms, state: State) -> Tally:
        now = self._clock()
        with self._database.read() as connection:
            name = self._settings.name
            waits = is_due(connection, terms.campaign_id, name, state, now) and not is_paused(connection, name, now)
        allowed = self._allowance(now) if waits else 0
        if not allowed:
            return Tally()
        self._batches += 1
        owner = f"{self._owner}:{self._batches}"
        taken = self._take(terms, state, allowed, owner, now)
        if self._settings.rate and len(taken.admitted) < allowed:
            with self._database.write() as connection:
                give_back_tokens(connection, self._settings.name, allowed - len(taken.admitted))
        if not taken.verdicts and not taken.admitted:
            return Tally()
        tally = self._send(terms, taken, owner)
        for (outcome, reason), count in tally.items():
            if outcome == State.FAILED:
                logger.warning("deliveries_failed transport=%s reason=%s count=%d", self._settings.name, reason, count)
        return tally

    def _allowance(self, now: datetime) -> int:
        wanted = max(self._rules.batch, min(self._transport.most, MOST_AT_ONCE))
        if not self._settings.rate:
            return wanted
        with self._database.write() as connection:
            return take_tokens(connection, self._settings.name, wanted, self._settings.rate, now)

    def _take(self, terms: Terms, state: State, limit: int, owner: str, now: datetime) -> Admission:
        with self._database.write(durable=True) as connection:
            if fetch(connection, _STATUS, (terms.campaign_id,)) != [(Status.RUNNING.value,)]:
                return Admission((), ())
            rows = take_due(connection, terms.campaign_id, self._settings.name, state, limit, now)
            if not rows:
                return Admission((), ())
            found = admit(connection, terms, rows, now)
            lease(
                connection, owner, now + self._lease, [(one.waiting, one.coupon_id, one.day) for one in found.admitted]
            )
            settle(connection, found.verdicts, now)
            note_sends(connection, [one.waiting for one in found.verdicts if one.state is State.WITHHELD], now)
            return found

    def _send(self, terms: Terms, taken: Admission, owner: str) -> Tally:
        gate = _Gate(self._database, terms, taken.admitted, self._clock, TRYING_SHARE * self._lease.total_seconds())
        left = deque(_chunks(taken.admitted, self._transport.most))
        done: deque[Attempt] = deque()
        jobs = [self._pool.submit(self._work, left, done, gate) for _ in range(min(self._settings.parallel, len(left)))]
        tally = tally_of(taken.verdicts)
        while not _finished(jobs):
            gate.look()
            tally += self._record(owner, [done.popleft() for _ in range(len(done))])
        return tally + self._record(owner, list(done), tally)

    def _work(self, left: deque[list[Admitted]], done: deque[Attempt], gate: _Gate) -> None:
        """Try what is left, until nothing is or it may not be tried any more."""
        while gate.open and not self._stop.is_set():
            try:
                chunk = left.popleft()
            except IndexError:
                return
            wanted = [one for one in chunk if gate.lets(one)]
            for one, answer in zip(wanted, self._try(wanted), strict=True):
                done.append(Attempt(one.waiting, answer))

    def _try(self, wanted: Sequence[Admitted]) -> Sequence[Answer]:
        try:
            return self._transport.send([one.outgoing for one in wanted], self._clock()) if wanted else ()
        except Exception:  # a mistake of ours with one message must not stop all others
            logger.exception("attempt_failed transport=%s", self._settings.name)
            return [Answer(Result.AGAIN, "internal_error")] * len(wanted)

    def _record(self, owner: str, attempts: Sequence[Attempt], last: Tally | None = None) -> Tally:
        """Write down what became of attempts; if the database is away, for a while again and again.

        Args:
            last: given when the batch is done: what is counted already.
        """
        deadline = time.monotonic() + RECORD_SECONDS
        while attempts or last is not None:
            try:
                return self._record_once(owner, attempts, last)
            except StoreBusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        return Tally()

    def _record_once(self, owner: str, attempts: Sequence[Attempt], last: Tally | None) -> Tally:
        name, retries = self._settings.name, self._settings.retry_seconds
        with self._database.write() as connection:
            found = record_attempts(connection, owner, name, attempts, retries, self._clock(), self._rng)
            if last is not None:
                release(connection, owner)
                add_tally(connection, name, last + found)
        return found


class _Gate:
    """Tells the threads of one batch what they may still try."""

    def __init__(
        self,
        database: Database,
        terms: Terms,
        admitted: Sequence[Admitted],
        clock: Callable[[], datetime],
        seconds: float,
    ) -> None:
        self.open = True
        self._database, self._terms, self._clock = database, terms, clock
        self._members = {one.waiting.member_id for one in admitted}
        self._refused: set[str] = set()
        self._until = time.monotonic() + seconds

    def lets(self, one: Admitted) -> bool:
        """Tell whether a message may still be tried."""
        return self.open and one.waiting.member_id not in self._refused and time.monotonic() < self._until

    def look(self) -> None:
        """See what changed: the campaign was stopped, a consent was withdrawn, a member was erased."""
        try:
            with self._database.read() as connection:
                running = fetch(connection, _STATUS, (self._terms.campaign_id,)) == [(Status.RUNNING.value,)]
                found = read_recipients(connection, self._members, self._terms.transport.channel, self._clock())
        except StoreBusyError:
            running, found = False, {}  # what cannot be looked up counts against sending
        self.open = self.open and running and time.monotonic() < self._until
        self._refused |= {one.member_id for one in found.values() if one.against is not None}


def terms_of(
    campaign: Campaign, settings: CampaignSettings, transport: TransportSettings, rules: DeliveryRules
) -> Terms:
    """Return what holds for the messages of a campaign; of two caps the stricter one counts."""
    zone = settings.zone or rules.zone
    return Terms(
        campaign_id=campaign.campaign_id,
        ends_at=campaign.ends_at,
        content=Content(settings.message or Message(), campaign.name or campaign.campaign_id, zone),
        caps=settings.caps.stricter(rules.caps),
        quiet=settings.quiet_hours or rules.quiet,
        zone=zone,
        transport=transport,
        wallet=rules.wallet,
    )


def _chunks(admitted: Sequence[Admitted], size: int) -> list[list[Admitted]]:
    return [list(admitted[start : start + size]) for start in range(0, len(admitted), size)]


def _finished(jobs: Sequence[Future[None]]) -> bool:
    """Wait a moment for all jobs to end; raise what one of them raised."""
    done, left = wait(jobs, LOOK_SECONDS)
    for one in done:
        one.result()
    return not left

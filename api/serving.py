"""Serving: one bundle with all that answers from it; ServingWatch: notices promotions and swaps one
reference.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from api.metrics import Metrics
from recommender.bundle import Bundle
from recommender.coupons.online import OnlineDecider
from recommender.errors import MemberwiseError
from recommender.lookup import QuerySource
from recommender.pipeline import Recommender
from recommender.registry import Registry
from recommender.storage.live import LiveState

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
RETRY_CHECKS = 60
"""A bundle that could not be served is tried again after so many checks, or when another one is promoted."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What one bundle is served with; a request keeps the one it began with.

    decider: offers for members between plans; None where the bundle learned nothing of coupons.
    turn: held while a slate is computed. Threads that compute at the same time would hand the interpreter's lock
    to and fro at every array operation, which costs more than waiting for one's turn.
    """

    bundle: Bundle
    recommender: Recommender
    live: LiveState
    source: QuerySource
    decider: OnlineDecider | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)


Prepare = Callable[[Bundle], Serving]
"""Makes everything ready to answer from a bundle, and tries it."""
Wanted = Callable[[Serving], frozenset[str]]
"""Says which bundles the experiments need that run where a bundle is served."""


def no_others(_serving: Serving) -> frozenset[str]:
    """Want no bundle beside the promoted one."""
    return frozenset()


class ServingWatch:
    """Keeps the promoted bundle in service: opens, verifies and warms it off the request path, then swaps.

    A bundle that cannot be served leaves the old one in service, at the start the one promoted before it; `problem`
    then says why. Bundles that experiments
    need are kept beside it; one of those that cannot be served is not there for `serving_of`.
    """

    def __init__(self, registry: Registry, prepare: Prepare, metrics: Metrics, wanted: Wanted = no_others) -> None:
        self._registry = registry
        self._prepare = prepare
        self._wanted = wanted
        self._others: dict[str, Serving] = {}
        self._others_failed: dict[str, int] = {}
        self._metrics = metrics
        self._serving: Serving | None = None
        self._problem: str | None = None
        self._failed_id: str | None = None
        self._checks_to_retry = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serving-watch", daemon=True)

    def current(self) -> Serving | None:
        """Return what is served now; None before the first bundle."""
        return self._serving

    def serving_of(self, bundle_id: str) -> Serving | None:
        """Return what serves a bundle, the promoted one or one that an experiment needs; None if it is not served."""
        current = self._serving
        if current is not None and current.bundle.bundle_id == bundle_id:
            return current
        return self._others.get(bundle_id)

    def problem(self) -> str | None:
        """Return why the promoted bundle is not the one served; None if it is."""
        return self._problem

    def start(self) -> None:
        """Take the promoted bundle into service, then go on watching in the background."""
        self.check()
        self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def check(self) -> None:
        """Look once whether another bundle is promoted, and take it into service if it can be."""
        promoted: str | None = None
        try:
            promoted = self._registry.current_id()
            served = None if self._serving is None else self._serving.bundle.bundle_id
            if promoted == served:
                self._problem = self._failed_id = None
            elif promoted is not None and not self._waits(promoted):
                self._swap(promoted)
        except Exception as error:
            self._fail(promoted, error)
            if self._serving is None:
                self._fall_back()
        self._keep_others()

    def _run(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            self.check()

    def _keep_others(self) -> None:
        """Have the bundles that experiments need, and let go of the others."""
        serving = self._serving
        if serving is None:
            return
        try:
            wanted = self._wanted(serving) - {serving.bundle.bundle_id}
        except Exception as error:  # such as a database that is away: what runs goes on
            unforeseen = None if isinstance(error, MemberwiseError | OSError) else error
            logger.warning("experiments_not_read reason=%s", error, exc_info=unforeseen)
            return
        self._others_failed = {name: checks - 1 for name, checks in self._others_failed.items() if name in wanted}
        others = {name: kept for name, kept in self._others.items() if name in wanted}
        for bundle_id in sorted(wanted - set(others)):
            if self._others_failed.get(bundle_id, 0) > 0:
                continue
            try:
                others[bundle_id] = self._prepare(self._registry.open(bundle_id))
                logger.info("bundle_beside bundle_id=%s", bundle_id)
            except Exception as error:
                self._others_failed[bundle_id] = RETRY_CHECKS
                self._metrics.bundle_failures.inc()
                unforeseen = None if isinstance(error, MemberwiseError | OSError) else error
                logger.error("bundle_not_beside bundle_id=%s reason=%s", bundle_id, error, exc_info=unforeseen)
        self._others = others

    def _waits(self, promoted: str) -> bool:
        """Tell whether a bundle failed lately."""
        self._checks_to_retry -= 1
        return promoted == self._failed_id and self._checks_to_retry > 0

    def _swap(self, bundle_id: str) -> None:
        serving = self._others.get(bundle_id) or self._prepare(self._registry.open(bundle_id))
        before = self._serving
        if before is not None:
            # An experiment may need it: it stays until it is known that none does.
            self._others = self._others | {before.bundle.bundle_id: before}
        self._serving = serving
        self._problem = self._failed_id = None
        self._metrics.bundle_swaps.inc()
        self._metrics.trained_until.set(serving.bundle.trained_until.timestamp())
        logger.info("bundle_in_service bundle_id=%s", bundle_id)

    def _fall_back(self) -> None:
        """At the start, serve the last good bundle in place of the promoted one; `problem` goes on saying why."""
        for bundle_id in reversed(self._registry.promoted_before()):
            try:
                self._serving = self._prepare(self._registry.open(bundle_id))
            except Exception as error:
                logger.warning("bundle_not_served bundle_id=%s reason=%s", bundle_id, error)
                continue
            self._metrics.trained_until.set(self._serving.bundle.trained_until.timestamp())
            logger.warning("older_bundle_in_service bundle_id=%s", bundle_id)
            return

    def _fail(self, bundle_id: str | None, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        repeated = (bundle_id, problem) == (self._failed_id, self._problem)
        self._failed_id, self._problem, self._checks_to_retry = bundle_id, problem, RETRY_CHECKS
        if not repeated:
            self._metrics.bundle_failures.inc()
            unforeseen = None if isinstance(error, MemberwiseError | OSError) else error
            logger.error("bundle_not_served bundle_id=%s reason=%s", bundle_id, problem, exc_info=unforeseen)

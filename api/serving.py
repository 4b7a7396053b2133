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

    turn: held while a slate is computed. Threads that compute at the same time would hand the interpreter's lock
    to and fro at every array operation, which costs more than waiting for one's turn.
    """

    bundle: Bundle
    recommender: Recommender
    live: LiveState
    source: QuerySource
    turn: threading.Lock = field(default_factory=threading.Lock)


Prepare = Callable[[Bundle], Serving]
"""Makes everything ready to answer from a bundle, and tries it."""


class ServingWatch:
    """Keeps the promoted bundle in service: opens, verifies and warms it off the request path, then swaps.

    A bundle that cannot be served leaves the old one in service; `problem` then says why.
    """

    def __init__(self, registry: Registry, prepare: Prepare, metrics: Metrics) -> None:
        self._registry = registry
        self._prepare = prepare
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

    def _run(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            self.check()

    def _waits(self, promoted: str) -> bool:
        """Tell whether a bundle failed lately."""
        self._checks_to_retry -= 1
        return promoted == self._failed_id and self._checks_to_retry > 0

    def _swap(self, bundle_id: str) -> None:
        serving = self._prepare(self._registry.open(bundle_id))
        self._serving = serving
        self._problem = self._failed_id = None
        self._metrics.bundle_swaps.inc()
        self._metrics.trained_until.set(serving.bundle.trained_until.timestamp())
        logger.info("bundle_in_service bundle_id=%s", bundle_id)

    def _fail(self, bundle_id: str | None, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        repeated = (bundle_id, problem) == (self._failed_id, self._problem)
        self._failed_id, self._problem, self._checks_to_retry = bundle_id, problem, RETRY_CHECKS
        if not repeated:
            self._metrics.bundle_failures.inc()
            unforeseen = None if isinstance(error, MemberwiseError | OSError) else error
            logger.error("bundle_not_served bundle_id=%s reason=%s", bundle_id, problem, exc_info=unforeseen)

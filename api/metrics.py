"""Metrics: the figures that /metrics shows, added up over all web workers of one machine.

What happens on every request is only noted there, and counted a moment later by a thread of its own: a counter
shared between processes costs more than the note.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from api.settings import METRICS_FOLDER_VARIABLE
from recommender.coupons.wallet import Outcome
from recommender.stages import Stage

logger = logging.getLogger(__name__)

COUNT_SECONDS = 0.5
"""How often what was noted is counted; a worker that is killed loses the notes of this time."""
LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
EVENT_LAG_SECONDS = (1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 604800.0)
FILE_BYTES = 1 << 20
"""What the figures of one kind of one process may take on the disk: several times what all labels need."""
_FILE_KINDS = ("counter", "histogram", "gauge_livemin")
UNFILLED = "too_few_candidates"
"""Reason of a fallback: the candidates did not fill the slate, popular items did."""
_REASONS = (
    "store_unavailable",
    "not_personalised",
    "anonymous",
    "identity_conflict",
    "unknown_member",
    "empty_context",
    "empty_history",
)


@dataclass(frozen=True, slots=True)
class SlateFigures:
    """What is counted of one slate: what was asked and served, and how long each stage took."""

    scenario: str
    strategy: str
    asked: int
    served: int
    flags: Sequence[str]
    dropped: Mapping[str, int]
    seconds: Mapping[Stage, float]

    def fallbacks(self) -> Iterator[str]:
        """Yield why the slate is not what it could be for a customer whose history is known."""
        if "filled" in self.strategy:
            yield UNFILLED
        if self.strategy.startswith("popular"):
            yield next((flag for flag in _REASONS if flag in self.flags), "no_history")


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """What is counted of one request; the scenario is "" where there is none."""

    operation: str
    scenario: str
    status: int
    seconds: float


class Metrics:
    """Every figure of one process, by name. Labels hold no ids of members, items or stores."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests answered.", "operation", "status")
        self._request_seconds = self._histogram(
            "request_seconds", "Time from request to answer.", LATENCY_SECONDS, "operation", "scenario"
        )
        self._stage_seconds = self._counter(
            "stage_seconds", "Time spent in each stage of making slates.", "scenario", "stage"
        )
        self._slates = self._counter("slates", "Slates served.", "scenario", "strategy")
        self._asked = self._counter("slate_items_asked", "Items asked for.", "scenario")
        self._served = self._counter("slate_items", "Items served.", "scenario")
        self._short = self._counter("short_slates", "Slates with fewer items than asked for.", "scenario")
        self._fallbacks = self._counter("fallbacks", "Slates made in a second-best way.", "scenario", "reason")
        self._flags = self._counter("slate_flags", "What was not known when a slate was made.", "flag")
        self._dropped = self._counter("dropped_candidates", "Candidates that rules removed.", "rule")
        self.events = self._counter("events", "Events received.", "status")
        self.event_lag = self._histogram(
            "event_lag_seconds", "From the oldest event of a call to its arrival.", EVENT_LAG_SECONDS
        )
        self._coupons = self._counter("coupons", "Coupons that writes asked for.", "operation", "result")
        self.exposures_failed = self._counter("exposures_failed", "Slates served without a recorded exposure.")
        self.bundle_failures = self._counter("bundle_failures", "Promoted bundles that could not be served.")
        self.bundle_swaps = self._counter("bundle_swaps", "Bundles taken into service.")
        self.trained_until = Gauge(
            "memberwise_bundle_trained_until_seconds",
            "Events before this time, in seconds since 1970, are in the bundle that is served.",
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._noted: deque[SlateFigures | RequestFigures] = deque()
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Count in the background from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Count what was noted, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.count()

    def note(self, figures: SlateFigures | RequestFigures) -> None:
        """Have a slate or a request counted soon."""
        self._noted.append(figures)

    def note_coupons(self, operation: str, outcomes: Sequence[Outcome]) -> None:
        """Count what came of coupons: `done`, `repeated`, or the reason of a refusal."""
        found = Tally((operation, _result(one)) for one in outcomes)
        _add(self._coupons, found)

    def count(self) -> None:
        """Count what was noted so far."""
        with self._counting:
            slates, requests = [], []
            while self._noted:
                figures = self._noted.popleft()
                if isinstance(figures, SlateFigures):
                    slates.append(figures)
                else:
                    requests.append(figures)
            self._count_requests(requests)
            self._count_slates(slates)

    def text(self, measured: Sequence[GaugeMetricFamily] = ()) -> bytes:
        """Return all figures in the text format of Prometheus, over all workers where there are several.

        Args:
            measured: what was found out just now about the machine, beside the figures of the workers.
        """
        self.count()
        here = CollectorRegistry()
        here.register(_Measured(measured))
        if METRICS_FOLDER_VARIABLE not in os.environ:
            return generate_latest(self.registry) + generate_latest(here)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + generate_latest(here)

    def _count_requests(self, requests: Iterable[RequestFigures]) -> None:
        answered: Tally[tuple[str, int]] = Tally()
        for one in requests:
            answered[one.operation, one.status] += 1
            self._request_seconds.labels(one.operation, one.scenario).observe(one.seconds)
        _add(self._requests, answered)

    def _count_slates(self, slates: Sequence[SlateFigures]) -> None:
        _add(self._slates, Tally((one.scenario, one.strategy) for one in slates))
        _add(self._fallbacks, Tally((one.scenario, reason) for one in slates for reason in one.fallbacks()))
        _add(self._short, Tally((one.scenario,) for one in slates if one.served < one.asked))
        _add(self._flags, Tally((flag,) for one in slates for flag in one.flags))
        _add(self._asked, _sums(((one.scenario,), one.asked) for one in slates))
        _add(self._served, _sums(((one.scenario,), one.served) for one in slates))
        _add(self._dropped, _sums(((rule,), count) for one in slates for rule, count in one.dropped.items()))
        seconds = (((one.scenario, stage), spent) for one in slates for stage, spent in one.seconds.items())
        _add(self._stage_seconds, _sums(seconds))

    def _run(self) -> None:
        while not self._stop.wait(COUNT_SECONDS):
            try:
                self.count()
            except Exception:  # notes must not pile up for want of somebody who counts them
                logger.exception("figures_not_counted")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"memberwise_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"memberwise_{name}", meaning, labels, buckets=buckets, registry=self.registry)


class _Measured(Collector):
    """Figures that were measured when they were asked for."""

    def __init__(self, families: Sequence[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Sequence[GaugeMetricFamily]:
        """Return the figures."""
        return self._families


def _result(one: Outcome) -> str:
    if one.refused is not None:
        return str(one.refused.reason)
    return "repeated" if one.repeated else "done"


def _add(counter: Counter, amounts: Mapping[Any, float]) -> None:
    """Add amounts by their labels."""
    for labels, amount in amounts.items():
        counter.labels(*labels).inc(amount)


def _sums(amounts: Iterable[tuple[tuple[str, ...], float]]) -> Mapping[tuple[str, ...], float]:
    """Add up amounts by their labels."""
    sums: dict[tuple[str, ...], float] = {}
    for labels, amount in amounts:
        sums[labels] = sums.get(labels, 0) + amount
    return sums


def reserve_files() -> bool:
    """Have the disk hold this process's figures before they are counted; False if it is full: they stay in memory.

    They are written through memory maps, and a write that the disk has no room for ends the process.
    """
    folder = os.environ.get(METRICS_FOLDER_VARIABLE)
    if folder is None:
        return True
    paths = [Path(folder) / f"{kind}_{os.getpid()}.db" for kind in _FILE_KINDS]
    try:
        for path in paths:
            with path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, FILE_BYTES)
    except OSError as error:
        logger.error("metrics_not_shared reason=%s", error.strerror)
        for path in paths:
            path.unlink(missing_ok=True)
        values.ValueClass = values.MutexValue
        return False
    return True


def forget_process(pid: int) -> None:
    """Leave out the present values (not the counts) of a worker that ended."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]

"""Metrics: the figures that /metrics shows, added up over all web workers of one machine."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from api.settings import METRICS_FOLDER_VARIABLE

LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Every figure of one process, by name. Labels hold no ids of members, items or stores."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "operation", "status")
        self.request_seconds = Histogram(
            "memberwise_request_seconds",
            "Time from request to answer.",
            ("operation",),
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self.slates = self._counter("slates", "Slates served.", "scenario", "strategy")
        self.slate_items = self._counter("slate_items", "Items served.", "scenario")
        self.short_slates = self._counter("short_slates", "Slates with fewer items than asked for.", "scenario")
        self.flags = self._counter("slate_flags", "What was not known when a slate was made.", "flag")
        self.dropped = self._counter("dropped_candidates", "Candidates that rules removed.", "rule")
        self.events = self._counter("events", "Events received.", "status")
        self.exposures_failed = self._counter("exposures_failed", "Slates served without a recorded exposure.")
        self.bundle_failures = self._counter("bundle_failures", "Promoted bundles that could not be served.")
        self.bundle_swaps = self._counter("bundle_swaps", "Bundles taken into service.")
        self.trained_until = Gauge(
            "memberwise_bundle_trained_until_seconds",
            "Events before this time, in seconds since 1970, are in the bundle that is served.",
            registry=self.registry,
            multiprocess_mode="livemin",
        )

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"memberwise_{name}", meaning, labels, registry=self.registry)

    def text(self) -> bytes:
        """Return all figures in the text format of Prometheus, over all workers where there are several."""
        if METRICS_FOLDER_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_process(pid: int) -> None:
    """Leave out the present values (not the counts) of a worker that ended."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]

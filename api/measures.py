"""Measures: what /metrics says about the machine and the database, found out when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily

from api.services import Services
from recommender.campaigns.outcomes import overdue_since, read_tally
from recommender.coupons.ledger import count_breaches
from recommender.coupons.supervision import frozen_offers
from recommender.errors import MemberwiseError
from recommender.exposures import spool_files
from recommender.storage.backlog import Backlog, read_backlog

MOST_READ_BYTES = 16 << 20
"""Lines are counted in so much of the spool; past it their number is estimated."""


def measure(services: Services, now: datetime) -> list[GaugeMetricFamily]:
    """Return the age of the bundle, the exposures that wait in the spool, and the events that wait to be copied.

    What the database would have to say is left out while it is away.
    """
    found = []
    serving = services.serving.current()
    if serving is not None:
        age = (now - serving.bundle.trained_until).total_seconds()
        found.append(_gauge("bundle_age_seconds", "Age of the newest events in the bundle that is served.", age))
    try:
        with services.database.read() as connection:
            backlog = read_backlog(connection)
            breaches, frozen = count_breaches(connection), len(frozen_offers(connection))
            outcomes, overdue = read_tally(connection), overdue_since(connection, now)
    except MemberwiseError:
        found.append(_gauge("database_up", "Whether the database answers.", 0))
    else:
        found.append(_gauge("database_up", "Whether the database answers.", 1))
        found.append(_gauge("coupon_breaches", "Redemptions that went beyond what was allowed.", breaches))
        found.append(_gauge("offers_frozen", "Offers that are frozen.", frozen))
        found.append(_deliveries(outcomes))
        waited = 0.0 if overdue is None else (now - overdue).total_seconds()
        found.append(_gauge("deliveries_overdue_seconds", "How long the oldest message that is due waits.", waited))
        found += _spool(services.settings.spool_folder, backlog.drained) + _events(backlog, now)
    return found


def waiting_exposures(folder: Path, drained: Mapping[str, int]) -> tuple[int, int]:
    """Return how many bytes and lines of the spool are not in the database yet.

    Args:
        folder: of the spool.
        drained: bytes that are, by name of the file.
    """
    total = lines = read = 0
    for path in spool_files(folder):
        offset = drained.get(path.name, 0)
        try:
            waiting = max(path.stat().st_size - offset, 0)
            if waiting and read < MOST_READ_BYTES:
                with path.open("rb") as file:
                    file.seek(offset)
                    part = file.read(min(waiting, MOST_READ_BYTES - read))
                read += len(part)
                lines += part.count(b"\n")
        except FileNotFoundError:
            continue  # moved meanwhile
        total += waiting
    return total, lines if total <= read or not read else lines * total // read


def _spool(folder: Path, drained: Mapping[str, int]) -> list[GaugeMetricFamily]:
    waiting, lines = waiting_exposures(folder, drained)
    return [
        _gauge("exposure_queue_bytes", "Recorded exposures that are not in the database yet.", waiting),
        _gauge("exposure_queue_lines", "Answers whose exposures are not in the database yet.", lines),
    ]


def _events(backlog: Backlog, now: datetime) -> list[GaugeMetricFamily]:
    oldest = backlog.oldest_received_at
    waited = 0.0 if oldest is None else (now - oldest).total_seconds()
    return [
        _gauge("events_uncopied", "Posted events that are not in the event log yet.", backlog.events),
        _gauge("events_uncopied_seconds", "How long the oldest of them has waited.", waited),
    ]


def _deliveries(outcomes: Mapping[tuple[str, str, str], int]) -> GaugeMetricFamily:
    meaning = "Messages by transport, outcome and reason, of all time; retried ones once for each attempt."
    family = GaugeMetricFamily("memberwise_deliveries", meaning, labels=("transport", "outcome", "reason"))
    for labels, count in outcomes.items():
        family.add_metric(labels, count)
    return family


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"memberwise_{name}", meaning, value=value)

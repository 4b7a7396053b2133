"""What the worker does for delivery: sends by all transports in threads of their own, and tidies up behind them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from api.delivery_rules import delivery_rules, surroundings
from api.settings import ServiceSettings
from recommender.campaigns.contacts import prune_contacts
from recommender.campaigns.delivering import Delivery
from recommender.campaigns.messages import sweep_over
from recommender.storage.database import Database


class DeliveryThread:
    """Sends in the background from when it is made until it is stopped, if the settings let it."""

    def __init__(self, settings: ServiceSettings, database: Database) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if settings.deliver:
            rules, around = delivery_rules(settings), surroundings(settings)
            delivery = Delivery(database, rules, around, lambda: datetime.now(UTC))
            self._thread = threading.Thread(target=delivery.run, args=(self._stop,), name="delivery", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End what is being sent, and give the rest back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()


def tend_deliveries(database: Database, settings: ServiceSettings, now: datetime) -> int:
    """Skip what was left when campaigns ended, and forget contacts that no cap looks at; return how many messages."""
    with database.write() as connection:
        prune_contacts(connection, now.astimezone(settings.zone).date())
    return sweep_over(database, now)

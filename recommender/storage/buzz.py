"""Buzz: what lately happened to items that are newer than the models, counted from the events as they come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.catalog import Catalog
from recommender.events import EventKind
from recommender.storage.statements import fetch, last_sequence

LOOK_BACK = 20_000
"""How many sequences back a process begins to count."""
PAGE_ROWS = 5_000
HALF_LIFE_SECONDS = 86_400.0
HALF = 10.0
"""Purchases by which an item has half of all possible buzz."""
WORTH = {EventKind.PURCHASE: 1.0, EventKind.BASKET_ADD: 0.5, EventKind.FAVORITE: 0.5, EventKind.VIEW: 0.1}

_ACTS = "SELECT item_id, kind, sequence FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"


class Buzz:
    """Counts the events of items that a catalogue has beyond its models; used by one thread at a time."""

    def __init__(self) -> None:
        self._after: int | None = None
        self._counts: dict[str, float] = {}
        self._faded_at = 0.0

    def read(self, connection: Connection, catalog: Catalog, seconds: float) -> bool:
        """Count what came since the last call; tell whether anything did to these items.

        Args:
            seconds: a monotonic clock.
        """
        if self._after is None:
            self._after, self._faded_at = max(0, last_sequence(connection) - LOOK_BACK), seconds
        rows = fetch(connection, _ACTS, (self._after, PAGE_ROWS))
        if not rows:
            return False
        self._after = rows[-1][2]
        acts = [(item_id, WORTH[kind]) for item_id, kind, _ in rows if item_id is not None and kind in WORTH]
        known = catalog.extra_ids.rows([item_id for item_id, _ in acts])[1]
        if not known.any():
            return False
        fading = 0.5 ** ((seconds - self._faded_at) / HALF_LIFE_SECONDS)
        self._faded_at = seconds
        self._counts = {item_id: count * fading for item_id, count in self._counts.items()}
        for (item_id, worth), counts in zip(acts, known.tolist(), strict=True):
            if counts:
                self._counts[item_id] = self._counts.get(item_id, 0.0) + worth
        return True

    def of(self, catalog: Catalog) -> npt.NDArray[np.float32]:
        """Return the buzz of each item beyond the models, float32, (n_new,), in [0, 1)."""
        found = np.zeros(len(catalog.extra_ids), np.float32)
        names = list(self._counts)
        rows, known = catalog.extra_ids.rows(names)
        counts = np.array([self._counts[name] for name in names], np.float32)[known]
        found[rows] = counts / (counts + np.float32(HALF))
        return found

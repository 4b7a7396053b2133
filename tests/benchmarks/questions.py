"""Questions: the requests that the serving benchmark and the soak send, as HTTP made beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson

from tests.benchmarks.exports import item_ids, member_ids, store_ids
from tests.benchmarks.shops import SEED, Shop

COUNT = 10
ASKED = 20_000
"""Members without new events who are asked about, drawn at random."""
FRESH = 5_000
"""Members who get new events and are asked about: more than one load asks, so that none is asked twice by it."""
RETURNING = 300
"""Of these, those who ask again and again: few enough that every worker has met them while it warms up."""
EVENTS_EACH = 3
EXCLUDED = 200
LEAST_CENTS, MOST_CENTS = 300, 3_000
"""The price filter; it keeps about three items in four of the synthetic retailer."""
BATCH = 100


class Questions:
    """Requests about one shop with one key.

    quiet: members without events since the bundle was trained.  fresh: those who get some.
    """

    def __init__(self, shop: Shop, key: str) -> None:
        self.key = key
        self._rng = np.random.default_rng(SEED)
        shape = shop.shape
        members = member_ids(shape.members)
        order = self._rng.permutation(shape.members)
        fresh = min(FRESH, shape.members // 3)
        self.fresh = [members[row] for row in order[:fresh]]
        self.quiet = [members[row] for row in order[fresh : fresh + ASKED]]
        self.items = item_ids(shape.items)
        self.stores = store_ids(shape.stores)

    def request(self, method: str, path: str, body: object) -> str:
        """Return one request as it is sent."""
        text = json.dumps(body, separators=(",", ":"))
        return (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Length: {len(text)}\r\n\r\n{text}"
        )

    def home(self, members: Sequence[str], **more: object) -> list[str]:
        """Ask for `home` of each member."""
        bodies = ({"scenario": "home", "member_id": member, "channel": "app", "count": COUNT} for member in members)
        return [self.request("POST", "/v1/recommendations", body | more) for body in bodies]

    def filtered(self, members: Sequence[str]) -> list[str]:
        """Ask for `home` of each member in some store, at some price, without many items."""
        found = []
        for member in members:
            excluded = self._rng.choice(len(self.items), min(EXCLUDED, len(self.items) // 4), replace=False)
            more = {
                "store_id": self.stores[self._rng.integers(len(self.stores))],
                "filters": {"price_cents": {"min": LEAST_CENTS, "max": MOST_CENTS}},
                "exclude": [self.items[row] for row in excluded],
            }
            found += self.home([member], **more)
        return found

    def events(self, batches: int, prefix: str) -> list[list[dict[str, object]]]:
        """Return batches of views and baskets of the fresh members, that happened just now."""
        return [self._batch(f"{prefix}-{number}", BATCH) for number in range(batches)]

    def visits(self, prefix: str) -> list[list[dict[str, object]]]:
        """Return batches that give every fresh member some events."""
        rows = [row for number in range(EVENTS_EACH) for row in self._rows(f"{prefix}-{number}", self.fresh)]
        return [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]

    def posts(self, batches: Sequence[Sequence[dict[str, object]]]) -> list[str]:
        """Return the calls that post batches of events."""
        return [self.request("POST", "/v1/events", {"events": list(batch)}) for batch in batches]

    def stock(self, calls: int, pairs: int) -> list[str]:
        """Return calls that set stock of pairs drawn at random, never to nothing, and never in the last store."""
        return [self.request("PUT", "/v1/inventory", {"inventory": list(self._pairs(pairs))}) for _ in range(calls)]

    def _pairs(self, count: int) -> Iterator[dict[str, object]]:
        pairs = (len(self.stores) - 1) * len(self.items)
        drawn = np.unique(self._rng.integers(0, pairs, min(count, pairs // 4)))
        for store, item in zip(*np.divmod(drawn, len(self.items)), strict=True):
            on_hand = int(self._rng.integers(1, 200))
            yield {"store_id": self.stores[store], "item_id": self.items[item], "on_hand": on_hand}

    def _batch(self, prefix: str, size: int) -> list[dict[str, object]]:
        drawn = self._rng.integers(0, len(self.fresh), size)
        return self._rows(prefix, [self.fresh[row] for row in drawn])

    def _rows(self, prefix: str, members: Sequence[str]) -> list[dict[str, object]]:
        now = datetime.now(UTC)
        kinds = self._rng.choice(["view", "view", "view", "basket_add"], len(members))
        items = self._rng.integers(0, len(self.items), len(members))
        return [
            {
                "event_id": f"{prefix}-{number}",
                "occurred_at": (now - timedelta(seconds=len(members) - number)).isoformat(),
                "kind": str(kinds[number]),
                "channel": "app",
                "member_id": member,
                "item_id": self.items[items[number]],
            }
            for number, member in enumerate(members)
        ]


def write_questions(path: Path, questions: Sequence[str]) -> Path:
    """Write requests for the load client."""
    path.write_bytes(orjson.dumps(questions))
    return path

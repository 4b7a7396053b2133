"""Readers and writers of the soak, and the ledger of what they asked, what came back and what was wrong with it."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from tests.benchmarks.load_client import LOOPBACK, TIMEOUT_SECONDS
from tests.benchmarks.questions import Questions

Json = dict[str, Any]

KNOWN_AFTER_SECONDS = 1.0
"""From then on every answer must heed what was written."""
COUNT = 12
BATCH = 10
MOST_EXAMPLES = 10
SCENARIOS = ("home", "buy_again", "discover", "trending", "new", "similar", "substitutes", "basket", "session")
MAY_BE_SHORT = ("buy_again",)
"""There are only so many items that a member has bought."""
SOLD_OUT_AT_ONCE = 30
HIDDEN_AT_ONCE = 30
RECONNECT_SECONDS = 0.05


class Ledger:
    """What all of them know and found; safe to share between threads.

    asked, lost, milliseconds: by kind of request.  statuses: by kind and status.  wrong: by kind and what.
    served: ids of slates.  sold_out: since when, by store and item.  hidden: since when, by item.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.wrong: Counter[tuple[str, str]] = Counter()
        self.milliseconds: dict[str, list[float]] = defaultdict(list)
        self.bundles: Counter[str] = Counter()
        self.served: list[str] = []
        self.examples: list[str] = []
        self.sold_out: dict[tuple[str, str], float] = {}
        self.hidden: dict[str, float] = {}
        self._lock = threading.Lock()

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """Note an answer."""
        with self._lock:
            self.asked[kind] += 1
            self.statuses[kind, status] += 1
            self.milliseconds[kind].append(seconds * 1000)

    def broke(self, kind: str) -> None:
        """Note a request whose connection broke."""
        with self._lock:
            self.asked[kind] += 1
            self.lost[kind] += 1

    def note_slate(self, kind: str, asked: Json, answer: Json, sent_at: float) -> None:
        """Note a slate and what is wrong with it."""
        faults = list(self._faults(asked, answer, sent_at))
        with self._lock:
            self.bundles[str(answer["bundle_id"])] += 1
            self.served.append(str(answer["recommendation_id"]))
            self.wrong.update((kind, fault) for fault in faults)
            if faults and len(self.examples) < MOST_EXAMPLES:
                self.examples.append(f"{', '.join(faults)}: {asked} -> {answer}"[:1000])

    def note_wrong(self, kind: str, what: str, text: str) -> None:
        """Note what is wrong with another answer."""
        with self._lock:
            self.wrong[kind, what] += 1
        self.note_example(f"{what}: {text}")

    def note_example(self, text: str) -> None:
        """Keep an answer that should not have come."""
        with self._lock:
            if len(self.examples) < MOST_EXAMPLES:
                self.examples.append(text[:1000])

    def _faults(self, asked: Json, answer: Json, sent_at: float) -> Iterator[str]:
        items = [item["item_id"] for item in answer["items"]]
        if len(items) < asked["count"] and asked["scenario"] not in MAY_BE_SHORT:
            yield "short"
        if len(set(items)) < len(items):
            yield "duplicates"
        if [item["position"] for item in answer["items"]] != list(range(1, len(items) + 1)):
            yield "positions"
        if set(items) & set(asked.get("exclude", ())):
            yield "excluded"
        if any(_holds(self.hidden.get(item), sent_at) for item in items):
            yield "hidden"
        store_id = asked.get("store_id")
        if store_id is not None and any(_holds(self.sold_out.get((store_id, item)), sent_at) for item in items):
            yield "sold out"


def _holds(since: float | None, sent_at: float) -> bool:
    """Tell whether something was written long enough before a request was sent, and still holds."""
    return since is not None and since + KNOWN_AFTER_SECONDS < sent_at


class Person:
    """Somebody with a connection, a key and chance of their own."""

    def __init__(self, port: int, questions: Questions, ledger: Ledger, number: int) -> None:
        self._port, self._key, self._ledger = port, questions.key, ledger
        self._members = [*questions.quiet, *questions.fresh]
        self._items, self._stores = questions.items, questions.stores
        self._rng = np.random.default_rng(1000 + number)
        self._number = number
        self._connection: http.client.HTTPConnection | None = None
        self._left = 0

    def ask(self, kind: str, method: str, path: str, body: object = None) -> Json | None:
        """Send one request; return its answer if it is 200."""
        data = None if body is None else orjson.dumps(body)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        began = time.monotonic()
        try:
            if self._left == 0:
                self._renew()
            self._left -= 1
            if self._connection is None:
                self._connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=TIMEOUT_SECONDS)
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection = None
            self._ledger.broke(kind)
            time.sleep(RECONNECT_SECONDS)
            return None
        self._ledger.answered(kind, response.status, time.monotonic() - began)
        if response.status != http.HTTPStatus.OK:
            self._ledger.note_example(f"{method} {path}: {response.status} {content.decode('utf-8', 'replace')}")
            return None
        answer: Json = orjson.loads(content)
        return answer

    def _renew(self) -> None:
        """Come back by another connection, which another worker may take."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._left = int(self._rng.integers(20, 100))

    def one_of(self, values: Sequence[str]) -> str:
        """Draw one."""
        return values[int(self._rng.integers(len(values)))]

    def some_of(self, values: Sequence[str], count: int) -> list[str]:
        """Draw several different ones."""
        return [values[row] for row in self._rng.choice(len(values), min(count, len(values)), replace=False)]


class Reader(Person):
    """Asks for slates of every scenario by every route, and has them checked."""

    def live(self, stop: threading.Event) -> None:
        """Ask until told to stop."""
        routes = (self._post, self._post, self._post, self._get, self._similar, self._explain, self._rank, self._batch)
        while not stop.is_set():
            routes[int(self._rng.integers(len(routes)))]()

    def _post(self) -> None:
        asked = self._question()
        self._slate(asked["scenario"], "POST", "/v1/recommendations", asked, asked)

    def _get(self) -> None:
        asked = {"scenario": "home", "store_id": self.one_of(self._stores), "count": COUNT}
        path = f"/v1/members/{self.one_of(self._members)}/recommendations"
        self._slate("GET home", "GET", f"{path}?scenario=home&store_id={asked['store_id']}&count={COUNT}", None, asked)

    def _similar(self) -> None:
        path = f"/v1/items/{self.one_of(self._items)}/similar?count={COUNT}"
        self._slate("GET similar", "GET", path, None, {"scenario": "similar", "count": COUNT})

    def _explain(self) -> None:
        self.ask("explain", "POST", "/v1/explain", self._question() | {"item_id": self.one_of(self._items)})

    def _rank(self) -> None:
        body = {"member_id": self.one_of(self._members), "item_ids": self.some_of(self._items, 20)}
        answer = self.ask("rank", "POST", "/v1/rank", body)
        if answer is not None and len(answer["items"]) != len(body["item_ids"]):
            self._ledger.note_wrong("rank", "not every item", f"{body} -> {answer}")

    def _batch(self) -> None:
        sent_at, questions = time.monotonic(), [self._question() for _ in range(BATCH)]
        answer = self.ask(f"batch of {BATCH}", "POST", "/v1/recommendations:batch", {"requests": questions})
        for asked, entry in zip(questions, (answer or {"results": []})["results"], strict=answer is not None):
            if entry["problem"] is None:
                self._ledger.note_slate(f"batch of {BATCH}", asked, entry["result"], sent_at)
            else:
                self._ledger.note_wrong(f"batch of {BATCH}", "problem", f"{asked} -> {entry['problem']}")

    def _slate(self, kind: str, method: str, path: str, body: object, asked: Json) -> None:
        sent_at = time.monotonic()
        answer = self.ask(kind, method, path, body)
        if answer is not None:
            self._ledger.note_slate(kind, asked, answer, sent_at)

    def _question(self) -> Json:
        scenario = self.one_of(SCENARIOS)
        asked: Json = {"scenario": scenario, "count": COUNT}
        if scenario != "session":
            asked["member_id"] = self.one_of(self._members)
        if self._rng.random() < 0.8:
            asked["store_id"] = self.one_of(self._watched_stores())
        if self._rng.random() < 0.3:
            asked["exclude"] = self.some_of(self._items, 50)
        context = self._context(scenario)
        return asked | ({"context": context} if context else {})

    def _watched_stores(self) -> Sequence[str]:
        """Return stores in which something is sold out just now, or all of them."""
        stores = sorted({store for store, _ in list(self._ledger.sold_out)})
        return stores if stores and self._rng.random() < 0.7 else self._stores

    def _context(self, scenario: str) -> Mapping[str, object]:
        if scenario in ("similar", "substitutes"):
            return {"item_id": self.one_of(self._items)}
        if scenario == "basket":
            return {"basket_item_ids": self.some_of(self._items, 3)}
        if scenario == "session":
            return {"events": [{"item_id": item_id} for item_id in self.some_of(self._items, 3)]}
        return {}


class Writer(Person):
    """Posts events, sells items out and brings them back, hides and shows items, and changes prices.

    Each writer keeps to items of its own, so that none undoes what another has written.
    """

    def __init__(self, port: int, questions: Questions, ledger: Ledger, number: int, writers: int) -> None:
        super().__init__(port, questions, ledger, 500 + number)
        self._own = self._items[number::writers]
        self._prefix = f"soak-{time.time_ns()}-{number}"
        self._posted = 0
        self._emptied: list[tuple[str, str]] = []
        self._concealed: list[str] = []

    def live(self, stop: threading.Event) -> None:
        """Write until told to stop; then bring everything back."""
        acts = (self._events, self._events, self._sell_out, self._hide, self._prices)
        while not stop.is_set():
            acts[int(self._rng.integers(len(acts)))]()
            stop.wait(0.01)
        while self._emptied:
            self._restock()
        while self._concealed:
            self._show()

    def _events(self) -> None:
        now = datetime.now(UTC).isoformat()
        rows = []
        for _ in range(20):
            self._posted += 1
            row = {"event_id": f"{self._prefix}-{self._posted}", "occurred_at": now, "kind": "view", "channel": "app"}
            rows.append(row | {"member_id": self.one_of(self._members), "item_id": self.one_of(self._items)})
        self.ask("post events", "POST", "/v1/events", {"events": rows})

    def _sell_out(self) -> None:
        """Sell out what is shown to somebody in a store, so that it matters."""
        store_id = self.one_of(self._stores)
        body = {"scenario": "home", "member_id": self.one_of(self._members), "store_id": store_id, "count": COUNT}
        answer = self.ask("home", "POST", "/v1/recommendations", body)
        own = set(self._own)
        found = [item["item_id"] for item in (answer or {"items": []})["items"] if item["item_id"] in own]
        if found and (store_id, found[0]) not in self._ledger.sold_out and self._stock(store_id, found[0], 0):
            self._ledger.sold_out[store_id, found[0]] = time.monotonic()
            self._emptied.append((store_id, found[0]))
        if len(self._emptied) > SOLD_OUT_AT_ONCE:
            self._restock()

    def _restock(self) -> None:
        pair = self._emptied.pop(0)
        self._ledger.sold_out.pop(pair)
        self._stock(*pair, 100)

    def _stock(self, store_id: str, item_id: str, on_hand: int) -> bool:
        row = {"store_id": store_id, "item_id": item_id, "on_hand": on_hand}
        return self.ask("put stock", "PUT", "/v1/inventory", {"inventory": [row]}) is not None

    def _hide(self) -> None:
        item_id = self.one_of(self._own)
        if item_id not in self._ledger.hidden and self._put_item(item_id, hidden=True):
            self._ledger.hidden[item_id] = time.monotonic()
            self._concealed.append(item_id)
        if len(self._concealed) > HIDDEN_AT_ONCE:
            self._show()

    def _show(self) -> None:
        item_id = self._concealed.pop(0)
        self._ledger.hidden.pop(item_id)
        self._put_item(item_id, hidden=False)

    def _prices(self) -> None:
        self._put_item(self.one_of(self._own), price_cents=int(self._rng.integers(50, 5_000)))

    def _put_item(self, item_id: str, **values: object) -> bool:
        return self.ask("put items", "PUT", "/v1/items", {"items": [{"item_id": item_id, **values}]}) is not None

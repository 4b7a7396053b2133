"""A client of Memberwise in one file: copy it into your project. It needs Python 3.9 or later and nothing else.

    from client import Client

    memberwise = Client("http://127.0.0.1:8000", "mw_...")
    slate = memberwise.recommend("home", member_id="1008", store_id="shop-12", count=5)
    for item in slate["items"]:
        print(item["position"], item["item_id"], item["title"])

A client is safe to share between threads; each thread keeps a connection of its own. A call that found the service
busy, or whose connection broke, is made again where that does no harm.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, cast
from urllib.parse import quote, urlencode, urlsplit

__all__ = [
    "ApiError",
    "Client",
    "Coupon",
    "Event",
    "EventResult",
    "Identity",
    "Reason",
    "Slate",
    "SlateItem",
    "Unreachable",
]

MOST_ROWS = 1000
"""Most events or rows of one call; longer lists are sent in parts."""
LONGEST_WAIT_SECONDS = 5.0
"""A service that asks to wait longer than this is not waited for."""
_TOO_MANY, _AWAY = 429, 503


class Identity(TypedDict):
    """A customer as one channel knows them, such as a WeChat openid, a card or a phone number."""

    namespace: str
    value: str


class Reason(TypedDict):
    """Why an item is shown: a code for programs, a sentence for people, and the facts behind it."""

    code: str
    text: str
    evidence: dict[str, Any]


class Availability(TypedDict):
    """What is known of an item's stock in the store asked about; `state` is "known" or "unknown"."""

    store_id: str | None
    on_hand: float | None
    state: str


class Coupon(TypedDict):
    """A coupon that a member holds, or an offer that they may claim: `coupon_id` is None then."""

    origin: str
    coupon_id: str | None
    offer_id: str
    campaign_id: str | None
    title: str | None
    discount: str
    conditions: list[str]
    expires_at: str | None
    not_usable: str | None
    reasons: list[Reason]
    expected_saving_cents: int


class SlateItem(TypedDict):
    """One item of a slate. `price_cents` is the price in the store asked about, now, or None."""

    item_id: str
    title: str | None
    position: int
    score: float
    reasons: list[Reason]
    price_cents: int | None
    sponsored: bool
    availability: Availability


class Slate(TypedDict):
    """An answer. Send `recommendation_id` and `position` with the events that follow."""

    recommendation_id: str
    scenario: str
    bundle_id: str
    strategy: str
    flags: list[str]
    items: list[SlateItem]
    dropped: dict[str, int]
    next: str | None


class EventRequired(TypedDict):
    """What every event says."""

    event_id: str
    occurred_at: str
    kind: str
    channel: str


class Event(EventRequired, total=False):
    """One act of one customer; `event_id` makes it safe to send twice. The times are ISO 8601 with an offset."""

    member_id: str
    identity: Identity
    item_id: str
    store_id: str
    order_id: str
    order_line: str
    revision: int
    status: str
    fulfilment: str
    quantity: float
    unit_price_cents: int
    discount_cents: int
    coupon_id: str
    recommendation_id: str
    position: int
    value: float
    attributes: dict[str, Any]


class EventResult(TypedDict):
    """What became of one event: accepted, duplicate, conflicting_duplicate or rejected."""

    event_id: str | None
    status: str
    errors: list[dict[str, Any]]


class ApiError(Exception):
    """The service refused a call; `errors` names each field, the value found and what is accepted.

    `kind` is the last part of the problem's type, such as "invalid-request"; `request_id` finds the call in the log.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None) -> None:
        self.status = status
        self.kind = str(problem.get("type", "")).rpartition(":")[2]
        self.detail = str(problem.get("detail", ""))
        self.errors: list[dict[str, Any]] = list(problem.get("errors", []))
        self.request_id = str(problem.get("request_id", ""))
        self.retry_after = retry_after
        super().__init__(f"{status} {self.kind}: {self.detail}")


class Unreachable(Exception):
    """The service did not answer; show the page without recommendations."""


class Client:
    """Calls one service with one API key.

    Args:
        url: where the service is reached, with a path if it lies below one.
        key: an API key, or a member token.
        timeout_seconds: how long to wait for each answer.
        retries: how often a call is made again when the service is busy or the connection broke.
        language: of titles and reasons: "en" or "zh".
    """

    def __init__(
        self, url: str, key: str, timeout_seconds: float = 2.0, retries: int = 2, language: str = "en"
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address such as https://recommend.example.com")
        self._parts, self._path = parts, parts.path.rstrip("/")
        self._timeout, self._retries = timeout_seconds, retries
        self._headers = {"Authorization": f"Bearer {key}", "Accept-Language": language}
        self._local = threading.local()

    def recommend(
        self,
        scenario: str = "home",
        *,
        member_id: str | None = None,
        identity: Identity | None = None,
        store_id: str | None = None,
        channel: str | None = None,
        count: int = 10,
        exclude: Sequence[str] = (),
        context: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Slate:
        """Return a slate for a member, for an identity, or for a customer nobody knows.

        Args:
            scenario: the placement, such as home, buy_again, discover, similar or basket.
            member_id, identity: who; at most one of them.
            store_id: the store whose stock, assortment and prices hold.
            channel: where the slate is shown.
            count: items wanted.
            exclude: ids of items not to show.
            context: the item, basket or visit it is about.
            more: any other field of the body of POST /v1/recommendations.
        Raises: ApiError, Unreachable.
        """
        named = {"member_id": member_id, "identity": identity, "store_id": store_id, "channel": channel}
        body = {"scenario": scenario, "count": count, "exclude": list(exclude), "context": context, **named, **more}
        return cast(Slate, self.call("POST", "/v1/recommendations", _said(body)))

    def similar(self, item_id: str, *, count: int = 10, store_id: str | None = None) -> Slate:
        """Return items like one. Raises: ApiError, Unreachable."""
        query = urlencode(_said({"count": count, "store_id": store_id}))
        return cast(Slate, self.call("GET", f"/v1/items/{quote(item_id, safe='')}/similar?{query}"))

    def coupons(self, member_id: str) -> list[Coupon]:
        """Return the coupons that a member holds and the offers that they may claim, best first.

        The key needs the scope coupons. Raises: ApiError, Unreachable.
        """
        return cast("list[Coupon]", self.call("GET", f"/v1/members/{quote(member_id, safe='')}/coupons")["coupons"])

    def claim(self, member_id: str, coupon: Coupon, request_no: str) -> dict[str, Any]:
        """Make an offer, as `coupons` returned it, a coupon of the member; return its result.

        Args:
            request_no: a number of your own for this claim: sent again, it claims nothing more.
        Returns: what the service says of the one coupon: `result`, `coupon_id`, and `reason` if it was refused.
        Raises: ApiError, Unreachable.
        """
        asked = {"offer_id": coupon["offer_id"], "member_id": member_id, "campaign_id": coupon["campaign_id"]}
        body = {"coupons": [_said(asked)], "request_no": request_no}
        return cast("dict[str, Any]", self.call("POST", "/v1/coupons:issue", body, request_no)["coupons"][0])

    def explain(self, item_id: str, scenario: str = "home", **asked: Any) -> dict[str, Any]:
        """Return why an item is in the slate of a request, or why not; `asked` is as in `recommend`.

        Raises: ApiError, Unreachable.
        """
        return self.call("POST", "/v1/explain", {"scenario": scenario, "item_id": item_id, **asked})

    def post_events(self, events: Iterable[Event]) -> list[EventResult]:
        """Record what customers did; return what became of each event, in order. Raises: ApiError, Unreachable."""
        results: list[EventResult] = []
        for part in _parts(list(events)):
            results += self.call("POST", "/v1/events", {"events": part})["results"]
        return results

    def put(self, table: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
        """Add or change rows; return how many were added, changed and unchanged.

        Args:
            table: items, stores, inventory, members or identities.
            rows: as docs/data-contract.md has them; columns left out keep their value.
        Raises: ApiError, Unreachable; rows before the part that failed are written.
        """
        counts = {"added": 0, "changed": 0, "unchanged": 0}
        for part in _parts(list(rows)):
            answer = self.call("PUT", f"/v1/{table}", {table: part})
            counts = {name: count + int(answer[name]) for name, count in counts.items()}
        return counts

    def ready(self) -> bool:
        """Tell whether the service can answer recommendations."""
        try:
            self.call("GET", "/readyz")
        except (ApiError, Unreachable):
            return False
        return True

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Make any call and return its answer.

        Args:
            method, path: as in the API's document, ids in the path quoted.
            body: what is sent as JSON.
            idempotency_key: for calls that take one; without it only calls that may be repeated are made again.
        Raises: ApiError, Unreachable.
        """
        headers = dict(self._headers)
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        tries = 1 + (self._retries if _may_repeat(method, path, idempotency_key) else 0)
        while True:
            tries -= 1
            try:
                return self._once(method, path, data, headers)
            except ApiError as error:
                if not tries or error.retry_after is None or error.retry_after > LONGEST_WAIT_SECONDS:
                    raise
                time.sleep(error.retry_after)
            except Unreachable:
                if not tries:
                    raise

    def _once(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
        try:
            connection = self._connection()
            connection.request(method, self._path + path, data, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{method} {path}: {str(error) or type(error).__name__}") from error
        try:
            answer = json.loads(content)
        except ValueError:
            answer = {"detail": content[:200].decode("utf-8", "replace")}
        if response.status >= http.client.BAD_REQUEST:
            raise ApiError(response.status, answer, _retry_after(response))
        return cast("dict[str, Any]", answer)

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is None:
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            kept = kind(self._parts.netloc.rpartition("@")[2], timeout=self._timeout)
            kept.connect()
            kept.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._local.connection = kept
        return kept

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of this thread's connection; the next call opens another."""
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if kept is not None:
            kept.close()


def _may_repeat(method: str, path: str, idempotency_key: str | None) -> bool:
    """Tell whether a call may be made twice: reads, upserts, slates and events may."""
    own_verb = ":" in path.partition("?")[0] and not path.startswith("/v1/recommendations")
    return method == "GET" or idempotency_key is not None or not own_verb


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was not said."""
    return {name: value for name, value in values.items() if value is not None and value != []}


def _parts(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[at : at + MOST_ROWS] for at in range(0, len(rows), MOST_ROWS))


def _retry_after(response: http.client.HTTPResponse) -> float | None:
    """Return the seconds to wait before the next try; None if another try is of no use."""
    if response.status not in (_TOO_MANY, _AWAY):
        return None
    said = response.getheader("Retry-After", "1")
    return float(said) if said.isdigit() else 1.0

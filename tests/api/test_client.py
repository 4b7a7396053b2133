"""The client in one file: it needs nothing of ours, keeps to the document, and makes calls again where that helps."""

from __future__ import annotations

import ast
import json
import shutil
import socket
import subprocess
import sys
import threading
import typing
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from api import client, own_coupon_schemas, schemas, slate_schemas
from api.client import ApiError, Client, Unreachable

BUSY = b'{"type": "urn:memberwise:problem:store-busy", "detail": "busy", "errors": [], "request_id": "r1"}'


class Handler(BaseHTTPRequestHandler):
    """Answers what was prepared, one after the other, then {}."""

    protocol_version = "HTTP/1.1"
    prepared: ClassVar[list[tuple[int, bytes, dict[str, str]]]] = []
    asked: ClassVar[list[tuple[str, str, bytes, dict[str, str]]]] = []

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, body, dict(self.headers)))
        status, content, headers = self.prepared.pop(0) if self.prepared else (200, b"{}", {})
        if status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.prepared.clear()
    Handler.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/shop/"
        server.shutdown()
        thread.join()


@pytest.fixture
def client_of(url: str) -> Iterator[Callable[..., Client]]:
    """Makes clients of the prepared server, which are closed in the end."""
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(Client(url, "mw_key", **options))


def test_it_needs_only_the_standard_library(tmp_path: Path) -> None:
    source = Path(client.__file__)
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    shutil.copy(source, tmp_path / "client.py")
    program = "import client; client.Client('http://127.0.0.1:1', 'key')"
    subprocess.run([sys.executable, "-S", "-c", program], cwd=tmp_path, check=True, timeout=60)


@pytest.mark.parametrize(
    ("told", "documented"),
    [
        (client.Slate, slate_schemas.RecommendationAnswer),
        (client.SlateItem, slate_schemas.SlateItem),
        (client.Reason, slate_schemas.ReasonAnswer),
        (client.Coupon, own_coupon_schemas.OwnCoupon),
        (client.Availability, slate_schemas.AvailabilityAnswer),
        (client.Event, schemas.EventRow),
        (client.EventResult, schemas.EventResult),
        (client.Identity, schemas.Identity),
    ],
)
def test_its_types_are_those_of_the_document(told: type, documented: type) -> None:
    named = set(typing.get_type_hints(told))
    assert named <= set(documented.model_fields)  # type: ignore[attr-defined]


def test_only_what_was_said_is_sent(client_of: Callable[..., Client]) -> None:
    client_of(language="zh").recommend("home", member_id="m 1", count=3, next="token")
    ((method, path, body, headers),) = Handler.asked
    assert (method, path) == ("POST", "/shop/v1/recommendations")
    assert body == b'{"scenario": "home", "count": 3, "member_id": "m 1", "next": "token"}'
    assert headers["Authorization"] == "Bearer mw_key"
    assert headers["Accept-Language"] == "zh"


def test_coupons_are_listed_and_claimed(client_of: Callable[..., Client]) -> None:
    offer = {"offer_id": "dairy", "campaign_id": "spring", "coupon_id": None}
    Handler.prepared.extend(
        [
            (200, json.dumps({"member_id": "m/1", "coupons": [offer]}).encode(), {}),
            (200, b'{"done": 1, "coupons": [{"result": "done", "coupon_id": "c0"}]}', {}),
        ]
    )
    memberwise = client_of()
    (found,) = memberwise.coupons("m/1")
    assert memberwise.claim("m/1", found, "app-7")["coupon_id"] == "c0"
    (listed, claimed) = Handler.asked
    assert listed[:2] == ("GET", "/shop/v1/members/m%2F1/coupons")
    assert claimed[:2] == ("POST", "/shop/v1/coupons:issue")
    assert json.loads(claimed[2]) == {
        "coupons": [{"offer_id": "dairy", "member_id": "m/1", "campaign_id": "spring"}],
        "request_no": "app-7",
    }
    assert claimed[3]["Idempotency-Key"] == "app-7"


def test_ids_in_paths_are_quoted(client_of: Callable[..., Client]) -> None:
    client_of().similar("a/b c?", store_id="s&1")
    assert Handler.asked[0][1] == "/shop/v1/items/a%2Fb%20c%3F/similar?count=10&store_id=s%261"


def test_a_busy_service_is_asked_again(client_of: Callable[..., Client]) -> None:
    Handler.prepared[:] = [(503, BUSY, {"Retry-After": "0"}), (429, BUSY, {"Retry-After": "0"})]
    assert client_of().recommend() == {}
    assert len(Handler.asked) == 3


def test_it_gives_up_in_the_end(client_of: Callable[..., Client]) -> None:
    Handler.prepared[:] = [(503, BUSY, {"Retry-After": "0"})] * 5
    with pytest.raises(ApiError, match="503 store-busy: busy") as caught:
        client_of(retries=1).recommend()
    assert len(Handler.asked) == 2
    assert (caught.value.kind, caught.value.request_id) == ("store-busy", "r1")


def test_long_waits_and_wrong_requests_are_told_at_once(client_of: Callable[..., Client]) -> None:
    Handler.prepared[:] = [(503, BUSY, {"Retry-After": "60"}), (400, BUSY, {}), (502, b"<html>", {})]
    for status in (503, 400, 502):
        with pytest.raises(ApiError, match=str(status)):
            client_of().recommend()
    assert len(Handler.asked) == 3


def test_a_broken_connection_is_opened_again(client_of: Callable[..., Client]) -> None:
    service = client_of()
    service.recommend()
    Handler.prepared[:] = [(0, b"", {})]
    assert service.recommend() == {}
    assert len(Handler.asked) == 3


def test_adjustments_are_made_again_only_under_a_key(client_of: Callable[..., Client]) -> None:
    service = client_of()
    Handler.prepared[:] = [(0, b"", {})]
    with pytest.raises(Unreachable):
        service.call("POST", "/v1/inventory:adjust", {})
    Handler.prepared[:] = [(0, b"", {})]
    assert service.call("POST", "/v1/inventory:adjust", {}, idempotency_key="a") == {}


def test_long_lists_are_sent_in_parts(client_of: Callable[..., Client]) -> None:
    counts = b'{"added": 1, "changed": 2, "unchanged": 3}'
    Handler.prepared[:] = [(200, counts, {})] * 3
    rows = [{"item_id": str(number)} for number in range(2001)]
    assert client_of().put("items", rows) == {"added": 3, "changed": 6, "unchanged": 9}
    assert client_of().put("items", []) == {"added": 0, "changed": 0, "unchanged": 0}


def test_nobody_there(client_of: Callable[..., Client]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lonely = Client(f"http://127.0.0.1:{port}", "k", timeout_seconds=0.5)
    with pytest.raises(Unreachable):
        lonely.recommend()
    assert not lonely.ready()
    assert client_of().ready()
    with pytest.raises(ValueError, match="is no address"):
        Client("recommend.example.com", "k")

"""The load client counts answers, failures and broken connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.benchmarks.load_client import drive

ANSWER = b"x" * 100_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 404)
        self.send_header("Content-Length", str(len(ANSWER)))
        if self.path == "/last":
            self.close_connection = True
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the client may go before its last answer has come."""


@pytest.fixture
def port() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_whole_answers_are_counted(port: int) -> None:
    load = drive(port, [request("/good")], connections=3, seconds=0.1)
    assert len(load.nanoseconds) >= 3
    assert all(value > 0 for value in load.nanoseconds)
    assert (load.failed, load.reconnected) == (0, 0)


def test_other_answers_are_failures(port: int) -> None:
    load = drive(port, [request("/bad")], connections=1, seconds=0.05)
    assert load.failed == len(load.nanoseconds) > 0


def test_closed_connections_are_opened_again(port: int) -> None:
    load = drive(port, [request("/last"), request("/good")], connections=1, seconds=0.1)
    assert load.reconnected > 0


def test_requests_come_at_a_rate(port: int) -> None:
    load = drive(port, [request("/good")], connections=2, seconds=0.5, rate=40)
    assert 15 <= len(load.nanoseconds) <= 24
    assert load.failed == 0


def test_each_request_is_sent_once(port: int) -> None:
    load = drive(port, [request("/good")] * 7, connections=3, seconds=10, once=True)
    assert len(load.nanoseconds) == 7
    assert load.seconds < 5

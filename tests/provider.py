"""A provider for tests: an HTTP server on this machine that answers as it is told and remembers what it was sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it came: path with query, headers in lower case, body, and when."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Told:
    """What is answered: status, body, headers; after a while, or never (None)."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float | None = 0.0


Answering = Callable[[Sent], Told]


def fine(_sent: Sent) -> Told:
    return Told()


class Provider:
    """The server; `answering` decides on each request and may be replaced at any time."""

    def __init__(self, answering: Answering = fine) -> None:
        self.answering = answering
        self.sent: list[Sent] = []
        self.connections = 0
        self.closing = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                provider.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sent = Sent(self.path, headers, body, time.time())
                provider.sent.append(sent)
                told = provider.answering(sent)
                if told.after_seconds is None:
                    provider.closing.wait(30)
                    self.close_connection = True
                    return
                if told.after_seconds:
                    provider.closing.wait(told.after_seconds)
                self.send_response_only(told.status)
                for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(told.body)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def provider(answering: Answering = fine) -> Iterator[Provider]:
    """Run a provider until the end of the block."""
    found = Provider(answering)
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.closing.set()
        found.server.shutdown()
        found.server.server_close()
        thread.join()

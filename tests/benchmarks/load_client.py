"""A cheap HTTP client that keeps a number of connections busy: `python -m tests.benchmarks.load_client`. Prints JSON.

Each connection sends its next request as soon as the answer to the last has come; or, at a rate, when the next one is
due, and then the time of an answer counts from when its request was due. Requests are made beforehand and answers are
read by their length only, so that the client takes little of the processors it shares with the server.
"""

from __future__ import annotations

import array
import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

LOOPBACK = "127.0.0.1"
WARM_SECONDS = 1.5
TIMEOUT_SECONDS = 30.0
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(slots=True)
class Load:
    """What came of it: nanoseconds of each answer, and how many were not 200 or came on a closed connection.

    seconds, cpu_seconds: how long it was measured, and what that took of a processor here.  sent: all requests that
    were sent, also to warm up.
    """

    nanoseconds: array.array[int] = field(default_factory=lambda: array.array("q"))
    failed: int = 0
    reconnected: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    sent: int = 0


class Connection:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.socket = self._connect()
        self._received = b""
        self._sent_at = 0

    def send(self, request: bytes, due: int = 0) -> None:
        """Begin a request that was due at a time in nanoseconds; 0: now."""
        self._received = b""
        self._sent_at = due or time.perf_counter_ns()
        self.socket.sendall(request)

    def receive(self) -> tuple[bool, int] | None:
        """Read what has come; (was it a 200, nanoseconds) when the answer is whole.

        Raises: ConnectionError if the server has closed the connection.
        """
        part = self.socket.recv(65_536)
        if not part:
            raise ConnectionError
        self._received = received = self._received + part if self._received else part
        head = received.find(_END)
        if head < 0 or len(received) < head + len(_END) + _body_length(received[:head].lower()):
            return None
        return received.startswith(b"HTTP/1.1 200"), time.perf_counter_ns() - self._sent_at

    def reconnect(self) -> None:
        """Open the connection anew."""
        self.socket.close()
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        made = socket.create_connection((LOOPBACK, self._port), TIMEOUT_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


def _body_length(head: bytes) -> int:
    at = head.find(_LENGTH)
    return 0 if at < 0 else int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])


class Driver:
    """Keeps connections busy; requests are taken in turn, again from the start when they end, unless `once`."""

    def __init__(self, port: int, requests: Sequence[bytes], once: bool = False) -> None:
        self._port, self._requests, self._once = port, requests, once
        self._number = 0
        self._gap = 0
        self._due = 0
        self._idle: list[Connection] = []
        self._busy: dict[int, Connection] = {}
        self._poller = select.epoll()

    def open(self, connections: int, seconds: float) -> None:
        """Open connections one after the other while the first are busy, as those of real clients are.

        A worker that finds many new ones at once takes them all, and the others have none.
        """
        for _ in range(connections):
            self._send(self._watch(Connection(self._port)))
            if seconds:
                self.run(seconds / connections, Load())

    def pace(self, per_second: float) -> None:
        """From now on send so many requests per second in even steps, as long as connections are free."""
        self._gap = int(1e9 / per_second)
        self._due = time.perf_counter_ns()

    def run(self, seconds: float, load: Load) -> None:
        """Take answers and send the next requests for a time, or until the last of `once` is answered."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and not self._is_done():
            if self._gap:
                left = min(left, self._send_due())
            for handle, _ in self._poller.poll(left):
                self._take(self._busy[handle], load)

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return self._number

    def _is_done(self) -> bool:
        return self._once and self._number >= len(self._requests) and len(self._idle) == len(self._busy)

    def _send_due(self) -> float:
        """Send what is due and can be sent; return the seconds until there may be more to send."""
        now = time.perf_counter_ns()
        while self._idle and self._due <= now:
            self._send(self._idle.pop(), self._due)
            self._due += self._gap
        return max((self._due - now) / 1e9, 0.0) if self._idle else 1.0

    def close(self) -> None:
        """Let go of all connections, whether answered or not."""
        self._poller.close()
        for connection in self._busy.values():
            connection.socket.close()

    def _take(self, connection: Connection, load: Load) -> None:
        try:
            answer = connection.receive()
        except ConnectionError:
            load.reconnected += 1
            self._reconnect(connection)
        else:
            if answer is None:
                return
            load.nanoseconds.append(answer[1])
            load.failed += not answer[0]
            if self._gap or (self._once and self._number >= len(self._requests)):
                self._idle.append(connection)
                return
        self._send(connection)

    def _send(self, connection: Connection, due: int = 0) -> None:
        try:
            connection.send(self._requests[self._number % len(self._requests)], due)
            self._number += 1
        except ConnectionError:
            self._reconnect(connection)
            self._send(connection, due)

    def _watch(self, connection: Connection) -> Connection:
        self._busy[connection.socket.fileno()] = connection
        self._poller.register(connection.socket.fileno(), select.EPOLLIN)
        return connection

    def _reconnect(self, connection: Connection) -> None:
        handle = connection.socket.fileno()
        self._poller.unregister(handle)
        del self._busy[handle]
        connection.reconnect()
        self._watch(connection)


def drive(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    seconds: float,
    warm_seconds: float = 0.1,
    rate: float = 0.0,
    once: bool = False,
) -> Load:
    """Open connections while the server warms up, then measure.

    Args:
        port: of the server.
        requests: taken in turn.
        connections: most requests under way at once.
        seconds: how long to measure.
        warm_seconds: how long before.
        rate: requests per second; 0: as many as are answered.
        once: each request is sent once, from the start of the measurement, without warming up.
    """
    driver, load = Driver(port, requests, once), Load()
    try:
        if not once:
            driver.open(connections, warm_seconds)
        if rate:
            driver.pace(rate)
        began, cpu = time.perf_counter(), time.process_time()
        if once:
            driver.open(connections, 0.0)
        driver.run(seconds, load)
        load.seconds, load.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        load.sent = driver.sent
    finally:
        driver.close()
    return load


def figures(load: Load) -> dict[str, float]:
    """Return what is told of a load."""
    ordered = sorted(load.nanoseconds)
    return {
        "requests": len(ordered),
        "per_second": len(ordered) / load.seconds,
        "p50_ms": ordered[len(ordered) // 2] / 1e6,
        "p99_ms": ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] / 1e6,
        "all_requests": load.sent,
        "failed": load.failed,
        "reconnected": load.reconnected,
        "client_cpu_share": load.cpu_seconds / load.seconds,
    }


def main(port: str, connections: str, seconds: str, file: str, rate: str = "0", once: str = "") -> None:
    """Drive a server; the file holds the requests as a JSON list of texts."""
    requests = [text.encode() for text in orjson.loads(Path(file).read_bytes())]
    chosen = float(rate)
    print(
        json.dumps(
            figures(drive(int(port), requests, int(connections), float(seconds), WARM_SECONDS, chosen, bool(once)))
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

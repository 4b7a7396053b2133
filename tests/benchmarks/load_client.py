"""A cheap HTTP client that keeps a number of connections busy: `python -m tests.benchmarks.load_client`. Prints JSON.

Each connection sends its next request as soon as the answer to the last has come. Requests are made beforehand
and answers are read by their length only, so that the client takes little of the processors it shares with the server.
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
WARM_SECONDS = 1.0
TIMEOUT_SECONDS = 30.0
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(slots=True)
class Load:
    """What came of it: nanoseconds of each answer, and how many were not 200 or came on a closed connection."""

    nanoseconds: array.array[int] = field(default_factory=lambda: array.array("q"))
    failed: int = 0
    reconnected: int = 0


class Connection:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.socket = self._connect()
        self._received = b""
        self._sent_at = 0

    def send(self, request: bytes) -> None:
        """Begin a request."""
        self._received = b""
        self._sent_at = time.perf_counter_ns()
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


def drive(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Keep connections busy for a time; requests are taken in turn, again from the start when they end."""
    load = Load()
    waiting: dict[int, Connection] = {}
    poller = select.epoll()
    number, end = 0, time.perf_counter() + seconds
    for _ in range(connections):
        connection = Connection(port)
        waiting[connection.socket.fileno()] = connection
        poller.register(connection.socket.fileno(), select.EPOLLIN)
        connection.send(requests[number % len(requests)])
        number += 1
    while waiting:
        ready = poller.poll(TIMEOUT_SECONDS)
        if not ready:
            raise TimeoutError(f"No answer on {len(waiting)} connections.")
        for handle, _ in ready:
            connection = waiting[handle]
            try:
                answer = connection.receive()
            except ConnectionError:
                load.reconnected += 1
                poller.unregister(handle)
                del waiting[handle]
                connection.reconnect()
                waiting[connection.socket.fileno()] = connection
                poller.register(connection.socket.fileno(), select.EPOLLIN)
                answer = (True, 0)
            if answer is None:
                continue
            if answer[1]:
                load.nanoseconds.append(answer[1])
                load.failed += not answer[0]
            if time.perf_counter() < end:
                connection.send(requests[number % len(requests)])
                number += 1
            else:
                handle = connection.socket.fileno()
                poller.unregister(handle)
                del waiting[handle]
                connection.socket.close()
    return load


def main(port: str, connections: str, seconds: str, file: str) -> None:
    """Warm the server up, then measure; the file holds the requests as a JSON list of texts."""
    requests = [text.encode() for text in orjson.loads(Path(file).read_bytes())]
    drive(int(port), requests, int(connections), WARM_SECONDS)
    began, cpu = time.perf_counter(), time.process_time()
    load = drive(int(port), requests[::-1], int(connections), float(seconds))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    ordered = sorted(load.nanoseconds)
    print(
        json.dumps(
            {
                "requests": len(ordered),
                "per_second": len(ordered) / took,
                "p50_ms": ordered[len(ordered) // 2] / 1e6,
                "p99_ms": ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] / 1e6,
                "failed": load.failed,
                "reconnected": load.reconnected,
                "client_cpu_share": cpu / took,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

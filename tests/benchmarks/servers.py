"""Servers under load: started on a free port of the loopback interface, asked until they answer, stopped by process."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.load_client import LOOPBACK
from tests.benchmarks.measure import FailedRunError, children, cpu_seconds, private_bytes, proportional_bytes

START_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; start_seconds: from its start to its first answer that says it is ready."""

    pid: int
    port: int
    start_seconds: float

    def workers(self) -> list[int]:
        """Return the processes of the web workers."""
        return children(self.pid)

    def private_bytes(self) -> list[int]:
        """Return what each web worker holds for itself alone."""
        return [private_bytes(pid) for pid in self.workers()]

    def resident_bytes(self) -> int:
        """Return what all processes of the server hold in memory, shared pages counted once."""
        return sum(proportional_bytes(pid) for pid in [self.pid, *self.workers()])

    def cpu_seconds(self) -> float:
        """Return the processor time that the web workers have taken so far."""
        return sum(cpu_seconds(pid) for pid in self.workers())

    def worker_of(self, connection: socket.socket) -> int | None:
        """Return the process of the web worker that holds the other end of a connection; None while nobody does."""
        client_port = connection.getsockname()[1]
        inode = _server_inode(self.port, client_port)
        return next((pid for pid in self.workers() if inode in _socket_inodes(pid)), None)


@contextmanager
def run_server(command: Sequence[str], environ: Mapping[str, str], ready: str, log: Path) -> Iterator[Server]:
    """Start a server and stop it at the end.

    Args:
        command: which takes its port from MEMBERWISE_PORT.
        environ: set beside the environment of this process.
        ready: a path that answers 200 when the server is ready.
        log: where its outputs go.
    Raises: FailedRunError if it ends, or is not ready in time.
    """
    port = _free_port()
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ, "MEMBERWISE_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, port, ready, f"{' '.join(command[:4])} is not ready", log)
            yield Server(process.pid, port, time.monotonic() - began)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


@contextmanager
def run_beside(command: Sequence[str], environ: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run a program until the end of the block; its process id is given."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _server_inode(server_port: int, client_port: int) -> str:
    """Return the inode of the server's end of a connection, as Linux lists it; "" if there is none."""
    ends = f":{server_port:04X}", f":{client_port:04X}"
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(ends[0]) and fields[2].endswith(ends[1]):
            return fields[9]
    return ""


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(handle)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(target[len("socket:[") : -1])
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, ready: str, problem: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
        try:
            connection.request("GET", ready)
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(POLL_SECONDS)
    raise FailedRunError(f"{problem}\n{log.read_text('utf-8', 'replace')[-2000:]}")

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
from tests.benchmarks.measure import FailedRunError, children, private_bytes

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    pid: int
    port: int

    def private_bytes(self) -> list[int]:
        """Return what each web worker holds for itself alone."""
        return [private_bytes(pid) for pid in children(self.pid)]


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
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ, "MEMBERWISE_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, port, ready, f"{' '.join(command[:4])} is not ready", log)
            yield Server(process.pid, port)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


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
        time.sleep(0.2)
    raise FailedRunError(f"{problem}\n{log.read_text('utf-8', 'replace')[-2000:]}")
